"""Two runs side by side, and one run by what is known of its queries: tables of `passerby evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from passerby.cli.evaluate_tables import NAMES
from passerby.errors import DataError, nearest

if TYPE_CHECKING:
    from passerby.metrics import RetrievalScores

__all__ = ["conditions_of", "print_comparison", "print_conditions"]

_OF_IMAGE = ("path", "name", "image", "file", "folder", "split", "pid", "camid", "domain", "frame", "time", "time_s", "track")


def print_comparison(names: Sequence[Path], a: RetrievalScores, b: RetrievalScores, samples: int, seed: int) -> dict[str, Any]:
    """Both runs, their difference, and how sure it is; JSON-able."""
    from passerby.metrics import compare

    units = {unit: compare(a, b, samples=samples, unit=unit, seed=seed) for unit in ("query", "person")}
    console = Console()
    console.print(f"A: {names[0]}\nB: {names[1]}", highlight=False)
    console.print(f"{a.num_queries} queries, {a.num_valid} with a match, against {a.num_gallery} gallery images", highlight=False)
    table = Table()
    for heading in ("", "A %", "B %", "B - A", "95 % by query", "95 % by person"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, by_person in units["person"].items():
        ends = [units[unit][name].interval for unit in units]
        table.add_row(
            NAMES[name], f"{100 * by_person.a:.2f}", f"{100 * by_person.b:.2f}", f"{100 * by_person.value:+.2f}",
            *(f"{100 * end.low:+.2f}, {100 * end.high:+.2f}" for end in ends),
        )  # fmt: skip
    console.print(table)
    console.print(f"convention: {a.convention.in_words()}", highlight=False)
    console.print(
        "intervals: paired bootstrap of the difference, percentile, over queries and over persons with all their queries",
        highlight=False,
    )
    found = units["person"]["map"]
    verdict = "no difference in mAP can be told" if not found.clear else f"{'B' if found.value > 0 else 'A'} is better in mAP"
    console.print(f"{verdict} at 95 %, by person; B is ahead in {100 * found.better:.0f} % of the draws", highlight=False)
    for note in dict.fromkeys((*a.notes, *b.notes)):
        console.print(f"note: {note}", highlight=False)
    return {
        unit: {
            name: {"a": each.a, "b": each.b, "difference": each.value, "interval": list(each.interval), "better": each.better}
            for name, each in found.items()
        }
        for unit, found in units.items()
    }


def conditions_of(
    rows: Mapping[str, Mapping[str, object]], table: Path, by: Sequence[str], names: Sequence[str]
) -> dict[str, list[object]]:
    """For each column of a table that is asked for (all that are no label, where none is), a value for each query.

    Args:
        rows: what `read_columns` gave of the table.
        table: its file.
        by: columns.
        names: of the queries.

    Raises:
        DataError: no row for any query, or a column that is not there.
    """
    by_name = {Path(name).name: row for name, row in rows.items()} | dict(rows)
    found = [by_name.get(str(name)) or by_name.get(Path(str(name)).name) for name in names]
    if not any(found):
        raise DataError(
            f"{table} has no row for any of {len(names)} queries: the first is {names[0]}, its first {next(iter(rows))}."
        )
    known = list(dict.fromkeys(key for row in found if row for key in row if key not in _OF_IMAGE))
    for column in by:
        if column not in known:
            raise DataError(f'{table} has no column "{column}". {nearest(column, known)}')
    return {column: [row.get(column) if row else None for row in found] for column in by or known}


def print_conditions(scores: RetrievalScores, columns: Mapping[str, Sequence[object]], seed: int) -> dict[str, Any]:
    """One table a column; JSON-able."""
    from passerby.metrics import by_condition

    console = Console()
    report = {}
    for name, column in columns.items():
        groups = by_condition(scores, column, seed=seed)
        table = Table()
        for heading in (name, "queries", "Rank-1 %", "mAP %", "95 % of mAP, by person"):
            table.add_column(heading, justify="left" if heading == name else "right")
        for group in groups:
            low, high = group.map_interval
            table.add_row(
                group.name, str(group.num_queries), f"{100 * group.rank1:.2f}", f"{100 * group.map:.2f}",
                f"{100 * low:.2f} to {100 * high:.2f}",
            )  # fmt: skip
        console.print(table)
        report[name] = [
            {"value": g.name, "num_queries": g.num_queries, "rank1": g.rank1, "map": g.map, "map_interval": list(g.map_interval)}
            for g in groups
        ]
    return report
