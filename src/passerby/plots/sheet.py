"""Ranking sheets: a query, and what a search found for it, right and wrong at a glance."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from passerby.datasets import read_image
from passerby.embeddings import Embeddings
from passerby.errors import DataError, UsageError, listing
from passerby.metrics import MARKET1501, Convention, RetrievalScores, evaluate
from passerby.metrics.protocols import pool_queries
from passerby.plots.headings import measured_on, notes_of
from passerby.plots.ranking import Junk, RankedQuery, choose_queries, find_queries, rank_query
from passerby.plots.style import FAINT, INK, RIGHT, WRONG, check_format, look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_ranking"]

_SIGN = {"right": "✓", "wrong": "✗", "junk": "–"}
_COLOUR = {"right": RIGHT, "wrong": WRONG, "junk": FAINT}
_LINE = {"right": "solid", "wrong": (0, (2.2, 1.4)), "junk": "dotted"}
_MOSAIC = 4  # images of a multi-query that are shown
_LEFT, _CELL, _GAP, _HIGH, _BETWEEN, _HEAD = 1.28, 0.82, 0.10, 2.14, 0.16, 0.86  # inches


def plot_ranking(
    query: Embeddings,
    gallery: Embeddings,
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    convention: Convention = MARKET1501,
    names: Sequence[str] = (),
    each: int = 3,
    top: int = 10,
    junk: Junk = "drop",
    title: str = "",
    scores: RetrievalScores | None = None,
    multi_query: Embeddings | None = None,
    dpi: int = 130,
) -> RetrievalScores:
    """Draw queries with their ranked gallery images: by default the best, the median and the worst ones.

    With multi-query, the query's place shows up to four of the images that it was pooled from.

    Args:
        query: (Q, D); names are paths below `images`.
        gallery: (G, D), likewise.
        images: folder of the images.
        out: PNG, PDF, SVG or JPG to write.
        convention: which rules rank and count.
        names: draw these queries instead; a name, or the end of one that fits no other.
        each: how many of the best, of the median, of the worst.
        top: gallery images of each query.
        junk: ``drop`` or ``mark`` what the convention takes out.
        title: what was measured on what; default: from the embeddings' meta.
        scores: of these queries under this convention, where they are known already.
        multi_query: further images of the queries' persons, for a convention with multi-query.
        dpi: dots an inch.

    Returns:
        The scores of all queries, which the title names.

    Raises:
        UsageError: numbers out of range, an unknown query, a suffix that cannot be written.
        DataError: an image is not below `images`.
        ImageError: an image cannot be decoded.
    """
    check_format(out, dpi)
    if each < 1 or top < 1:
        raise UsageError(f"each is {each}, top is {top}: both are whole numbers from 1.")
    if convention.shots == "single":
        raise UsageError("a ranking sheet shows one gallery: give a convention without single shots.")
    known = scores if scores is not None else evaluate(query, gallery, convention, multi_query=multi_query)
    searched = query
    if multi_query is not None:
        searched = pool_queries(query, multi_query, convention.multi_query, unit=convention.distance == "cosine")
    groups = {"": find_queries(query, names)} if names else choose_queries(known, each)
    ranked = {
        name: [rank_query(searched, gallery, row, convention, top=top, junk=junk) for row in rows]
        for name, rows in groups.items()
    }
    root = Path(images)
    pooled = {entry.row: _pooled(query, multi_query, entry.row) for group in ranked.values() for entry in group}
    _check_images(root, pooled, gallery, ranked)
    with look():
        figure = _sheet(
            query, gallery, root, ranked, pooled, known, top, title or measured_on(query, gallery) or "ranked gallery"
        )
        save_figure(figure, out, dpi=dpi)
    return known


def _pooled(query: Embeddings, more: Embeddings | None, row: int) -> list[str]:
    """Names of the images that stand for a query: those that are pooled, where there are any, else its own."""
    own = str(query.names[row])
    if more is None:
        return [own]
    of_person = (more.pids == query.pids[row]) & (more.camids == query.camids[row])
    return list(map(str, more.names[of_person])) or [own]


def _check_images(root: Path, pooled: dict[int, list[str]], gallery: Embeddings, ranked: dict[str, list[RankedQuery]]) -> None:
    needed = {name for names in pooled.values() for name in names[:_MOSAIC]}
    needed |= {str(gallery.names[c]) for group in ranked.values() for r in group for c in r.columns}
    missing = sorted(name for name in needed if not name or not (root / name).is_file())
    if missing:
        raise DataError(
            f'{len(missing)} of {len(needed)} images are not below "{root}" ({listing(missing)}): names in the '
            "embeddings are paths below the folder of the data set; give that folder."
        )


def _sheet(
    query: Embeddings,
    gallery: Embeddings,
    root: Path,
    ranked: dict[str, list[RankedQuery]],
    pooled: dict[int, list[str]],
    scores: RetrievalScores,
    top: int,
    heading: str,
) -> Figure:
    from matplotlib.figure import Figure

    rows = sum(map(len, ranked.values()))
    width = _LEFT + (top + 1) * _CELL + 0.34
    letters = int(width * 17)  # of small print in a line
    rules = textwrap.wrap(scores.convention.in_words(), letters)
    notes = [line for note in notes_of([query, gallery]) for line in textwrap.wrap(note, letters)]
    foot = 0.34 + 0.17 * len(notes)
    head = _HEAD + 0.14 * (len(rules) - 1)
    height = head + rows * _HIGH + (len(ranked) - 1) * _BETWEEN + foot
    figure = Figure(figsize=(width, height))

    def write(y: float, text: str, **style: Any) -> None:
        figure.text(0.12 / width, y / height, text, **{"va": "center", **style})

    write(height - 0.26, heading, fontsize=13, fontweight="bold")
    write(height - 0.53, _numbers(scores), fontsize=9)
    for line, text in enumerate(rules):
        write(height - 0.72 - 0.14 * line, text, fontsize=7.5, color=FAINT)
    y = height - head
    for name, group in ranked.items():
        write(y - 0.30, name, fontsize=12, fontweight="bold")
        for entry in group:
            y -= _HIGH
            write(y + _HIGH - 0.58, _about(entry, scores), fontsize=7.5, color=FAINT, va="top", linespacing=1.5)
            _row(figure, y, query, gallery, root, entry, pooled[entry.row])
        y -= _BETWEEN
    write(foot - 0.16, _key(ranked, scores), fontsize=7.5)
    for line, note in enumerate(notes):
        write(foot - 0.34 - 0.17 * line, note, fontsize=7.5, color=FAINT)
    return figure


def _row(
    figure: Figure, y: float, query: Embeddings, gallery: Embeddings, root: Path, entry: RankedQuery, pooled: list[str]
) -> None:
    """One query and what was found for it, on the strip above `y`."""
    width, height = figure.get_size_inches()

    def place(column: int) -> Axes:
        x = _LEFT + column * _CELL + (0.16 if column else 0.0)
        return figure.add_axes((x / width, (y + 0.44) / height, (_CELL - _GAP) / width, (_HIGH - 0.58) / height))

    axes = place(0)
    _show(axes, _mosaic([root / name for name in pooled]))
    _frame(axes, INK, "solid", 1.6)
    _caption(axes, "query" if len(pooled) == 1 else f"{len(pooled)} images", f"camera {query.camids[entry.row]}", INK)
    found = zip(entry.columns, entry.verdicts, entry.ranks, entry.nearness, strict=True)
    for column, (index, verdict, rank, near) in enumerate(found, 1):
        axes = place(column)
        _show(axes, read_image(root / str(gallery.names[index])))
        _frame(axes, _COLOUR[verdict], _LINE[verdict], 2.6)
        _caption(axes, f"{_SIGN[verdict]} {rank or 'junk'}", f"cam {gallery.camids[index]} · {near:.2f}", _COLOUR[verdict])


def _key(ranked: dict[str, list[RankedQuery]], scores: RetrievalScores) -> str:
    unit = "distance" if scores.convention.distance == "euclidean" else "similarity"
    key = f"✓ solid frame: the same person    ✗ dashed frame: somebody else    below each: rank, camera · {unit}"
    junk = any("junk" in entry.verdicts for group in ranked.values() for entry in group)
    return key + ("    – dotted frame: taken out by the convention" if junk else "")


def _numbers(scores: RetrievalScores) -> str:
    summary = scores.summary()
    shown = [f"Rank-1 {summary['rank1']:.1%}", f"mAP {summary['map']:.1%}", f"mINP {summary['minp']:.1%}"]
    return f"{'   '.join(shown)}   ({scores.num_valid} of {scores.num_queries} queries, {scores.num_gallery} gallery images)"


def _about(entry: RankedQuery, scores: RetrievalScores) -> str:
    first = f"first right: {entry.first_rank}" if entry.first_rank else "none right"
    ap = f"AP {scores.ap[entry.row]:.1%}" if entry.matches else "no AP"
    return f"{ap}\n{first}\n{entry.matches} to find\nperson {scores.pids[entry.row]}"


def _mosaic(paths: list[Path]) -> Image.Image:
    """One image, or up to four of the size of the first, two a line."""
    images = [read_image(path) for path in paths[:_MOSAIC]]
    if len(images) == 1:
        return images[0]
    width, height = images[0].size
    whole = Image.new("RGB", (2 * width, 2 * height), "white")
    for place, image in enumerate(images):
        whole.paste(image.resize((width, height)), (place % 2 * width, place // 2 * height))
    return whole


def _show(axes: Axes, image: Image.Image) -> None:
    axes.imshow(np.asarray(image), aspect="auto", interpolation="lanczos")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)


def _frame(axes: Axes, colour: str, line: str | tuple, width: float) -> None:
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linewidth(width)
        spine.set_linestyle(line)  # pyright: ignore[reportArgumentType]
        spine.set_capstyle("butt")


def _caption(axes: Axes, first: str, second: str, colour: str) -> None:
    axes.text(0.5, -0.035, first, transform=axes.transAxes, ha="center", va="top", fontsize=8.5, fontweight="bold", color=colour)
    axes.text(0.5, -0.145, second, transform=axes.transAxes, ha="center", va="top", fontsize=7, color=FAINT)
