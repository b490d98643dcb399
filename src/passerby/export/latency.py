"""How fast a network is on this machine, in torch and exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Speed", "interleaved", "speeds", "torch_pass"]

_SECONDS, _FEWEST = 1.5, 5


@dataclass(frozen=True)
class Speed:
    """How fast one form is at one batch size.

    Attributes:
        form: what ran.
        batch: images a pass.
        milliseconds: median of a pass.
        images_per_s: from that.
    """

    form: str
    batch: int
    milliseconds: float
    images_per_s: float


def speeds(forms: Mapping[str, Callable[[int], Callable[[], object]]], batches: Sequence[int] = (1, 16)) -> list[Speed]:
    """Time several forms of a network, the passes of all of them mixed, so that a load on the machine meets all alike.

    Args:
        forms: name -> what makes, for a batch size, the function that is timed.
        batches: images a pass.
    """
    found = []
    for batch in batches:
        medians = interleaved({name: make(batch) for name, make in forms.items()})
        found += [Speed(name, batch, 1000 * seconds, batch / seconds) for name, seconds in medians.items()]
    return found


def interleaved(
    passes: Mapping[str, Callable[[], object]],
    *,
    seconds: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each function, run in turns until each has run for `seconds`.

    Args:
        passes: name -> function.
        seconds: of each, at the least five runs; None: one and a half.
        clock: seconds; `time.process_time` on a busy machine, with one thread.
    """
    seconds = _SECONDS if seconds is None else seconds
    for run in [*passes.values()] * 2:
        run()
    taken: dict[str, list[float]] = {name: [] for name in passes}
    while any(sum(each) < seconds or len(each) < _FEWEST for each in taken.values()):
        for name, run in passes.items():
            if sum(taken[name]) < seconds or len(taken[name]) < _FEWEST:
                began = clock()
                run()
                taken[name].append(clock() - began)
    return {name: float(np.median(each)) for name, each in taken.items()}


def torch_pass(
    network: torch.nn.Module, made: Callable[[int], Tensor], context: Callable[[int], Any]
) -> Callable[[int], Callable[[], object]]:
    """What times a network, for `speeds`.

    Args:
        network: in evaluation mode; an exported one too.
        made: the input of a batch of this size.
        context: in which a batch of this size is passed through it.
    """

    def of(batch: int) -> Callable[[], object]:
        x = made(batch)

        def run() -> object:
            with torch.inference_mode(), context(batch):
                return network(x)

        return run

    return of
