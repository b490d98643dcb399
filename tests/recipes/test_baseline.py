"""The baseline recipe: it learns, every option acts, its artefact is what was trained, a resumed run is the same run."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby import running
from passerby.artefact import load, read_artefact
from passerby.batches import Batch
from passerby.embedder import embed
from passerby.errors import ArtefactError, DataError, UsageError
from passerby.losses import LOSSES
from passerby.metrics import evaluate
from passerby.recipes.baseline import BaselineStep, Config, build_model, make_loader, preprocess, train
from passerby.records import Record, ReidData, Split
from passerby.training import load_history, refresh_norms
from passerby.training.checkpoints import Checkpoints
from passerby.transforms import normalise

SMALL = Config(
    backbone="osnet_x0_25", weights="scratch", height=64, width=32, pad_px=2, batch_size=8, epochs=2,
    lr=0.05, backbone_lr_factor=1.0, linear_dim=32,
)  # fmt: skip
CPU = torch.device("cpu")


def a_step(config: Config, classes: int = 6) -> BaselineStep:
    return BaselineStep(config, build_model(config, classes), classes, 32, 4, CPU)


def a_batch(config: Config, classes: int = 6, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 256, (8, 3, config.height, config.width), dtype=torch.uint8, generator=random)
    zeros = torch.zeros(8, dtype=torch.int64)
    return Batch(inputs, torch.arange(8) // 2 % classes, zeros, zeros, torch.arange(8))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_artefact(run / "artefact")[1]


def test_it_learns_a_handful_of_people_and_finds_new_ones(colours: ReidData, tmp_path: Path):
    batches = {"batch_size": 24, "images_per_identity": 4}
    config = replace(SMALL, epochs=12, optimizer="adam", lr=0.01, losses=("triplet-hard",), dropout=0.0, **batches)
    train(config, colours, tmp_path / "run", workers=0)
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["accuracy"] > 0.9
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"] / 3
    assert history.evaluations[-1]["rank1"] > 0.5  # people never seen in training; chance is 1 in 6


def test_the_artefact_embeds_as_the_trained_network_did(colours: ReidData, tmp_path: Path):
    path = train(replace(SMALL, epochs=1), colours, tmp_path / "run", workers=0)
    facts, _ = read_artefact(path)
    assert facts.recipe == "baseline" and facts.embedding_dim == 32 and len(facts.label_map) == 6
    assert facts.notes == colours.notes and facts.data[0]["train_images"] == len(colours.train)
    evaluated = load_history(tmp_path / "run").evaluations[-1]

    scores = evaluate(*(embed(load(path), split) for split in (colours.query, colours.gallery)))
    assert scores.map == evaluated["map"] and scores.rank(1) == evaluated["rank1"]
    again = [load(path)([record.path for record in colours.query]) for _ in range(2)]
    assert np.array_equal(*again)


@pytest.mark.parametrize(
    "options",
    [
        {"losses": ("arcface",), "average": "ema", "random_erasing": 0.5, "evaluate_every": 1},
        {"sampler": "identity", "images_per_identity": 2, "domains_per_batch": 1},
        {"average": "swa", "epochs": 5, "sampler": "identity", "warmup_epochs": 1.0, "warmup": "loss"},
    ],
    ids=["ema and class weights", "one domain a batch", "averaged epochs"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(options, colours: ReidData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = replace(SMALL, **options)
    train(config, colours, tmp_path / "whole", workers=0)

    original, calls = BaselineStep.__call__, []

    def stops(self: BaselineStep, batch: Batch):
        calls.append(1)
        if len(calls) == 8:  # in the second epoch
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(BaselineStep, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        train(config, colours, tmp_path / "cut", workers=0)
    monkeypatch.setattr(BaselineStep, "__call__", original)
    train(config, colours, tmp_path / "cut", workers=0, resume=True)

    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def norms(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: buffer for name, buffer in model.named_buffers() if name.endswith(("running_mean", "running_var"))}


@pytest.mark.parametrize("options", [{"average": "ema", "ema_decay": 0.9}, {"average": "swa", "epochs": 5}], ids=["ema", "swa"])
def test_an_average_has_the_batch_statistics_of_its_own_weights(options, colours: ReidData, tmp_path: Path):
    config = replace(SMALL, **options)
    own = load(train(config, colours, tmp_path / "run", workers=0)).model
    assert isinstance(own, torch.nn.Module)
    again = copy.deepcopy(own)
    batches = make_loader(config, colours.train, colours.train.label_map(), 0).epoch(config.epochs - 1)
    refresh_norms(again, batches, lambda model, batch: model(normalise(batch.inputs, preprocess(config))))
    assert all(torch.allclose(buffer, norms(again)[name], atol=1e-6) for name, buffer in norms(own).items())
    last = newest(tmp_path / "run")["model"]
    assert not any(torch.allclose(buffer, last[name], atol=1e-4) for name, buffer in norms(own).items())  # those of other weights


def newest(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    checkpoints, latest = Checkpoints(run), Checkpoints(run).latest()
    assert latest is not None
    return checkpoints.load(latest)["state"]


def test_a_moving_average_changes_nothing_of_what_is_trained(colours: ReidData, tmp_path: Path):
    for average in ("off", "ema"):
        train(replace(SMALL, average=average, evaluate_every=1), colours, tmp_path / average, workers=0)  # pyright: ignore
    plain, beside = (newest(tmp_path / average)["model"] for average in ("off", "ema"))
    assert plain.keys() == beside.keys() and all(torch.equal(plain[name], beside[name]) for name in plain)


@pytest.mark.parametrize("head", ["block", "bnneck", "pcb"])
@pytest.mark.parametrize("losses", [(), ("arcface", "circle")], ids=["cross-entropy", "with class weights"])
def test_every_parameter_has_one_owner_and_gets_a_gradient(head: str, losses: tuple[str, ...]):
    options = {"block": {}, "bnneck": {"linear_dim": None}, "pcb": {"parts": 2}}[head]
    config = replace(SMALL, head=head, losses=losses, **options)
    step = a_step(config)
    step(a_batch(config))
    modules = {"model": step.model, "losses": step.losses}
    parameters = {f"{m}.{n}": p for m, module in modules.items() for n, p in module.named_parameters() if p.requires_grad}
    assert {row.parameter for row in step.ownership.rows} == set(parameters)
    assert all(parameter.grad is not None for parameter in parameters.values())
    assert sum(parameter.numel() for parameter in parameters.values()) == sum(row.count for row in step.ownership.rows)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_enters_the_total(name: str):
    config = replace(SMALL, losses=(f"{name}:2",), sampler="published")
    once = a_step(replace(config, losses=(name,)))(a_batch(config))
    twice = a_step(config)(a_batch(config))
    assert float(twice[name]) == pytest.approx(2 * float(once[name]), rel=1e-5)
    assert float(twice["loss"]) == pytest.approx(float(twice["ce"]) + float(twice[name]), rel=1e-5)


def test_pcb_sums_its_six_cross_entropies():
    config = replace(SMALL, head="pcb", height=96, last_stride=2, parts=3)
    step = a_step(config)
    found = step(a_batch(config))
    assert float(found["ce"]) == pytest.approx(3 * np.log(6), rel=0.05)  # three untrained heads over six classes


def test_the_adversarial_term_comes_every_few_steps():
    step = a_step(replace(SMALL, adversarial=0.5, adversarial_every=2))
    found = []
    for number in range(3):
        step.clock.step = number
        found.append("adversarial" in step(a_batch(SMALL)))
    assert found == [True, False, True]


def test_generated_images_join_late_in_the_run(colours: ReidData, tmp_path: Path):
    folder = colours.train[0].path.parent
    config = replace(SMALL, epochs=10, generated=folder, generated_weight=0.1)
    train(config, colours, tmp_path / "run", workers=0)
    epochs = load_history(tmp_path / "run").epochs
    assert ["generated" in epoch for epoch in epochs] == [False] * 9 + [True]  # the teacher's first epoch is the one before


def test_the_loss_warm_up_scales_the_loss_not_the_rate():
    plain, warm = a_step(SMALL), a_step(replace(SMALL, warmup="loss", warmup_epochs=1.0))
    first = warm(a_batch(SMALL))
    assert float(first["loss"] / first["ce"]) == pytest.approx(0.1 + 0.9 / 4)  # four steps an epoch
    assert warm.rates.rates() == plain.rates.rates()
    assert a_step(replace(SMALL, warmup="lr", warmup_epochs=1.0)).rates.schedule(0.0) == pytest.approx(0.1)


def test_pair_losses_bring_their_sampler(colours: ReidData):
    labels = colours.train.label_map()
    loader = make_loader(replace(SMALL, losses=("triplet",), images_per_identity=2), colours.train, labels, 0)
    batch = next(iter(loader.epoch(0)))
    assert batch.labels.view(4, 2).unique(dim=1).shape[1] == 1  # four people, two images each
    plain = make_loader(replace(SMALL, losses=("triplet",), sampler="published"), colours.train, labels, 0)
    assert type(plain.sampler).__name__ == "ShuffleSampler"


def test_held_out_images_are_one_a_person_and_measured(colours: ReidData, tmp_path: Path):
    chosen, val = running.hold_out_first(colours.train)
    assert len(val) == 6 and len(chosen) + len(val) == len(colours.train)
    assert val.identities == colours.train.identities
    only_train = ReidData("colours", train=colours.train)
    train(replace(SMALL, epochs=1, train_all=False), only_train, tmp_path / "run", workers=0)
    assert 0 <= load_history(tmp_path / "run").evaluations[-1]["val_error"] <= 1


def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers(colours: ReidData, tmp_path: Path):
    config = replace(SMALL, epochs=1, random_erasing=0.5, color_jitter=True)
    for workers in (0, 1):
        train(config, colours, tmp_path / str(workers), workers=workers)
    first, second = (weights(tmp_path / str(workers)) for workers in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_train_and_leave_one_artefact(colours: ReidData, tmp_path: Path):
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\n"
        "from test_baseline import SMALL\nfrom conftest import write_people\n"
        "from dataclasses import replace\nfrom passerby.records import ReidData\nfrom passerby.recipes.baseline import train\n"
        "images = Path(sys.argv[2]) / 'images'\nimages.mkdir(exist_ok=True)\n"
        "people = write_people(images)\n"
        "seen = people.where(lambda record: record.pid <= 4)\n"
        "data = ReidData('colours', train=seen, query=people[::4], gallery=people)\n"
        "config = replace(SMALL, epochs=2, losses=('circle',), images_per_identity=2)\n"
        "train(config, data, Path(sys.argv[2]) / 'run', device='cpu', workers=0)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    here = str(Path(__file__).parent)
    done = subprocess.run([*command, here, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    # The score in the log is that of the artefact, although each process's batch norms saw its own share only.
    logged = load_history(tmp_path / "run").evaluations[-1]
    artefact = tmp_path / "run" / "artefact"
    assert json.loads((artefact / "passerby.json").read_text())["recipe"] == "baseline"
    paths = sorted((tmp_path / "images").iterdir())
    people = [Record(path, int(path.name[:4]), int(path.name[6]) - 1, "colours") for path in paths]
    sets = (embed(load(artefact), Split(tuple(part))) for part in (people[::4], people))
    assert evaluate(*sets).map == pytest.approx(logged["map"], abs=0.02)  # other batches, so near ties may swap


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        (
            "osnet_x0_25",
            "no start weights for osnet_x0_25 are installed: get its ImageNet state dict from the model zoo of torchreid",
        ),
        (
            "resnet50_ibn",
            "no start weights for resnet50_ibn are installed: get its ImageNet state dict from the authors of IBN-Net",
        ),
        ("resnet18", "no start weights for resnet18 are installed: get timm's: where there is a network, python -c "),
    ],
)
def test_missing_start_weights_say_how_to_get_them(backbone: str, said: str):
    with pytest.raises(ArtefactError) as error:
        build_model(replace(SMALL, backbone=backbone, weights="auto"), 6)
    assert str(error.value).startswith(said) and str(error.value).endswith("with --weights scratch.")


def test_generated_images_need_folder_and_weight(colours: ReidData):
    with pytest.raises(UsageError, match=r"generated is None, generated_weight 0\.1: give both, or neither"):
        make_loader(replace(SMALL, generated_weight=0.1), colours.train, colours.train.label_map(), 0)


def test_a_run_too_short_for_generated_images_is_refused(colours: ReidData, tmp_path: Path):
    config = replace(SMALL, epochs=5, generated=tmp_path, generated_weight=0.1)
    with pytest.raises(UsageError, match="epochs is 5: generated images join after the first averaged epoch"):
        make_loader(config, colours.train, colours.train.label_map(), 0)


def test_an_empty_folder_of_generated_images_is_named(colours: ReidData, tmp_path: Path):
    config = replace(SMALL, epochs=10, generated=tmp_path, generated_weight=0.1)
    with pytest.raises(DataError, match="holds no image: give a folder with images"):
        make_loader(config, colours.train, colours.train.label_map(), 0)


def test_training_needs_training_images(colours: ReidData, tmp_path: Path):
    with pytest.raises(DataError, match=r"colours has 0 training images of 0 people .* two people is the least"):
        train(SMALL, replace(colours, train=Split()), tmp_path / "run")
    one = colours.train.where(lambda record: record.pid == 1)
    with pytest.raises(DataError, match=r"colours has 8 training images of 1 people"):
        train(SMALL, replace(colours, train=one), tmp_path / "run")


def test_junk_and_distractors_are_no_classes(colours: ReidData):
    strangers = Split(tuple(replace(record, pid=pid) for record, pid in zip(colours.train[:2], (-1, 0), strict=True)))
    data = running.fit_to_train(replace(colours, train=Split(colours.train.records + strangers.records)))
    assert data.train == colours.train and data.notes == colours.notes


def test_people_who_are_trained_on_and_tested_on_are_told(colours: ReidData):
    data = running.fit_to_train(replace(colours, query=colours.train[:1]))
    assert data.notes[-1] == "1 of 1 query people were trained on: the numbers are too high"


def test_a_resume_on_other_people_is_refused(colours: ReidData, tmp_path: Path):
    train(replace(SMALL, epochs=1), colours, tmp_path / "run", workers=0)
    others = Split(tuple(replace(record, pid=record.pid + 10) for record in colours.train))
    with pytest.raises(UsageError, match="training_images"):
        train(replace(SMALL, epochs=1), replace(colours, train=others), tmp_path / "run", workers=0, resume=True)


def test_the_run_folder_says_from_the_start_what_is_run(colours: ReidData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stops(self: BaselineStep, batch: Batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(BaselineStep, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, colours, tmp_path / "run", workers=0)
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == [["colours", pid] for pid in range(1, 7)]
    assert "osnet_x0_25" in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs is 0: allowed is 1 or more."),
        ({"batch_size": 1}, "batch_size is 1: allowed is 2 or more."),
        ({"adversarial_every": 0}, "adversarial_every is 0: allowed is 1 or more."),
        ({"weight_decay": -1.0}, "weight_decay is -1.0: allowed is 0 or more."),
        ({"momentum": 5.0}, "momentum is 5.0: allowed is 0 or more, and below 1."),
        ({"label_smoothing": 2.0}, "label_smoothing is 2.0: allowed is 0 or more, and below 1."),
        ({"lr": float("nan")}, "lr is nan: allowed is 0 or more."),
        ({"lr": 0.0}, "lr is 0.0, backbone_lr_factor 1.0, instance_gamma 32.0: each must be above 0."),
        (
            {"optimizer": "adam", "momentum": 0.5},
            "momentum is 0.5, but it acts only with optimizer sgd. Leave it out, or add that.",
        ),
        ({"ema_decay": 0.9}, "ema_decay is 0.9, but it acts only with average ema. Leave it out, or add that."),
        ({"warmup": "loss"}, "warmup is loss, but it acts only with warmup_epochs above 0. Leave it out, or add that."),
        ({"average": "swa", "epochs": 4}, "epochs is 4: the average begins at 80 % of the run, in epoch 5 at the earliest."),
    ],
)
def test_options_out_of_range_or_without_effect_are_refused(options: dict, said: str):
    with pytest.raises(UsageError) as error:
        replace(SMALL, **{"losses": ("triplet",), **options})
    assert str(error.value) == said


def test_a_shuffle_under_a_pair_loss_must_be_meant(colours: ReidData):
    config = replace(SMALL, losses=("circle",), sampler="shuffle")
    with pytest.raises(UsageError, match="sampler is shuffle, but circle needs several images of a person in a batch"):
        make_loader(config, colours.train, colours.train.label_map(), 0)


def test_an_unknown_loss_names_the_nearest(colours: ReidData):
    with pytest.raises(UsageError, match=r'no loss "circl"\. Did you mean "circle"'):
        make_loader(replace(SMALL, losses=("circl",)), colours.train, colours.train.label_map(), 0)
