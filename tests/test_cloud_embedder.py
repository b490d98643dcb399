"""An artefact of a network of points loads and embeds clouds, from files and from memory, at several scales."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.artefact import DESCRIPTION_FILE, Artefact, load, read_description, save_artefact
from passerby.batches import EvalLoader
from passerby.configs import plain
from passerby.embedder import CloudEmbedder, EmbeddingRule, embed
from passerby.errors import ArtefactError, DataError, UsageError
from passerby.models.ognet import OGNetOptions
from passerby.models.point_models import PointModel, PointModelConfig, build_point_model
from passerby.points import CloudPreprocess, EvalClouds
from passerby.records import Record, Split

CONFIG = PointModelConfig(ognet=OGNetOptions(feature_dims=(8, 16), k=4, init_points=12), linear_dim=8)
RULE = EmbeddingRule(flip=False, scales=(1.0, 1.1))


def a_cloud(seed: int, points: int = 48) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(0, 0.4, (points, 3)), random.uniform(0, 0.9, (points, 3))], 1).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> PointModel:
    torch.manual_seed(0)
    return build_point_model(CONFIG, 5)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{pid:04d}_c1_1.npz" for pid in (1, 2, 3)]
    for seed, path in enumerate(paths):
        np.savez(path, xyz=a_cloud(seed)[:, :3], rgb=a_cloud(seed)[:, 3:])
    return paths


def test_the_vector_is_the_sum_over_scales(model: PointModel, files: list[Path]):
    found = CloudEmbedder(model, CloudPreprocess(), RULE, batch_size=2)(files)  # pyright: ignore
    inputs = torch.stack([EvalClouds(CloudPreprocess())(a_cloud(seed)) for seed in range(3)])
    larger = inputs * torch.tensor([1.1, 1.1, 1.1, 1, 1, 1])
    with torch.no_grad():
        expected = model.eval()(inputs).embedding + model(larger).embedding
    np.testing.assert_allclose(found, torch.nn.functional.normalize(expected).numpy(), atol=1e-6)


def test_clouds_come_as_files_arrays_and_tensors(model: PointModel, files: list[Path]):
    embedder = CloudEmbedder(model, CloudPreprocess(), RULE)  # pyright: ignore
    expected = embedder(files)
    mixed = [str(files[0]), a_cloud(1), torch.from_numpy(a_cloud(2))]
    np.testing.assert_allclose(embedder(mixed), expected, atol=1e-6)
    np.testing.assert_allclose(embedder(np.stack([a_cloud(seed) for seed in range(3)])), expected, atol=1e-6)
    for one in (files[1], a_cloud(1)):
        assert embedder(one).shape == (1, 8)
    flipped = a_cloud(1) * np.array([-1, 1, 1, 1, 1, 1], np.float32)
    both = CloudEmbedder(model, CloudPreprocess(), EmbeddingRule(flip=True), workers=0)  # pyright: ignore
    np.testing.assert_allclose(both(flipped), both(a_cloud(1)), atol=1e-5)


def test_an_artefact_of_points_embeds_a_split_as_before(model: PointModel, files: list[Path], tmp_path: Path):
    facts = Artefact("ognet", {}, plain(CONFIG), CloudPreprocess(slim=0.75), RULE, 8)
    save_artefact(tmp_path / "model", model.without_classifier(), facts)
    embedder = load(tmp_path / "model", device="cpu")
    split = Split(tuple(Record(path, pid, 0, "clouds") for pid, path in enumerate(files, 1)))
    found = embed(embedder, split)
    assert isinstance(embedder, CloudEmbedder) and embedder.facts["backbone"] == "ognet"
    before = CloudEmbedder(model, CloudPreprocess(slim=0.75), RULE)  # pyright: ignore
    assert np.array_equal(found.vectors, before(files)) and found.pids.tolist() == [1, 2, 3]
    assert read_description(tmp_path / "model").preprocess == CloudPreprocess(slim=0.75)


def test_an_artefact_with_an_unknown_option_is_refused(model: PointModel, tmp_path: Path):
    facts = Artefact("ognet", {}, plain(CONFIG), CloudPreprocess(), RULE, 8)
    save_artefact(tmp_path / "model", model.without_classifier(), facts)
    path = tmp_path / "model" / DESCRIPTION_FILE
    content = json.loads(path.read_text())
    for change in ({"preprocess": {**content["preprocess"], "slimm": 1}}, {"model": {**content["model"], "ognet": {"kk": 2}}}):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ArtefactError, match=r'no option "(slimm|kk)" of'):
            load(tmp_path / "model", device="cpu")


def test_clouds_of_unequal_size_do_not_make_a_batch(model: PointModel, files: list[Path]):
    np.savez(files[1], xyz=a_cloud(1, 60)[:, :3], rgb=a_cloud(1, 60)[:, 3:])
    text = (
        r"a batch holds inputs of one size: 0001_c1_1.npz gives \(24, 6\), 0002_c1_1.npz \(30, 6\). "
        "Clouds need equal numbers of points: make all from images of one size."
    )
    with pytest.raises(DataError, match=text):
        CloudEmbedder(model, CloudPreprocess(), RULE)(files)  # pyright: ignore
    split = Split(tuple(Record(path, 1, 0, "clouds") for path in files))
    with pytest.raises(DataError, match=text):
        list(EvalLoader(split, EvalClouds(CloudPreprocess()), batch_size=3))


def test_what_makes_no_sense_for_clouds_is_refused(model: PointModel, files: list[Path]):
    with pytest.raises(UsageError, match="compound scales resize pictures"):
        CloudEmbedder(model, CloudPreprocess(), replace(RULE, compound=True))  # pyright: ignore
    with pytest.raises(DataError, match="a cloud has points that are not finite"):
        CloudEmbedder(model, CloudPreprocess(), RULE)(a_cloud(0) * np.nan)  # pyright: ignore
    with pytest.raises(DataError, match="is no cloud of points by its name"):
        CloudEmbedder(model, CloudPreprocess(), RULE)(["a.jpg"])  # pyright: ignore
    with pytest.raises(UsageError, match="4 nearest neighbours of 2 points"):
        CloudEmbedder(model, CloudPreprocess(), RULE)(a_cloud(0, 3))  # pyright: ignore
