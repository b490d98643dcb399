"""Learning-rate schedules as pure functions of the epoch, the clock they read, and the published warm-up of the loss.

A schedule maps the position in the run, in epochs (0 before the first step, 0.5 in the middle of the first epoch), to a
factor of the initial learning rate. Because it is a pure function it has no state: a resumed run computes the same factor.

Granularity: `Step` and `MultiStep` change between epochs only; `Cosine` between epochs, or every step with ``per_step=True``;
`WarmUp` every step. `fit` sets the rates before every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch.optim import Optimizer

from passerby.errors import UsageError

__all__ = ["Clock", "Constant", "Cosine", "LossWarmUp", "LrSchedule", "MultiStep", "Schedule", "Step", "WarmUp"]

Schedule = Callable[[float], float]
"""Position in epochs -> factor of the initial learning rate."""


@dataclass
class Clock:
    """Where a run stands; `fit` moves it, a step function may read it.

    Attributes:
        step: optimisation steps finished so far; 0 during the first step.
        epoch: 0-based number of the epoch in progress.
        steps_per_epoch: batches an epoch; 0 until `fit` has seen the loader.
        epochs: epochs in all; 0 until `fit` has started.
    """

    step: int = 0
    epoch: int = 0
    steps_per_epoch: int = 0
    epochs: int = 0


def _require(ok: bool, what: str, value: object, allowed: str) -> None:
    if not ok:
        raise UsageError(f"{what} is {value}: allowed is {allowed}.")


@dataclass(frozen=True)
class Constant:
    """The initial rate throughout."""

    def __call__(self, epoch: float) -> float:
        """The factor at the position `epoch`."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """The rate times `gamma` after every `every` epochs.

    The baseline's published rule is ``Step(2 * epochs // 3)``. Its first version stepped before the epoch instead of after
    it, so that the first decay came one epoch earlier: that is ``MultiStep((every - 1,))``.

    >>> [Step(2)(epoch) for epoch in (0, 1.9, 2, 4)]
    [1.0, 1.0, 0.1, 0.010000000000000002]
    """

    every: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _require(self.every >= 1, "the number of epochs between two decays", self.every, "1 or more")

    def __call__(self, epoch: float) -> float:
        """The factor at the position `epoch`."""
        return self.gamma ** (int(epoch) // self.every)


@dataclass(frozen=True)
class MultiStep:
    """The rate times `gamma` from each of the 0-based epochs `milestones` on."""

    milestones: tuple[int, ...]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        ascending = list(self.milestones) == sorted(set(self.milestones)) and all(m >= 0 for m in self.milestones)
        _require(ascending, "the list of decay epochs", self.milestones, "ascending epoch numbers from 0")

    def __call__(self, epoch: float) -> float:
        """The factor at the position `epoch`."""
        return self.gamma ** sum(milestone <= epoch for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `floor`, reached at the end of epoch `epochs`.

    Between epochs the last epoch still runs above the floor, as in torch's ``CosineAnnealingLR(T_max=epochs)`` stepped once
    an epoch.
    """

    epochs: int
    floor: float = 0.01
    per_step: bool = False

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "the length of the cosine", self.epochs, "1 epoch or more")
        _require(0 <= self.floor <= 1, "the cosine's floor", self.floor, "0 to 1, a fraction of the initial rate")

    def __call__(self, epoch: float) -> float:
        """The factor at the position `epoch`."""
        position = min(epoch if self.per_step else int(epoch), self.epochs)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * position / self.epochs)) / 2


@dataclass(frozen=True)
class WarmUp:
    """A linear rise from `start` to 1 over the first `epochs` epochs, times the schedule `then`."""

    epochs: float
    then: Schedule = Constant()
    start: float = 0.1

    def __post_init__(self) -> None:
        _require(self.epochs >= 0, "the warm-up", self.epochs, "0 epochs or more")
        _require(0 <= self.start <= 1, "the warm-up's first factor", self.start, "0 to 1")

    def __call__(self, epoch: float) -> float:
        """The factor at the position `epoch`."""
        rise = self.start + (1 - self.start) * epoch / self.epochs if epoch < self.epochs else 1.0
        return rise * self.then(epoch)


@dataclass(frozen=True)
class LossWarmUp:
    """The published warm-up, which scales the loss: factor min(1, start + (1 - start) (i + 1) / steps) at the 0-based step i.

    With weight decay and momentum this differs from warming up the rate, and under Adam it hardly acts; prefer `WarmUp`.

    Args:
        steps: length of the rise in steps; published: round(images / batch) * warm-up epochs. That is 0 where a sampler makes its
            batches of the same few images again and again: the rise then takes all of `until`.
        start: factor before the first step.
        until: from this step on the factor is 1; default `steps`. Published: batches an epoch * warm-up epochs, which is smaller
            than `steps` where the division rounds up.
    Source: layumi/Person_reID_baseline_pytorch, train.py.

    >>> [LossWarmUp(9)(step) for step in (0, 4, 8, 9)]
    [0.2, 0.6, 1.0, 1.0]
    """

    steps: int
    start: float = 0.1
    until: int | None = None

    def __post_init__(self) -> None:
        _require(self.steps >= 0, "the loss warm-up", self.steps, "0 steps or more")

    def __call__(self, step: int) -> float:
        """The factor of the loss at the 0-based `step`."""
        end = self.steps if self.until is None else self.until
        if step >= end:
            return 1.0
        return min(1.0, self.start + (1 - self.start) * (step + 1) / (self.steps or end))


class LrSchedule:
    """A schedule at work on an optimizer: every group's rate is its initial rate times the factor."""

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def apply(self, epoch: float) -> None:
        """Set the rates for the position `epoch`."""
        factor = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def rates(self) -> dict[str, float]:
        """The rate of each group by ``lr_NAME``; a group without a name goes by its number."""
        return {f"lr_{group.get('name', number)}": float(group["lr"]) for number, group in enumerate(self.optimizer.param_groups)}
