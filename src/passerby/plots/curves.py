"""Training curves: loss, accuracy and evaluation of one run, or of several over each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from passerby.configs import read_yaml
from passerby.errors import DataError, UsageError, listing
from passerby.plots.style import COLOURS, check_format, line_of, look, percent_axis, save_figure
from passerby.training.history import History, load_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_curves", "short_names"]

_NO_LOSS = {"loss", "accuracy", "seconds", "images_per_s", "step", "epoch", "kind"}
_RETRIEVAL = {"map": "mAP", "rank1": "Rank-1", "minp": "mINP"}
_ERRORS = {"val_error": "validation error"}


def plot_curves(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    names: Sequence[str] = (),
    title: str = "",
    dpi: int = 130,
) -> None:
    """Draw what runs have logged. One run also shows the parts of its loss; several share axes, a colour and a line
    style each, with a panel for each number of the evaluation.

    Args:
        runs: run folders, as training makes them.
        out: PNG, PDF, SVG or JPG to write.
        names: what to call the runs; default: as little of their paths as tells them apart.
        title: heading; default: what is drawn of whom.
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
        figure = _figure(dict(zip(called, histories, strict=True)), title or _heading(called, runs))
        save_figure(figure, out, dpi=dpi)


def _heading(called: Sequence[str], runs: Sequence[str | os.PathLike[str]]) -> str:
    """Who was trained, and on what where the runs' settings say so and agree."""
    files = [Path(run) / "config.yaml" for run in runs]
    data = {str(read_yaml(file).get("dataset", "")) if file.is_file() else "" for file in files}
    on = data.pop() if len(data) == 1 else ""
    return "training of " + " · ".join(called) + (f" on {on}" if on else "")


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
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    panels: list[Callable[[Axes, dict[str, History]], None]] = [_loss, _accuracy, *_evaluations(runs)]
    figure = Figure(figsize=(3.55 * len(panels), 3.3), layout="constrained")
    figure.suptitle(title, fontweight="bold", fontsize=12, x=0.008, ha="left")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, runs)
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(runs) > 1:
        keys = [Line2D([], [], **line_of(number)) for number in range(len(runs))]
        figure.legend(keys, list(runs), loc="outside lower center", ncols=min(4, len(runs)), handlelength=3.4)
    return figure


def _evaluations(runs: dict[str, History]) -> list[Callable[[Axes, dict[str, History]], None]]:
    """Panels of what the evaluation logged: of one run all of a kind together, of several runs each number by itself."""
    logged = {name for history in runs.values() for line in history.evaluations for name in line}
    panels = []
    for wanted, title in ((_RETRIEVAL, "search, queries in gallery"), (_ERRORS, "held-out images")):
        names = [name for name in wanted if name in logged]
        groups = [names] if len(runs) == 1 else [[name] for name in names]
        for group in filter(None, groups):
            heading = title if len(runs) == 1 else f"{wanted[group[0]]}, {title}"
            panels.append(partial(_evaluation, wanted={name: wanted[name] for name in group}, title=heading))
    return panels


def _loss(axes: Axes, runs: dict[str, History]) -> None:
    axes.set_title("training loss")
    for number, history in enumerate(runs.values()):
        if len(runs) == 1:
            axes.plot(*_epochs(history, "step", "loss"), color=COLOURS[0], alpha=0.25, linewidth=0.9)
        axes.plot(*_epochs(history, "epoch", "loss"), label="sum", marker=_marker(history), **line_of(number))
    parts = _parts(next(iter(runs.values()))) if len(runs) == 1 else []
    for place, name in enumerate(parts, 1):
        (history,) = runs.values()
        axes.plot(*_epochs(history, "epoch", name), linewidth=1.2, label=name, **line_of(place))
    if parts:
        axes.legend(fontsize=8, handlelength=3)
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
        axes.plot(*_epochs(history, "epoch", "accuracy"), marker=_marker(history), **line_of(number))
    _percent(axes)


def _evaluation(axes: Axes, runs: dict[str, History], *, wanted: dict[str, str], title: str) -> None:
    for number, history in enumerate(runs.values()):
        for place, (name, said) in enumerate(wanted.items()):
            epochs, values = _epochs(history, "evaluation", name)
            if epochs:
                style = line_of(place if len(runs) == 1 else number)
                axes.plot(epochs, values, label=f"{said} {values[-1]:.1%}", marker="o", markersize=3.5, **style)
    axes.legend(fontsize=8, loc="upper left", handlelength=3)
    axes.set_title(title)
    _percent(axes)


def _percent(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    percent_axis(axes.yaxis)
