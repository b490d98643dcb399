"""`passerby explain-score`: stored features and a number that somebody claims in; the choices that explain it out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from passerby.cli.parsing import check_report
from passerby.cli.stored import read_sets
from passerby.errors import UsageError, listing
from passerby.files import write_json

if TYPE_CHECKING:
    from passerby.reconciler import Candidate, Explanation

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Name the smallest set of switches that turns stored features into a claimed score, or the nearest.

    A paper says 81.1 mAP and `passerby evaluate` says 78.6 on the same features: this replays all known conventions (rule of AP,
    junk, distractors, own camera, single shots, queries without a match, distance, multi-query, re-ranking, other stored
    features) and says which of them explain the difference. More claimed numbers leave fewer coincidences.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """file with query and gallery (.npz, .safetensors, .mat); or both files; or a folder of embeddings"""
    claim: str
    """claimed mAP in percent, with all its digits: 81.1 says less than 81.10"""
    rank1: str = ""
    """claimed Rank-1 in percent"""
    rank5: str = ""
    """claimed Rank-5 in percent"""
    rank10: str = ""
    """claimed Rank-10 in percent"""
    convention: str = "market1501"
    """where the search starts: switches are counted from it"""
    features: tuple[str, ...] = ()
    """NAME=PATH: other stored features of the same images in the same order: without flip, before the neck"""
    more: Path | None = None
    """file of multi-query images, where the inputs do not hold them"""
    switches: int = 3
    """the largest set of switches that is tried"""
    rerank: bool = True
    """try re-ranking (the slowest part)"""
    single_shot: bool = True
    """try one random gallery image a person"""
    seed: int = 0
    """of the random draws"""
    json: Path | None = None
    """write everything that was found to this file too"""


def run(options: Options) -> None:
    """Explain what the options claim."""
    from passerby.metrics.conventions import resolve
    from passerby.reconciler import Claim, explain

    check_report(options.json)
    if len(options.inputs) not in (1, 2):
        raise UsageError(f"{len(options.inputs)} inputs: give one file or folder with both sets, or a query and a gallery file.")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}: give 0 or more.")
    claim = Claim(options.claim, options.rank1, options.rank5, options.rank10)
    convention = resolve(options.convention)
    wrong = [text for text in options.features if "=" not in text or not text.partition("=")[0]]
    if wrong:
        raise UsageError(f'--features {wrong[0]}: write NAME=PATH, for instance "before-neck=raw.npz".')
    names = [text.partition("=")[0] for text in options.features]
    twice = listing({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"--features names {twice} more than once: give each stored features a name of their own.")
    others = {name: read_sets([Path(path)]) for name, _, path in (text.partition("=") for text in options.features)}
    sets = read_sets(options.inputs, options.more)
    found = explain(
        sets, claim, convention=convention, others=others, max_switches=options.switches, rerank=options.rerank,
        single_shot=options.single_shot, seed=options.seed, progress=True,
    )  # fmt: skip
    _print(found)
    if options.json is not None:
        write_json(
            options.json,
            {
                "claim": claim.given, "exact": found.exact, "tried": found.tried, "start": _report(found.start),
                "candidates": [_report(candidate) for candidate in found.candidates], "notes": list(found.notes),
            },
        )  # fmt: skip


def _report(candidate: Candidate) -> dict[str, object]:
    switches = [{"axis": axis, "from": before, "to": now} for axis, before, now in candidate.switches]
    return {"switches": switches, **asdict(candidate.numbers), "distance": candidate.distance}


def _print(found: Explanation) -> None:
    from passerby.reconciler import words

    console = Console()
    start = found.start.numbers
    console.print(f"claimed: {found.claim.in_words()}", highlight=False)
    console.print(
        f"as it starts ({found.start.setting.convention.in_words()}): mAP {100 * start.map:.2f} %, "
        f"Rank-1 {100 * start.rank1:.2f} %",
        highlight=False,
    )
    best = found.candidates[0]
    if found.exact and not best.switches:
        console.print("that is the claim: nothing needs to be switched", highlight=False)
    elif found.exact:
        many = f" ({len(found.candidates)} sets of that size do)" if len(found.candidates) > 1 else ""
        console.print(f"the claim follows from {_switches(len(best.switches))}{many}:", highlight=False)
    else:
        console.print(
            f"nothing tried gives the claim; the nearest is {best.distance:.2f} percentage points away beyond rounding:",
            highlight=False,
        )
    table = Table()
    for heading, justify in (("", "right"), ("switched", "left"), ("mAP %", "right"), ("Rank-1 %", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for number, candidate in enumerate(found.candidates, 1):
        what = "\n".join(words(axis, now) for axis, _, now in candidate.switches) or "nothing"
        numbers = candidate.numbers
        drawn = f" ± {100 * numbers.spread[0]:.2f}" if numbers.drawn else ""
        table.add_row(str(number), what, f"{100 * numbers.map:.2f}{drawn}", f"{100 * numbers.rank1:.2f}")
    console.print(table)
    if found.exact and len(found.candidates) > 1 and len(found.claim.given) < 2:
        console.print("several fit one number: claim Rank-1 too (--rank1), with all its digits", highlight=False)
    console.print(f"{found.tried} settings scored", highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False)


def _switches(count: int) -> str:
    return "1 switch" if count == 1 else f"{count} switches"
