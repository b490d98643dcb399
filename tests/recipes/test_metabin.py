"""MetaBIN: which phase moves what, the virtual step by finite differences, exact resume, every option."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from passerby.artefact import load, read_artefact
from passerby.batches import Batch
from passerby.embedder import embed
from passerby.errors import DataError, PasserbyError, UsageError
from passerby.metrics import evaluate
from passerby.models.norms.batch_instance import BatchInstanceNorm2d, gates
from passerby.models.norms.gate_history import read_gates
from passerby.recipes.metabin import (
    Config,
    MetaBinStep,
    augmentation,
    build_model,
    describe,
    inner_rate,
    make_loader,
    model_config,
    preprocess,
    train,
    virtual_gates,
)
from passerby.records import Record, ReidData, Split
from passerby.training import load_history
from passerby.transforms import normalise

SMALL = Config(
    backbone="osnet_x0_25", weights="scratch", last_stride=2, height=64, width=32, pad_px=2, batch_size=12, meta_batch_size=12,
    images_per_identity=2, meta_train_domains=2, epochs=2, milestones=(40,), warmup_epochs=0.0, first_base_updates=2,
    gate_init="half",
)  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def towns(colours: ReidData) -> ReidData:
    """The people of one colour, two of them in each of three towns."""

    def moved(split: Split) -> Split:
        return Split(tuple(replace(record, domain="abc"[(record.pid - 1) % 100 // 2]) for record in split))

    return replace(colours, train=moved(colours.train))


def a_step(config: Config = SMALL, **options) -> MetaBinStep:
    config = replace(config, **options)
    step = MetaBinStep(config, build_model(config, 6), torch.arange(12) // 4, CPU)
    step.clock.steps_per_epoch = 4
    return step


def a_batch(seed: int = 0, rows: int = 12) -> Batch:
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 256, (rows, 3, 64, 32), dtype=torch.uint8, generator=random)
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(inputs, torch.arange(rows) // 2, zeros, zeros, torch.arange(rows))


def snapshot(step: MetaBinStep) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in step.model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def test_a_base_update_moves_everything_but_gates():
    step = a_step(backbone="mobilenet_v2_x1_0")
    before = snapshot(step)
    step.base_update(a_batch())
    moved = changed(before, snapshot(step))
    frozen = {name for name, p in step.model.named_parameters() if not p.requires_grad}
    assert set(before) - moved == set(step.gates) | frozen
    assert all(gate.grad is None for gate in step.gates.values())


@pytest.mark.parametrize("order", [False, True])
def test_a_meta_update_moves_gates_and_nothing_else(order):
    step = a_step(second_order=order, meta_classification=True)
    before = snapshot(step)
    found = step.meta_update(a_batch())
    assert changed(before, snapshot(step)) == set(step.gates)
    assert all(gate.min() >= 0 and gate.max() <= 1 for gate in step.gates.values())
    assert all(p.grad is None for p in step.model.parameters())
    assert found["gate_steps_left_out"] == 0


@pytest.mark.parametrize(
    ("phase", "moves"), [("base_statistics", True), ("meta_train_statistics", False), ("meta_test_statistics", False)]
)
@pytest.mark.parametrize("mode", ["general", "hold", "eval"])
def test_each_phase_treats_running_statistics_by_its_own_mode(phase, moves, mode):
    step = a_step(**{"base_statistics": "hold", phase: mode})
    before = snapshot(step)
    (step.base_update if moves else step.meta_update)(a_batch())
    statistics = {name for name in changed(before, snapshot(step)) if name.endswith(RUNNING)}
    assert bool(statistics) == (mode == "general")
    assert not statistics or len(statistics) == sum(name.endswith(RUNNING) for name in before)  # the head's too


def test_without_meta_updates_gates_learn_from_the_base_loss():
    step = a_step(Config(**{**plain_small(), "meta": False}))
    before = snapshot(step)
    step(a_batch())
    assert set(step.gates) <= changed(before, snapshot(step))
    assert all(gate.min() >= 0 and gate.max() <= 1 for gate in step.gates.values())


def plain_small() -> dict:
    meta = {"meta_batch_size", "meta_train_domains", "first_base_updates"}
    return {f.name: getattr(SMALL, f.name) for f in fields(SMALL) if f.name not in meta}


class Toy(nn.Module):
    """Two gated norms and a curved output, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(2, 3, 3),
            BatchInstanceNorm2d(3, init="half"),
            nn.Tanh(),
            nn.Conv2d(3, 2, 3),
            BatchInstanceNorm2d(2, init="half"),
        ).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def losses_of_toy(rate: float):
    toy = Toy()
    random = torch.Generator().manual_seed(4)
    S, T = (torch.randn(4, 2, 7, 7, generator=random).double() for _ in range(2))
    names = list(gates(toy))

    def train_loss(values):
        return functional_call(toy, values, (S,)).tanh().square().mul(torch.arange(1.0, 4)).sum()

    def test_loss(values):
        return functional_call(toy, values, (T,)).sigmoid().pow(3).sum()

    return toy, names, train_loss, test_loss, rate


def unflat(flat, toy):
    found, start = {}, 0
    for name, gate in gates(toy).items():
        found[name] = flat[start : start + gate.numel()]
        start += gate.numel()
    return found


@pytest.mark.parametrize("second_order", [False, True])
def test_the_gradient_through_the_virtual_step_is_that_of_finite_differences(second_order):
    toy, names, train_loss, test_loss, rate = losses_of_toy(0.05)
    start = torch.cat([gate.detach() for gate in gates(toy).values()])

    def slopes_at(flat, keep=False):
        real = unflat(flat, toy)
        return dict(
            zip(names, torch.autograd.grad(train_loss(real), [real[name] for name in names], create_graph=keep), strict=True)
        )

    point = start.clone().requires_grad_()
    slopes = slopes_at(point, keep=second_order)
    loss = test_loss(virtual_gates(unflat(point, toy), slopes, rate))
    (found,) = torch.autograd.grad(loss, [point])

    fixed = {name: slope.detach() for name, slope in slopes.items()}
    expected = torch.zeros_like(start)
    for i in range(len(start)):
        ends = []
        for sign in (1, -1):
            moved = start.clone()
            moved[i] += sign * 1e-5
            moved.requires_grad_()
            used = slopes_at(moved) if second_order else fixed  # the first order holds the slopes still
            ends.append(float(test_loss(virtual_gates(unflat(moved, toy), used, rate)).detach()))
        expected[i] = (ends[0] - ends[1]) / 2e-5
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-7)
    if second_order:
        (first,) = torch.autograd.grad(test_loss(virtual_gates(unflat(point, toy), fixed, rate)), [point])
        assert not torch.allclose(found, first, rtol=1e-4)


def test_virtual_gates_are_clamped_and_their_slope_is_one():
    real = {"g": torch.tensor([0.05, 0.5, 0.99], requires_grad=True)}
    found = virtual_gates(real, {"g": torch.tensor([1.0, 1.0, -1.0])}, 0.1)["g"]
    assert found.tolist() == pytest.approx([0.0, 0.4, 1.0])
    (slope,) = torch.autograd.grad(found.sum(), [real["g"]])
    assert slope.tolist() == [1, 1, 1]


def test_one_meta_update_by_hand():
    """The step's own arithmetic, repeated with its public parts."""
    step, batch = a_step(shuffle=0.0, scatter=0.0), a_batch()
    S = torch.isin(step.domains, step.meta_train_domains())
    real = {name: gate.detach().clone().requires_grad_() for name, gate in step.gates.items()}
    x = normalise(batch.inputs, step.input)
    learnt = step._triplet(functional_call(step.model, real, (x[S],)).feature, batch.labels[S])
    slopes = dict(zip(real, torch.autograd.grad(learnt, list(real.values())), strict=True))
    virtual = {name: (gate - 0.1 * inner_rate(step.config, 0, 4) * slopes[name]).clamp(0, 1) for name, gate in real.items()}
    virtual = {name: value.detach().requires_grad_() for name, value in virtual.items()}
    tested = step._triplet(functional_call(step.model, virtual, (x[~S],)).feature, batch.labels[~S])
    outer = torch.autograd.grad(tested, list(virtual.values()))
    expected = [(gate.detach() - 0.1 * slope).clamp(0, 1) for gate, slope in zip(real.values(), outer, strict=True)]
    fresh = a_step(shuffle=0.0, scatter=0.0)
    found = fresh.meta_update(batch)
    assert float(found["meta_train_triplet"]) == pytest.approx(float(learnt.detach()), rel=1e-5)
    assert float(found["meta_test_triplet"]) == pytest.approx(float(tested.detach()), rel=1e-5)
    for gate, wanted in zip(fresh.gates.values(), expected, strict=True):
        assert torch.allclose(gate, wanted, atol=1e-6)


def test_a_batch_of_eighty_is_parted_as_published():
    for domains, training, parts in ((5, 3, (48, 32)), (6, 3, (48, 48)), (8, 4, (48, 48))):
        size = sum(parts)
        step = a_step(meta_train_domains=training)
        step.domains, step.num_domains = torch.arange(size) * domains // size, domains
        learning = torch.isin(step.domains, step.meta_train_domains())
        assert (int(learning.sum()), int((~learning).sum())) == parts


def test_domains_are_drawn_anew_each_step_and_alike_each_time():
    step = a_step()
    drawn = set()
    for number in range(30):
        step.clock.step = number
        drawn.add(tuple(step.meta_train_domains().tolist()))
        assert torch.equal(step.meta_train_domains(), step.meta_train_domains())
    assert drawn == {(0, 1), (0, 2), (1, 2)}


def test_the_inner_rate_is_the_published_wave():
    config = Config()
    wave = [inner_rate(config, step, 145) for step in range(2 * 725)]
    assert wave[0] == pytest.approx(0.001 + 0.099 / 362) and max(wave) == wave[361] == pytest.approx(0.1)
    assert wave[724] == pytest.approx(0.001) and wave[:725] == wave[725:]
    assert {inner_rate(replace(config, inner_rates=(0.01, 0.01)), step, 3) for step in range(20)} == {0.01}


def test_the_report_names_what_each_optimizer_owns():
    step = a_step()
    count = sum(gate.numel() for gate in step.gates.values())
    text = describe(step)
    assert f"optimizer gates, gates: {len(step.gates)} tensors, {count:,} numbers" in text
    assert "optimizer main, biases:" in text and "stepped by meta updates" in text
    owned = {row.parameter.removeprefix("model."): (row.optimizer, row.group) for row in step.ownership.rows}
    assert {name for name, (optimizer, _) in owned.items() if optimizer == "gates"} == set(step.gates)
    assert all((group == "biases") == name.endswith("bias") for name, (optimizer, group) in owned.items() if optimizer == "main")
    rates = {g["name"]: (g["lr"], g["weight_decay"], g["momentum"]) for o in step.optimizers.values() for g in o.param_groups}
    assert rates == {"weights": (0.01, 5e-4, 0.9), "biases": (0.02, 5e-4, 0.9), "gates": (0.1, 0.0, 0.0)}


def test_a_scale_that_meta_updates_do_not_bear_is_lowered():
    step = a_step(precision="fp16")
    if not step.precision.scaler.is_enabled():
        pytest.skip("no scaler of gradients on this device")
    step.base_update(a_batch())
    step.precision.scaler.update(2.0**40)
    left_out = [step.meta_update(a_batch(seed))["gate_steps_left_out"] for seed in range(30)]
    assert left_out[0] == 1 and left_out[-1] == 0 and step.precision.scaler.get_scale() < 2.0**40


def test_slopes_do_not_depend_on_the_scale_of_fp16():
    step = a_step(precision="fp16")
    real = {name: gate.detach().clone().requires_grad_() for name, gate in step.gates.items()}
    loss = torch.stack([(gate * gate).sum() for gate in real.values()]).sum()
    found = step._slopes(loss, real)
    assert all(torch.allclose(found[name], 2 * gate.detach()) for name, gate in real.items())
    assert all(slope.dtype == torch.float32 for slope in found.values())


def test_half_precision_keeps_losses_and_gates_in_fp32():
    step = a_step(precision="bf16")
    found = step((a_batch(), a_batch(1)))
    assert all(value.dtype == torch.float32 for value in found.values() if isinstance(value, torch.Tensor))
    assert all(gate.dtype == torch.float32 for gate in step.gates.values())


@pytest.mark.parametrize("phase", ["inner", "outer"])
def test_a_gradient_that_overflows_leaves_the_gates(phase, monkeypatch):
    step, calls = a_step(), []
    whole = step._slopes

    def overflowing(loss, real, keep=False):
        calls.append(1)
        found = whole(loss, real, keep=keep)
        return {name: slope / 0 for name, slope in found.items()} if len(calls) == (1 if phase == "inner" else 2) else found

    monkeypatch.setattr(step, "_slopes", overflowing)
    before = snapshot(step)
    found = step.meta_update(a_batch())
    assert found["gate_steps_left_out"] == 1 and all(np.isfinite(float(value)) for value in found.values())
    assert changed(before, snapshot(step)) == set() and step.meta_update(a_batch())["gate_steps_left_out"] == 0


def test_it_learns_and_its_artefact_is_what_was_trained(towns: ReidData, tmp_path: Path, capsys):
    config = replace(SMALL, epochs=10, lr=0.02, gate_lr=0.5)  # three epochs learn on some processors, and not yet on others
    path = train(config, towns, tmp_path / "run", workers=0)
    assert "optimizer gates" in capsys.readouterr().err
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["ce"] < history.epochs[0]["ce"]
    assert {"shuffle", "scatter", "meta_train_triplet", "meta_test_triplet", "inner_rate"} <= set(history.epochs[0])
    facts, _ = read_artefact(path)
    assert facts.recipe == "metabin" and not facts.rule.flip and facts.model["norm"] == "bin"
    scores = evaluate(*(embed(load(path), split) for split in (towns.query, towns.gallery)))
    assert scores.map == history.evaluations[-1]["map"]
    recorded = read_gates(tmp_path / "run")
    assert [state.epoch for state in recorded] == list(range(11))
    assert set(recorded[0].mean.values()) == {0.5} and set(recorded[-1].mean.values()) != {0.5}


def test_a_resumed_run_equals_an_uninterrupted_one(towns: ReidData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = replace(SMALL, save_every_steps=1)
    train(config, towns, tmp_path / "whole", workers=0)
    whole = MetaBinStep.meta_update
    calls = []

    def killed(self, batch):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return whole(self, batch)

    monkeypatch.setattr(MetaBinStep, "meta_update", killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, towns, tmp_path / "parts", workers=0)
    monkeypatch.setattr(MetaBinStep, "meta_update", whole)
    train(config, towns, tmp_path / "parts", workers=0, resume=True)
    first, second = (read_artefact(tmp_path / run / "artefact")[1] for run in ("whole", "parts"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    lines = [(tmp_path / run / "gates.jsonl").read_text() for run in ("whole", "parts")]
    assert lines[0] == lines[1]


def test_two_processes_step_gates_and_weights_as_one_does(tmp_path: Path):
    """With fixed statistics nothing depends on how a batch is shared: the same step, whoever makes it."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        "import torch\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_metabin import shared_updates\n"
        "from passerby.training import processes\n"
        "with processes('cpu') as here:\n"
        "    rows = torch.arange(24).reshape(3, 2, 4)[:, here.rank].reshape(-1)\n"
        "    torch.save(shared_updates(rows), sys.argv[2] + f'/{here.rank}.pt')\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [*command, here, str(tmp_path)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    alone = shared_updates(torch.arange(24))
    for rank in range(2):
        shared = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone["base"].items():
            assert torch.allclose(shared["base"][name], value, atol=1e-5), name
        for name, value in alone["meta"].items():
            # Fresh features are nearly equal, and small distances keep few digits; the gates moved by up to 0.2.
            assert torch.allclose(shared["meta"][name], value, atol=3e-3), name
    moved = max(float((value - 0.5).abs().max()) for name, value in alone["meta"].items() if name.endswith("bn.gate"))
    assert moved > 0.05


def test_two_processes_train_together_and_go_on_exactly_where_both_were_killed(towns: ReidData, tmp_path: Path):
    (tmp_path / "towns.pickle").write_bytes(pickle.dumps(towns))
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_metabin import train_one_of_two\n"
        "train_one_of_two(Path(sys.argv[2]), *sys.argv[3:])\n"
    )

    def both(run: str, how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
        words = [*command, str(Path(__file__).parent), str(tmp_path), run, how]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)

    whole = both("whole", "all")
    assert whole.returncode == 0, whole.stderr
    assert "KeyboardInterrupt" in both("parts", "killed").stderr
    rest = both("parts", "resumed")
    assert rest.returncode == 0, rest.stderr
    first, second = (read_artefact(tmp_path / run / "artefact")[1] for run in ("whole", "parts"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    ranks = [torch.load(tmp_path / f"gates-{rank}.pt", weights_only=True) for rank in range(2)]
    assert ranks[0].keys() == ranks[1].keys() and all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    assert any(not torch.equal(gate, torch.full_like(gate, 0.5)) for gate in ranks[0].values())
    lines = [(tmp_path / run / "gates.jsonl").read_text() for run in ("whole", "parts")]
    assert lines[0] == lines[1]


def train_one_of_two(folder: Path, run: str, how: str) -> None:
    """What one of two processes does: train to the end and keep its gates, or be killed at the third meta update, or go on."""
    whole, calls = MetaBinStep.meta_update, []

    def watched(self: MetaBinStep, batch: Batch) -> Any:
        calls.append(1)
        if how == "killed" and len(calls) == 3:
            raise KeyboardInterrupt
        found = whole(self, batch)
        torch.save({name: gate.detach() for name, gate in self.gates.items()}, folder / f"gates-{os.environ['RANK']}.pt")
        return found

    MetaBinStep.meta_update = watched  # pyright: ignore[reportAttributeAccessIssue]
    config = replace(SMALL, save_every_steps=1, batch_size=8, meta_batch_size=12, milestones=(1,))
    towns = pickle.loads((folder / "towns.pickle").read_bytes())
    train(config, towns, folder / run, workers=0, resume=how == "resumed", device="cpu")


SHARED = replace(SMALL, base_statistics="eval", meta_train_statistics="eval", meta_test_statistics="eval", batch_size=24)


def shared_updates(rows: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """The network after a base update, and after a meta update, on these rows of three domains of two people of four images."""
    random = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (24, 3, 64, 32), dtype=torch.uint8, generator=random)[rows]
    batch = Batch(inputs, rows // 4, rows * 0, rows * 0, rows)
    found = {}
    for update in ("base", "meta"):
        step = MetaBinStep(replace(SHARED, meta_batch_size=24), build_model(SHARED, 6), torch.arange(24) // 8, CPU)
        step.clock.steps_per_epoch = 4
        (step.base_update if update == "base" else step.meta_update)(batch)
        found[update] = {name: value.clone() for name, value in step.model.state_dict().items()}
        del step
    return found


def test_the_best_epoch_on_held_out_source_people_can_be_kept(towns: ReidData, tmp_path: Path):
    people = replace(towns, query=Split(), gallery=Split())
    config = replace(
        SMALL, validation=0.5, select="best", evaluate_every=0, epochs=3, meta=False, norm="batch", gate_init="one",
        meta_batch_size=80, meta_train_domains=3, first_base_updates=10, batch_size=4,
    )  # fmt: skip
    path = train(config, people, tmp_path / "run", workers=0)
    facts, weights = read_artefact(path)
    assert len(facts.label_map) == 3 and "3 source people were held out for validation" in facts.notes
    maps = [row["map"] for row in load_history(tmp_path / "run").evaluations]
    assert len(maps) == 3 and not (tmp_path / "run" / "gates.jsonl").exists()
    steps = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))
    best = torch.load(steps[0], weights_only=True)
    assert best["epoch"] - 1 == int(np.argmax(maps)) or len(steps) == 1
    assert all(torch.equal(weights[name], best["state"]["model"][name]) for name in weights)


def test_the_loader_gives_further_base_batches_before_the_first_meta_batch_only(towns: ReidData):
    loader = make_loader(replace(SMALL, first_base_updates=7), towns.train, towns.train.label_map(), 0)
    steps = list(loader.epoch(0))
    assert [len(step) for step in steps] == [8] + [2] * (len(loader) - 1)
    assert all(len(step) == 2 for step in loader.epoch(1))
    first = [tuple(batch.indices.tolist()) for batch in (steps[0][0], *steps[0][2:])]
    assert len(set(first)) > 1 and first[0] not in first[1:]  # the ten first base updates are not one batch twice
    again = list(loader.epoch(0, 1))
    for one, other in zip(steps[1:], again, strict=True):
        assert all(torch.equal(a.indices, b.indices) and torch.equal(a.inputs, b.inputs) for a, b in zip(one, other, strict=True))
    domains = {record.domain: i for i, record in enumerate(towns.train)}
    for _, meta in loader.epoch(1):
        shown = [towns.train[int(i)].domain for i in meta.indices]
        assert {shown.count(domain) for domain in domains} == {4}


def test_a_domain_of_too_few_people_is_named_as_what_it_is(towns: ReidData, colours: ReidData):
    few = Split(tuple(record for record in towns.train if record.domain != "c" or record.pid % 2))
    with pytest.raises(UsageError, match=r"a batch takes 2 people of each domain; c has fewer\. Lower meta_batch_size"):
        make_loader(replace(SMALL, batch_size=8), few, few.label_map(), 0)
    cameras = replace(SMALL, domains="cameras", meta_train_domains=1, meta_batch_size=8)
    few = Split(tuple(record for record in colours.train if record.camid != 1 or record.pid == colours.train[0].pid))
    with pytest.raises(UsageError, match=r"a batch takes 2 people of each domain; camera 2 of colours has fewer"):
        make_loader(cameras, few, few.label_map(), 0)


def test_cameras_are_domains_where_asked_for(colours: ReidData):
    config = replace(SMALL, domains="cameras", meta_train_domains=1, meta_batch_size=8)
    loader = make_loader(config, colours.train, colours.train.label_map(), 0)
    _, meta = next(iter(loader.epoch(1)))
    assert sorted(meta.camids.tolist()) == [0] * 4 + [1] * 4


CHANGED = {
    "backbone": "osnet_x0_5", "weights": "nowhere.pth", "norm": "bin-shared", "gate_init": "zero", "height": 96,
    "width": 48, "flip": 0.1, "pad_px": 4, "color_jitter": True, "domains": "cameras", "batch_size": 8, "meta_batch_size": 6,
    "images_per_identity": 3, "first_base_updates": 3, "meta": False, "meta_train_domains": 1, "second_order": True,
    "gate_lr": 0.2,
    "inner_rates": (0.01, 0.02), "inner_period": 2, "base_statistics": "hold", "meta_train_statistics": "general",
    "meta_test_statistics": "eval", "label_smoothing": 0.0, "margin": 0.0, "shuffle": 0.5, "scatter": 0.0,
    "meta_classification": True, "lr": 0.02, "momentum": 0.5, "weight_decay": 0.0, "epochs": 3, "milestones": (1,),
    "warmup_epochs": 1.0, "precision": "bf16", "validation": 0.5, "select": "best", "seed": 1,
}  # fmt: skip
ELSEWHERE = {
    "epochs": "fit counts them", "evaluate_every": "passed to fit",
    "save_every_steps": "tested with resume", "keep_every": "passed to fit",
    "validation": "tested above", "select": "tested above", "last_stride": "osnet has none; a field of model_config",
}  # fmt: skip


def what_acts(config: Config, towns: ReidData) -> object:
    """Everything that an option can change, as one comparable value."""
    loader = make_loader(config, towns.train, towns.train.label_map(), 0)
    order = [loader.base.sampler.epoch(0), loader.meta and loader.meta.sampler.epoch(0), loader.count]
    step = MetaBinStep(config, build_model(config, 6), torch.arange(24) // 8, CPU)
    step.clock.steps_per_epoch = 4
    random = torch.Generator().manual_seed(0)
    size = (config.height, config.width)
    rows = torch.arange(0, 24, 2)
    batch = Batch(torch.randint(0, 256, (12, 3, *size), dtype=torch.uint8, generator=random), rows // 4, rows * 0, rows * 0, rows)
    found = step((batch, batch) if config.meta else batch)
    groups = [{k: v for k, v in g.items() if k != "params"} for o in step.optimizers.values() for g in o.param_groups]
    moved = {name: float(value.double().abs().sum()) for name, value in step.model.state_dict().items()}
    rates = [config.schedule()(epoch / 2) for epoch in range(10)]
    return (
        order,
        groups,
        {name: float(value) for name, value in found.items()},
        moved,
        rates,
        augmentation(config),
        model_config(config),
        preprocess(config),
    )


@pytest.fixture(scope="module")
def unchanged(towns: ReidData) -> object:
    return what_acts(SMALL, towns)


@pytest.mark.parametrize("name", [f.name for f in fields(Config) if f.name not in ELSEWHERE])
def test_every_option_acts(name: str, towns: ReidData, unchanged: object):
    config = replace(SMALL, **{name: CHANGED[name]}) if name != "meta" else Config(**{**plain_small(), "meta": False})
    if name == "images_per_identity":
        config = replace(config, meta_batch_size=18)
    if name == "meta_batch_size":
        towns = replace(towns, train=Split(towns.train.records + tuple(replace(r, pid=r.pid + 50) for r in towns.train)))
        config = replace(config, meta_batch_size=24)
        base = replace(SMALL, meta_batch_size=12)
        assert next(len(meta) for _, meta in make_loader(config, towns.train, towns.train.label_map(), 0).epoch(1)) == 24
        assert next(len(meta) for _, meta in make_loader(base, towns.train, towns.train.label_map(), 0).epoch(1)) == 12
        return
    if name == "domains":
        config = replace(config, meta_batch_size=24)
        with pytest.raises(UsageError, match="a batch takes 2 people"):  # six cameras of two people: too few at 2 x 2 x 6
            what_acts(replace(config, meta_batch_size=24, images_per_identity=2, meta_train_domains=2), towns_of_one(towns))
        return
    if name == "weights":
        with pytest.raises(PasserbyError, match=r"nowhere\.pth"):
            what_acts(config, towns)
        return
    assert what_acts(config, towns) != unchanged


def test_without_a_change_nothing_changes(towns: ReidData, unchanged: object):
    assert what_acts(SMALL, towns) == unchanged


def towns_of_one(towns: ReidData) -> ReidData:
    """As `towns`, each camera showing one person."""

    def keep(record: Record) -> bool:
        return record.camid == record.pid % 2

    return replace(towns, train=towns.train.where(keep))


def refused(text: str, **options) -> None:
    with pytest.raises(UsageError) as caught:
        Config(**options)
    assert text in str(caught.value)


def test_options_that_cannot_be_are_refused(towns: ReidData, colours: ReidData):
    refused('norm "half" has no gates for a meta update to learn: take norm bin, or --no-meta.', norm="half")
    refused("inner_rates are 0.2 and 0.1: give the least and the largest factor", inner_rates=(0.2, 0.1))
    refused("lr is 0.0, gate_lr 0.1: both must be above 0.", lr=0.0)
    refused("second_order is True, but it acts only with meta updates.", meta=False, second_order=True)
    refused("gate_lr is 0.3, but it acts only with norm bin or bin-shared.", meta=False, norm="batch", gate_lr=0.3)
    refused("select is best, but it acts only with validation above 0.", select="best")
    refused("validation is 1.0: allowed is 0 or more, and below 1.", validation=1.0)
    refused("the list of decay epochs is (7, 4)", milestones=(7, 4))
    labels = colours.train.label_map()
    with pytest.raises(UsageError, match="come from one domain, two are the least: try --domains cameras, or --no-meta"):
        make_loader(SMALL, colours.train, labels, 0)
    with pytest.raises(UsageError, match=r"meta_train_domains is 3 of 3 domains: .* Give 1 to 2\."):
        make_loader(replace(SMALL, meta_train_domains=3), towns.train, towns.train.label_map(), 0)
    with pytest.raises(DataError, match=r"gates\.jsonl is not there: only runs with batch-instance norms record gates"):
        read_gates(Path("nowhere"))


def test_gates_of_later_epochs_are_dropped_when_a_run_goes_back(tmp_path: Path):
    from passerby.models.norms.gate_history import record_gates

    layer = BatchInstanceNorm2d(4, init="half")
    for epoch in (0, 1, 2, 1):
        record_gates(tmp_path, epoch, layer)
    assert [state.epoch for state in read_gates(tmp_path)] == [0, 1]
    assert json.loads((tmp_path / "gates.jsonl").read_text().splitlines()[0])["histogram"]["gate"][10] == 4
