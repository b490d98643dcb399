"""Search from camera to camera: which pairs are hard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from passerby.errors import UsageError
from passerby.metrics import CameraPairs, RetrievalScores
from passerby.plots.headings import counts
from passerby.plots.style import MAP_COLOURS, check_format, head_and_foot, look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_camera_pairs"]

_MOST_CAMERAS_WITH_NUMBERS = 16


def plot_camera_pairs(scores: RetrievalScores, out: str | os.PathLike[str], *, title: str = "", dpi: int = 130) -> CameraPairs:
    """Draw Rank-1 and mAP of every pair of a query camera and a gallery camera, with the number of queries.

    Args:
        scores: of an evaluation with the whole gallery.
        out: PNG, PDF, SVG or JPG to write.
        title: what was measured on what.
        dpi: dots an inch.

    Returns:
        What was drawn.

    Raises:
        UsageError: a single-shot evaluation, which has no camera pairs, or a suffix that cannot be written.
    """
    check_format(out, dpi)
    pairs = scores.camera_pairs
    if pairs is None:
        raise UsageError("this evaluation has no camera pairs (single gallery shots): take a convention with the whole gallery.")
    from matplotlib.figure import Figure

    rows, columns = pairs.num_queries.shape
    side = 0.52 if max(rows, columns) <= _MOST_CAMERAS_WITH_NUMBERS else 7.2 / max(rows, columns)
    with look():
        size = (2 * max(1.6, columns * side) + 2.4, max(1.4, rows * side) + 1.7)
        figure = Figure(figsize=size, layout="constrained")
        for axes, (name, values) in zip(figure.subplots(1, 2), (("Rank-1", pairs.rank1), ("mAP", pairs.map)), strict=True):
            shown = axes.imshow(values, vmin=0, vmax=1, cmap=MAP_COLOURS, interpolation="nearest")
            axes.set_title(f"{name}, %")
            axes.set_xticks(range(columns), [f"c{camid}" for camid in pairs.gallery_camids])
            axes.set_yticks(range(rows), [f"c{camid}" for camid in pairs.query_camids])
            axes.set_xlabel("gallery camera")
            axes.set_ylabel("query camera")
            axes.grid(False)
            _write_cells(axes, values, pairs.num_queries)
        figure.colorbar(shown, ax=figure.axes, ticks=[0, 0.5, 1], shrink=0.8).ax.set_yticklabels(["0 %", "50 %", "100 %"])
        how = "each cell searches in the images of one camera alone; n is its number of queries; empty: no query"
        head_and_foot(
            figure, title or "from camera to camera", how, counts(scores) + "; " + scores.convention.in_words(), *scores.notes
        )
        save_figure(figure, out, dpi=dpi)
    return pairs


def _write_cells(axes: Axes, values: np.ndarray, queries: np.ndarray) -> None:
    """Numbers in the cells, where there are few enough cells to read them."""
    if max(values.shape) > _MOST_CAMERAS_WITH_NUMBERS:
        return
    for (row, column), value in np.ndenumerate(values):
        if queries[row, column]:
            colour = "white" if value < 0.55 else "#101820"
            text = f"{100 * value:.0f}\nn {queries[row, column]}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour, linespacing=1.1)
