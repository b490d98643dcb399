"""Switches: single choices in which one evaluation differs from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product

from passerby.metrics import Convention
from passerby.rerank import Graph, KReciprocal, Method

__all__ = ["COUNTED", "RERANKINGS", "Setting", "changed", "plausibility", "settings_of", "words"]

RERANKINGS: dict[str, Method] = {
    "k-reciprocal": KReciprocal(),
    "k-reciprocal-power": KReciprocal(power=2),
    "graph": Graph(),
}
COUNTED = ("ap", "junk", "same_camera", "distractors", "without_match", "ties", "shots")  # known once a ranking is counted
_DOUBT = {  # how seldom two projects are seen to differ in it: settles which of several equally small sets is named first
    "ap": 1, "without_match": 2, "rerank": 1, "multi_query": 1, "features": 1, "distance": 2, "same_camera": 3, "junk": 3,
    "distractors": 3, "rerank_junk": 2, "shots": 4, "ties": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One way to get numbers from stored features.

    Attributes:
        convention: of the counting, the distance and the queries.
        features: which of the stored features; "" is what was given first.
        rerank: one of `RERANKINGS`, or "none".
        rerank_junk: with re-ranking, whether junk is among the neighbours ("keep") or out before ("drop").
    """

    convention: Convention
    features: str = ""
    rerank: str = "none"
    rerank_junk: str = "drop"

    def value(self, axis: str) -> str:
        """The choice on one axis."""
        return getattr(self if hasattr(self, axis) else self.convention, axis)


def changed(start: Setting, now: Setting) -> tuple[tuple[str, str, str], ...]:
    """(axis, choice before, choice now) of all axes in which two settings differ."""
    axes = ("features", "distance", "multi_query", "rerank", "rerank_junk", *COUNTED)
    return tuple((axis, start.value(axis), now.value(axis)) for axis in axes if start.value(axis) != now.value(axis))


def plausibility(start: Setting, now: Setting) -> int:
    """Small where the differences are ones that projects are known to have."""
    return sum(_DOUBT[axis] for axis, _, _ in changed(start, now))


def settings_of(ranked: Setting, choices: Mapping[str, tuple[str, ...]], most: int) -> Iterator[Setting]:
    """All settings that count one ranking in up to `most` other ways.

    Args:
        ranked: features, distance, queries and re-ranking; its counting is where the changes start from.
        choices: other values by axis of `COUNTED`.
        most: how many axes may change.
    """
    for size in range(most + 1):
        for axes in combinations(choices, size):
            for values in product(*(choices[axis] for axis in axes)):
                yield replace(ranked, convention=replace(ranked.convention, **dict(zip(axes, values, strict=True))))


_WORDS = {
    ("ap", "trapezoid"): "AP by the trapezoid rule",
    ("ap", "rank"): "AP by the rank rule",
    ("junk", "keep"): "junk (pid -1) kept as wrong answers",
    ("junk", "drop"): "junk (pid -1) dropped",
    ("same_camera", "keep"): "matches from the query's own camera count as right",
    ("same_camera", "drop"): "matches from the query's own camera dropped",
    ("distractors", "drop"): "distractors (pid 0) dropped",
    ("distractors", "keep"): "distractors (pid 0) kept",
    ("without_match", "count"): "queries without a match count as 0",
    ("without_match", "skip"): "queries without a match skipped",
    ("distance", "cosine"): "cosine distance (vectors normalised)",
    ("distance", "euclidean"): "Euclidean distance of the vectors as stored",
    ("distance", "dot"): "dot product of the vectors as stored",
    ("ties", "optimistic"): "ties for the query",
    ("ties", "pessimistic"): "ties against the query",
    ("shots", "single"): "one random gallery image a person (single-shot CUHK03)",
    ("shots", "all"): "the whole gallery",
    ("multi_query", "none"): "single query",
    ("multi_query", "mean"): "multi-query, mean of a person's images in one camera",
    ("multi_query", "max"): "multi-query, maximum of a person's images in one camera",
    ("rerank", "none"): "no re-ranking",
    ("rerank_junk", "keep"): "junk stays in while neighbours are looked for",
    ("rerank_junk", "drop"): "junk dropped before neighbours are looked for",
}


def words(axis: str, value: str) -> str:
    """One choice for people."""
    if axis == "features":
        return f'features "{value}"' if value else "features as given first"
    if axis == "rerank" and value != "none":
        return RERANKINGS[value].in_words()
    return _WORDS[axis, value]
