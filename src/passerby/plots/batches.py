"""What stands in one batch: how many images of each camera, and how many people."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from passerby.errors import UsageError
from passerby.plots.style import COLOURS, HATCHES, INK, check_format, head_and_foot, look, save_figure
from passerby.records import Split

__all__ = ["plot_batches"]

_MOST_BATCHES = 64


def plot_batches(
    split: Split,
    batches: Sequence[Sequence[int]],
    out: str | os.PathLike[str],
    *,
    title: str = "",
    dpi: int = 130,
) -> np.ndarray:
    """Draw how many images of each camera the batches hold, and below how many people, and how many of them across cameras.

    Args:
        split: what the positions count in.
        batches: positions of each batch, for instance ``sampler.epoch(0)``; the first 64 are drawn.
        out: PNG, PDF, SVG or JPG to write.
        title: heading.
        dpi: dots an inch.

    Returns:
        (batches, cameras) counts, the cameras in the order of ``split.cameras``.

    Raises:
        UsageError: no batch, a position beyond the split, or a suffix that cannot be written.
    """
    check_format(out, dpi)
    shown = [np.asarray(batch, dtype=np.int64) for batch in batches[:_MOST_BATCHES]]
    if not shown or not all(len(batch) for batch in shown):
        raise UsageError(f"{len(shown)} batches, of which some may be empty: there is nothing to draw.")
    last = max(int(batch.max()) for batch in shown)
    if last >= len(split):
        raise UsageError(f"a batch holds position {last}, the split has {len(split)} images: the batches are of another split.")
    cameras, numbers = split.cameras, split.camera_numbers
    counts = np.stack([np.bincount(numbers[batch], minlength=len(cameras)) for batch in shown])
    pids = [(record.domain, record.pid) for record in split]
    people = [_people(batch, pids, numbers) for batch in shown]
    _draw(counts, people, _camera_names(cameras), title or "images of each camera in the batches", out, dpi)
    return counts


def _people(batch: np.ndarray, pids: list[tuple[str, int]], numbers: np.ndarray) -> tuple[int, int]:
    """How many people a batch shows, and how many of them in two cameras or more."""
    seen: dict[tuple[str, int], set[int]] = {}
    for position in batch.tolist():
        seen.setdefault(pids[position], set()).add(int(numbers[position]))
    return len(seen), sum(len(cameras) > 1 for cameras in seen.values())


def _camera_names(cameras: tuple[tuple[str, int], ...]) -> list[str]:
    several = len({domain for domain, _ in cameras}) > 1
    return [f"{domain} c{camid}" if several else f"camera {camid}" for domain, camid in cameras]


def _draw(
    counts: np.ndarray, people: list[tuple[int, int]], names: list[str], heading: str, out: str | os.PathLike[str], dpi: int
) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    batches = np.arange(1, len(counts) + 1)
    with look():
        figure = Figure(figsize=(max(5.2, 1.6 + 0.16 * len(counts)), 4.6), layout="constrained")
        top, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
        base = np.zeros(len(counts))
        for number, name in enumerate(names):
            top.bar(
                batches, counts[:, number], bottom=base, width=0.86, label=name, color=COLOURS[number % len(COLOURS)],
                hatch=HATCHES[(number + number // len(COLOURS)) % len(HATCHES)], edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            base += counts[:, number]
        top.set_ylabel("images")
        top.legend(fontsize=7, ncols=1 if len(names) <= 16 else 2, loc="center left", bbox_to_anchor=(1.0, 0.5))
        of, across = np.array(people).T
        below.plot(batches, of, color=INK, label="people", marker="o", markersize=2.5, linewidth=1)
        below.plot(batches, across, color=COLOURS[1], label="in two cameras or more", linestyle="--", marker="s", markersize=2.5)
        below.set_ylim(0, 1.15 * of.max())
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        below.set_ylabel("people")
        below.set_xlabel("batch")
        below.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        share = across.sum() / of.sum()
        head_and_foot(figure, heading, f"In the mean {of.mean():.1f} people a batch, {share:.0%} of them in two cameras or more.")
        save_figure(figure, out, dpi=dpi)
