"""Several runs: the paired differences to the first one."""

from __future__ import annotations

from collections.abc import Mapping

from passerby.errors import PasserbyError
from passerby.metrics import Difference, RetrievalScores, compare
from passerby.report.markup import Markup, joined, paragraph, table
from passerby.report.numbers import NAMES

__all__ = ["comparison_section"]


def comparison_section(scores: Mapping[str, RetrievalScores], samples: int, seed: int) -> Markup:
    """Each run against the first, where both have the same queries; why not, where they have not."""
    if len(scores) < 2:
        return paragraph("Fewer than two runs have embeddings: there is nothing to compare. Embed with passerby embed.")
    (first, base), *others = scores.items()
    parts: list[str] = []
    for name, found in others:
        try:
            differences = compare(base, found, samples=samples, unit="person", seed=seed)
        except PasserbyError as error:
            parts.append(paragraph(f"{name} cannot be compared with {first}: {error}", kind="note"))
            continue
        rows = [
            [NAMES[key], f"{100 * d.a:.1f}", f"{100 * d.b:.1f}", f"{100 * d.value:+.1f}",
             f"{100 * d.interval.low:+.1f} to {100 * d.interval.high:+.1f}", f"{100 * d.better:.0f} %"]
            for key, d in differences.items()
        ]  # fmt: skip
        head = ["percent", first, name, "difference", "95 % interval", f"{name} ahead in"]
        caption = f"{name} against {first}: paired bootstrap over persons with all their queries; the last column counts draws"
        parts += [table(caption, head, rows), paragraph(_verdict(first, name, differences["map"]))]
    return joined(parts)


def _verdict(first: str, name: str, found: Difference) -> str:
    ends = f"{100 * found.interval.low:+.1f} to {100 * found.interval.high:+.1f} points"
    if not found.clear:
        alike = "these queries are too few, or the runs are alike"
        return f"No difference in mAP between {first} and {name} can be told at 95 % ({ends}): {alike}."
    better, worse = (name, first) if found.value > 0 else (first, name)
    return (
        f"{better} is better than {worse} in mAP by {100 * abs(found.value):.1f} points (95 % interval of the difference {ends})."
    )
