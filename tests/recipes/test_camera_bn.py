"""The camera-BN recipe: one grouped step is the loop of the paper, two processes are one, nothing is used without statistics."""

import copy
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby import datasets
from passerby.artefact import load, read_artefact
from passerby.batches import Batch
from passerby.configs import merged
from passerby.embedder import embed
from passerby.embedder.camera_statistics import Estimation, with_data_statistics
from passerby.errors import DataError, TrainingError, UsageError
from passerby.losses import cross_entropy, triplet_hard
from passerby.metrics import evaluate
from passerby.models import build_model as build_network
from passerby.recipes import load_preset, preset_names
from passerby.recipes.camera_bn import (
    CameraShares,
    CameraStep,
    Config,
    build_model,
    intra_camera,
    make_loader,
    model_config,
    thin_cameras,
    train,
)
from passerby.records import Record, ReidData, Split
from passerby.running import learnt_before
from passerby.samplers import IdentitySampler
from passerby.training import World, load_history
from passerby.transforms import normalise

SMALL = Config(
    backbone="osnet_x0_25", weights="scratch", last_stride=2, height=64, width=32, pad_px=2, batch_size=16, epochs=2, lr=0.05,
)  # fmt: skip
CPU = torch.device("cpu")
CAMERAS = np.array([0, 0, 0, 1, 1, 1, 1, 2])


def a_step(config: Config, cameras: np.ndarray = CAMERAS, classes: int = 6) -> CameraStep:
    return CameraStep(config, build_model(config, classes), classes, cameras, CPU)


def a_batch(config: Config, positions: list[int], seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 256, (8, 3, config.height, config.width), dtype=torch.uint8, generator=random)
    rows, zeros = torch.tensor(positions), torch.zeros(len(positions), dtype=torch.int64)
    return Batch(inputs[rows], rows // 2, torch.from_numpy(CAMERAS)[rows], zeros, rows)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_artefact(run / "artefact")[1]


def test_it_learns_a_handful_of_people_and_finds_new_ones(colours: ReidData, tmp_path: Path):
    config = replace(SMALL, epochs=8, optimizer="adam", lr=0.01, batch_size=24)
    path = train(config, colours, tmp_path / "run", workers=0)
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["accuracy"] > 0.9
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"] / 3
    splits = {"query": colours.query, "gallery": colours.gallery}
    ready = with_data_statistics(load(path), splits, "own", Estimation(min_images=4))
    scores = evaluate(*(embed(ready[name], split) for name, split in splits.items()))
    assert scores.rank(1) > 0.5  # people never seen in training; chance is 1 in 6


@pytest.mark.parametrize("triplet", [0.0, 0.5])
def test_a_step_is_the_published_loop_over_cameras(triplet: float):
    """Cameras in ascending order, a plain forward pass each; one loss over all images that stay; camera 2 has one and is out."""
    config = replace(SMALL, triplet=triplet, label_smoothing=0.1)
    step = a_step(config)
    plain = build_network(replace(model_config(config), norm="batch"), 6)
    plain.load_state_dict(copy.deepcopy(step.model.state_dict()))
    batch = a_batch(config, [0, 1, 2, 3, 4, 5, 6])
    images = normalise(batch.inputs, step.input)
    parts = [plain(images[:3]), plain(images[3:])]
    loss = cross_entropy(torch.cat([part.logits[0] for part in parts]), batch.labels, smoothing=0.1)
    if triplet:
        loss = loss + triplet * triplet_hard(torch.cat([part.embedding for part in parts]), batch.labels)
    loss.backward()

    found = step(batch)
    assert float(found["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    for (name, wanted), parameter in zip(plain.named_parameters(), step.model.parameters(), strict=True):
        if wanted.requires_grad:
            # Rounding, relative to the largest: in a deep net of norms it is the sums of many terms that cancel.
            allowed = 5e-3 * float(wanted.grad.abs().max()) + 1e-7
            torch.testing.assert_close(parameter.grad, wanted.grad, atol=allowed, rtol=0, msg=name)
    for (name, wanted), buffer in zip(plain.named_buffers(), step.model.buffers(), strict=True):
        torch.testing.assert_close(buffer, wanted, atol=1e-5, rtol=1e-4, msg=name)


def test_a_camera_with_one_image_in_the_batch_counts_for_nothing():
    class Fixed:
        def __len__(self):
            return 1

        def epoch(self, number):
            return [[7, 3, 0, 4, 1, 5, 2, 6]]

    assert CameraShares(Fixed(), CAMERAS).epoch(0) == [[0, 1, 2, 3, 4, 5, 6]]
    config = replace(SMALL, batch_size=8)
    found = a_step(config)(a_batch(config, [0, 1, 2, 3, 4, 5, 6]))
    assert found["left_out"] == 1
    assert float(found["ce"]) == float(found["loss"])  # the mean over the seven


def test_cameras_are_dealt_to_processes_whole_and_evenly():
    cameras = np.array([4, 4, 4, 4, 2, 2, 2, 9, 9, 9, 0, 7, 7])

    class Fixed:
        def __len__(self):
            return 1

        def epoch(self, number):
            return [list(range(13))]

    shares = [CameraShares(Fixed(), cameras, rank, 2).epoch(0)[0] for rank in (0, 1)]
    assert [sorted(set(cameras[share].tolist())) for share in shares] == [[4, 7], [2, 9]]
    assert [len(share) for share in shares] == [6, 6] and 10 not in shares[0] + shares[1]
    with pytest.raises(
        TrainingError, match=r"batch 0 of epoch 0 shows 4 cameras with two or more images, 5 processes need one each"
    ):
        CameraShares(Fixed(), cameras, 0, 5).epoch(0)
    with pytest.raises(
        TrainingError, match=r"shows 0 cameras with two or more images, 1 process needs one each: raise batch_size"
    ):
        CameraShares(Fixed(), np.arange(13)).epoch(0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(1, 3), count=st.integers(3, 6))
def test_no_camera_straddles_processes_and_no_image_is_lost(seed: int, size: int, count: int):
    random = np.random.default_rng(seed)
    labels, cameras = np.repeat(np.arange(12), 6), random.integers(0, count, 72)
    whole = IdentitySampler(labels, 8, 4, seed=seed)
    shares = [CameraShares(whole, cameras, rank, size).epoch(0) for rank in range(size)]
    for number, batch in enumerate(whole.epoch(0)):
        owned = [set(cameras[share[number]].tolist()) for share in shares]
        assert sum(map(len, owned)) == len(set.union(*owned))
        kept = sorted(position for share in shares for position in share[number])
        counts = np.bincount(cameras[batch], minlength=count)
        assert kept == sorted(position for position in batch if counts[cameras[position]] > 1)
        assert all((np.diff(cameras[share[number]]) >= 0).all() for share in shares)


def test_every_parameter_has_one_owner_and_gets_a_gradient():
    step = a_step(replace(SMALL, triplet=1.0))
    step(a_batch(SMALL, [0, 1, 2, 3, 4, 5, 6]))
    parameters = {f"model.{name}": p for name, p in step.model.named_parameters() if p.requires_grad}
    assert {row.parameter for row in step.ownership.rows} == set(parameters) and "model.head.norm.bias" not in parameters
    assert all(parameter.grad is not None for parameter in parameters.values())
    assert {group["lr"] for group in step.optimizer.param_groups} == {SMALL.lr}


def test_the_published_schedule():
    step = a_step(replace(SMALL, epochs=60))
    assert [step.rates.schedule(epoch) for epoch in (0, 39.9, 40, 59)] == pytest.approx([1, 1, 0.1, 0.1])
    early = a_step(replace(SMALL, epochs=60, decay_epoch=10, warmup_epochs=5))
    assert [early.rates.schedule(epoch) for epoch in (0, 5, 10)] == pytest.approx([0.1, 1, 0.1])


def test_the_artefact_embeds_with_statistics_as_the_log_says(colours: ReidData, tmp_path: Path):
    path = train(replace(SMALL, epochs=1, statistics_batches=2), colours, tmp_path / "run", workers=0)
    facts, _ = read_artefact(path)
    assert facts.recipe == "camera-bn" and facts.model["norm"] == "camera" and len(facts.label_map) == 6
    with pytest.raises(UsageError, match="without the statistics of a camera"):
        embed(load(path), colours.query)
    splits = {"query": colours.query, "gallery": colours.gallery}
    ready = with_data_statistics(load(path), splits, "own", Estimation(batches=2))
    scores = evaluate(*(embed(ready[name], split) for name, split in splits.items()))
    assert scores.map == pytest.approx(load_history(tmp_path / "run").evaluations[-1]["map"])


@pytest.mark.parametrize("norm", ["camera", "batch"])
def test_a_resumed_run_equals_an_uninterrupted_one(norm: str, colours: ReidData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = replace(SMALL, norm=norm, random_erasing=0.5, triplet=1.0)
    train(config, colours, tmp_path / "whole", workers=0)
    original, calls = CameraStep.__call__, []

    def stops(self: CameraStep, batch: Batch):
        calls.append(1)
        if len(calls) == 4:  # in the second epoch
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(CameraStep, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        train(config, colours, tmp_path / "cut", workers=0)
    monkeypatch.setattr(CameraStep, "__call__", original)
    train(config, colours, tmp_path / "cut", workers=0, resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)


def test_identities_within_a_camera_are_classes_of_their_own(colours: ReidData, tmp_path: Path):
    split = intra_camera(colours.train)
    assert len(split.identities) == 12 and [record.path for record in split] == [record.path for record in colours.train]
    pairs = {record.pid: (old.pid, old.camid) for record, old in zip(split, colours.train, strict=True)}
    assert len(set(pairs.values())) == 12
    path = train(replace(SMALL, epochs=1, supervision="intra-camera"), colours, tmp_path / "run", workers=0)
    assert len(read_artefact(path)[0].label_map) == 6  # the people, not the classes
    assert load_history(tmp_path / "run").epochs[0]["loss"] == pytest.approx(np.log(12), abs=0.5)


def test_equal_camera_numbers_of_two_domains_are_two_cameras():
    split = Split(tuple(Record(Path(f"{d}{i}.png"), i + 1, c, d) for d in "ab" for i in range(2) for c in (0, 1)))
    assert len(np.unique(split.camera_numbers)) == 4


def test_training_on_one_data_set_after_the_other_says_what_is_forgotten(colours: ReidData, tmp_path: Path, capsys):
    second = tmp_path / "second"
    for subset, records in {"train": colours.train, "query": colours.query, "gallery": colours.gallery}.items():
        for record in records:
            target = second / subset / str(record.pid) / f"{record.path.stem.replace('c', 'cam')}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(record.path.read_bytes())
    path = train(replace(SMALL, epochs=1, then=(second,)), colours, tmp_path / "run", workers=0)
    found = json.loads((tmp_path / "run" / "incremental.json").read_text())
    assert [(row["after_stage"], row["on_stage"], row["on"]) for row in found] == [
        (1, 1, "colours"), (2, 1, "colours"), (2, 2, "folder"),
    ]  # fmt: skip
    assert all(0 <= row["map"] <= 1 for row in found)
    assert "mAP on colours (stage 1): " in capsys.readouterr().err
    first, last = weights(tmp_path / "run" / "stage-1"), read_artefact(path)[1]
    assert not torch.equal(first["head.norm.weight"], last["head.norm.weight"])
    facts = read_artefact(path)[0]
    assert [source["name"] for source in facts.data] == ["folder", "colours"]  # what it learnt last, and what before
    assert {domain for domain, _ in facts.label_map} == {"second", "colours"}
    assert not any("through" in source for source in facts.data)  # its own stages, not what start weights had seen
    assert learnt_before(next((tmp_path / "run" / "stage-2" / "checkpoints").glob("*.pt"))) == (facts.data, facts.label_map)
    logged = load_history(tmp_path / "run" / "stage-2").evaluations[-1]["map"]
    assert found[-1]["map"] == pytest.approx(logged, abs=1e-6)


def test_half_precision_keeps_statistics_in_full():
    step = a_step(replace(SMALL, precision="bf16"))
    found = step(a_batch(SMALL, [0, 1, 2, 3, 4, 5, 6]))
    assert all(buffer.dtype != torch.bfloat16 for buffer in step.model.buffers())
    wide = a_step(SMALL)(a_batch(SMALL, [0, 1, 2, 3, 4, 5, 6]))
    assert float(found["loss"]) == pytest.approx(float(wide["loss"]), rel=0.05)


def test_plain_batch_norm_in_the_same_recipe(colours: ReidData, tmp_path: Path):
    path = train(replace(SMALL, norm="batch", epochs=1), colours, tmp_path / "run", workers=0)
    assert read_artefact(path)[0].model["norm"] == "batch"
    assert embed(load(path), colours.query).vectors.shape[0] == len(colours.query)


def test_training_images_that_have_no_cameras_or_too_few(colours: ReidData, tmp_path: Path):
    one = Split(tuple(replace(record, camid=0) for record in colours.train))
    with pytest.raises(
        DataError, match=r"colours: the 48 training images are all of one camera, or their camera ids are missing"
    ):
        train(SMALL, replace(colours, train=one), tmp_path / "run", workers=0)
    alone = Split((replace(colours.train[0], camid=5), *colours.train[1:]))
    with pytest.raises(DataError, match=r"colours: one training image only of camera 5 of colours: it has no statistics"):
        train(SMALL, replace(colours, train=alone), tmp_path / "run", workers=0)
    many = Split(tuple(replace(record, camid=i // 2) for i, record in enumerate(colours.train)))
    with pytest.raises(TrainingError, match=r"of epoch 0 shows \d cameras with two or more images"):
        train(replace(SMALL, batch_size=4, images_per_identity=2), replace(colours, train=many), tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="vit_tiny_patch16_224 has no batch norm"):
        build_model(replace(SMALL, backbone="vit_tiny_patch16_224"), 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lr": 0.0}, "lr is 0.0"),
        ({"batch_size": 2}, "batch_size is 2: allowed is 4 or more"),
        ({"optimizer": "adam", "momentum": 0.5}, "momentum is 0.5, but it acts only with optimizer sgd"),
        ({"norm": "batch", "statistics_batches": 5}, "statistics_batches is 5, but it acts only with norm camera"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0: allowed is 0 or more, and below 1"),
    ],
)
def test_options_out_of_range(options: dict, text: str):
    with pytest.raises(UsageError) as error:
        replace(SMALL, **options)
    assert text in str(error.value)


def test_augmentation_and_batches_follow_the_options(colours: ReidData):
    config = replace(SMALL, random_erasing=0.3, flip=0.0, pad_px=3)
    loader = make_loader(config, colours.train, colours.train.camera_numbers, World(), 0)
    transform = loader._images._decoder.transform
    assert (transform.random_erasing, transform.flip, transform.pad_px) == (0.3, 0.0, 3)
    assert transform.preprocess.interpolation == "bilinear"
    batch = next(iter(loader.epoch(0)))
    assert len(batch) == 16 and (batch.camids.diff() >= 0).all()


def test_presets_carry_the_published_figures():
    names = preset_names("camera-bn")
    assert "market-camera-bn" in names and "duke-camera-bn" in names and "msmt17-camera-bn" in names
    figures = {name: load_preset(name).published for name in names}
    assert figures["market-camera-bn"] is not None
    assert (figures["market-camera-bn"].rank1, figures["market-camera-bn"].map) == (0.913, 0.773)
    for name in names:
        preset = load_preset(name)
        config = merged(Config(), preset.options, name)
        assert datasets.resolve(preset.dataset) == preset.dataset and config.norm == ("batch" if "plain" in name else "camera")
        assert preset.published is not None and 0 < preset.published.map < preset.published.rank1 < 1
        assert preset.published.convention == "market1501" and preset.published.source


def test_the_page_of_the_recipe_lists_every_preset_with_its_figures():
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "camera_bn.md").read_text()
    for name in preset_names("camera-bn"):
        preset = load_preset(name)
        assert preset.published is not None
        figures = f"{100 * preset.published.rank1:.2f} / {100 * preset.published.map:.2f}"
        assert f"| `{name}` | {preset.title} | {figures} |" in page


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import write_people
from dataclasses import replace
from passerby.recipes.camera_bn import Config, train
from passerby.records import ReidData, Split

work = Path(sys.argv[2])
(work / "images").mkdir(exist_ok=True)
people = write_people(work / "images", shots=2)
split = Split(tuple(replace(record, camid=(record.camid + 2 * (number % 4)) % 3) for number, record in enumerate(people)))
data = ReidData("colours", train=split, query=split, gallery=split)
config = Config(
    backbone="osnet_x0_25", weights="scratch", last_stride=2, height=64, width=32, pad_px=2, batch_size=24, epochs=1, lr=0.01,
    triplet=0.5,
)
train(config, data, work / sys.argv[3], workers=0, device="cpu")
"""


def test_two_processes_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Documented: each camera of a global batch stands whole in one process, so two processes make the steps of one."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [str(script), str(Path(__file__).parent), str(tmp_path)]
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(sys, "argv", [*words, "one"])
    runpy.run_path(str(script))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launcher, *words, "two"], capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:  # after one step: later ones multiply rounding by a thousand each, in a network from scratch
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    first, second = (load_history(tmp_path / run) for run in ("one", "two"))
    assert len(first.epochs) == 1 and first.epochs[0]["step"] == 1
    assert second.epochs[0]["loss"] == pytest.approx(first.epochs[0]["loss"], rel=1e-5)
    assert second.epochs[0]["left_out"] == first.epochs[0]["left_out"]
    assert second.evaluations[0]["map"] == pytest.approx(first.evaluations[0]["map"], abs=0.02)  # near ties may swap


def test_few_images_of_a_camera_are_pointed_out():
    many = np.repeat(np.arange(15), 8)
    assert thin_cameras(Config(), np.repeat(np.arange(6), 8)) == ""
    assert thin_cameras(Config(norm="batch"), many) == ""
    line = thin_cameras(Config(), many)
    assert line.startswith("batch size 64 over 15 cameras: about 4.3 images of each normalise every layer")
    assert line.endswith("--batch-size 152 holds enough.")
