"""Adaptation to a place without labels: every rule of the method, and that no label of the target is ever read."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from torch.nn import functional as F

from passerby import datasets
from passerby.artefact import load, read_artefact, read_description
from passerby.batches import Batch
from passerby.configs import merged
from passerby.datasets.unlabelled import read_unlabelled
from passerby.embedder import embed
from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError, DataError, PasserbyError, UsageError
from passerby.losses.neighbour import camera_aware
from passerby.metrics import CONVENTIONS, evaluate
from passerby.recipes import cail_mixup, load_preset, preset_names
from passerby.recipes.cail_mixup import (
    RULE,
    AdaptationStep,
    Config,
    Weights,
    augmentation,
    build_model,
    check_target,
    first_join,
    first_that_counts,
    make_loader,
    model_config,
    never_acts,
    preprocess,
    train,
    weights_in,
)
from passerby.records import Record, ReidData, Split
from passerby.training import World, label_free, load_history
from passerby.training.label_free import measure
from passerby.transforms import normalise

SMALL = Config(
    target="somewhere", backbone="osnet_x0_25", weights="scratch", height=64, width=32, pad_px=2, batch_size=16, epochs=4,
    backbone_lr_factor=1.0, random_erasing=0.0, last_stride=2, intra_start=1, inter_start=2, decay_epochs=(3,),
    evaluate_every=2,
)  # fmt: skip
RUNS = replace(SMALL, batch_size=24)  # four steps an epoch
CPU = torch.device("cpu")
IMAGES = 12  # of the target in tests of single steps


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory, people_writer: Callable[..., Split]) -> Path:
    """48 crops of the target, by two cameras, in one folder."""
    folder = tmp_path_factory.mktemp("crops")
    people_writer(folder, first_pid=201, seed=5)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, crops: Path, people_writer: Callable[..., Split]) -> Path:
    """The same crops as a data set with query and gallery."""
    root = tmp_path_factory.mktemp("place")
    shutil.copytree(crops, root / "bounding_box_train")
    for number, name in enumerate(("query", "bounding_box_test")):
        (root / name).mkdir()
        people_writer(root / name, first_pid=301, shots=2, seed=6 + number)
    return root


def a_step(config: Config, images: int = IMAGES) -> AdaptationStep:
    step = AdaptationStep(config, build_model(config, 6), torch.arange(images) % 2, CPU)
    step.clock.epochs = config.epochs
    return step


def a_batch(config: Config = SMALL, seed: int = 0, images: int = IMAGES) -> tuple[Batch, Batch]:
    random, half = torch.Generator().manual_seed(seed), config.batch_size // 2

    def of(labels: torch.Tensor, indices: torch.Tensor) -> Batch:
        inputs = torch.randint(0, 256, (half, 3, config.height, config.width), dtype=torch.uint8, generator=random)
        return Batch(inputs, labels, indices % 2, torch.zeros(half, dtype=torch.int64), indices)

    rows = torch.arange(half)
    return of(rows % 6, rows), of(torch.zeros_like(rows), torch.randperm(images, generator=random)[:half])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_artefact(run / "artefact")[1]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- the method, step by step


def test_the_schedule_table():
    table = {epoch: weights_in(Config(target="x"), epoch) for epoch in (1, 2, 10, 11, 30, 31, 70)}
    assert table[1] == Weights(mix=False, intra=0.0, inter=0.0, agnostic=0.0, momentum=0.0)
    assert table[2] == table[10] == Weights(mix=True, intra=0.0, inter=0.0, agnostic=0.0, momentum=0.6)
    assert table[11] == table[30] == Weights(mix=True, intra=1.0, inter=0.0, agnostic=0.0, momentum=0.6)
    assert table[31] == table[70] == Weights(mix=True, intra=1.0, inter=0.5, agnostic=0.0, momentum=0.6)
    agnostic = Config(target="x", neighbours="camera-agnostic", mix=False)
    assert weights_in(agnostic, 10) == Weights(mix=False, intra=0.0, inter=0.0, agnostic=0.0, momentum=0.6)
    assert weights_in(agnostic, 11).agnostic == 0.1
    assert [first_join(config) for config in (Config(target="x"), agnostic, Config(target="x", epochs=7))] == [10, 10, 7]
    rates = a_step(replace(SMALL, epochs=70, decay_epochs=(60,))).rates
    assert [rates.schedule(epoch) for epoch in (0, 59.9, 60)] == [1.0, 1.0, 0.1]
    assert {group["name"]: group["lr"] for group in a_step(replace(SMALL, backbone_lr_factor=0.2)).optimizer.param_groups} == {
        "backbone": pytest.approx(0.01), "head": pytest.approx(0.05)
    }  # fmt: skip


def test_terms_come_by_epoch_and_the_first_fills_the_memory():
    step, seen = a_step(SMALL), []
    for epoch in range(4):
        step.clock.epoch = epoch
        seen.append(sorted(set(step(a_batch(seed=epoch))) - {"loss", "accuracy"}))
    assert seen == [["ce"], ["intra", "mix"], ["inter", "intra", "mix"], ["inter", "intra", "mix"]]


def test_the_memory_moves_after_the_loss_and_by_the_momentum_of_the_epoch():
    step, (source, target) = a_step(SMALL), a_batch()
    before = step.memory.slots.clone()
    step((source, target))
    slots = step.memory.slots[target.indices]
    assert torch.allclose(slots.norm(dim=1), torch.ones(len(slots)))
    others = [row for row in range(IMAGES) if row not in target.indices.tolist()]
    assert torch.equal(step.memory.slots[others], before[others])

    step.clock.epoch = 1
    step.optimizer.param_groups[0]["lr"] = step.optimizer.param_groups[1]["lr"] = 0.0
    seen, old = [], step.memory.slots.clone()
    original = step.memory.update
    step.memory.update = lambda vectors, *given: seen.append(vectors) or original(vectors, *given)  # pyright: ignore
    step((source, target))
    expected = F.normalize(0.6 * old[target.indices] + 0.4 * seen[0])
    assert torch.allclose(step.memory.slots[target.indices], expected, atol=1e-6)


def test_losses_see_the_exemplars_of_before():
    step = a_step(SMALL)
    step.clock.epoch = 3
    step(a_batch(seed=1))
    source, target = a_batch(seed=2)
    old = step.memory.slots.clone()
    vectors: list[torch.Tensor] = []
    read = step.memory.forward
    step.memory.forward = lambda features: vectors.append(features.detach()) or read(features)
    assert step.memory.slots.equal(old)
    found = step((source, target))
    cameras = torch.arange(IMAGES) % 2
    expected = camera_aware(vectors[0] @ old.T, target.indices, cameras[target.indices], cameras)
    assert float(found["intra"]) == pytest.approx(float(expected.intra), rel=1e-5)
    assert float(found["inter"]) == pytest.approx(0.5 * float(expected.inter), rel=1e-5)


def test_only_the_target_half_moves_the_running_statistics_of_the_neck():
    source, target = a_batch()
    other = replace(source, inputs=255 - source.inputs)
    neck = []
    for first in (source, other):
        step = a_step(SMALL)
        # the backbone in evaluation mode, so that the halves meet in the neck only
        step.model.backbone.eval()
        step((first, target))
        norm = step.model.head.norm  # pyright: ignore
        neck.append((norm.running_mean.clone(), norm.running_var.clone(), int(norm.num_batches_tracked)))
    assert torch.equal(neck[0][0], neck[1][0]) and torch.equal(neck[0][1], neck[1][1])
    assert neck[0][2] == 1 and float(neck[0][0].abs().sum()) > 0


def test_each_half_is_normalised_by_itself_and_the_backbone_sees_both():
    step, (source, target) = a_step(SMALL), a_batch()
    seen = []
    step.model.backbone.register_forward_hook(lambda module, inputs, output: seen.append((len(inputs[0]), output)))
    images = torch.cat([batch.inputs.float() / 255 for batch in (source, target)])
    own, logits, found = step.parallel(images, 8)
    assert [length for length, _ in seen] == [16]
    norm = step.model.head.norm  # pyright: ignore
    assert norm.bias.requires_grad is False and float(norm.bias.abs().sum()) == 0
    for half in (own, found):
        assert torch.allclose(half.mean(0), torch.zeros(half.shape[1]), atol=1e-5)
    assert torch.allclose(logits, own @ step.model.head.classifier.weight.T, atol=1e-5)  # pyright: ignore


def test_mixed_images_take_the_place_of_the_labelled_ones(monkeypatch: pytest.MonkeyPatch):
    shares = []
    monkeypatch.setattr(cail_mixup, "mixing_share", lambda *given: shares.append(given) or 0.25)
    step, (source, target) = a_step(SMALL), a_batch()
    step.clock.epoch, step.clock.step = 1, 7
    seen = []
    step.model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    step((source, target))
    first, second = (normalise(batch.inputs, step.input) for batch in (source, target))
    assert shares == [(0.6, 0, 7, 0)]  # one share for the whole step, from seed, step and process
    assert torch.allclose(seen[0], torch.cat([0.25 * first + 0.75 * second, second]), atol=1e-6)


def test_the_loss_of_mixed_images_is_that_of_the_formula(monkeypatch: pytest.MonkeyPatch):
    """From the raw vectors, the exemplars of before, the lengths of the labelled classes' weights, and the share."""
    monkeypatch.setattr(cail_mixup, "mixing_share", lambda *given: 0.3)
    step, share = a_step(SMALL), 0.3
    for seed in range(4):
        step(a_batch(seed=seed))
    step.clock.epoch = 1
    source, target = a_batch(seed=9)
    assert not torch.equal(source.indices, target.indices)
    classifier = step.model.head.classifier  # pyright: ignore
    with torch.no_grad():
        classifier.weight *= torch.arange(1.0, 7.0)[:, None]  # classes of unequal length
    old, weight, seen = step.memory.slots.clone().double(), classifier.weight.detach().clone().double(), []
    classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach().double()))
    found = float(step((source, target))["mix"])

    vectors, expected = seen[0], 0.0
    assert vectors.norm(dim=1).min() > 1.5  # raw
    for row in range(len(vectors)):
        label = int(source.labels[row])
        partner = (vectors[row] @ old[target.indices[row]]) * weight[label].norm()
        log_p = torch.log_softmax(torch.cat([weight @ vectors[row], partner[None]]), dim=0)
        expected -= float(share * log_p[label] + (1 - share) * log_p[6]) / len(vectors)
    assert found == pytest.approx(expected, rel=1e-4)


def test_every_parameter_has_one_owner_and_gets_a_gradient():
    for epoch in (0, 1, 3):
        step = a_step(SMALL)
        step.clock.epoch = epoch
        step(a_batch())
        named = {f"model.{name}": p for name, p in step.model.named_parameters() if p.requires_grad}
        assert {row.parameter for row in step.ownership.rows} == set(named)
        assert all(parameter.grad is not None for parameter in named.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_low_precision_memory_and_losses_stay_in_fp32(precision: str):
    step = a_step(replace(SMALL, precision=precision))
    for epoch in range(4):
        step.clock.epoch = epoch
        found = step(a_batch(seed=epoch))
        assert all(torch.isfinite(torch.as_tensor(value)) for value in found.values())
        assert torch.as_tensor(found["loss"]).dtype == torch.float32
    assert step.memory.slots.dtype == torch.float32


def test_the_larger_set_is_an_epoch_and_every_target_image_comes_in_it(colours: ReidData, crops: Path):
    target = read_unlabelled(crops, "crops", cameras="needed")
    for source, place in ((colours.train, target[:20]), (colours.train[:20], target)):
        loader = make_loader(SMALL, source, place, World(), 0)
        assert len(loader) == 6
        batches = list(loader.epoch(0))
        for number, split in enumerate((source, place)):
            rows = torch.cat([pair[number].indices for pair in batches]).tolist()
            assert set(rows) == set(range(len(split))) and len(rows) == 48
            assert max(map(rows.count, range(len(split)))) <= -(-48 // len(split))
        assert all(len(first) == len(second) == 8 for first, second in batches)
        assert all(len(set(second.indices.tolist())) == 8 for _, second in batches)


# -- runs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, colours: ReidData, place: Path) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    train(replace(RUNS, target=str(place), features="npz+mat"), colours, out, workers=0)
    return out


def test_the_artefact_embeds_as_the_trained_network_did(run: Path, place: Path):
    facts, _ = read_artefact(run / "artefact")
    assert facts.recipe == "cail-mixup" and facts.rule == RULE and not facts.rule.flip
    assert any(f"adapted without labels to market-style in {place.name}: 48 images, 2 cameras" in note for note in facts.notes)
    data = datasets.read("market-style", place)
    found = [embed(load(run / "artefact", batch_size=24), split) for split in (data.query, data.gallery)]
    scores = evaluate(*found)
    evaluated = load_history(run).evaluations[-1]
    assert scores.map == evaluated["map"] and scores.rank(1) == evaluated["rank1"]


def test_label_free_numbers_come_every_epoch_and_retrieval_every_so_many(run: Path):
    lines = load_history(run).evaluations
    watched = [line for line in lines if "kept" not in line]
    assert [line["epoch"] for line in watched] == [1, 2, 3, 4]
    assert ["map" in line for line in watched] == [False, True, False, True]
    assert ["agreement" in line for line in watched] == [False, True, True, True]
    assert all(0 <= line["estimate"] <= 1 and line["neighbours_inter"] >= 0 for line in watched)


def test_the_feature_store_has_both_forms(run: Path):
    for name, count in (("query", 24), ("gallery", 24)):
        vectors = Embeddings.load(run / "features" / f"{name}.npz")
        mat = loadmat(run / "features" / f"{name}.mat")
        assert len(vectors) == count and not (run / "features" / "target.npz").exists()
        assert np.array_equal(mat["feat"], vectors.vectors) and mat["cam_ids"].ravel().tolist() == vectors.camids.tolist()
        assert mat["ids"].ravel().tolist() == vectors.pids.tolist()
        assert [str(cell[0]) for cell in mat["img_path"].ravel()] == vectors.names.tolist()


def test_a_resumed_run_equals_an_uninterrupted_one(run: Path, colours: ReidData, place: Path, tmp_path: Path, monkeypatch):
    config = replace(RUNS, target=str(place), features="npz+mat", save_every_steps=3)
    original, calls = AdaptationStep.__call__, []

    def stops(self: AdaptationStep, batch: Any):
        calls.append(1)
        if len(calls) == 12:  # in the third epoch, after a checkpoint within it
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(AdaptationStep, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        train(config, colours, tmp_path / "cut", workers=0)
    monkeypatch.setattr(AdaptationStep, "__call__", original)
    train(config, colours, tmp_path / "cut", workers=0, resume=True)
    assert same(weights(run), weights(tmp_path / "cut"))
    assert load_history(run).evaluations == load_history(tmp_path / "cut").evaluations
    newest = [sorted((folder / "checkpoints").iterdir())[-1] for folder in (run, tmp_path / "cut")]
    memories = [torch.load(path, weights_only=True)["state"]["memory"]["copies"] for path in newest]
    assert torch.equal(*memories)


OTHERS = {pid: 9000 - 7 * pid for pid in range(201, 207)}  # the order of people turned round
RENAMED: dict[str, Callable[[int, int, str], str]] = {  # number of the image, its person, the rest of its name -> name
    "as it is": lambda number, pid, rest: f"{pid:04d}_{rest}",  # the rest is the same for all people
    "other people": lambda number, pid, rest: f"{OTHERS[pid]:04d}_{rest}",
    "a letter first": lambda number, pid, rest: f"p{pid % 7}_{rest}",
    "folders of people": lambda number, pid, rest: f"{OTHERS[pid]:04d}/{rest}",
    "nobody": lambda number, pid, rest: f"{rest.split('_')[0]}_{7 * number % 48:06d}.png",
    "a data set": lambda number, pid, rest: f"bounding_box_train/{pid:04d}_{rest}",
    "a data set of other people": lambda number, pid, rest: f"bounding_box_train/{OTHERS[pid]:04d}_{rest}",
}


def test_labels_in_file_names_change_nothing(colours: ReidData, crops: Path, place: Path, tmp_path: Path):
    """The same images under other people's numbers, or under none, give the same weights to the last bit."""
    config, found = replace(RUNS, epochs=2, inter_start=1, features="off"), {}
    for name, renamed in RENAMED.items():
        folder = tmp_path / name.replace(" ", "-")
        for number, path in enumerate(sorted(crops.iterdir())):
            pid, _, rest = path.name.partition("_")
            to = folder / renamed(number, int(pid), rest)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
        if "data set" in name:
            for subset in ("query", "bounding_box_test"):
                shutil.copytree(place / subset, folder / subset)
        train(replace(config, target=str(folder)), colours, tmp_path / "runs" / folder.name, workers=0)
        found[name] = weights(tmp_path / "runs" / folder.name)
        assert ("map" in load_history(tmp_path / "runs" / folder.name).evaluations[-1]) == ("data set" in name)
    assert [name for name, other in found.items() if not same(found["as it is"], other)] == []


def test_a_folder_without_any_label_is_adapted_to_and_embedded(colours: ReidData, crops: Path, tmp_path: Path, capsys):
    folder = tmp_path / "site"
    for camera in ("cam1", "cam2"):
        (folder / camera).mkdir(parents=True)
    for number, path in enumerate(sorted(crops.iterdir())):
        shutil.copy(path, folder / f"cam{path.name[6]}" / f"crop{number}.png")
    train(replace(RUNS, target=str(folder), epochs=2), colours, tmp_path / "run", workers=0)
    assert len(Embeddings.load(tmp_path / "run" / "features" / "target.npz")) == 48
    assert not any("map" in line for line in load_history(tmp_path / "run").evaluations)
    said = capsys.readouterr().err
    assert "label-free estimate" in said and "no query and gallery, so that only label-free numbers are logged" in said


def estimated(monkeypatch: pytest.MonkeyPatch, *estimates: float) -> None:
    """Let the next looks find these, the first at the dry evaluation."""
    given = iter(estimates)

    def told(*args: Any, **named: Any):
        found, nearest = measure(*args, **named)
        return replace(found, estimate=next(given, 0.0)), nearest

    monkeypatch.setattr(label_free, "measure", told)


def kept_by(run: Path) -> list[Any]:
    """Epochs that may be kept, by the log."""
    return [line.get("candidate") for line in load_history(run).evaluations if "kept" not in line]


def test_after_a_collapse_the_epoch_before_it_is_kept_measured_and_named(
    colours: ReidData, place: Path, tmp_path: Path, monkeypatch, capsys
):
    estimated(monkeypatch, 0.0, 0.9, 0.6, 0.5, 0.3)  # the first epoch's 0.9 does not count
    config = replace(RUNS, target=str(place), features="off")
    run = tmp_path / "run"
    train(config, colours, run, workers=0)
    said = capsys.readouterr().err
    assert "kept epoch 2, label-free estimate 0.600 (the last one, 4, has 0.300)\n" in said  # nothing counted before neighbours
    assert "epoch 4: the label-free estimate fell from 0.600 to 0.300" in said and said.count("estimate fell") == 1
    assert kept_by(run) == [None, 2.0, None, None]
    last = load_history(run).evaluations[-1]
    assert last["kept"] == 1.0 and last["epoch"] == 2
    assert any(note.startswith("kept epoch 2") for note in read_artefact(run / "artefact")[0].notes)
    data = datasets.read("market-style", place)
    embedder, expected = load(run / "artefact", batch_size=24), weights(run)
    assert evaluate(*(embed(embedder, split) for split in (data.query, data.gallery))).map == last["map"]

    train(config, colours, run, workers=0, resume=True)  # a finished run only writes its artefact again
    assert load_history(run).evaluations[-1] == last and "estimate fell" not in capsys.readouterr().err
    assert sum("kept" in line for line in load_history(run).evaluations) == 1

    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    for remains in ([], [line for line in lines if '"candidate"' not in line], lines[-3:-1], lines[:3]):
        (run / "history.jsonl").write_text("".join(remains))
        train(config, colours, run, workers=0, resume=True)  # the choice does not hang on the log
        assert "kept epoch 2, label-free estimate 0.600 (the last one, 4, has 0.300)" in capsys.readouterr().err
        assert same(weights(run), expected)
        assert load_history(run).evaluations[-1] == last

    for path in (run / "checkpoints").iterdir():
        if path.name != "step-00000016.pt":
            path.unlink()
    with pytest.raises(ArtefactError, match="lacks the checkpoint of epoch 2, the one to keep"):
        train(config, colours, run, workers=0, resume=True)


def test_a_curve_that_dips_and_recovers_keeps_the_last_epoch(colours: ReidData, crops: Path, tmp_path: Path, monkeypatch, capsys):
    """As on rendered towns: the exemplars of the first epoch look better than those of the epochs after it."""
    estimated(monkeypatch, 0.0, 0.600, 0.516, 0.512, 0.542, 0.40, 0.599)
    config = replace(RUNS, target=str(crops), features="off", epochs=6)
    train(config, colours, tmp_path / "run", workers=0)
    said = capsys.readouterr().err
    assert "kept epoch 6, label-free estimate 0.599 (the last one)\n" in said and "estimate fell" not in said
    assert kept_by(tmp_path / "run") == [None, 2.0, 3.0, 4.0, None, 6.0]


def test_a_resume_between_two_low_looks_warns_where_an_uninterrupted_run_does(
    colours: ReidData, crops: Path, tmp_path: Path, monkeypatch, capsys
):
    config, original, epochs = replace(RUNS, target=str(crops), features="off", epochs=5), AdaptationStep.__call__, []

    def stops(self: AdaptationStep, batch: Any):
        epochs.append(self.clock.epoch)
        if self.clock.epoch == 3:
            raise KeyboardInterrupt
        return original(self, batch)

    estimated(monkeypatch, 0.0, 0.9, 0.6, 0.5)
    monkeypatch.setattr(AdaptationStep, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        train(config, colours, tmp_path / "run", workers=0)
    monkeypatch.setattr(AdaptationStep, "__call__", original)
    assert "estimate fell" not in capsys.readouterr().err
    estimated(monkeypatch, 0.0, 0.4, 0.3)
    train(config, colours, tmp_path / "run", workers=0, resume=True)
    said = capsys.readouterr().err
    assert "epoch 4: the label-free estimate fell from 0.600 to 0.400" in said and said.count("estimate fell") == 1
    assert "kept epoch 2, label-free estimate 0.600 (the last one, 5, has 0.300)" in said


@pytest.mark.parametrize(
    ("options", "counts", "end"),
    [
        ({"intra_start": 2, "inter_start": 3}, 2, "(the last one, 0.500 before neighbours joined: by this estimate adaptation"),
        ({"intra_start": 3, "inter_start": 3}, 3, "(the last one, 0.560 before neighbours joined: by this estimate adaptation"),
        ({"intra_start": 0, "inter_start": 0}, 2, "(the last one)"),
        ({"neighbours": "off", "intra_start": 10, "inter_start": 30}, 2, "(the last one)"),
        ({"intra_start": 10, "inter_start": 30}, 2, "(the last one)"),
        ({"epochs": 1, "intra_start": 0, "inter_start": 0}, 1, "(the last one)"),
        (
            {"neighbours": "camera-agnostic", "agnostic_start": 0, "intra_start": 10, "inter_start": 30, "keep": "best"},
            2,
            "(the last one)",
        ),
    ],
)
def test_epochs_count_from_the_last_one_before_neighbours_join(
    colours: ReidData, crops: Path, tmp_path: Path, monkeypatch, capsys, options: dict[str, Any], counts: int, end: str
):
    estimated(monkeypatch, 0.0, 0.9, 0.50, 0.56, 0.60)
    config = replace(RUNS, target=str(crops), features="off", **options)
    assert first_that_counts(config) == counts
    train(config, colours, tmp_path / "run", workers=0)
    said = capsys.readouterr().err
    assert kept_by(tmp_path / "run") == [number if number >= counts else None for number in range(1, config.epochs + 1)]
    estimate = 0.6 if config.epochs == 4 else 0.9
    assert f"kept epoch {config.epochs}, label-free estimate {estimate:.3f} {end}" in said and "estimate fell" not in said


def test_neighbours_that_did_not_help_are_told(colours: ReidData, crops: Path, tmp_path: Path, monkeypatch, capsys):
    estimated(monkeypatch, 0.0, 0.9, 0.60, 0.58, 0.59)
    config = replace(RUNS, target=str(crops), features="off", intra_start=2)
    train(config, colours, tmp_path / "run", workers=0)
    said = capsys.readouterr().err
    assert "kept epoch 4, label-free estimate 0.590 (the last one, 0.600 before neighbours joined: by this estimate" in said
    assert "neighbours did not help)\n" in said


@pytest.mark.parametrize("neighbours", ["camera-agnostic", "off"])
def test_without_camera_aware_neighbours_cameras_are_still_looked_at(
    colours: ReidData, crops: Path, tmp_path: Path, capsys, neighbours: Any
):
    config = replace(RUNS, neighbours=neighbours, intra_start=10, inter_start=30, epochs=2, features="off", target=str(crops))
    train(config, colours, tmp_path / "two", workers=0)
    lines = load_history(tmp_path / "two").evaluations
    assert all(line["neighbours_inter"] >= 1 for line in lines) and kept_by(tmp_path / "two") == [None, 2.0]
    assert "kept epoch 2, label-free estimate" in capsys.readouterr().err

    for number, path in enumerate(sorted(crops.iterdir())):
        (tmp_path / "plain").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "plain" / f"{number}.png")
    train(replace(config, target=str(tmp_path / "plain")), colours, tmp_path / "one", workers=0)
    said = "one camera: no label-free estimate, the last epoch is kept"
    err = capsys.readouterr().err
    assert err.count(said) == 1 and "kept epoch" not in err
    assert read_artefact(tmp_path / "one" / "artefact")[0].notes.count(said) == 1
    absent = {"estimate", "cycles", "cross_camera", "neighbours_inter", "candidate"}
    lines = load_history(tmp_path / "one").evaluations
    assert len(lines) == 2 and not any(absent & set(line) for line in lines)
    assert all(line["neighbours_intra"] >= 1 for line in lines)


def test_the_last_epoch_is_kept_where_it_is_asked_for(colours: ReidData, crops: Path, tmp_path: Path, capsys):
    config = replace(RUNS, target=str(crops), epochs=2, keep="last", features="off")
    train(config, colours, tmp_path / "run", workers=0)
    assert "kept epoch" not in capsys.readouterr().err


def test_direct_transfer_trains_on_the_source_alone(colours: ReidData, place: Path, tmp_path: Path):
    config = Config(
        target=str(place), joint=False, backbone="osnet_x0_25", weights="scratch", height=64, width=32, pad_px=2, batch_size=16,
        epochs=2, last_stride=2, features="off",
    )  # fmt: skip
    train(config, colours, tmp_path / "run", workers=0)
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["step"] == 2 * (48 // 16) and "map" in history.evaluations[-1]
    assert "intra" not in history.epochs[-1] and "estimate" not in history.evaluations[-1]
    train(
        replace(config, target="", epochs=1), colours, tmp_path / "alone", workers=0
    )  # measured on the source's own test images
    assert "map" in load_history(tmp_path / "alone").evaluations[-1]


def test_it_learns_the_source_and_brings_target_images_of_a_person_together(colours: ReidData, place: Path, tmp_path: Path):
    config = replace(
        SMALL, target=str(place), epochs=25, intra_start=5, inter_start=7, decay_epochs=(20,), features="off", mix=False,
        evaluate_every=0,
    )  # fmt: skip
    train(config, colours, tmp_path / "run", workers=0)
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["accuracy"] > 0.8
    assert history.epochs[-1]["intra"] < history.epochs[5]["intra"]


JOB = """
import os
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from conftest import write_people
from test_cail_mixup import RUNS
from passerby.recipes import cail_mixup
from passerby.records import ReidData
from passerby.training import world
out = Path(sys.argv[2])
images = out / ("images" + os.environ["RANK"])
images.mkdir(exist_ok=True)
data = ReidData("colours", train=write_people(images))
look = cail_mixup.AdaptationEvaluation.__call__
def told(self, max_batches=None):
    torch.save(self.step.memory.slots.clone(), out / f"{world().rank}.pt")
    return look(self, max_batches)
cail_mixup.AdaptationEvaluation.__call__ = told
step = cail_mixup.AdaptationStep.__call__
def cut(self, batch):
    if self.clock.step == int(sys.argv[5]):
        os._exit(0)
    return step(self, batch)
cail_mixup.AdaptationStep.__call__ = cut
config = replace(RUNS, epochs=2, target=sys.argv[3], features="off", memory=sys.argv[4], save_every_steps=3)
cail_mixup.train(config, data, out / "run", device="cpu", workers=0, resume=True)
"""


def memories_of_two_processes(tmp_path: Path, crops: Path, memory: str, cut_at: int = -1) -> list[torch.Tensor]:
    """The memories after two epochs of four steps; of a run that ends before step `cut_at`, what was there last."""
    job = tmp_path / "job.py"
    job.write_text(JOB)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(job)]
    done = subprocess.run(
        [*command, str(Path(__file__).parent), str(tmp_path), str(crops), memory, str(cut_at)],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "artefact" / "passerby.json").is_file() == (cut_at < 0)
    return [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]


def test_two_processes_hold_one_memory_and_resume_exactly(tmp_path: Path, crops: Path):
    places = [tmp_path / "whole", tmp_path / "cut"]
    for place in places:
        place.mkdir()
    first, second = memories_of_two_processes(places[0], crops, "shared")
    assert torch.equal(first, second)
    assert (first.norm(dim=1) > 0.99).all()  # of all images, whoever has seen them
    memories_of_two_processes(places[1], crops, "shared", cut_at=5)  # within the second epoch
    assert all(torch.equal(first, again) for again in memories_of_two_processes(places[1], crops, "shared"))
    assert same(*(weights(place / "run") for place in places))


def test_the_published_memory_is_one_a_process(tmp_path: Path, crops: Path):
    filled = [slots.norm(dim=1) > 0.99 for slots in memories_of_two_processes(tmp_path, crops, "local")]
    assert (filled[0] | filled[1]).all()
    # after two epochs a process has seen three quarters of the images, and holds noise for the others
    assert all(30 <= int(each.sum()) <= 42 for each in filled) and not torch.equal(*filled)


# -- what is refused


def bad(text: str, error: type[PasserbyError], colours: ReidData, tmp_path: Path, **options: Any) -> None:
    with pytest.raises(error, match=re.escape(text)) as caught:
        train(replace(RUNS, **options), colours, tmp_path / "run", workers=0)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_target_with_one_camera_is_refused(colours: ReidData, crops: Path, tmp_path: Path):
    folder = tmp_path / "one"
    folder.mkdir()
    for path in crops.glob("*_c1_*"):
        shutil.copy(path, folder)
    text = "all 24 target images are of one camera: there is nothing to learn across cameras"
    bad(text, DataError, colours, tmp_path, target=str(folder))
    config = replace(
        SMALL, target=str(folder), neighbours="camera-agnostic", epochs=2, features="off", intra_start=10, inter_start=30,
        agnostic_start=1,
    )  # fmt: skip
    train(config, colours, tmp_path / "agnostic", workers=0)  # this needs no cameras
    assert "agnostic" in load_history(tmp_path / "agnostic").epochs[-1]


def test_a_batch_that_the_processes_cannot_share_is_refused(colours: ReidData):
    joint, alone = (colours.train, colours.train), (colours.train, None)
    for size, count, splits, text in (
        (26, 2, joint, "batch_size is 26: half of it is labelled, half unlabelled, and 2 processes share each half, so it must "
         "be a multiple of 4. Nearest: 24 or 28."),
        (4, 2, joint, "batch_size is 4: half of it is labelled, half unlabelled, and 2 processes share each half, and batch norm "
         "needs two images in each share. Give 8 or more."),
        (6, 4, joint, "so it must be a multiple of 8. Nearest: 16."),
        (9, 2, alone, "batch_size is 9: all of it is labelled, and 2 processes share it, so it must be a multiple of 2."),
    ):  # fmt: skip
        config = Config(target="x", batch_size=size, joint=splits[1] is not None)
        with pytest.raises(UsageError, match=re.escape(text)):
            make_loader(config, *splits, World(0, count), 0)
    assert len(make_loader(Config(target="x", batch_size=24), *joint, World(1, 2), 0)) == 4


def test_an_error_about_the_target_names_it(colours: ReidData, place: Path, tmp_path: Path):
    shutil.copytree(place, tmp_path / "site")
    for path in (tmp_path / "site" / "query").iterdir():
        path.rename(path.with_name(f"9{path.name[1:]}"))
    text = "market-style in site: none of the 24 queries has an image of its person from another camera"
    bad(text, DataError, colours, tmp_path, target=str(tmp_path / "site"))


def test_a_target_smaller_than_half_a_batch_is_refused(colours: ReidData, crops: Path, tmp_path: Path):
    text = "the target has 48 images, half a batch of batch_size 100 needs 50: lower batch_size to 96 or less"
    bad(text, DataError, colours, tmp_path, target=str(crops), batch_size=100)


def test_the_source_as_its_own_target_is_refused(colours: ReidData, tmp_path: Path):
    text = "48 of the 48 target images are training images of the source as well"
    bad(text, DataError, colours, tmp_path, target=str(colours.train[0].path.parent))
    shutil.copytree(colours.train[0].path.parent, tmp_path / "copy")
    for number, path in enumerate(sorted((tmp_path / "copy").iterdir())):
        path.rename(path.with_name(f"c{1 + number % 2}_{number}{path.suffix}"))  # other names, the same pictures
    bad(text, DataError, colours, tmp_path, target=str(tmp_path / "copy"))


def test_other_pictures_of_the_same_names_and_sizes_are_another_place(tmp_path: Path):
    places = []
    for shade in (0, 100):
        folder = tmp_path / str(shade)
        folder.mkdir()
        for number in range(6):
            Image.new("RGB", (4, 8), (shade + number,) * 3).save(folder / f"c{1 + number % 2}_{number}.bmp")
        places.append(read_unlabelled(folder, str(shade), cameras="needed"))
    assert len({record.path.stat().st_size for split in places for record in split}) == 1
    check_target(Config(target="x", batch_size=8), *places)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 70}, ""),
        ({"epochs": 30}, "too short, at 30 epochs, for the loss across cameras (after epoch 30): never joined"),
        ({"epochs": 30, "inter_weight": 0.0}, ""),
        ({"epochs": 10, "neighbours": "camera-agnostic"}, "for the camera-agnostic loss (after epoch 10): never joined"),
        ({"epochs": 1, "neighbours": "off"}, "too short, at 1 epochs, for mixup (after epoch 1): never joined"),
        ({"epochs": 1, "joint": False}, ""),
    ],
)
def test_what_a_run_is_too_short_for_is_told(options: dict[str, Any], text: str):
    found = never_acts(Config(target="x", **options))
    assert found.endswith(text) and bool(found) == bool(text)


def test_a_target_may_be_renamed_between_two_parts_of_a_run(colours: ReidData, crops: Path, tmp_path: Path):
    shutil.copytree(crops, tmp_path / "before")
    config = replace(SMALL, epochs=1, features="off", intra_start=10, inter_start=30, mix=False)
    train(replace(config, target=str(tmp_path / "before")), colours, tmp_path / "run", workers=0)
    (tmp_path / "before").rename(tmp_path / "after")
    train(replace(config, target=str(tmp_path / "after")), colours, tmp_path / "run", workers=0, resume=True)
    assert "never joined" in " ".join(read_description(tmp_path / "run" / "artefact").notes)


def test_a_missing_camera_is_refused(colours: ReidData, crops: Path, tmp_path: Path):
    folder = tmp_path / "crops"
    shutil.copytree(crops, folder)
    (folder / "0201_c1_0.png").rename(folder / "unknown.png")
    text = 'no camera is known of "unknown.png" (1 of 48 images of'
    bad(text, DataError, colours, tmp_path, target=str(folder))


def test_a_run_among_the_target_images_is_refused(colours: ReidData, crops: Path):
    with pytest.raises(UsageError, match=r"lies in the target .* which is read whole: give another one"):
        train(replace(RUNS, target=str(crops)), colours, crops / "run", workers=0)


def test_no_unlabelled_image_is_refused(colours: ReidData, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    bad("holds no image: give a folder with images", DataError, colours, tmp_path, target=str(tmp_path / "empty"))
    bad("is no folder, and no name of a data set", UsageError, colours, tmp_path, target=str(tmp_path / "absent"))
    bad('no data set "markte"', UsageError, colours, tmp_path, target="markte")
    bad("adapt to what? Give --target", UsageError, colours, tmp_path, target="")


def test_direct_transfer_needs_something_to_measure_on(colours: ReidData, crops: Path, tmp_path: Path):
    config = Config(target=str(crops), joint=False, backbone="osnet_x0_25", weights="scratch", last_stride=2)
    with pytest.raises(UsageError, match=r"--no-joint only measures on the target, and .* has no query and gallery: leave out"):
        train(config, colours, tmp_path / "run", workers=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"batch_size": 15},
            "batch_size is 15: half of it is labelled, half unlabelled, so it must be a multiple of 2. Nearest: 14 or 16.",
        ),
        ({"lr": 0.0}, "lr is 0.0: it must be above 0"),
        ({"mix_alpha": 0.0}, "mix_alpha is 0.0: it must be above 0"),
        ({"threshold": 1.5}, "threshold is 1.5: allowed is 0 or more, and below 1"),
        ({"mix": False, "mix_alpha": 0.3}, "mix_alpha is 0.3, but it acts only with mix"),
        ({"neighbours": "off", "intra_weight": 2.0}, "intra_weight is 2.0, but it acts only with neighbours camera-aware"),
        ({"agnostic_weight": 0.2}, "agnostic_weight is 0.2, but it acts only with neighbours camera-agnostic"),
        ({"joint": False, "memory": "local"}, "memory is local, but it acts only with joint training"),
        ({"target_data": Path("x")}, "target_data is x, but it acts only with target"),
        ({"batch_size": 2}, "batch_size is 2: half of it is labelled, half unlabelled, and batch norm needs two images in each"),
        ({"lr_gamma": 0.0}, "lr_gamma is 0.0: a factor above 0 and at most 1"),
        ({"lr_gamma": 0.5, "decay_epochs": ()}, "lr_gamma is 0.5, but it acts only with decay_epochs"),
        ({"erased_area": 0.02}, "erased_area is 0.02: a share of the image, above 0.02 and at most 1"),
        ({"erased_area": 0.3, "random_erasing": 0.0}, "erased_area is 0.3, but it acts only with random_erasing above 0"),
        ({"pad_mode": "grey", "pad_px": 0}, "pad_mode is grey, but it acts only with pad_px above 0"),
    ],
)
def test_options_that_cannot_act_are_refused(options: dict[str, Any], text: str):
    with pytest.raises(UsageError, match=re.escape(text)):
        Config(**options)


# -- every option acts


def first_step(config: Config, epoch: int = 3) -> dict[str, float]:
    step = a_step(config)
    found = {}
    for number in range(2):
        step.clock.epoch, step.clock.step = epoch, number
        found = step(a_batch(config, seed=0))
    moved = float(sum(parameter.detach().double().abs().sum() for parameter in step.model.parameters()))
    return {**{k: float(v) for k, v in found.items()}, "moved": moved, "memory": float(step.memory.slots.double().abs().sum())}


def groups(config: Config) -> list[dict[str, Any]]:
    return [{k: v for k, v in group.items() if k != "params"} for group in a_step(config).optimizer.param_groups]


def schedule(config: Config) -> list[Any]:
    return [weights_in(config, epoch) for epoch in range(1, config.epochs + 1)]


def rates(config: Config) -> list[float]:
    schedule = a_step(config).rates.schedule
    return [schedule(epoch) for epoch in range(config.epochs)]


def order(config: Config) -> list[Any]:
    images = Split(tuple(Record(Path(f"{number}.png"), number, 0, "x") for number in range(40)))
    return make_loader(config, images, images, World(), 0).loader.sampler.epoch(0)


AGNOSTIC = {"neighbours": "camera-agnostic", "intra_start": 10, "inter_start": 30, "agnostic_start": 1}
OPTIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "backbone": ("osnet_x0_5", model_config, {}),
    "last_stride": (1, model_config, {}),
    "height": (128, preprocess, {}),
    "width": (64, preprocess, {}),
    "flip": (0.0, augmentation, {}),
    "pad_px": (4, augmentation, {}),
    "pad_mode": ("grey", augmentation, {}),
    "color_jitter": (True, augmentation, {}),
    "random_erasing": (0.3, augmentation, {}),
    "erased_area": (0.25, augmentation, {"random_erasing": 0.5}),
    "batch_size": (16, order, {}),
    "memory_momentum": (0.2, first_step, {}),
    "neighbours": ("off", schedule, {"intra_start": 10, "inter_start": 30, "epochs": 12}),
    "threshold": (0.1, first_step, {"scale": 3.0}),
    "scale": (3.0, first_step, {}),
    "probability_floor": (0.2, first_step, {}),
    "intra_weight": (2.0, first_step, {}),
    "intra_start": (3, schedule, {}),
    "inter_weight": (2.0, first_step, {}),
    "inter_start": (1, schedule, {}),
    "agnostic_weight": (2.0, first_step, AGNOSTIC),
    "agnostic_start": (3, schedule, AGNOSTIC),
    "mix": (False, first_step, {}),
    "mix_start": (3, schedule, {}),
    "mix_alpha": (5.0, first_step, {}),
    "lr": (0.01, groups, {}),
    "backbone_lr_factor": (0.5, groups, {}),
    "momentum": (0.5, groups, {}),
    "weight_decay": (1e-4, groups, {}),
    "epochs": (5, schedule, {}),
    "decay_epochs": ((2,), rates, {"epochs": 3}),
    "lr_gamma": (0.5, rates, {}),
    "precision": ("bf16", first_step, {}),
    "seed": (1, order, {}),
}
ELSEWHERE = {
    "target": "test_a_folder_without_any_label_is_adapted_to_and_embedded",
    "target_data": "tests/datasets/test_unlabelled.py",
    "joint": "test_direct_transfer_trains_on_the_source_alone",
    "weights": "test_missing_start_weights_are_refused",
    "memory": "test_the_published_memory_is_one_a_process",
    "evaluate_every": "test_label_free_numbers_come_every_epoch_and_retrieval_every_so_many",
    "keep": "test_the_last_epoch_is_kept_where_it_is_asked_for",
    "features": "test_the_feature_store_has_both_forms",
    "save_every_steps": "test_a_resumed_run_equals_an_uninterrupted_one",
}


def test_every_option_is_tested():
    assert {field.name for field in fields(Config)} == set(OPTIONS) | set(ELSEWHERE)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_what_it_names(name: str):
    value, probe, needed = OPTIONS[name]
    base = replace(SMALL, **{"batch_size": 8, **needed})
    before, after = probe(base), probe(replace(base, **{name: value}))
    assert probe(base) == before, "the probe itself is not repeatable"
    assert before != after


def test_missing_start_weights_are_refused(colours: ReidData, crops: Path, tmp_path: Path):
    bad("osnet_x0_25", ArtefactError, colours, tmp_path, target=str(crops), weights=str(tmp_path / "osnet_x0_25.pth"))


# -- presets


def test_presets_are_the_published_rows():
    assert preset_names("cail-mixup") == ["duke2market", "duke2msmt", "market2duke", "market2msmt", "single_domain"]
    for name in preset_names("cail-mixup"):
        preset = load_preset(name)
        config = merged(Config(), preset.options, name)
        assert datasets.resolve(preset.dataset) == preset.dataset and datasets.resolve(config.target) == config.target
        assert config.precision == "fp16" and config.epochs == 70 and config.batch_size == (256 if config.joint else 128)
        assert (config.pad_mode, config.pad_px, config.erased_area, config.random_erasing) == ("grey", 10, 0.25, 0.5)
        assert (config.decay_epochs, config.lr_gamma) == ((60,), 0.1)
        assert CONVENTIONS[preset.counted_by].ap == "trapezoid"
    figures = {name: load_preset(name).published for name in ("duke2market", "market2duke")}
    assert {name: (row.rank1, row.map) for name, row in figures.items() if row} == {
        "duke2market": (0.8806, 0.7150), "market2duke": (0.7949, 0.6522)
    }  # fmt: skip
    assert load_preset("market2msmt").published is None and "could not be checked" in load_preset("market2msmt").note


def test_the_page_of_the_recipe_lists_every_row_with_its_figures():
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "cail_mixup.md").read_text()
    for name in preset_names("cail-mixup"):
        row = load_preset(name).published
        figures = f"{100 * row.rank1:.2f} / {100 * row.map:.2f} |" if row else ""
        assert any(line.startswith(f"| `{name}` |") and line.endswith(figures) for line in page.splitlines())


def test_camera_numbers_are_counted_over_the_cameras_that_occur(crops: Path):
    split = read_unlabelled(crops, "crops", cameras="needed")
    assert split.camera_numbers.tolist() == split.camids.tolist()
    assert {record.pid for record in split} == {-1}
