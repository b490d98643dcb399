"""Training curves: loss, accuracy and evaluation of one run, or of several over each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.errors import DataError, UsageError, listing
from passerby.plots.style import COLOURS, FAINT, check_format, look, save_figure
from passerby.training.history import History, load_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_curves", "short_names"]

_NO_LOSS = {"loss", "accuracy", "seconds", "images_per_s", "step", "epoch", "kind"}
_RETRIEVAL = {"map": ("mAP", "solid"), "rank1": ("Rank-1", (0, (4, 1.6))), "minp": ("mINP", (0, (1, 1.4)))}
_ERRORS = {"val_error": ("validation error", "solid")}


def plot_curves(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    names: Sequence[str] = (),
    title: str = "",
    dpi: int = 130,
) -> None:
    """Draw what runs have logged. One run also shows the parts of its loss; several share one axis, a colour each.

    Args:
        runs: run folders, as training makes them.
        out: PNG, PDF, SVG or JPG to write.
        names: what to call the runs; default: as little of their paths as tells them apart.
        title: heading; default: the names.
        dpi: dots an inch.

    Raises:
        UsageError: no run, a run twice, names that do not count up, or a suffix that cannot be written.
        DataError: a folder without history, or a run that has not finished an epoch.
    """
    check_format(out, dpi)
    if not runs:
        raise UsageError("no run to draw: give one or more run folders.")
    if len({Path(run).resolve() for run in runs}) < len(runs):
        raise UsageError(f"a run is given twice: {listing(runs)}. Leave one out.")
    if names and len(names) != len(runs):
        raise UsageError(f"{len(names)} names for {len(runs)} runs: give one name a run, or none.")
    called = list(names) or short_names([Path(run) for run in runs])
    histories = [load_history(run) for run in runs]
    early = [str(run) for run, history in zip(runs, histories, strict=True) if not history.epochs]
    if early:
        raise DataError(f"{listing(early)}: no epoch is finished yet, there is nothing to draw. Wait, or look at history.jsonl.")
    with look():
        figure = _figure(dict(zip(called, histories, strict=True)), title or " · ".join(called))
        save_figure(figure, out, dpi=dpi)


def short_names(runs: list[Path]) -> list[str]:
    """The last parts of the paths, as few as keep them apart."""
    whole = [path.resolve().parts for path in runs]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in runs]


def _epochs(history: History, kind: str, name: str) -> tuple[list[float], list[float]]:
    """Epoch (a fraction within one) and value of one measured name."""
    per_epoch = history.epochs[0]["step"] / history.epochs[0]["epoch"]
    steps, values = history.column(kind, name)
    return [step / per_epoch for step in steps], values


def _figure(runs: dict[str, History], title: str) -> Figure:
    from matplotlib.figure import Figure

    panels = [_loss, _accuracy] + [panel for panel in (_retrieval, _validation) if any(_has(h, panel) for h in runs.values())]
    figure = Figure(figsize=(3.55 * len(panels), 3.3), layout="constrained")
    figure.suptitle(title, fontweight="bold", fontsize=12, x=0.008, ha="left")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, runs)
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(runs) > 1:
        from matplotlib.lines import Line2D

        keys = [Line2D([], [], color=_colour(number)) for number in range(len(runs))]
        figure.legend(keys, list(runs), loc="outside lower center", ncols=min(4, len(runs)))
    return figure


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _has(history: History, panel: object) -> bool:
    wanted = _RETRIEVAL if panel is _retrieval else _ERRORS
    return any(name in line for line in history.evaluations for name in wanted)


def _loss(axes: Axes, runs: dict[str, History]) -> None:
    axes.set_title("training loss")
    for number, history in enumerate(runs.values()):
        if len(runs) == 1:
            axes.plot(*_epochs(history, "step", "loss"), color=_colour(0), alpha=0.25, linewidth=0.9)
        axes.plot(*_epochs(history, "epoch", "loss"), color=_colour(number), label="sum", marker=_marker(history))
    parts = _parts(next(iter(runs.values()))) if len(runs) == 1 else []
    for place, name in enumerate(parts, 1):
        (history,) = runs.values()
        axes.plot(*_epochs(history, "epoch", name), color=_colour(place), linewidth=1.2, label=name)
    if parts:
        axes.legend(fontsize=8)
    axes.set_ylim(bottom=0)


def _parts(history: History) -> list[str]:
    """Names of the terms of the loss: what a step logs beside loss and accuracy, except rates. One term alone is the sum."""
    logged = [name for name in history.epochs[-1] if name not in _NO_LOSS and not name.startswith("lr")]
    return logged if len(logged) > 1 else []


def _marker(history: History) -> str | None:
    return "o" if len(history.epochs) == 1 else None  # a line of one point is invisible


def _accuracy(axes: Axes, runs: dict[str, History]) -> None:
    axes.set_title("accuracy on training batches")
    for number, history in enumerate(runs.values()):
        axes.plot(*_epochs(history, "epoch", "accuracy"), color=_colour(number), marker=_marker(history))
    _percent(axes)


def _evaluation(axes: Axes, runs: dict[str, History], wanted: dict[str, tuple[str, Any]], title: str) -> None:
    from matplotlib.lines import Line2D

    keys = {}
    for number, history in enumerate(runs.values()):
        for name, (said, line) in wanted.items():
            epochs, values = _epochs(history, "evaluation", name)
            if epochs:
                axes.plot(epochs, values, color=_colour(number), linestyle=line, marker="o", markersize=3.5)
                last = f"{said} {values[-1]:.1%}" if len(runs) == 1 else said
                keys[last] = Line2D([], [], color=_colour(0) if len(runs) == 1 else FAINT, linestyle=line)
    axes.legend(list(keys.values()), list(keys), fontsize=8, loc="upper left", handlelength=3)
    axes.set_title(title)
    _percent(axes)


def _retrieval(axes: Axes, runs: dict[str, History]) -> None:
    _evaluation(axes, runs, _RETRIEVAL, "search, queries in gallery")


def _validation(axes: Axes, runs: dict[str, History]) -> None:
    _evaluation(axes, runs, _ERRORS, "held-out images")


def _percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
