"""`passerby plot retrieval`: CMC or ROC curves of one or several runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.embeddings import QueryGallery

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw the CMC curves of runs (how often the right person is among the first k) or their ROC curves (same person or not).

    A run is a folder that `passerby embed` wrote, or a file that holds query and gallery.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """folders or files of embeddings, one a run"""
    kind: Literal["cmc", "roc"] = "cmc"
    """cmc: Rank-k over k; roc: pairs of one person accepted over pairs of two people accepted"""
    out: Path = Path("retrieval.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    names: tuple[str, ...] = ()
    """what to call the runs (default: as little of their paths as tells them apart)"""
    top: int = 20
    """of cmc: largest k"""
    convention: str = "market1501"
    """rules of ranking and counting: market1501, layumi, cail-mixup or any-camera"""
    title: str = ""
    """heading (default: what was measured)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write Rank-1 to Rank-k, or the areas under the curves, to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.files import write_json
    from passerby.metrics import evaluate
    from passerby.metrics.conventions import resolve
    from passerby.plots import plot_cmc, plot_roc
    from passerby.plots.headings import measured_on
    from passerby.plots.style import check_format

    check_format(options.out, options.dpi)
    if options.kind == "roc" and options.top != Options.top:
        raise UsageError(f"--top is {options.top}, but it acts only with --kind cmc. Leave it out.")
    convention = resolve(options.convention)
    sets = _named_sets(options.inputs, options.names)
    if options.kind == "roc":
        areas = plot_roc(sets, options.out, convention=convention, title=options.title, dpi=options.dpi)
        found = {"areas": areas}
        told = [f"{name}: area {area:.4f}" for name, area in areas.items()]
    else:
        scores = {
            name: evaluate(pair.query, pair.gallery, convention, max_rank=max(50, options.top)) for name, pair in sets.items()
        }
        about = measured_on(*(part for pair in sets.values() for part in (pair.query, pair.gallery)))
        title = options.title or " · ".join(part for part in ("found among the first k", about) if part)
        found = {"cmc": plot_cmc(scores, options.out, top=options.top, title=title, dpi=options.dpi)}
        told = [f"{name}: Rank-1 {each.rank(1):.2%}, Rank-5 {each.rank(5):.2%}" for name, each in scores.items()]
    print(f"{options.out}: {len(sets)} run{'s' if len(sets) > 1 else ''} ({convention.in_words()})", *told, sep="\n")
    if options.json is not None:
        write_json(options.json, {"picture": str(options.out), **found})


def _named_sets(inputs: tuple[Path, ...], names: tuple[str, ...]) -> dict[str, QueryGallery]:
    """Query and gallery of each input by its name."""
    from passerby.cli.stored import check_present, read_sets
    from passerby.plots.curves import short_names

    if not inputs:
        raise UsageError("no embeddings to draw: give a folder or a file a run.")
    if names and len(names) != len(inputs):
        raise UsageError(f"{len(names)} names for {len(inputs)} inputs: give one name an input, or none.")
    check_present(inputs)
    called = list(names) or short_names(list(inputs))
    if len(set(called)) < len(called):
        raise UsageError("two inputs have one name: give each a name of its own with --names.")
    return {name: read_sets([path]) for name, path in zip(called, inputs, strict=True)}
