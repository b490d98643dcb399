"""`passerby plot ranking`: the best, the median and the worst queries with what was found for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Annotated, Literal

import tyro

from passerby.errors import UsageError, listing

__all__ = ["Options", "image_folder", "run"]


@dataclass(frozen=True)
class Options:
    """Draw queries with their ranked gallery: right answers in solid green frames, wrong ones in dashed red ones.

    Without --query these are the best, the median and the worst queries by average precision.
    """

    query: Annotated[Path, tyro.conf.Positional]
    """embeddings of the queries, as `passerby embed` writes them (query.npz)"""
    gallery: Annotated[Path, tyro.conf.Positional]
    """embeddings of the gallery (gallery.npz)"""
    images: Path
    """folder of the data set: names in the embeddings are paths below it"""
    out: Path = Path("ranking.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    queries: tuple[str, ...] = ()
    """draw these queries instead: their names, or ends of them, for instance 0065_c1s1_006500_00.jpg"""
    more: Path | None = None
    """embeddings of the multi-query images (multi_query.npz), for a convention with multi-query: market1501-multi-query"""
    each: int = 3
    """how many of the best, of the median and of the worst queries"""
    top: int = 10
    """gallery images of each query"""
    junk: Literal["drop", "mark"] = "drop"
    """what the convention takes out of the ranking: leave it out, or show it in a dotted frame without a rank"""
    convention: str = "market1501"
    """rules of ranking and counting: market1501, market1501-multi-query, layumi, cail-mixup or any-camera"""
    title: str = ""
    """heading (default: model and data set, from the embeddings)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write scores and the rows that were drawn to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.embeddings import Embeddings
    from passerby.files import write_json
    from passerby.metrics.conventions import resolve
    from passerby.plots import choose_queries, plot_ranking
    from passerby.plots.ranking import find_queries

    if options.queries and options.each != Options.each:
        raise UsageError(f"--each is {options.each}, but it acts only without --queries. Leave one out.")
    convention = resolve(options.convention)
    query, gallery = Embeddings.load(options.query), Embeddings.load(options.gallery)
    more = Embeddings.load(options.more) if options.more else None
    parts = [part for part in (query, gallery, more) if part is not None]
    folder = image_folder(options.images, [str(name) for part in parts for name in part.names])
    scores = plot_ranking(
        query, gallery, folder, options.out, convention=convention, names=options.queries, each=options.each, top=options.top,
        junk=options.junk, title=options.title, multi_query=more, dpi=options.dpi,
    )  # fmt: skip
    print(f"{options.out}: Rank-1 {scores.rank(1):.2%}, mAP {scores.map:.2%}, mINP {scores.minp:.2%} ({convention.in_words()})")
    if options.json is not None:
        groups = {"chosen": find_queries(query, options.queries)} if options.queries else choose_queries(scores, options.each)
        drawn = {name: [str(query.names[row]) for row in rows] for name, rows in groups.items()}
        write_json(options.json, {"picture": str(options.out), "drawn": drawn, **scores.to_dict()})


def image_folder(given: Path, names: Sequence[str]) -> Path:
    """The folder at or below `given` that holds the images `names`: embed names images below the innermost common folder.

    Raises:
        UsageError: several folders hold all of them.
    """
    first = Path(names[0])
    depth = len(first.parts)
    if not depth or (given / first).is_file():
        return given
    found = {path.parents[depth - 1] for path in given.rglob(escape(first.name)) if path.parts[-depth:] == first.parts}
    whole = sorted(folder for folder in found if all((folder / name).is_file() for name in names))
    if len(whole) > 1:
        raise UsageError(f"--images {given}: {listing(whole)} each hold all images of the embeddings. Give one of them.")
    return next(iter(whole or sorted(found)), given)
