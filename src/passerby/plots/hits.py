"""What a search in a gallery found, as a sheet of crops."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from passerby.gallery.rows import clock
from passerby.plots.style import FAINT, INK, RIGHT, WRONG, look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from passerby.gallery import Hit

__all__ = ["plot_hits"]

_COLUMNS = 10
_WIDE, _HIGH, _TEXT, _GAP, _EDGE = 0.95, 1.9, 0.62, 0.12, 0.15  # inches
_LOOKS = {"same": (RIGHT, "solid"), "unsure": (FAINT, (0, (1, 1.3))), "different": (WRONG, (0, (5, 1.6))), None: (INK, "solid")}


def plot_hits(
    shown: Sequence[Image.Image], hits: Sequence[tuple[Hit, Image.Image | None]], out: str | os.PathLike[str], *, dpi: int = 130
) -> None:
    """Draw what was searched for, and the hits in order.

    Args:
        shown: crops of the person that was searched for, at most as many as a line holds.
        hits: each with its crop; None where the gallery keeps none.
        out: PNG, PDF, SVG or JPG to write.
        dpi: dots an inch.

    Raises:
        UsageError: no such format.
    """
    from matplotlib.figure import Figure

    lines = 1 + -(-len(hits) // _COLUMNS)
    width = _COLUMNS * (_WIDE + _GAP) + 2 * _EDGE
    height = lines * (_HIGH + _TEXT) + 2 * _EDGE
    with look():
        figure = Figure(figsize=(width, height))

        def place(line: int, column: int) -> Axes:
            x, y = _EDGE + column * (_WIDE + _GAP), height - _EDGE - line * (_HIGH + _TEXT) - _HIGH
            return figure.add_axes((x / width, y / height, _WIDE / width, _HIGH / height))

        for column, image in enumerate(shown[:_COLUMNS]):
            axes = place(0, column)
            _crop(axes, image, INK, "solid")
            _words(axes, "searched for", "", "", INK)
        for number, (hit, image) in enumerate(hits):
            axes = place(1 + number // _COLUMNS, number % _COLUMNS)
            colour, line = _LOOKS[hit.word]
            _crop(axes, image, colour, line)
            _words(axes, f"{number + 1}  {hit.similarity:.2f} {hit.word or ''}", _where(hit), hit.note or "", colour)
        save_figure(figure, out, dpi=dpi)


def _where(hit: Hit) -> str:
    when = hit.sighting.time
    return f"{_short(hit.sighting.camera, 18)}\n{'' if when is None else clock(when, '%m-%d %H:%M:%S')}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _crop(axes: Axes, image: Image.Image | None, colour: str, line: str | tuple) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    if image is None:
        axes.text(0.5, 0.5, "no crop\nkept", transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=8)
    else:
        axes.imshow(np.asarray(image), aspect="auto", interpolation="lanczos")
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=2.2, linestyle=line, capstyle="butt")


def _words(axes: Axes, first: str, second: str, note: str, colour: str) -> None:
    style = {"transform": axes.transAxes, "ha": "center", "va": "top", "parse_math": False}
    axes.text(0.5, -0.03, first, fontsize=7.5, fontweight="bold", color=colour, **style)
    axes.text(0.5, -0.11, second, fontsize=6.5, color=FAINT, linespacing=1.35, **style)
    if note:
        axes.text(0.5, -0.245, _short(note, 34), fontsize=5, color=WRONG, **style)
