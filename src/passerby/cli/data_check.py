"""`passerby data check`: what lies in a folder, counted, and what an evaluation on it will mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from passerby.errors import DataError
from passerby.files import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from passerby.datasets import CheckReport
    from passerby.datasets.checking import Subset

__all__ = ["Options", "run"]

_COLOURS = {"problem": "red", "consequence": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class Options:
    """Name a data set, count it against its public release, and say what its evaluation will mean.

    Problems make a number wrong or impossible; with one of them the exit status is 1. Consequences change what a number means.
    """

    path: Annotated[Path | None, tyro.conf.Positional] = None
    """folder of the data set, or one that holds it (default: PASSERBY_DATA)"""
    dataset: str = ""
    """data set to read it as: market1501, msmt17, ... (default: what it looks like)"""
    quick: bool = False
    """open no image and no cloud: damaged files, equal pictures and unequal numbers of points stay unseen"""
    json: Path | None = None
    """write what was found to this file too"""


def run(options: Options) -> None:
    """Check, print, and fail where a number would be wrong."""
    from rich.console import Console

    from passerby import datasets

    report = datasets.check(options.path, options.dataset or None, quick=options.quick)
    if options.json is not None:
        write_json(options.json, report.as_json())
    _print(report, Console(soft_wrap=True, highlight=False), quick=options.quick)
    if report.problems:
        count = len(report.problems)
        raise DataError(f"{count} problem{'s' if count > 1 else ''} in {report.path}; the first: {report.problems[0].text}")


def _print(report: CheckReport, console: Console, *, quick: bool) -> None:
    from rich.markup import escape

    console.print(f"[bold]{escape(report.title)}[/bold] ({report.dataset}) in {escape(str(report.path))}")
    for sample in report.samples:
        frame = "" if sample.frame is None else f", frame {sample.frame}"
        read = f"pid {sample.pid}, camid {sample.camid}{frame}, domain {sample.domain}"
        console.print(f"  {sample.subset}: {escape(sample.file)} -> {escape(read)}")
    if report.subsets:
        _print_table(report, console)
    if report.trials:
        console.print(f"{report.trials} trials; the table shows the first.")
    for note in report.notes:
        console.print(f"[cyan]stands beside every number:[/cyan] {escape(note)}")
    for finding in report.findings:
        console.print(f"[{_COLOURS[finding.severity]}]{finding.severity}:[/] {escape(finding.text)}")
    looked = f"{report.decoded:,} images decoded" if report.clouds is None else f"{report.clouds:,} clouds read"
    if quick:
        looked = f"no {'image' if report.clouds is None else 'cloud'} was opened (--quick)"
    kinds = [sum(finding.severity == severity for finding in report.findings) for severity in _COLOURS]
    console.print(f"{looked}; problems: {kinds[0]}, consequences: {kinds[1]}, notes: {kinds[2]}")


def _print_table(report: CheckReport, console: Console) -> None:
    from rich.table import Table

    table = Table("subset", *(f"{column}" for column in ("ids", "images", "cameras", "junk", "distractors")))
    for column in table.columns[1:]:
        column.justify = "right"
    for subset in report.subsets:
        table.add_row(subset.name, *_cells(subset))
    console.print(table)


def _cells(subset: Subset) -> list[str]:
    """Counts, each with the expected one where it differs."""
    expected = subset.expected
    rows = [(subset.ids, expected and expected.ids), (subset.images, expected and expected.images)]
    rows.append((subset.cameras, expected and expected.cameras))
    cells = [f"{have:,}" if want is None or want == have else f"[red]{have:,}[/red] of {want:,}" for have, want in rows]
    return [*cells, *(f"{count:,}" if count else "" for count in (subset.junk, subset.distractors))]
