"""The verbs that draw data, batches, augmentation, search and networks, as they are typed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.embeddings import Embeddings

Said = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def call(words: list[str]) -> tuple[int, str, str]:
        status = main(words)
        found = capsys.readouterr()
        return status, found.out, found.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight people in two cameras, with a table, and embeddings of four of them."""
    rows = [(f"{pid}_{camid}_{n}.png", pid, camid) for pid in range(1, 9) for camid in (0, 1) for n in range(2)]
    (tmp_path / "data").mkdir()
    for number, (name, _, _) in enumerate(rows):
        Image.new("RGB", (8, 16), (7 * number, 90, 60)).save(tmp_path / "data" / name)
    with (tmp_path / "data" / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "pid", "camid", "split"])
        for name, pid, camid in rows:
            table.writerow([name, pid, camid, "train" if pid > 4 else "query" if camid == 0 else "gallery"])
    random = np.random.default_rng(0)
    for subset, camid in (("query", 0), ("gallery", 1)):
        kept = [row for row in rows if row[1] <= 4 and row[2] == camid]
        vectors = np.stack([np.eye(4)[pid - 1] + 0.3 * random.standard_normal(4) for _, pid, _ in kept])
        names, pids, camids = zip(*kept, strict=True)
        found = Embeddings(vectors, pids, camids, names, {"data": "mine", "recipe": "baseline"})
        found.save(tmp_path / "vectors" / f"{subset}.npz")
    return tmp_path


def test_retrieval(folder: Path, said: Said):
    out, found = str(folder / "p.svg"), folder / "p.json"
    words = ["plot", "retrieval", str(folder / "vectors"), "--out", out, "--json", str(found)]
    status, told, _ = said([*words, "--names", "mine", "--top", "5"])
    assert status == 0 and "mine: Rank-1" in told and len(json.loads(found.read_text())["cmc"]["mine"]) == 5
    assert "baseline on mine" in Path(out).read_text()
    status, told, _ = said([*words, "--kind", "roc", "--title", "a title"])
    assert status == 0 and "vectors: area" in told and 0.5 < json.loads(found.read_text())["areas"]["vectors"] <= 1
    assert "a title" in Path(out).read_text()
    for more, text in (
        (["--kind", "roc", "--top", "5"], "--top is 5, but it acts only with --kind cmc"),
        (["--names", "a", "b"], "2 names for 1 inputs"),
    ):
        status, _, error = said([*words, *more])
        assert status == 2 and text in error
    status, _, error = said([*words[:3], *words[2:], "--names", "a", "a"])
    assert status == 2 and "two inputs have one name" in error


def test_cameras(folder: Path, said: Said):
    found = folder / "c.json"
    words = ["plot", "cameras", str(folder / "vectors"), "--out", str(folder / "c.svg"), "--json", str(found)]
    status, told, _ = said(words)
    assert status == 0 and "1 pairs of cameras" in told and json.loads(found.read_text())["pairs"][0]["num_queries"] == 8
    assert said(["plot", "cameras", *["x"] * 3])[0] == 2


def test_data_and_batches(folder: Path, said: Said):
    data, found = str(folder / "data"), folder / "d.json"
    status, told, _ = said(["plot", "data", data, "--people", "2", "--out", str(folder / "d.svg"), "--json", str(found)])
    assert status == 0 and "2 of its people" in told and json.loads(found.read_text())["splits"]["train"]["images"] == 16
    words = ["plot", "batches", "--data", data, "--batch-size", "4", "--out", str(folder / "b.svg"), "--json", str(found)]
    assert "two are the least to balance" in said([*words, "--sampler", "domains"])[2]
    for more, batches in ((["--images-per-identity", "2"], 4), (["--sampler", "shuffle"], 4)):
        status, told, error = said([*words, *more])
        assert status == 0 and f"{batches} batches an epoch, 2 cameras" in told, error
        counts = np.array(json.loads(found.read_text())["counts"])
        assert counts.shape == (batches, 2) and (counts.sum(1) == 4).all()
    status, _, error = said([*words, "--sampler", "shuffle", "--images-per-identity", "2"])
    assert status == 2 and "--images-per-identity is 2, but a shuffle knows no people" in error
    assert "--epoch is 0: epochs count from 1" in said([*words, "--epoch", "0"])[2]


def test_augmentation_by_flags(folder: Path, said: Said):
    image, out = str(folder / "data" / "1_0_0.png"), str(folder / "a.svg")
    words = ["plot", "augmentation", image, "--out", out, "--height", "32", "--width", "16", "--pad-px", "2", "--draws", "3"]
    status, told, _ = said([*words, "--random-erasing", "1", "--flip", "0", "--json", str(folder / "a.json")])
    assert status == 0 and "32x16 px, bicubic; pad px 2; random erasing 1.0" in told
    assert json.loads((folder / "a.json").read_text())["settings"] in told
    assert said(["plot", "augmentation", "nowhere.png"])[0] == 1
    (folder / "empty").mkdir()
    assert "empty holds no image" in said(["plot", "augmentation", str(folder / "empty")])[2]
    assert said([*words[:2], str(folder / "data"), *words[3:]])[0] == 0
    drawn = (folder / "a.svg").read_text()
    assert all(f"{pid}_0_0.png" in drawn for pid in (1, 3, 5, 7)) and "2_0_0.png" not in drawn
    status, _, error = said([*words, "--run", str(folder)])
    assert status == 2 and "--height, --width, --pad-px: with --run the augmentation is the run's" in error


@pytest.mark.parametrize("recipe", ["baseline", "camera-bn", "metabin", "cail-mixup", "ognet"])
def test_augmentation_of_a_run_is_that_of_its_recipe(folder: Path, said: Said, recipe: str):
    from torch import nn

    from passerby.artefact import Artefact, save_artefact
    from passerby.configs import plain
    from passerby.embedder import EmbeddingRule
    from passerby.recipes import recipe as module_of
    from passerby.transforms import Preprocess

    config = plain(module_of(recipe).Config(**({"target": ""} if recipe == "cail-mixup" else {})))
    config["flip"] = 1.0
    facts = Artefact(recipe, config, {"backbone": "x"}, Preprocess(), EmbeddingRule(), 2)
    save_artefact(folder / "run" / "artefact", nn.Linear(2, 2), facts)
    image = str(folder / "data" / "1_0_0.png")
    status, told, error = said(["plot", "augmentation", image, "--run", str(folder / "run"), "--out", str(folder / "a.svg")])
    if recipe == "ognet":
        assert status == 2 and "is a run on clouds of points" in error
    else:
        assert status == 0 and "flip 1.0" in told, error
        assert f"augmentation of run ({recipe})" in (folder / "a.svg").read_text()


def test_heatmaps_of_a_model(folder: Path, said: Said):
    from passerby.artefact import Artefact, save_artefact
    from passerby.configs import plain
    from passerby.embedder import EmbeddingRule
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess

    config = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), head="bnneck")
    model = build_model(config)
    rule = EmbeddingRule()
    facts = Artefact("baseline", {}, plain(config), Preprocess(size=(64, 32)), rule, model.embedding_dim)
    save_artefact(folder / "model", model, facts)
    images = [str(folder / "data" / name) for name in ("1_0_0.png", "2_0_0.png")]
    out, found = str(folder / "h.png"), folder / "h.json"
    words = ["plot", "heatmap", str(folder / "model"), *images, "--out", out, "--json", str(found), "--device", "cpu"]
    status, told, error = said(words)
    assert status == 0 and "2 images" in told, error
    places = json.loads(found.read_text())["brightest_px"]
    assert set(places) == set(images) and all(0 <= y < 64 and 0 <= x < 32 for y, x in places.values())
    status, told, _ = said([*words, "--kind", "similarity"])
    assert status == 0 and -1 <= json.loads(found.read_text())["similarity"] <= 1 and "similarity" in told
    assert "is of two crops, 1 were given" in said([*words[:4], "--kind", "similarity"])[2]
    assert "nowhere.png: no such file" in said([*words[:3], "nowhere.png"])[2]


def test_turntable(folder: Path, said: Said):
    random = np.random.default_rng(0)
    cloud = folder / "cloud.npz"
    np.savez(cloud, xyz=random.standard_normal((50, 3)).astype(np.float32), rgb=random.random((50, 3)).astype(np.float32))
    out = folder / "turn.gif"
    words = ["plot", "turntable", str(cloud), "--out", str(out), "--views", "6", "--height", "40"]
    status, told, _ = said([*words, "--json", str(folder / "t.json")])
    assert status == 0 and "50 points, 6 views" in told and json.loads((folder / "t.json").read_text())["points"] == 50
    with Image.open(out) as turning:
        assert turning.n_frames == 6  # pyright: ignore[reportAttributeAccessIssue]
    assert said([*words[:3], "--views", "0", "--out", str(out)])[0] == 2


def test_multi_query_in_a_ranking_sheet(folder: Path, said: Said):
    files = [str(folder / "vectors" / f"{name}.npz") for name in ("query", "gallery")]
    words = ["plot", "ranking", *files, "--images", str(folder / "data"), "--out", str(folder / "s.svg"), "--each", "1"]
    status, told, error = said([*words, "--convention", "market1501-multi-query", "--more", files[0]])
    assert status == 0 and "multi-query by mean" in told, error
    assert "2 images" in (folder / "s.svg").read_text()
    assert "no multi-query images were given" in said([*words, "--convention", "market1501-multi-query"])[2]
