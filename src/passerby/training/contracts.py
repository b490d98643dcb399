"""What `fit` asks of the parts that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from passerby.errors import UsageError

__all__ = ["EpochLoader", "Evaluate", "Saving", "StepFunction"]

StepFunction = Callable[[Any], Mapping[str, "float | Tensor"]]
"""Batch -> scalars by name; owns forward, backward and update."""


class EpochLoader(Protocol):
    """Batches as a pure function of (seed, epoch, position): what `batches.TrainLoader` is."""

    def __len__(self) -> int:
        """Batches an epoch, the same in every epoch."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterable[Any]:
        """The batches of the 0-based epoch `number` from the 0-based batch `start` on."""
        ...


class Evaluate(Protocol):
    """Measures the model; every process calls it, and the first process's result counts."""

    def __call__(self, max_batches: int | None = None) -> Mapping[str, float]:
        """Metrics as fractions by name; with `max_batches` of so many batches of each part only."""
        ...


@dataclass(frozen=True)
class Saving:
    """When checkpoints are written, and which stay.

    Attributes:
        every_epochs: a checkpoint after every so many epochs; the last epoch always gets one.
        every_steps: also one after every so many steps; None for none.
        keep_every: of the checkpoints at ends of epochs, those of every so many epochs stay; None keeps only the last (and
            the best).
        best: name of the evaluation's metric whose highest value marks the checkpoint that stays. Only for metrics of
            validation data: choosing by test data makes the published number meaningless. None selects nothing.
    """

    every_epochs: int = 1
    every_steps: int | None = None
    keep_every: int | None = None
    best: str | None = None

    def __post_init__(self) -> None:
        for name in ("every_epochs", "every_steps", "keep_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"saving.{name} is {value}: it counts, so 1 is the least.")
