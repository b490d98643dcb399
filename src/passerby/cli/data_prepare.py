"""`passerby data prepare`: MOT video to crops, any layout to the layout of Market-1501 or to a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from passerby.datasets.mot_boxes import MotOptions
from passerby.errors import UsageError, listing
from passerby.files import write_json

if TYPE_CHECKING:
    from passerby.datasets import HoldOut, PrepareReport

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Convert a data set into a new folder.

    A stopped call goes on where it stopped when it is given again. The result is read by the name of the data set that it comes
    from, and carries the notes that must stand beside every number.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """folder of the data set, or one that holds it"""
    out: Path
    """new folder"""
    dataset: str = ""
    """data set to read it as: market1501, mot, ... (default: what it looks like)"""
    to: Literal["manifest", "market"] = "manifest"
    """manifest.csv with images, or the layout of Market-1501"""
    files: Literal["copy", "hardlink", "refer"] = "copy"
    """copy images, hard-link them, or only name them in the manifest where they are"""
    test_share: float | None = None
    """share of the people, 0 to 1, that is held out for evaluation, where the source has no query and gallery
    (default: 0.5 of a MOT source, nobody of another)"""
    test_domains: tuple[str, ...] = ()
    """sequences or domains that are the test as a whole, instead of a share"""
    queries: int | None = None
    """most queries a camera and held-out person (default: 4)"""
    seed: int | None = None
    """of the draw of held-out people (default: 0)"""
    mot: MotOptions = field(default_factory=MotOptions)
    """which boxes of a MOT source become crops"""
    json: Path | None = None
    """write what was done to this file too"""


def run(options: Options) -> None:
    """Convert and say what was made."""
    from passerby import datasets

    report = datasets.prepare(
        options.source,
        options.out,
        name=options.dataset or None,
        to=options.to,
        files=options.files,
        mot=None if options.mot == MotOptions() else options.mot,
        held_out=_held_out(options),
    )
    if options.json is not None:
        write_json(options.json, report.as_json())
    _print(report)


def _held_out(options: Options) -> HoldOut | None:
    """What was asked for, or None where nothing was."""
    from passerby.datasets import HoldOut

    if options.test_share is not None and options.test_domains:
        raise UsageError("--test-share and --test-domains exclude each other: a share of the people, or whole sequences.")
    drawn = "a share of the people that is drawn: no --test-domains, and --test-share above 0"
    if options.seed is not None and (options.test_domains or options.test_share == 0):
        raise UsageError(f"--seed is {options.seed}, but it acts only with {drawn}. Leave it out.")
    if options.queries is not None and options.test_share == 0:
        raise UsageError(f"--queries is {options.queries}, but nobody is held out (--test-share 0). Leave one out.")
    given: dict[str, Any] = {
        "test_share": options.test_share,
        "test_domains": options.test_domains or None,
        "queries": options.queries,
        "seed": options.seed,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return HoldOut(**chosen) if chosen else None


def _print(report: PrepareReport) -> None:
    counts = listing((f"{count:,} {subset}" for subset, count in report.images.items()), 10)
    kept = f", {report.kept:,} were there already" if report.kept else ""
    print(f"{report.out}: {counts} images as {report.layout}; {report.made:,} files written{kept}")
    if report.left_out:
        print("boxes left out: " + listing((f"{count:,} {reason}" for reason, count in report.left_out.items()), 10))
    for note in report.notes:
        print(f"stands beside every number: {note}")
    print(f"read it as {report.dataset}: --dataset {report.dataset} --data {report.out}")
