"""`fit`: the loop around any recipe's step."""

from __future__ import annotations

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

from passerby.errors import TrainingError, UsageError, listing
from passerby.progress import meter
from passerby.training import random_state
from passerby.training.checkpoints import Checkpoints, Stateful, check_config, check_plain, load_state, state_of
from passerby.training.contracts import EpochLoader, Evaluate, Saving, StepFunction
from passerby.training.distributed import any_process, everyone, world
from passerby.training.finite import batch_tensors, numbers, stop_if_not_finite
from passerby.training.history import History, HistoryWriter, load_history
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
        step: batch -> scalars by name; owns forward, backward and update. The first key is what progress shows (the total
            loss, by custom).
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
        run.writer = HistoryWriter(run.dir, run.clock.step, tensorboard=tensorboard)
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

    def begin(self, resume: bool) -> None:
        """Check what can be checked before the first step, and go to where the run left off."""
        for name, part in state_of(self.state).items():
            check_plain(dict(part), name)
        check_plain(self.config, "config")
        checkpoints = Checkpoints(self.dir)
        newest = checkpoints.latest()
        if newest is not None and not resume:
            raise UsageError(f"{self.dir} already holds a run ({newest.name}): resume it, or choose another folder.")
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
        random_state.restore(content["random"][world().rank])

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
        terms = numbers(self.step(batch))
        self._stop_together(terms, batch)
        self.clock.step += 1
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        first = next(iter(batch_tensors(batch).values()), None)
        self.images += (len(first) if first is not None else 0) * world().size
        if self.writer is not None and self.clock.step % self.log_every == 0:
            self.writer.write("step", self.clock.step, self.clock.epoch + 1, {**terms, **self._rates()})
        now = time.monotonic()
        self.seconds += now - began
        return now

    def _stop_together(self, terms: Mapping[str, float], batch: Any) -> None:
        finite = all(abs(value) < float("inf") for value in terms.values())
        if any_process(not finite, self.device):
            stop_if_not_finite(terms, batch, self.clock.step, self.dir, self.names, world().rank)
            raise TrainingError(f"another process met a loss that is not finite at step {self.clock.step + 1}; see its message.")

    def _rates(self) -> dict[str, float]:
        return {name: rate for schedule in self.schedules for name, rate in schedule.rates().items()}

    def _close_epoch(self, epoch: int) -> None:
        length = self.clock.steps_per_epoch
        means = {name: total / length for name, total in self.sums.items()}
        speed = {"seconds": self.seconds, "images_per_s": self.images / max(self.seconds, 1e-9)}
        if self.writer is not None:
            self.writer.write("epoch", self.clock.step, epoch + 1, {**means, **self._rates(), **speed})
        self.sums, self.images, self.seconds = {}, 0, 0.0
        last = epoch + 1 == self.epochs
        found: dict[str, float] = {}
        if self.evaluate is not None and (last or (epoch + 1) % self.evaluate_every == 0):
            found = self._evaluated()
            if self.writer is not None:
                self.writer.write("evaluation", self.clock.step, epoch + 1, found)
        improved = self._improved(found)
        self.clock.epoch += 1
        by_steps = self.saving.every_steps is not None and self.clock.step % self.saving.every_steps == 0
        if last or improved or by_steps or (epoch + 1) % self.saving.every_epochs == 0:
            self.save()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in {**means, **found}.items())
        self.say(f"epoch {epoch + 1}/{self.epochs}  {shown}  ({speed['images_per_s']:.0f} images/s)")

    def _improved(self, found: Mapping[str, float]) -> bool:
        name = self.saving.best
        if name is None or name not in found or not found[name] > self.best.get("value", float("-inf")):
            return False
        self.best = {"value": found[name], "step": self.clock.step}
        return True

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


def _moved(batch: Any, device: torch.device) -> Any:
    if type(batch) in (list, tuple):
        return type(batch)(_moved(part, device) for part in batch)
    return batch.to(device) if hasattr(batch, "to") else batch
