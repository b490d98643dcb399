"""How `passerby evaluate` prints what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from passerby.metrics import CameraPairs, Convention, Interval, RetrievalScores, TrialScores
    from passerby.recipes import Published, PublishedAccuracy

__all__ = ["ERRORS", "MEASURES", "print_beside", "print_scores", "print_trials"]

NAMES = {"rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "map": "mAP", "minp": "mINP"}
ERRORS = {"val_error": "val. error", "val_class_error": "mean class error"}  # of classifiers
MEASURES = NAMES | ERRORS
_WIDEST_MATRIX = 8  # cameras; beyond it a line no longer fits a terminal
_SHOWN_PAIRS = 5


def print_scores(scores: RetrievalScores, intervals: Mapping[str, Interval], unit: str) -> None:
    """One evaluation: numbers in percent, what they mean, camera pairs, notes."""
    console = Console()
    console.print(_people(scores), highlight=False)
    table = Table()
    for heading in ("", "%", *(["95 % interval"] if intervals else [])):
        table.add_column(heading, justify="right" if heading else "left")
    for name, value in scores.summary().items():
        cells = [f"{100 * intervals[name].low:.2f} to {100 * intervals[name].high:.2f}"] if intervals else []
        table.add_row(NAMES[name], f"{100 * value:.2f}", *cells)
    console.print(table)
    console.print(f"convention: {scores.convention.in_words()}", highlight=False)
    if intervals:
        what = "queries" if unit == "query" else "persons with all their queries"
        console.print(f"intervals: bootstrap over {what}, percentile", highlight=False)
    if scores.camera_pairs is not None:
        _print_camera_pairs(console, scores.camera_pairs)
    if scores.num_tied:
        console.print(f"note: {scores.num_tied} queries have a wrong answer exactly as near as a right one.", highlight=False)
    for note in scores.notes:
        console.print(f"note: {note}", highlight=False)


def print_beside(
    title: str, found: Mapping[str, float], published: Published | PublishedAccuracy | None, *,
    convention: Convention | None, notes: Sequence[str], artefact: Path,
) -> None:  # fmt: skip
    """What a run has reached beside the published row, by the names of `MEASURES`; without a number only what belongs to it."""
    console = Console()
    if found:
        table = Table("", *(MEASURES[key] for key in found), title=title)
        table.add_row("this run", *(f"{value:.2%}" for value in found.values()))
        if published is not None:
            table.add_row("published", *(f"{getattr(published, key):.2%}" if hasattr(published, key) else "" for key in found))
        console.print(table)
        if convention is not None:
            console.print(f"convention: {convention.in_words()}", soft_wrap=True)
    if published is not None:
        console.print(f"published figures: {published.in_words()}", soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"artefact: {artefact}", soft_wrap=True, highlight=False)


def print_trials(scores: Mapping[str, RetrievalScores], together: TrialScores) -> None:
    """Repeated splits: mean and spread over them."""
    console = Console()
    console.print(f"{together.num_trials} trials", highlight=False)
    table = Table()
    table.add_column("")
    table.add_column("mean %", justify="right")
    table.add_column("standard deviation", justify="right")
    for name, mean in together.mean.items():
        table.add_row(NAMES[name], f"{100 * mean:.2f}", f"{100 * together.std[name]:.2f}")
    console.print(table)
    first = next(iter(scores.values()))
    console.print(f"convention: {first.convention.in_words()}; population standard deviation over the trials", highlight=False)
    for note in dict.fromkeys(note for found in scores.values() for note in found.notes):
        console.print(f"note: {note}", highlight=False)


def _people(scores: RetrievalScores) -> str:
    return f"{scores.num_queries} queries, {scores.num_valid} with a match, against {scores.num_gallery} gallery images"


def _print_camera_pairs(console: Console, pairs: CameraPairs) -> None:
    if len(pairs.gallery_camids) <= _WIDEST_MATRIX:
        console.print("by camera, Rank-1 / mAP %: query camera down, gallery camera across", highlight=False)
        table = Table()
        table.add_column("")
        for camid in pairs.gallery_camids:
            table.add_column(f"c{camid}", justify="right")
        for a, camid in enumerate(pairs.query_camids):
            table.add_row(f"c{camid}", *(_cell(pairs, a, b) for b in range(len(pairs.gallery_camids))))
    else:
        rows = sorted(pairs.rows(), key=lambda row: row["map"])
        console.print(f"the {_SHOWN_PAIRS} hardest and the easiest of {len(rows)} camera pairs, by mAP", highlight=False)
        table = Table()
        for heading in ("query camera", "gallery camera", "queries", "Rank-1 %", "mAP %"):
            table.add_column(heading, justify="right")
        for row in [*rows[:_SHOWN_PAIRS], *rows[_SHOWN_PAIRS:][-1:]]:
            cameras = f"c{row['query_camid']}", f"c{row['gallery_camid']}"
            table.add_row(*cameras, str(row["num_queries"]), f"{100 * row['rank1']:.2f}", f"{100 * row['map']:.2f}")
    console.print(table)


def _cell(pairs: CameraPairs, a: int, b: int) -> str:
    return f"{100 * pairs.rank1[a, b]:.1f} / {100 * pairs.map[a, b]:.1f}" if pairs.num_queries[a, b] else "-"
