"""One look for all pictures. Nothing here depends on a screen, and nothing is set for the whole process."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.errors import UsageError, nearest
from passerby.files import replacing

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "FAINT",
    "HATCHES",
    "INK",
    "LINES",
    "MAP_COLOURS",
    "MARKERS",
    "RIGHT",
    "WRONG",
    "check_format",
    "head_and_foot",
    "line_of",
    "look",
    "percent_axis",
    "save_figure",
]

INK, FAINT = "#1d2733", "#6b7684"
RIGHT, WRONG = "#1a7f4b", "#c8372d"  # also told apart by line style and sign, for print in grey and for the colour-blind
COLOURS = ("#2463a8", "#d9822b", "#1a7f4b", "#8a4fa3", "#b03a48", "#5b6b7a", "#a68a1f", "#2a9d9d")
LINES: tuple[Any, ...] = (
    "solid", (0, (5, 1.6)), (0, (1, 1.3)), (0, (6, 1.4, 1.2, 1.4)),
    (0, (2.5, 1)), (0, (8, 2)), (0, (4, 1.2, 1, 1.2, 1, 1.2)), (0, (1, 3)),
)  # fmt: skip
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo", "----", "++")
MARKERS = "osD^vPX*"
MAP_COLOURS = "cividis"  # its lightness grows evenly, so that a grey print says the same
FORMATS = ("png", "pdf", "svg", "jpg")

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#b6bec8",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "svg.hashsalt": "passerby",  # the same numbers give the same file
}

_MOST_DPI = 2400


@contextmanager
def look() -> Iterator[None]:
    """The settings of all pictures, only inside the `with` block."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):  # pyright: ignore[reportArgumentType]
        yield


def line_of(number: int) -> dict[str, Any]:
    """Colour and line style of the n-th series from 0; eight differ in both, so that a grey print tells them apart too."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)]}


def percent_axis(axis: Axis) -> None:
    """Write fractions as whole percent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def head_and_foot(figure: Figure, title: str, *sentences: str) -> None:
    """What was measured on what, in bold above a figure with constrained layout; under it how, and what must be said."""
    inches = figure.get_size_inches()[0]
    figure.suptitle(textwrap.fill(title, int(inches * 9.5)), fontweight="bold", fontsize=12, x=0.008, ha="left")
    lines = [line for text in sentences if text for line in textwrap.wrap(text, int(inches * 17.5))]
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=7.5, color=FAINT, x=0.008, ha="left", linespacing=1.4)


def check_format(path: str | os.PathLike[str], dpi: int = 130) -> str:
    """The format that a picture's suffix asks for. To be called before the work that the picture takes.

    Raises:
        UsageError: no such format, or `dpi` below 1 or above 2,400.
    """
    if not 1 <= dpi <= _MOST_DPI:
        raise UsageError(f"dpi is {dpi}: give 1 to {_MOST_DPI}.")
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(f'"{path}" has the suffix ".{suffix}". {nearest(suffix, FORMATS)}')
    return suffix


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 130) -> None:
    """Write a figure whole or not at all, in the format of its suffix.

    Raises:
        UsageError: no such format.
    """
    suffix = check_format(path, dpi)
    # A date would make every run's file differ; only these formats write one.
    metadata = {"Software": "passerby"} if suffix == "png" else {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=dpi, metadata=metadata)
