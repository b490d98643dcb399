"""Statistics of cameras at test time: which images, which batches, what they become, and who uses them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from passerby.embedder import Embedder, EmbeddingRule, embed
from passerby.embedder.camera_statistics import (
    Estimation,
    camera_wise,
    estimate_cameras,
    estimate_whole_set,
    images_by_camera,
    observe,
    with_data_statistics,
)
from passerby.embedder.network import WHOLE_SET
from passerby.embedder.progressive import cuts, with_first_layers
from passerby.embedder.splits import camera_name
from passerby.errors import ArtefactError, DataError, UsageError
from passerby.models import ModelConfig, Outputs, build_model
from passerby.models.norms.camera import CameraBatchNorm
from passerby.models.norms.replacing import camera_norms, use_camera_norms
from passerby.models.norms.statistics import CameraStatistics
from passerby.records import Record, Split
from passerby.transforms import Preprocess, normalise

SIZE = (8, 4)
SMALL = Preprocess(size=SIZE, interpolation="bilinear")
PER_CAMERA = {0: 20, 1: 10, 2: 3}


class Network(nn.Module):
    """Convolution, norm, pooling, dropout, norm: the smallest with two camera-wise layers and something only for training."""

    embedding_dim = feature_dim = 6

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.drop, self.neck = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.BatchNorm1d(6)

    def forward(self, x):
        feature = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        neck = self.neck(self.drop(feature))
        return Outputs(feature, neck)


def network(camera_trained=True):
    return use_camera_norms(Network(), camera_trained=camera_trained).eval()


def embedder(model=None, **options):
    return Embedder(model or network(), SMALL, batch_size=16, workers=1, **options)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, Split]:
    """Query and gallery of three cameras of different tint; camera 2 has few images, and only 1 of them is a query."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    splits = {"query": [], "gallery": []}
    for camera, count in PER_CAMERA.items():
        for number in range(count):
            path = folder / f"c{camera}_{number}.png"
            tint = np.array([60 * camera, 30, 90 - 40 * camera])
            Image.fromarray(np.clip(random.normal(100, 40, (*SIZE, 3)) + tint, 0, 255).astype(np.uint8)).save(path)
            subset = "query" if (number == 0 if camera == 2 else number % 2) else "gallery"
            splits[subset].append(Record(path, number % 5 + 1, camera, "hall"))
    return {name: Split(tuple(records)) for name, records in splits.items()}


def inputs(paths):
    return normalise(torch.stack([torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) for path in paths]), SMALL)


def reference(model, batches, flip=True):
    """The published way: reset the buffers, cumulative average, pass each batch and its mirror images in training mode."""
    plain = Network()
    plain.load_state_dict(model.state_dict())
    plain.eval()
    for norm in (plain.norm, plain.neck):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for paths in batches:
            plain(inputs(paths))
            if flip:
                plain(inputs(paths).flip(-1))
    return plain


@pytest.mark.parametrize("flip", [True, False])
def test_the_estimate_is_what_the_published_procedure_leaves_in_the_buffers(pictures, flip):
    model = network()
    paths = images_by_camera(pictures["gallery"], pictures["query"])["hall/1"]
    how = Estimation(batch_size=5, batches=3, flip=flip)
    found = estimate_cameras(embedder(model), {"hall/1": paths}, how)
    plain = reference(model, how.drawn(paths), flip)
    for layer in ("norm", "neck"):
        mean, variance = found.statistics.of_camera("hall/1")[layer]
        torch.testing.assert_close(mean, plain.get_submodule(layer).running_mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(variance, plain.get_submodule(layer).running_var, atol=1e-5, rtol=1e-4)
    assert found.images == {"hall/1": 15} and found.notes == ()
    fed_vectors = embedder(model, cameras=found.statistics, rule=EmbeddingRule(flip=False))(paths, camera="hall/1")
    with torch.no_grad():
        wanted = nn.functional.normalize(plain.eval()(inputs(paths)).embedding).numpy()
    np.testing.assert_allclose(fed_vectors, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "estimator", "sizes"),
    [
        (130, "cumulative", [64, 64]), (130, "pooled", [64, 64, 2]), (63, "cumulative", [63]), (64, "cumulative", [64]),
        (129, "pooled", [64, 64]), (10_000, "cumulative", [64] * 50), (9, "pooled", [9]),
    ],
)  # fmt: skip
def test_which_batches_a_camera_makes(images, estimator, sizes):
    paths = [Path(f"{number}.png") for number in range(images)]
    batches = Estimation(estimator=estimator).drawn(paths)
    assert [len(batch) for batch in batches] == sizes
    assert len({path for batch in batches for path in batch}) == sum(sizes)
    assert batches == Estimation(estimator=estimator).drawn(paths)
    if images > 64:
        assert batches != Estimation(estimator=estimator, seed=1).drawn(paths)


def test_images_and_mirror_images_are_an_update_each(pictures):
    paths = images_by_camera(pictures["gallery"])["hall/1"]
    assert len(observe(embedder(), [paths[:5], paths[5:]])) == 4
    assert len(observe(embedder(), [paths[:5], paths[5:]], flip=False)) == 2


def test_estimating_changes_nothing_in_the_network(pictures):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    estimate_whole_set(embedder(model), images_by_camera(pictures["gallery"]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_one_embedder_embeds_several_cameras_at_once(pictures):
    model, images = network(), images_by_camera(*pictures.values())
    found = estimate_cameras(embedder(model), images, Estimation(min_images=2))
    ready = embedder(model, cameras=found.statistics)
    split = Split(pictures["gallery"].records + pictures["query"].records)
    together = embed(ready, split).vectors
    for camera, paths in images.items():
        rows = [i for i, record in enumerate(split) if camera_name(record.camera) == camera]
        alone = ready([split[i].path for i in rows], camera=camera)
        np.testing.assert_allclose(together[rows], alone, atol=1e-5)
        assert set(paths) == {split[i].path for i in rows}
    named = ready([record.path for record in split], camera=[camera_name(record.camera) for record in split])
    np.testing.assert_array_equal(named, together)
    assert np.abs(ready([split[0].path], "hall/2") - ready([split[0].path], "hall/1")).max() > 0.01


def test_a_camera_with_few_images_takes_the_other_split_and_then_the_whole_set(pictures):
    model = network()
    asked = {name: images_by_camera(split) for name, split in pictures.items()}
    how = Estimation(min_images=3)
    made = estimate_cameras(embedder(model), asked["query"], how, others=asked["gallery"])
    assert made.notes == ("camera hall/3: 1 image, statistics from 3 of both splits",)
    both = images_by_camera(*pictures.values())["hall/3"]
    alike = estimate_cameras(embedder(model), {"hall/3": both}, how)
    torch.testing.assert_close(made.statistics.of_camera("hall/3")["neck"], alike.statistics.of_camera("hall/3")["neck"])

    made = estimate_cameras(embedder(model), asked["query"], Estimation(min_images=4), others=asked["gallery"])
    assert made.notes == ("camera hall/3: 3 images, statistics of the whole set stand in",)
    every = estimate_whole_set(embedder(model), images_by_camera(*pictures.values()))
    torch.testing.assert_close(made.statistics.of_camera("hall/3")["neck"], every.statistics.of_camera(WHOLE_SET)["neck"])
    assert made.images["hall/3"] == 0

    with pytest.raises(DataError, match=r"need 16 images or more, hall/10 has 1 image: give more images. In Python"):
        estimate_cameras(embedder(model), {"hall/10": asked["query"]["hall/3"]})


def test_sources_of_a_data_sets_statistics(pictures):
    model, how = network(), Estimation(min_images=2)
    train = Split(tuple(record for split in pictures.values() for record in split if record.camid != 9))
    own = with_data_statistics(embedder(model), pictures, "own", how)
    pooled = with_data_statistics(embedder(model), pictures, "pooled", how)
    trained = with_data_statistics(embedder(model), pictures, "train", how, train=train)
    whole = with_data_statistics(embedder(model), pictures, "whole-set", how)
    layer = {name: each["query"].cameras.of_camera("hall/2")["neck"][0] for name, each in
             {"own": own, "pooled": pooled, "train": trained}.items()}  # fmt: skip
    assert not torch.equal(layer["own"], layer["pooled"]) and torch.equal(layer["pooled"], layer["train"])
    assert not torch.equal(own["query"].cameras.means["neck"], own["gallery"].cameras.means["neck"])
    assert pooled["query"].cameras is not None and whole["query"].cameras.cameras == (WHOLE_SET,)
    assert whole["query"].camera_agnostic and embed(whole["query"], pictures["query"]).vectors.shape == (16, 6)
    facts = own["query"].facts["camera_statistics"]
    assert facts["source"] == "own" and facts["estimator"] == "cumulative" and facts["images"]["hall/1"] == 10
    assert own["query"].facts["notes"] == ["camera hall/3: 1 image, statistics from 3 of both splits"]

    more = {**pictures, "multi_query": pictures["gallery"]}
    extra = with_data_statistics(embedder(model), more, "own", how)
    assert extra["multi_query"] is extra["query"]

    lacking = train.where(lambda record: record.camid != 1)
    with pytest.raises(DataError, match=r"show no camera hall/2 of the query, hall/2 of the gallery, so they give no statistics"):
        with_data_statistics(embedder(model), pictures, "train", how, train=lacking)
    with pytest.raises(UsageError, match=r'no source of camera statistics "owm". Did you mean "own"'):
        with_data_statistics(embedder(model), pictures, "owm", how)


def test_a_query_camera_that_the_gallery_lacks_uses_its_own_images(pictures):
    gallery = pictures["gallery"].where(lambda record: record.camid != 1)
    found = with_data_statistics(embedder(), {**pictures, "gallery": gallery}, "own", Estimation(min_images=3))
    assert "hall/2" in found["query"].cameras.cameras and "hall/2" not in found["gallery"].cameras.cameras
    assert not any("hall/2" in note for note in found["query"].facts["notes"])
    with pytest.raises(UsageError, match='no statistics of camera "hall/2"'):
        embed(found["gallery"], pictures["query"])


def test_equal_camera_numbers_of_different_data_sets_stay_apart(pictures):
    other = Split(tuple(Record(r.path, r.pid, r.camid, "yard") for r in pictures["query"] if r.camid == 1))
    mixed = Split(pictures["gallery"].records + other.records)
    images = images_by_camera(mixed)
    assert list(images) == ["hall/1", "hall/2", "hall/3", "yard/2"]
    assert not set(images["hall/2"]) & set(images["yard/2"])


def test_a_plainly_trained_network_is_copied_and_it_is_said_what_that_costs(pictures):
    plain = Embedder(Network().eval(), SMALL, workers=1, facts={"notes": ["a note"]})
    found = with_data_statistics(plain, pictures, "own", Estimation(min_images=2))
    notes = found["query"].facts["notes"]
    assert notes[0] == "a note" and "trained with plain batch norm: published 80.2 Rank-1 / 63.7 mAP instead of 81.5" in notes[1]
    assert not camera_norms(plain.model)
    alone = camera_wise(plain)
    np.testing.assert_array_equal(alone([pictures["query"][0].path]), plain([pictures["query"][0].path]))


def test_what_an_embedder_refuses(pictures):
    path, model = pictures["query"][0].path, network()
    with pytest.raises(UsageError, match=r"trained with camera-wise batch norm and is used without the statistics of a camera"):
        embedder(model)([path])
    forced = embedder(model, without_statistics=True)([path])
    np.testing.assert_array_equal(forced, Embedder(network(camera_trained=False), SMALL, workers=1)([path]))
    with pytest.raises(UsageError, match=r'camera "lobby" is named, but this model has no camera statistics.*passerby adapt'):
        embedder(model)([path], camera="lobby")
    statistics = estimate_cameras(embedder(model), images_by_camera(pictures["gallery"]), Estimation(min_images=2)).statistics
    ready = embedder(model, cameras=statistics)
    with pytest.raises(UsageError, match=r'no statistics of camera "hall/8"'):
        ready([path], camera="hall/8")
    with pytest.raises(UsageError, match=r"say whose images these are with camera=NAME, one of hall/1, hall/2, hall/3"):
        ready([path])
    with pytest.raises(UsageError, match="fewer cameras than images"):
        ready([path, path], camera=["hall/1"])
    with pytest.raises(UsageError, match=r"needs the statistics of a whole set.*--camera-agnostic"):
        embedder(model, cameras=statistics, camera_agnostic=True)
    with pytest.raises(UsageError, match="norms of the network cannot take them"):
        Embedder(Network(), SMALL, cameras=statistics)
    other = CameraStatistics(("a",), {"norm": torch.zeros(1, 6)}, {"norm": torch.ones(1, 6)})
    with pytest.raises(ArtefactError, match="means of 1 cameras do not fit the network: neck is missing"):
        embedder(model, cameras=other)


def test_a_camera_agnostic_embedder_falls_back_for_unknown_cameras_only(pictures):
    model, images = network(), images_by_camera(pictures["gallery"])
    every = estimate_whole_set(embedder(model), images).statistics
    cameras = estimate_cameras(embedder(model), images, Estimation(min_images=2)).statistics
    both = CameraStatistics.of(
        {WHOLE_SET: every.of_camera(WHOLE_SET)} | {name: cameras.of_camera(name) for name in cameras.cameras}
    )
    path = pictures["query"][0].path
    ready = embedder(model, cameras=both, camera_agnostic=True)
    known = embedder(model, cameras=cameras)([path], camera="hall/2")
    np.testing.assert_array_equal(ready([path], camera="hall/2"), known)
    np.testing.assert_array_equal(ready([path], camera="lobby"), ready([path]))
    assert np.abs(ready([path]) - known).max() > 0.01


def test_camera_statistics_in_the_first_layers_only(pictures):
    plain, how = embedder(network(camera_trained=False)), Estimation(min_images=2)
    full = {name: split.where(lambda record: record.camid < 2) for name, split in pictures.items()}
    none, first, every = with_first_layers(plain, full, [0, 1, 2], how)
    assert list(cuts(plain).values())[:2] == [0, 1] and list(cuts(plain).values())[-1] == 2
    own, whole = (with_data_statistics(plain, full, source, how)["query"] for source in ("own", "whole-set"))
    split = full["query"]
    np.testing.assert_allclose(embed(none["query"], split).vectors, embed(whole, split).vectors, atol=1e-5)
    np.testing.assert_allclose(embed(every["query"], split).vectors, embed(own, split).vectors, atol=1e-5)
    # By hand: the first norm has the statistics of each camera, the second is estimated behind it, from all images.
    cameras = own.cameras
    torch.testing.assert_close(first["query"].cameras.means["norm"], cameras.means["norm"])
    neck = first["query"].cameras.means["neck"]
    assert torch.equal(neck[0], neck[1]) and not torch.equal(neck, none["query"].cameras.means["neck"])
    paths = images_by_camera(split)
    behind = []
    for camera, row in zip(paths, range(2), strict=True):
        with torch.no_grad():
            x = inputs(paths[camera])
            for view in (x, x.flip(-1)):
                layer = plain.model.norm
                moments = cameras.means["norm"][row], cameras.variances["norm"][row]
                found = nn.functional.batch_norm(plain.model.conv(view), *moments, layer.weight, layer.bias)
                behind.append(torch.relu(found).mean((2, 3)))
    torch.testing.assert_close(neck[0], torch.cat(behind).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batches": 0}, "batches of camera statistics is 0: 1 is the least."),
        ({"batch_size": 1}, "batch_size of camera statistics is 1: 2 is the least."),
        ({"min_images": 1}, "min_images of camera statistics is 1: 2 is the least."),
        ({"seed": -1}, "seed of camera statistics is -1: 0 is the least."),
        ({"estimator": "exact"}, 'no estimator "exact".'),
    ],
)
def test_estimation_out_of_range(options, text):
    with pytest.raises(UsageError) as error:
        Estimation(**options)
    assert text in str(error.value)


def test_a_network_without_batch_norm_is_refused(pictures):
    vit = build_model(ModelConfig("vit_tiny_patch16_224", image_size=(32, 32))).eval()
    with pytest.raises(UsageError, match="vit_tiny_patch16_224 has no batch norm that could be made camera-wise"):
        camera_wise(Embedder(vit, Preprocess(size=(32, 32)), workers=1))
    assert isinstance(network().norm, CameraBatchNorm)
