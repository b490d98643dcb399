"""`passerby plot cameras`: Rank-1 and mAP from camera to camera, and what might help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw Rank-1 and mAP of every pair of a query camera and a gallery camera, and say which is hardest and how sure that is.

    INPUTS is a folder that `passerby embed` wrote, one file that holds both sets, or a query and a gallery file.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """folder or file of embeddings, or two files, query and gallery"""
    out: Path = Path("cameras.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    convention: str = "market1501"
    """rules of ranking and counting: market1501, layumi, cail-mixup or any-camera"""
    title: str = ""
    """heading (default: model and data set, from the embeddings)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write the table, the hardest pair and the sentences to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.cli.stored import read_sets
    from passerby.errors import UsageError
    from passerby.files import write_json
    from passerby.metrics import evaluate
    from passerby.metrics.conventions import resolve
    from passerby.plots import plot_camera_pairs
    from passerby.plots.headings import measured_on
    from passerby.plots.style import check_format
    from passerby.report import camera_advice

    check_format(options.out, options.dpi)
    if len(options.inputs) not in (1, 2):
        raise UsageError(f"{len(options.inputs)} inputs: give a folder or file of both sets, or a query and a gallery file.")
    sets = read_sets(options.inputs)
    scores = evaluate(sets.query, sets.gallery, resolve(options.convention))
    title = options.title or measured_on(sets.query, sets.gallery)
    pairs = plot_camera_pairs(scores, options.out, title=title, dpi=options.dpi)
    advice = camera_advice(scores, norm=str(sets.query.meta.get("norm", "batch")))
    print(f"{options.out}: {len(pairs.rows())} pairs of cameras with queries", *advice.found, sep="\n")
    if options.json is not None:
        worst = list(advice.worst) if advice.worst else None
        found = {"pairs": pairs.rows(), "worst": worst, "sure": advice.sure, "found": list(advice.found)}
        write_json(options.json, {"picture": str(options.out), **found, "might_help": list(advice.might_help)})
