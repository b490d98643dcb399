"""Intervals: how far the numbers would move if other queries of the same kind had been taken."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from passerby.errors import UsageError
from passerby.metrics.scores import RetrievalScores

__all__ = ["MOST_DRAWS", "Interval", "bootstrap", "drawn_means", "per_query"]

MOST_DRAWS = 1_000_000  # far beyond what an interval gains from
_CELLS = 2_000_000  # drawn at a time


class Interval(NamedTuple):
    """Ends of an interval, as fractions."""

    low: float
    high: float


def bootstrap(
    scores: RetrievalScores,
    *,
    samples: int = 1000,
    level: float = 0.95,
    unit: Literal["query", "person"] = "query",
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of Rank-1, -5, -10, mAP and mINP.

    The model, the gallery and the camera network stay as they are; only the queries are drawn again, with replacement.

    Args:
        scores: one evaluation.
        samples: how often the queries are drawn.
        level: share of the drawn results that the interval holds.
        unit: what is drawn: single queries, or persons with all their queries. Queries of one person are alike, so drawing single
            ones gives intervals that are too narrow where persons have many queries.
        seed: of the draws.

    Returns:
        The intervals, by the names of `RetrievalScores.summary`.

    Raises:
        UsageError: a sample count below 1, a level outside (0, 1), or another unit.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    names, values = per_query(scores, samples, level, unit)
    if unit == "person":
        _, person = np.unique(scores.pids[scores.counted], return_inverse=True)
        values = np.stack([np.bincount(person, weights=column) for column in values.T], axis=1)
    drawn = drawn_means(values, samples, np.random.default_rng(seed))
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: Interval(float(low), float(high)) for name, low, high in zip(names, *ends, strict=True)}


def per_query(scores: RetrievalScores, samples: int, level: float, unit: str) -> tuple[list[str], np.ndarray]:
    """The names of `RetrievalScores.summary`, and what each query that counts adds to them, with a last column of ones.

    Raises:
        UsageError: arguments of `bootstrap` out of range.
    """
    if not 1 <= samples <= MOST_DRAWS or not 0 < level < 1 or unit not in ("query", "person"):
        raise UsageError(
            f'bootstrap of {samples} samples, level {level}, unit "{unit}": 1 to {MOST_DRAWS:,} samples, 0 < level < 1, query or '
            "person."
        )
    names = list(scores.summary())
    columns = [scores.found_by(int(name.removeprefix("rank"))) for name in names if name.startswith("rank")]
    return names, np.stack([*columns, scores.ap, scores.inp, np.ones(scores.num_queries)], axis=1)[scores.counted]


def drawn_means(values: np.ndarray, samples: int, random: np.random.Generator) -> np.ndarray:
    """(samples, columns - 1) means of redrawn rows; the last column of `values` says how many queries a row stands for."""
    N = len(values)
    at_once = max(1, _CELLS // N)
    means = []
    for done in range(0, samples, at_once):
        size = min(at_once, samples - done)
        cells = random.integers(0, N, (size, N)) + np.arange(size)[:, None] * N
        times = np.bincount(cells.ravel(), minlength=size * N).reshape(size, N)
        total = times.astype(np.float64) @ values
        means.append(total[:, :-1] / total[:, -1:])
    return np.concatenate(means)
