"""Two runs on the same queries: is one better, by how much, under which conditions. Paired: hard queries are hard for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.metrics.intervals import Interval, drawn_means, per_query
from passerby.metrics.scores import RetrievalScores

__all__ = ["Condition", "Difference", "by_condition", "compare"]

_GROUPS = 3  # of a column of numbers
_MOST_NAMES = 12  # different values; a column with more, all numbers, is cut into groups


@dataclass(frozen=True)
class Difference:
    """How much larger a number of run B is than that of run A, as a fraction.

    Attributes:
        a: the number of A.
        b: the number of B.
        interval: of b - a.
        better: share of the draws in which B is larger; draws in which both are equal count half.
    """

    a: float
    b: float
    interval: Interval
    better: float

    @property
    def value(self) -> float:
        """b - a."""
        return self.b - self.a

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval.low > 0 or self.interval.high < 0


def compare(
    a: RetrievalScores,
    b: RetrievalScores,
    *,
    samples: int = 1000,
    level: float = 0.95,
    unit: Literal["query", "person"] = "person",
    seed: int = 0,
) -> dict[str, Difference]:
    """Paired percentile bootstrap of the differences of Rank-1, -5, -10, mAP and mINP: both runs meet the same drawn queries.

    Args:
        a: one run.
        b: another, with the same queries, as many right answers for each, and the same convention.
        samples: how often queries are drawn.
        level: share of the drawn differences that an interval holds.
        unit: what is drawn: single queries, or persons with all their queries. See `bootstrap`.
        seed: of the draws.

    Returns:
        The differences, by the names of `RetrievalScores.summary`.

    Raises:
        UsageError: arguments out of range, or two conventions.
        EmbeddingsError: the runs do not have the same queries, or not the same right answers to them.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    order = _same_queries(a, b)
    names, values_a = per_query(a, samples, level, unit)
    others, values_b = per_query(b, samples, level, unit)
    if names != others:
        raise UsageError(f"run A has {listing(names)}, run B {listing(others)}: give both one max_rank.")
    rows = order[a.counted]
    place = np.full(b.num_queries, -1)
    place[np.flatnonzero(b.counted)] = np.arange(int(b.counted.sum()))
    apart = values_b[place[rows]] - values_a
    apart[:, -1] = 1
    if unit == "person":
        person = np.unique(a.pids[a.counted], return_inverse=True)[1]
        apart = np.stack([np.bincount(person, weights=column) for column in apart.T], axis=1)
    drawn = drawn_means(apart, samples, np.random.default_rng(seed))
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    better = (drawn > 0).mean(axis=0) + (drawn == 0).mean(axis=0) / 2
    ours, theirs = a.summary(), b.summary()
    return {
        name: Difference(ours[name], theirs[name], Interval(float(low), float(high)), float(share))
        for name, low, high, share in zip(names, *ends, better, strict=True)
    }


def _same_queries(a: RetrievalScores, b: RetrievalScores) -> np.ndarray:
    """(Q,) row of `b` for each row of `a`: by name where all have different names, else in the order given."""
    if a.convention != b.convention:
        raise UsageError(
            f'the runs were scored by two conventions, A "{a.convention.in_words()}" and B "{b.convention.in_words()}": '
            "take one for both."
        )
    if a.num_queries != b.num_queries:
        raise EmbeddingsError(f"run A has {a.num_queries} queries, run B {b.num_queries}: only runs on the same queries compare.")
    order = np.arange(a.num_queries)
    if len(np.unique(a.names)) == len(np.unique(b.names)) == a.num_queries:
        unknown = [str(name) for name in a.names[~np.isin(a.names, b.names)]]
        if unknown:
            raise EmbeddingsError(
                f"{len(unknown)} queries of run A are not in run B ({listing(unknown)}): compare the same queries."
            )
        order[np.argsort(a.names)] = np.argsort(b.names)
    for what in ("pids", "camids", "num_matches"):
        apart = np.flatnonzero(getattr(a, what) != getattr(b, what)[order])
        if len(apart):
            row = int(apart[0])
            said = {"num_matches": "right answers in the gallery", "pids": "pid", "camids": "camid"}[what]
            one, other = getattr(a, what)[row], getattr(b, what)[order][row]
            raise EmbeddingsError(
                f"query {a.names[row] or row} has {said} {one} in run A and {other} in run B "
                f"({len(apart)} of {a.num_queries} queries differ): compare runs on one data set."
            )
    return order


@dataclass(frozen=True)
class Condition:
    """The queries that have one value of a column, or lie in one range of it.

    Attributes:
        name: the value, or the range.
        num_queries: of those that enter the means.
        rank1: their Rank-1.
        map: their mean average precision.
        map_interval: 95 % bootstrap interval over their persons.
    """

    name: str
    num_queries: int
    rank1: float
    map: float
    map_interval: Interval


def by_condition(scores: RetrievalScores, column: Sequence[object], *, samples: int = 1000, seed: int = 0) -> list[Condition]:
    """The numbers by what is known of the queries: their size, pose, visibility, weather.

    Args:
        scores: one evaluation.
        column: (Q,) a value for each query; None or an empty text where it is not known. Numbers with many different values are
            cut into three groups of equal size, everything else is grouped by value.
        samples: draws of the intervals.
        seed: of the draws.

    Raises:
        UsageError: not one value a query.
        EmbeddingsError: no query that counts has a value.
    """
    if len(column) != scores.num_queries:
        raise UsageError(f"a column of {len(column)} values for {scores.num_queries} queries: one value a query is needed.")
    groups = _groups(column)
    found = []
    person = np.unique(scores.pids, return_inverse=True)[1]
    for name, members in groups:
        rows = members & scores.counted
        if not rows.any():
            continue
        values = np.stack([scores.ap[rows], np.ones(int(rows.sum()))], axis=1)
        values = np.stack([np.bincount(person[rows], weights=part) for part in values.T], axis=1)
        drawn = drawn_means(values[values[:, 1] > 0], samples, np.random.default_rng(seed))
        low, high = np.quantile(drawn, [0.025, 0.975])
        rank1, precision = scores.found_by(1)[rows].mean(), scores.ap[rows].mean()
        found.append(Condition(name, int(rows.sum()), float(rank1), float(precision), Interval(float(low), float(high))))
    if not found:
        raise EmbeddingsError("no query that counts has a value in this column: is it the right file?")
    return found


def _groups(column: Sequence[object]) -> list[tuple[str, np.ndarray]]:
    known = np.array([value is not None and str(value) != "" for value in column])
    values = [value for value, is_known in zip(column, known, strict=True) if is_known]
    try:
        numbers = np.array([np.nan if not is_known else float(str(value)) for value, is_known in zip(column, known, strict=True)])
    except ValueError:
        numbers = None
    if numbers is None or len(set(map(str, values))) <= _MOST_NAMES:
        texts = np.array([str(value) for value in column])
        return [(name, known & (texts == name)) for name in sorted({str(value) for value in values}, key=_natural)]
    ends = np.nanquantile(numbers, np.linspace(0, 1, _GROUPS + 1))
    place = np.searchsorted(ends[1:-1], numbers, side="left")  # a value on an end stands in the lower group
    return [(f"{ends[group]:.3g} to {ends[group + 1]:.3g}", known & (place == group)) for group in range(_GROUPS)]


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by size before words."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)
