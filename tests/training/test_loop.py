import pytest
import torch
from safetensors import safe_open
from torch import nn

from passerby.errors import TrainingError, UsageError
from passerby.training import Saving, fit, load_history
from passerby.training.checkpoints import Checkpoints
from passerby.training.finite import stop_if_not_finite

NAMES = [f"0001_c1s1_{number:06d}_00.jpg" for number in range(64)]


def kept(run_dir):
    return list(Checkpoints(run_dir).steps())


def test_the_evaluation_runs_on_two_batches_before_the_first_step(toy, tmp_path):
    run = toy.Run()

    def evaluate(max_batches=None):
        run.evaluated.append((max_batches, len(run.seen)))
        return {"mAP": 0.5}

    run.fit(tmp_path, evaluate=evaluate)
    assert run.evaluated == [(2, 0), (None, 16), (None, 32), (None, 40)]


def test_a_run_whose_evaluation_fails_ends_before_the_first_step(toy, tmp_path):
    run = toy.Run()

    def evaluate(max_batches=None):
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        run.fit(tmp_path / "run", evaluate=evaluate)
    assert run.seen == []
    assert not (tmp_path / "run").exists()


def test_evaluations_change_neither_the_training_nor_its_mode(toy, tmp_path):
    """The toy's evaluation draws numbers and leaves its model in evaluation mode."""
    often = toy.Run()
    often.fit(tmp_path / "often", evaluate_every=1)
    seldom = toy.Run()
    seldom.fit(tmp_path / "seldom", evaluate=None, saving=Saving())
    assert len(often.evaluated) == 6 and not seldom.evaluated
    for name, value in often.model.state_dict().items():
        assert torch.equal(value, seldom.model.state_dict()[name]), name


def test_the_history_holds_steps_epochs_and_evaluations(toy, tmp_path):
    history = toy.Run().fit(tmp_path, log_every=4)
    assert [line["step"] for line in history.steps] == list(range(4, 41, 4))
    assert [(line["step"], line["epoch"]) for line in history.epochs] == [(8 * e, e) for e in range(1, 6)]
    assert [(line["step"], line["epoch"]) for line in history.evaluations] == [(16, 2), (32, 4), (40, 5)]
    assert set(history.epochs[0]) == {
        "kind",
        "step",
        "epoch",
        "loss",
        "noise",
        "lr_backbone",
        "lr_head",
        "seconds",
        "images_per_s",
    }
    assert history == load_history(tmp_path)


def test_epoch_lines_are_means_over_all_steps(toy, tmp_path):
    history = toy.Run().fit(tmp_path)
    losses = history.column("step", "loss")[1]
    assert history.column("epoch", "loss")[1] == pytest.approx([sum(losses[i : i + 8]) / 8 for i in range(0, 40, 8)])


def test_rates_are_set_before_each_step(toy, tmp_path):
    run = toy.Run()
    rates = run.fit(tmp_path).column("step", "lr_head")[1]
    assert rates == pytest.approx([0.05 * run.rates.schedule(step / 8) for step in range(40)])
    assert rates[0] == pytest.approx(0.005)


def test_the_clock_tells_the_step_where_it_stands(toy, tmp_path):
    run = toy.Run()
    seen = []
    run.tell = lambda step: seen.append((run.clock.step, run.clock.epoch, run.clock.steps_per_epoch, run.clock.epochs))
    run.fit(tmp_path)
    assert seen == [(step, step // 8, 8, 5) for step in range(40)]


def test_callbacks_enclose_each_epoch(toy, tmp_path):
    run = toy.Run()
    calls = []
    run.fit(
        tmp_path,
        before_epoch=lambda epoch: calls.append(("before", epoch, len(run.seen))),
        after_epoch=lambda epoch: calls.append(("after", epoch, len(run.seen))),
        epochs=2,
    )
    assert calls == [("before", 0, 0), ("after", 0, 8), ("before", 1, 8), ("after", 1, 16)]


@pytest.mark.parametrize(
    ("saving", "steps"),
    [
        (Saving(), [40]),
        (Saving(every_epochs=3), [40]),
        (Saving(keep_every=2), [16, 32, 40]),
        (Saving(every_epochs=3, keep_every=3), [24, 40]),
        (Saving(best="mAP"), [16, 40]),
        (Saving(best="mAP", every_epochs=5), [16, 40]),
    ],
)
def test_the_last_the_best_and_every_kth_checkpoint_stay(toy, tmp_path, saving, steps):
    run = toy.Run()
    measured = {0: 0.0, 8: 0.2, 16: 0.9, 24: 0.9, 32: 0.3, 40: 0.5}
    run.fit(tmp_path, evaluate=lambda max_batches=None: {"mAP": measured[len(run.seen)]}, evaluate_every=1, saving=saving)
    assert kept(tmp_path) == steps
    best = Checkpoints.load(Checkpoints(tmp_path).latest())["best"]
    assert best == ({"value": 0.9, "step": 16} if saving.best else {})


def test_checkpoints_come_every_so_many_steps_also_at_the_end_of_an_epoch(toy, tmp_path):
    run = toy.Run()
    found = []
    run.tell = lambda step: found.append(tuple(kept(tmp_path)))
    run.fit(tmp_path, saving=Saving(every_epochs=5, every_steps=4), epochs=2)
    assert found == [*[()] * 4, *[(4,)] * 4, *[(8,)] * 4, *[(12,)] * 4]


def test_a_checkpoint_loads_without_running_code(toy, tmp_path):
    toy.Run().fit(tmp_path, epochs=1)
    content = torch.load(Checkpoints(tmp_path).latest(), weights_only=True)
    assert content["step"] == 8
    assert content["config"] == {"lr": 0.05, "net": {"ids": 5}, "workers": 2}


def test_a_nan_loss_stops_the_run_and_keeps_the_batch(toy, tmp_path):
    run = toy.Run(precision="fp32")
    with pytest.raises(TrainingError) as stopped:
        run.fit(tmp_path, loader=toy.Loader(poisoned=(1, 3)), names=NAMES)
    path = tmp_path / "not-finite-step-00000012.safetensors"
    assert str(stopped.value) == (
        f"loss = nan at step 12: the run stops before this reaches a checkpoint. The batch is in {path} (images "
        f"{', '.join(NAMES[24:29])} and 3 more). Lower the learning rate, or look at these images."
    )
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == {"inputs", "labels", "camids", "domains", "indices"}
        assert file.get_tensor("indices").tolist() == list(range(24, 32))
        assert file.metadata() == {"terms": "loss = nan", "step": "12"}
    assert all(torch.isfinite(v).all() for v in Checkpoints.load(Checkpoints(tmp_path).latest())["state"]["model"].values())


def test_an_infinite_term_is_named_among_finite_ones(tmp_path):
    batches = [(torch.zeros(4, 3), {"indices": torch.arange(4)})]

    class Loader:
        def __len__(self):
            return 1

        def epoch(self, number, start=0):
            return batches

    with pytest.raises(TrainingError, match=r"triplet = inf at step 1: .*\(images number 0, 1, 2, 3\)"):
        fit(lambda batch: {"ce": 1.0, "triplet": torch.tensor(float("inf"))}, Loader(), epochs=1, run_dir=tmp_path, state={})
    with safe_open(tmp_path / "not-finite-step-00000001.safetensors", "pt") as file:
        assert set(file.keys()) == {"0", "1.indices"}


class Sized:
    """A loader that announces one number of batches and yields another."""

    def __init__(self, announced, yielded):
        self.announced, self.yielded = announced, yielded

    def __len__(self):
        return self.announced

    def epoch(self, number, start=0):
        yield from (torch.zeros(2) for _ in range(start, self.yielded))


def run_with(loader=None, tmp_path=None, **options):
    given = {"epochs": 1, "run_dir": tmp_path, "state": {}, "quiet": True, "tensorboard": False}
    return fit(lambda batch: {"loss": 1.0}, Sized(3, 3) if loader is None else loader, **(given | options))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs is 0: it counts, so 1 is the least."),
        ({"evaluate_every": 0}, "evaluate_every is 0: it counts, so 1 is the least."),
        ({"log_every": 0}, "log_every is 0: it counts, so 1 is the least."),
        ({"loader": Sized(0, 0)}, "the loader has no batch: fewer training images than one batch needs. Use a smaller batch."),
        ({"saving": Saving(best="mAP")}, 'saving.best is "mAP", but there is no evaluation that could measure it.'),
        (
            {"saving": Saving(best="mAP"), "evaluate": lambda max_batches=None: {"rank1": 0.1, "map": 0.1}},
            'saving.best is "mAP"; the evaluation measures map, rank1.',
        ),
    ],
)
def test_wrong_calls_are_refused_before_the_first_step(options, text, tmp_path):
    with pytest.raises(UsageError) as refused:
        run_with(tmp_path=tmp_path, **options)
    assert str(refused.value) == text


@pytest.mark.parametrize("name", ["every_epochs", "every_steps", "keep_every"])
def test_saving_counts_from_one(name):
    with pytest.raises(UsageError, match=f"saving.{name} is 0: it counts, so 1 is the least."):
        Saving(**{name: 0})


@pytest.mark.parametrize(
    ("yielded", "text"),
    [
        (2, "epoch 1 of the loader ended after 2 of the 3 batches that it announces."),
        (4, "epoch 1 of the loader has more than the 3 batches that it announces."),
    ],
)
def test_a_loader_that_miscounts_is_an_error(tmp_path, yielded, text):
    with pytest.raises(TrainingError, match=text):
        run_with(Sized(3, yielded), tmp_path)


def test_an_evaluation_that_returns_no_numbers_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match=r"the evaluation must return plain numbers by name; mAP are none."):
        run_with(tmp_path=tmp_path, evaluate=lambda max_batches=None: {"mAP": torch.tensor(0.5)})


def test_a_state_that_no_checkpoint_can_hold_is_an_error_before_the_first_step(tmp_path):
    import numpy as np

    class Memory:
        def state_dict(self):
            return {"rows": [np.zeros(3)]}

        def load_state_dict(self, state):
            raise AssertionError

    with pytest.raises(TrainingError, match=r"memory\['rows'\]\[0\] is a ndarray: a checkpoint holds tensors, numbers"):
        run_with(tmp_path=tmp_path, state={"memory": Memory()})


def test_tuples_of_batches_are_moved_to_the_device(tmp_path):
    class Pairs(Sized):
        def epoch(self, number, start=0):
            return [(torch.zeros(2), [torch.ones(2)])] * 3

    seen = []

    def step(batch):
        seen.append((batch[0].device.type, batch[1][0].device.type))
        return {"loss": 1.0}

    fit(step, Pairs(3, 3), epochs=1, run_dir=tmp_path, state={}, device="meta", tensorboard=False, quiet=True)
    assert seen == [("meta", "meta")] * 3


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        ({"inputs": torch.zeros(3, 2), "labels": torch.zeros(3)}, 3),
        ((torch.zeros(3, 2), torch.zeros(3)), 3),  # images and labels: one batch
        (({"inputs": torch.zeros(3, 2)}, {"inputs": torch.zeros(5, 2)}), 8),  # two batches beside each other
        (({"inputs": torch.zeros(3, 2)}, ({"inputs": torch.zeros(5, 2)}, [torch.zeros(4)])), 12),
        ("no tensor", 0),
    ],
)
def test_all_images_of_a_joint_batch_count_for_the_speed(tmp_path, batch, count):
    class Same(Sized):
        def epoch(self, number, start=0):
            return [batch] * len(self)

    history = fit(lambda batch: {"loss": 1.0}, Same(4, 4), epochs=1, run_dir=tmp_path, state={}, tensorboard=False, quiet=True)
    line = history.epochs[0]
    assert line["images_per_s"] * line["seconds"] == pytest.approx(4 * count)


def test_it_says_what_happens_unless_it_is_quiet(toy, tmp_path, capfd):
    toy.Run().fit(tmp_path, epochs=1, quiet=False, tensorboard=True)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"{tmp_path}: a new run"
    assert lines[1].startswith("epoch 1/1  loss ") and " mAP " in lines[1] and lines[1].endswith(" images/s)")
    assert list((tmp_path / "tensorboard").iterdir())
    toy.Run().fit(tmp_path, epochs=1, quiet=True, resume=True)
    assert capfd.readouterr().err == ""


def test_the_step_may_return_tensors_of_any_scalar_kind(tmp_path):
    terms = {"a": torch.tensor([2.0]), "b": torch.tensor(3, dtype=torch.int64), "c": nn.Parameter(torch.tensor(0.5)), "d": 4}
    history = fit(
        lambda batch: terms, Sized(1, 1), epochs=1, run_dir=tmp_path, state={}, log_every=1, tensorboard=False, quiet=True
    )
    assert {name: history.steps[0][name] for name in terms} == {"a": 2.0, "b": 3.0, "c": 0.5, "d": 4.0}


def test_only_the_first_of_several_batches_is_named_by_the_training_files(tmp_path):
    batch = ({"indices": torch.tensor([1])}, {"indices": torch.tensor([0, 7])})
    with pytest.raises(TrainingError, match=r"safetensors \(images b.jpg\)"):
        stop_if_not_finite({"loss": float("nan")}, batch, 0, tmp_path, ["a.jpg", "b.jpg"])
