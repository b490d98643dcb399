"""`fit`: the loop around any recipe's step."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from passerby.errors import ArtefactError, TrainingError, UsageError, listing
from passerby.progress import meter
from passerby.training import random_state
from passerby.training.checkpoints import Checkpoints, Stateful, check_config, check_entries, check_plain, load_state, state_of
from passerby.training.contracts import EpochLoader, Evaluate, Saving, StepFunction
from passerby.training.distributed import everyone, mean_over_processes, world
from passerby.training.finite import batch_tensors, numbers, stop_if_not_finite
from passerby.training.history import HISTORY_FILE, History, HistoryWriter, load_history
from passerby.training.schedules import Clock, LrSchedule

__all__ = ["fit"]

DRY_BATCHES = 2
_DEFAULT_SAVING = Saving()


def fit(
    step: StepFunction,
    loader: EpochLoader,
    *,
    epochs: int,
    run_dir: str | os.PathLike[str],
    state: Mapping[str, Stateful],
    schedules: Sequence[LrSchedule] = (),
    clock: Clock | None = None,
    evaluate: Evaluate | None = None,
    evaluate_every: int = 1,
    before_epoch: Callable[[int], None] | None = None,
    after_epoch: Callable[[int], None] | None = None,
    saving: Saving = _DEFAULT_SAVING,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    free_keys: Collection[str] = (),
    names: Sequence[str] | None = None,
    device: torch.device | str = "cpu",
    log_every: int = 10,
    tensorboard: bool = True,
    quiet: bool = False,
) -> History:
    """Train: epochs, rates, logs, evaluations, checkpoints and exact resume around one step function.

    Before the first step the evaluation runs on two batches, and the state is checked to fit into a checkpoint, so that
    neither can end the run hours later. Evaluations leave random generators and training modes as they found them.

    Args:
        step: batch -> scalars by name, the same names in every process; owns forward, backward and update. The first key is
            what progress shows (the total loss, by custom).
        loader: batches; see `EpochLoader`. Under torchrun each process passes the loader of its own share.
        epochs: epochs in all, those before a resume included.
        run_dir: folder for ``checkpoints/``, ``history.jsonl`` and ``tensorboard/``.
        state: everything that changes while training, by name: model, optimizers, `Precision`, averages, memories.
        schedules: rates, set before every step.
        clock: where the run stands, for step functions that need to know; `fit` moves it.
        evaluate: metrics of the present model; see `Evaluate`.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated.
        before_epoch: called with the 0-based epoch before its first batch, but not when a resume enters the middle of an
            epoch: what it makes must be in `state`.
        after_epoch: called with the 0-based epoch after its last batch and before its evaluation (weight averaging).
        saving: when checkpoints are written, and which stay.
        resume: go on from the newest checkpoint in `run_dir`; with none there the run starts from its beginning.
        config: JSON-able configuration; a resume with another one is refused.
        free_keys: dotted keys of `config` that may differ at a resume because no number depends on them.
        names: one file name a position of the training split, for messages.
        device: where batches go; anything with ``.to(device)``, and tuples and lists of such, is moved.
        log_every: steps between two ``step`` lines of the history.
        tensorboard: also write TensorBoard events.
        quiet: no line an epoch and no progress on stderr.

    Returns:
        The history of the whole run, that of before a resume included.

    Raises:
        UsageError: a number out of range, a used run folder without `resume`, another configuration or loader than at the
        first start.
        TrainingError: a loss that is not finite; a state that cannot be saved; a loader that yields another number of batches
        than it says.
        ArtefactError: a damaged checkpoint.
    """
    steps_per_epoch = _checked(loader, epochs, evaluate_every, log_every)
    run = _Run(
        step, loader, epochs, Path(run_dir), dict(state), tuple(schedules), clock or Clock(), evaluate, evaluate_every,
        before_epoch, after_epoch, saving, dict(config or {}), tuple(free_keys), names, torch.device(device), log_every, quiet,
    )  # fmt: skip
    run.clock.steps_per_epoch, run.clock.epochs = steps_per_epoch, epochs
    run.begin(resume)
    if world().first:
        run.dir.mkdir(parents=True, exist_ok=True)
        run.writer = HistoryWriter(run.dir, run.clock.step, evaluated=not run.awaits_evaluation, tensorboard=tensorboard)
        run.tell_of_gaps()
    try:
        run.all_epochs()
    finally:
        if run.writer is not None:
            run.writer.close()
    return load_history(run.dir) if world().first else History()


def _checked(loader: EpochLoader, epochs: int, evaluate_every: int, log_every: int) -> int:
    for what, value in (("epochs", epochs), ("evaluate_every", evaluate_every), ("log_every", log_every)):
        if value < 1:
            raise UsageError(f"{what} is {value}: it counts, so 1 is the least.")
    if len(loader) == 0:
        raise UsageError("the loader has no batch: fewer training images than one batch needs. Use a smaller batch.")
    return len(loader)


@dataclass
class _Run:
    step: StepFunction
    loader: EpochLoader
    epochs: int
    dir: Path
    state: dict[str, Stateful]
    schedules: tuple[LrSchedule, ...]
    clock: Clock
    evaluate: Evaluate | None
    evaluate_every: int
    before_epoch: Callable[[int], None] | None
    after_epoch: Callable[[int], None] | None
    saving: Saving
    config: dict[str, Any]
    free_keys: tuple[str, ...]
    names: Sequence[str] | None
    device: torch.device
    log_every: int
    quiet: bool
    writer: HistoryWriter | None = None
    sums: dict[str, float] = field(default_factory=dict)
    images: int = 0
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)

    @property
    def awaits_evaluation(self) -> bool:
        """Whether all steps of the epoch in progress are done, so that only its evaluation is left."""
        return self.clock.step == (self.clock.epoch + 1) * self.clock.steps_per_epoch

    def begin(self, resume: bool) -> None:
        """Check what can be checked before the first step, and go to where the run left off."""
        for name, part in state_of(self.state).items():
            check_plain(dict(part), name)
        check_plain(self.config, "config")
        checkpoints = Checkpoints(self.dir)
        newest = checkpoints.latest()
        if newest is not None and not resume:
            raise UsageError(f"{self.dir} already holds a run ({newest.name}): resume it (--resume), or choose another folder.")
        self._dry_evaluation()
        if newest is not None:
            self._restore(checkpoints.load(newest), newest)
        self.say(f"{self.dir}: " + (f"going on after step {self.clock.step}" if newest else "a new run"))

    def _dry_evaluation(self) -> None:
        if self.evaluate is None:
            if self.saving.best is not None:
                raise UsageError(f'saving.best is "{self.saving.best}", but there is no evaluation that could measure it.')
            return
        found = self._evaluated(DRY_BATCHES)
        if self.saving.best is not None and self.saving.best not in found:
            raise UsageError(f'saving.best is "{self.saving.best}"; the evaluation measures {listing(sorted(found), 10)}.')

    def _evaluated(self, max_batches: int | None = None) -> dict[str, float]:
        assert self.evaluate is not None
        modules = [m for part in self.state.values() if isinstance(part, nn.Module) for m in part.modules()]
        modes = [module.training for module in modules]
        with random_state.preserved():
            found = self.evaluate(max_batches)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        wrong = [name for name, value in found.items() if not isinstance(value, (int, float))]
        if wrong:
            raise TrainingError(f"the evaluation must return plain numbers by name; {listing(wrong)} are none.")
        return {name: float(value) for name, value in found.items()}

    def _restore(self, content: dict[str, Any], path: Path) -> None:
        check_entries(path, content)
        check_config(content["config"], self.config, self.free_keys)
        before, now = content["shape"], self._shape()
        if before != now:
            raise UsageError(
                f"{path.name} was made with {_told(before)}; now there are {_told(now)}: the data or the number of processes "
                "has changed. Resume with what the run was started with, or start a new run in another folder."
            )
        load_state(self.state, content["state"])
        self.clock.step, self.clock.epoch = content["step"], content["epoch"]
        self.sums, self.images, self.seconds = content["sums"], content["images"], content["seconds"]
        self.best = content["best"]
        try:
            random_state.restore(content["random"][world().rank])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{path} holds random states that no generator takes: it is damaged.") from error

    def tell_of_gaps(self) -> None:
        """Say which finished epochs the history lacks: the numbers of the run do not hang on it, its curves do."""
        logged = {line["epoch"] for line in load_history(self.dir).epochs}
        finished = self.clock.epoch + self.awaits_evaluation
        gone = [epoch for epoch in range(1, finished + 1) if epoch not in logged]
        if gone:
            self.say(
                f"{self.dir}: {HISTORY_FILE} lacks the lines of epochs {listing(gone)}; curves will lack them, nothing else does"
            )

    def _shape(self) -> dict[str, int]:
        return {"epochs": self.epochs, "batches an epoch": self.clock.steps_per_epoch, "processes": world().size}

    def all_epochs(self) -> None:
        """Every epoch that is left."""
        total = self.epochs * self.clock.steps_per_epoch
        with meter("training", total - self.clock.step, "steps") as shown:
            advance = (lambda: None) if self.quiet or not world().first else shown.advance
            while self.clock.epoch < self.epochs:
                self._one_epoch(advance)

    def _one_epoch(self, advance: Callable[[], None]) -> None:
        epoch, length = self.clock.epoch, self.clock.steps_per_epoch
        start = self.clock.step - epoch * length
        if start == length:  # saved before an evaluation that did not end
            self._end_epoch(epoch)
            return
        if start == 0 and self.before_epoch is not None:
            self.before_epoch(epoch)
        seen = start
        began = time.monotonic()
        for batch in self.loader.epoch(epoch, start):
            if seen == length:
                raise TrainingError(f"epoch {epoch + 1} of the loader has more than the {length} batches that it announces.")
            began = self._one_step(batch, began)
            advance()
            seen += 1
            if self.saving.every_steps and self.clock.step % self.saving.every_steps == 0 and seen < length:
                self.save()
                began = time.monotonic()
        if seen != length:
            raise TrainingError(f"epoch {epoch + 1} of the loader ended after {seen} of the {length} batches that it announces.")
        if self.after_epoch is not None:
            self.after_epoch(epoch)
        self._close_epoch(epoch)

    def _one_step(self, batch: Any, began: float) -> float:
        for schedule in self.schedules:
            schedule.apply(self.clock.step / self.clock.steps_per_epoch)
        batch = _moved(batch, self.device)
        terms = self._agreed(numbers(self.step(batch)), batch)
        self.clock.step += 1
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.images += _images(batch) * world().size
        if self.writer is not None and self.clock.step % self.log_every == 0:
            self.writer.write("step", self.clock.step, self.clock.epoch + 1, {**terms, **self._rates()})
        now = time.monotonic()
        self.seconds += now - began
        return now

    def _agreed(self, own: dict[str, float], batch: Any) -> dict[str, float]:
        """The terms as means over all processes. If one is not finite anywhere, all stop; none waits for one that is gone."""
        terms = mean_over_processes(own, self.device)
        if not all(math.isfinite(value) for value in terms.values()):
            stop_if_not_finite(own, batch, self.clock.step, self.dir, self.names, world().rank)
            raise TrainingError(f"another process met a loss that is not finite at step {self.clock.step + 1}; see its message.")
        return terms

    def _rates(self) -> dict[str, float]:
        return {name: rate for schedule in self.schedules for name, rate in schedule.rates().items()}

    def _close_epoch(self, epoch: int) -> None:
        length = self.clock.steps_per_epoch
        means = {name: total / length for name, total in self.sums.items()}
        speed = {"seconds": self.seconds, "images_per_s": self.images / max(self.seconds, 1e-9)}
        if self.writer is not None:
            self.writer.write("epoch", self.clock.step, epoch + 1, {**means, **self._rates(), **speed})
        self.sums, self.images, self.seconds = {}, 0, 0.0
        if self._evaluates(epoch):
            self.save()  # an evaluation that fails must not cost the epoch
        found = self._end_epoch(epoch)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in {**means, **found}.items())
        self.say(f"epoch {epoch + 1}/{self.epochs}  {shown}  ({speed['images_per_s']:.0f} images/s)")

    def _evaluates(self, epoch: int) -> bool:
        return self.evaluate is not None and (epoch + 1 == self.epochs or (epoch + 1) % self.evaluate_every == 0)

    def _end_epoch(self, epoch: int) -> dict[str, float]:
        """Evaluate and save, where due; a resume after a failed evaluation starts here."""
        found: dict[str, float] = {}
        if evaluates := self._evaluates(epoch):
            found = self._evaluated()
            if self.writer is not None:
                self.writer.write("evaluation", self.clock.step, epoch + 1, found)
        self._remember_best(found)
        self.clock.epoch += 1
        by_steps = self.saving.every_steps is not None and self.clock.step % self.saving.every_steps == 0
        if evaluates or by_steps or epoch + 1 == self.epochs or (epoch + 1) % self.saving.every_epochs == 0:
            self.save()
        return found

    def _remember_best(self, found: Mapping[str, float]) -> None:
        name = self.saving.best
        if name is not None and name in found and found[name] > self.best.get("value", float("-inf")):
            self.best = {"value": found[name], "step": self.clock.step}

    def save(self) -> None:
        """Write a checkpoint of this moment and remove those that need not stay."""
        states = everyone(random_state.capture())
        if not world().first:
            return
        content = {
            "passerby": version("passerby"), "config": self.config, "shape": self._shape(), "step": self.clock.step,
            "epoch": self.clock.epoch, "sums": self.sums, "images": self.images, "seconds": self.seconds, "best": self.best,
            "state": state_of(self.state), "random": states,
        }  # fmt: skip
        checkpoints = Checkpoints(self.dir)
        checkpoints.save(self.clock.step, content)
        keep = {int(self.best["step"])} if self.best else set()
        if self.saving.keep_every:
            period = self.saving.keep_every * self.clock.steps_per_epoch
            keep |= {step for step in checkpoints.steps() if step % period == 0}
        checkpoints.prune(keep)

    def say(self, line: str) -> None:
        """One line for whoever watches."""
        if not self.quiet and world().first:
            print(line, file=sys.stderr, flush=True)


def _told(shape: Mapping[str, int]) -> str:
    return ", ".join(f"{value} {name}" for name, value in shape.items())


def _images(batch: Any) -> int:
    """How many a batch has; a batch of several, as a joined loader makes them, has those of all."""
    if type(batch) in (list, tuple) and not any(isinstance(part, torch.Tensor) for part in batch):
        return sum(map(_images, batch))
    first = next(iter(batch_tensors(batch).values()), None)
    return 0 if first is None else len(first)


def _moved(batch: Any, device: torch.device) -> Any:
    if type(batch) in (list, tuple):
        return type(batch)(_moved(part, device) for part in batch)
    return batch.to(device) if hasattr(batch, "to") else batch
