"""CMC and ROC curves of one or several runs on the same queries."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from passerby.embeddings import QueryGallery
from passerby.errors import UsageError
from passerby.metrics import MARKET1501, Convention, RetrievalScores
from passerby.metrics.verification import roc, valid_pairs
from passerby.plots.headings import counts, measured_on, notes_of
from passerby.plots.style import FAINT, check_format, head_and_foot, line_of, look, percent_axis, save_figure

__all__ = ["plot_cmc", "plot_roc", "thinned"]

_LEAST_RATE = 1e-4
_POINTS = 400  # of a drawn ROC curve


def plot_cmc(
    runs: Mapping[str, RetrievalScores],
    out: str | os.PathLike[str],
    *,
    top: int = 20,
    title: str = "",
    dpi: int = 130,
) -> dict[str, list[float]]:
    """Draw Rank-k over k: the share of queries with a right answer among the first k.

    Args:
        runs: scores by the name of the run, all under one convention.
        out: PNG, PDF, SVG or JPG to write.
        top: largest k.
        title: what was measured on what.
        dpi: dots an inch.

    Returns:
        Rank-1 to Rank-`top` of each run, fractions.

    Raises:
        UsageError: no run, several conventions, a rank that was not kept, or a suffix that cannot be written.
    """
    check_format(out, dpi)
    if not runs:
        raise UsageError("no run to draw: give scores of one or more.")
    convention = _one_convention(runs)
    for name, scores in runs.items():
        if not 2 <= top <= len(scores.cmc):
            raise UsageError(f"top is {top}: give 2 to {len(scores.cmc)}, the ranks that {name} kept.")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with look():
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        axes = figure.subplots()
        ranks = np.arange(1, top + 1)
        for number, (name, scores) in enumerate(runs.items()):
            marks = {"marker": "o", "markersize": 3} if top <= 20 else {}
            axes.plot(ranks, scores.cmc[:top], label=f"{name}: Rank-1 {scores.rank(1):.1%}", **line_of(number), **marks)
        axes.set_xlim(0.5, top + 0.5)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("k")
        axes.set_ylabel("Rank-k")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        percent_axis(axes.yaxis)
        axes.legend(loc="lower right", fontsize=8, handlelength=3.4)
        notes = tuple(dict.fromkeys(note for scores in runs.values() for note in scores.notes))
        first = next(iter(runs.values()))
        head_and_foot(figure, title or "found among the first k", counts(first) + "; " + convention.in_words(), *notes)
        save_figure(figure, out, dpi=dpi)
    return {name: scores.cmc[:top].tolist() for name, scores in runs.items()}


def plot_roc(
    runs: Mapping[str, QueryGallery],
    out: str | os.PathLike[str],
    *,
    convention: Convention = MARKET1501,
    title: str = "",
    dpi: int = 130,
) -> dict[str, float]:
    """Draw the share of pairs of one person that are accepted over the share of pairs of two people that are.

    Args:
        runs: query and gallery by the name of the run.
        out: PNG, PDF, SVG or JPG to write.
        convention: says which pairs of a query and a gallery image count.
        title: what was measured on what; default: from the embeddings.
        dpi: dots an inch.

    Returns:
        The area under each curve: how often a pair of one person is nearer than a pair of two people.

    Raises:
        UsageError: no run, more pairs than memory should hold, or a suffix that cannot be written.
        EmbeddingsError: vectors that cannot be compared, or no pair of one kind.
    """
    check_format(out, dpi)
    if not runs:
        raise UsageError("no run to draw: give embeddings of one or more.")
    from matplotlib.figure import Figure

    areas: dict[str, float] = {}
    parts = [part for sets in runs.values() for part in (sets.query, sets.gallery)]
    with look():
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        axes = figure.subplots()
        told = ""
        for number, (name, sets) in enumerate(runs.items()):
            similarities, same = valid_pairs(sets.query, sets.gallery, convention)
            false, true = roc(similarities, same)
            areas[name] = float(((false[1:] - false[:-1]) * (true[1:] + true[:-1]) / 2).sum())
            axes.plot(*thinned(false, true), label=f"{name}: area {areas[name]:.3f}", **line_of(number))
            told = told or f"{int(same.sum()):,} pairs of one person, {int((~same).sum()):,} of two"
        rates = np.geomspace(_LEAST_RATE, 1, 60)
        axes.plot(rates, rates, color=FAINT, linewidth=0.8, label="by chance")
        axes.set_xscale("log")
        axes.set_xlim(_LEAST_RATE, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("pairs of two people that are accepted (false positive rate)")
        axes.set_ylabel("pairs of one person accepted")
        percent_axis(axes.yaxis)
        axes.legend(loc="upper left", fontsize=8, handlelength=3.4)
        heading = title or " · ".join(part for part in ("same person or not", measured_on(*parts)) if part)
        head_and_foot(figure, heading, told + ", by cosine similarity", *notes_of(parts))
        save_figure(figure, out, dpi=dpi)
    return areas


def thinned(false: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve of many points by at most `_POINTS`, evenly spread over the logarithm of the rate."""
    if len(false) <= _POINTS:
        return false, true
    wanted = np.geomspace(max(false[false > 0].min(), 1e-9), 1, _POINTS)
    last = np.searchsorted(false, wanted, side="right") - 1
    kept = np.unique(np.concatenate([[0], [int(np.searchsorted(false, 0, side="right")) - 1], last, [len(false) - 1]]))
    return false[kept], true[kept]


def _one_convention(runs: Mapping[str, RetrievalScores]) -> Convention:
    conventions = {scores.convention for scores in runs.values()}
    if len(conventions) > 1:
        said = " / ".join(sorted(convention.in_words() for convention in conventions))
        raise UsageError(f"the runs were scored by {len(conventions)} conventions ({said}): take one for all.")
    return conventions.pop()
