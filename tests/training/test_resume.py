"""A run that is killed and resumed equals the uninterrupted one, bit for bit."""

import multiprocessing
import os
import random
import runpy
import signal
from pathlib import Path

import pytest
import torch

from passerby.errors import ArtefactError, UsageError
from passerby.training.checkpoints import Checkpoints
from passerby.training.history import load_history

TIMES = {"seconds", "images_per_s"}


def assert_same(left, right, where="checkpoint"):
    """Equal to the last bit, whatever the nesting."""
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert list(left) == list(right), where
        for key in left:
            assert_same(left[key], right[key], f"{where}[{key!r}]")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for number, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    else:
        assert left == right, where


def outcome(run_dir):
    """All that a finished run leaves, without the clock on the wall."""
    content = Checkpoints.load(Checkpoints(run_dir).latest())
    content.pop("seconds")
    lines = [{name: value for name, value in line.items() if name not in TIMES} for line in load_history(run_dir).lines]
    return content, lines


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole")
    toy.Run().fit(run_dir)
    return outcome(run_dir)


def test_the_toy_uses_all_that_must_be_brought_back(uninterrupted, toy):
    content, lines = uninterrupted
    assert set(content["state"]) == {"model", "optimizer", "precision", "moving", "average", "queue"}
    assert content["step"] == toy.STEPS * toy.EPOCHS
    assert content["state"]["average"]["n_averaged"] == 2
    assert len([line for line in lines if line["kind"] == "step"]) == toy.STEPS * toy.EPOCHS
    assert [line["epoch"] for line in lines if line["kind"] == "evaluation"] == [2, 4, 5]


class StopError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 8, 19, 33])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_stopped_anywhere_and_resumed_is_the_same_run(toy, tmp_path, at, optimizer):
    toy.Run(optimizer=optimizer).fit(tmp_path / "whole")
    run = toy.Run(optimizer=optimizer)

    def stop(step):
        if step == at:
            raise StopError

    run.tell = stop
    with pytest.raises(StopError):
        run.fit(tmp_path / "parts")
    again = toy.Run(seed=99 if at > 3 else 0, optimizer=optimizer)  # what the checkpoint brings back must not hang on the seed
    again.fit(tmp_path / "parts", resume=True)
    assert again.seen[0] == max(step for step in (*range(0, 40, 3), 16, 32) if step <= at)
    assert_same(outcome(tmp_path / "parts"), outcome(tmp_path / "whole"))


@pytest.mark.parametrize("logged", [False, True])
def test_an_evaluation_that_fails_does_not_cost_the_epoch(toy, tmp_path, uninterrupted, logged):
    run = toy.Run()
    plain = run.evaluate

    def fails(max_batches=None):
        if max_batches is None:
            raise StopError
        return plain(max_batches)

    with pytest.raises(StopError):
        run.fit(tmp_path, evaluate=fails)
    if logged:  # killed between the line of the evaluation and the checkpoint after it
        with (tmp_path / "history.jsonl").open("a") as file:
            file.write('{"kind": "evaluation", "step": 16, "epoch": 2, "mAP": 0.5}\n')
    again = toy.Run(seed=99)
    again.fit(tmp_path, resume=True)
    assert again.seen[0] == 16 and again.evaluated == [2, None, None, None]
    assert_same(outcome(tmp_path), uninterrupted)


def start(run_dir, script):
    """A process of its own. The fork server has torch loaded and has computed nothing, so that a start takes little time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["passerby.training", "torch"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=runpy.run_path, args=(str(script), {"TELL": theirs, "RUN_DIR": run_dir}, "toy process"))
    process.start()
    theirs.close()
    return process, ours


def kill_at(process, ours, step):
    """Send SIGKILL as soon as the process has said that it has reached `step`; where exactly it dies is up to the machine."""
    try:
        while ours.recv() < step:
            pass
    except EOFError:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_at_random_steps_and_resumed_equals_the_uninterrupted_one(toy, uninterrupted, tmp_path):
    threads = torch.get_num_threads()
    points = sorted(random.Random().sample(range(toy.STEPS * toy.EPOCHS - 2), 4))
    script = Path(toy.__file__)
    killed = sum(kill_at(*start(tmp_path, script), point) for point in points)
    assert killed >= 3, f"only {killed} of the kills at {points} met a living process"
    process, ours = start(tmp_path, script)
    process.join(60)
    ours.close()
    assert process.exitcode == 0
    if threads != 1:  # the other run must have had the same number of threads
        torch.set_num_threads(1)
        toy.Run().fit(tmp_path / "whole")
        torch.set_num_threads(threads)
        uninterrupted = outcome(tmp_path / "whole")
    assert_same(outcome(tmp_path), uninterrupted, f"killed at {points}: ")
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert not [name for name in left if name.startswith(".")], "a killed write has left its temporary file"


def test_resume_in_an_empty_folder_starts_from_the_beginning(toy, tmp_path, uninterrupted):
    toy.Run().fit(tmp_path, resume=True)
    assert_same(outcome(tmp_path), uninterrupted)


def test_a_finished_run_that_is_resumed_stays_as_it_is(toy, tmp_path, uninterrupted):
    toy.Run().fit(tmp_path)
    again = toy.Run(seed=3)
    history = again.fit(tmp_path, resume=True)
    assert again.seen == []
    assert len(history.steps) == toy.STEPS * toy.EPOCHS
    assert_same(outcome(tmp_path), uninterrupted)


def test_before_epoch_is_not_repeated_when_a_resume_enters_an_epoch(toy, tmp_path):
    run = toy.Run()

    def stop(step):
        if step == 12:
            raise StopError

    run.tell = stop
    with pytest.raises(StopError):
        run.fit(tmp_path)
    begun = []
    toy.Run().fit(tmp_path, resume=True, before_epoch=begun.append)
    assert begun == [2, 3, 4]


def test_a_used_folder_needs_resume(toy, tmp_path):
    toy.Run().fit(tmp_path, epochs=1)
    with pytest.raises(
        UsageError, match=r"already holds a run \(step-00000008.pt\): resume it \(--resume\), or choose another folder."
    ):
        toy.Run().fit(tmp_path)


def test_another_configuration_is_refused_by_its_keys(toy, tmp_path):
    toy.Run().fit(tmp_path)
    config = {"lr": 0.1, "net": {"ids": 5, "width": 3}, "workers": 7}
    with pytest.raises(UsageError) as refused:
        toy.Run().fit(tmp_path, resume=True, config=config)
    assert str(refused.value) == (
        "the run was started with another configuration: lr was 0.05 and is 0.1, net.width was absent and is 3. "
        "Resume with the old values, or start a new run in another folder."
    )


def test_another_loader_or_length_is_refused(toy, tmp_path):
    toy.Run().fit(tmp_path)
    with pytest.raises(
        UsageError, match="was made with 5 epochs, 8 batches an epoch, 1 processes; now there are 5 epochs, 7 batches"
    ):
        toy.Run().fit(tmp_path, resume=True, loader=toy.Loader(7))
    with pytest.raises(UsageError, match="now there are 9 epochs"):
        toy.Run().fit(tmp_path, resume=True, epochs=9)


def test_another_set_of_parts_is_refused(toy, tmp_path):
    toy.Run().fit(tmp_path)
    run = toy.Run()
    del run.state["queue"]
    with pytest.raises(
        UsageError, match="the checkpoint holds the state of average, model, moving, optimizer, precision and 1 more"
    ):
        run.fit(tmp_path, resume=True)


def one_epoch(toy, run_dir):
    toy.Run().fit(run_dir, epochs=1)
    path = Checkpoints(run_dir).latest()
    return path, Checkpoints.load(path)


DAMAGED = [
    (lambda c: c.pop("state"), "lacks state, or holds something else there: it is damaged. Remove it"),
    (lambda c: (c.pop("random"), c.update(step="5")), "lacks step, random, or holds something else there"),
    (lambda c: c["random"].append({}), "holds random states of 2 processes: it is damaged."),
    (lambda c: c["random"][0].pop("torch"), "holds random states that no generator takes: it is damaged."),
    (lambda c: c["state"]["queue"].clear(), 'the state of "queue" in the checkpoint does not fit this run: '),
    (
        lambda c: c["state"]["model"].update({key: value[:1] for key, value in c["state"]["model"].items() if value.ndim}),
        'the state of "model" in the checkpoint does not fit this run: Error(s) in loading state_dict',
    ),
]


@pytest.mark.parametrize(("damage", "text"), DAMAGED, ids=[text[:40] for _, text in DAMAGED])
def test_a_checkpoint_that_does_not_fit_is_one_line(toy, tmp_path, damage, text):
    path, content = one_epoch(toy, tmp_path)
    damage(content)
    torch.save(content, path)
    with pytest.raises(ArtefactError) as refused:
        toy.Run().fit(tmp_path, epochs=1, resume=True)
    assert text in str(refused.value) and "\n" not in str(refused.value)


def test_a_run_whose_history_was_removed_goes_on_and_says_what_is_gone(toy, tmp_path, uninterrupted, capfd):
    run = toy.Run()

    def stop(step):
        if step == 19:
            raise StopError

    run.tell = stop
    with pytest.raises(StopError):
        run.fit(tmp_path)
    (tmp_path / "history.jsonl").unlink()
    capfd.readouterr()
    toy.Run().fit(tmp_path, resume=True, quiet=False)
    assert f"{tmp_path}: history.jsonl lacks the lines of epochs 1, 2; curves will lack them" in capfd.readouterr().err
    content, lines = outcome(tmp_path)
    assert_same(content, uninterrupted[0])
    step = next(line["step"] for line in lines)
    assert lines == [line for line in uninterrupted[1] if line["step"] >= step] and 16 < step <= 19


def test_a_whole_history_is_not_spoken_of(toy, tmp_path, capfd):
    one_epoch(toy, tmp_path)
    toy.Run().fit(tmp_path, epochs=1, resume=True, quiet=False)
    assert "lacks" not in capfd.readouterr().err
