"""Counts of a data set against those of its public release, each difference with its likely cause."""

from __future__ import annotations

from dataclasses import dataclass

from passerby.datasets.layouts import Counts, Layout, persons
from passerby.records import ReidData, Split

__all__ = ["Difference", "count_notes", "differences", "split_counts"]


@dataclass(frozen=True)
class Difference:
    """A subset whose counts are not those of the release.

    Attributes:
        subset: which one.
        text: the one-line message with the likely cause.
        harmless: whether every evaluation number stays as it is.
    """

    subset: str
    text: str
    harmless: bool


def split_counts(split: Split) -> Counts:
    """Images, persons and cameras of a subset."""
    return Counts(len(split), len(persons(split)), len(split.cameras))


def differences(layout: Layout, data: ReidData) -> list[Difference]:
    """Compare each subset that has an expected count."""
    named = {"train": data.train, "val": data.val, "query": data.query, "gallery": data.gallery}
    found = []
    for subset, expected in layout.expected.items():
        counts = split_counts(named[subset])
        wrong = [
            f"{have:,} {unit} (expected {want:,})"
            for have, want, unit in _columns(counts, expected)
            if have is not None and want is not None and have != want
        ]
        if wrong:
            key = (subset, counts.images)
            text = (
                f"{subset} of {layout.title} has {', '.join(wrong)}: {layout.causes.get(key) or _cause(named[subset], expected)}"
            )
            found.append(Difference(subset, text, key in layout.harmless))
    return found


def _columns(counts: Counts, expected: Counts) -> list[tuple[int | None, int | None, str]]:
    return [
        (counts.images, expected.images, "images"),
        (counts.ids, expected.ids, "ids"),
        (counts.cameras, expected.cameras, "cameras"),
    ]


def _cause(split: Split, expected: Counts) -> str:
    images = len(split)
    if not images:
        return "the subset is empty or absent"
    if images == expected.images:
        return "names or lists were changed"
    if images > expected.images:
        return "files were added, or two subsets merged"
    if expected.ids is not None and len(persons(split)) == expected.ids:
        return "images are missing: an incomplete copy, or junk and distractors were removed"
    return "people are missing: an incomplete copy, or a part chosen on purpose"


def count_notes(layout: Layout, data: ReidData) -> list[str]:
    """The differences as notes that stand beside every number; harmless ones are left out."""
    return [difference.text for difference in differences(layout, data) if not difference.harmless]
