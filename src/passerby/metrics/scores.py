"""RetrievalScores: the numbers of one evaluation, with every column that they were averaged from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from passerby.errors import UsageError
from passerby.metrics.conventions import Convention
from passerby.metrics.counting import Ranks

__all__ = ["CameraPairs", "PairTable", "RetrievalScores", "TrialScores", "over_trials", "precision_at_hits"]

SUMMARY = ("rank1", "rank5", "rank10", "map", "minp")


@dataclass(frozen=True)
class CameraPairs:
    """Search from camera A in the images of camera B alone: which pairs of cameras are hard.

    Attributes:
        query_camids: (A,) ascending.
        gallery_camids: (B,) ascending.
        num_queries: (A, B) queries of camera A whose person is in the images of camera B; only they enter the means.
        rank1: (A, B) share of those queries whose nearest image in camera B is right; NaN where there are none.
        map: (A, B) their mean average precision within camera B; NaN where there are none.
    """

    query_camids: np.ndarray
    gallery_camids: np.ndarray
    num_queries: np.ndarray
    rank1: np.ndarray
    map: np.ndarray

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a pair that has queries, JSON-able."""
        return [
            {
                "query_camid": int(self.query_camids[a]),
                "gallery_camid": int(self.gallery_camids[b]),
                "num_queries": int(self.num_queries[a, b]),
                "rank1": float(self.rank1[a, b]),
                "map": float(self.map[a, b]),
            }
            for a, b in zip(*np.nonzero(self.num_queries), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class RetrievalScores:
    """The result of one evaluation. All metrics are fractions.

    Attributes:
        convention: what the numbers mean.
        cmc: (max_rank,) ``cmc[k - 1]`` is Rank-k: the share of queries with a right answer among the first k.
        map: mean average precision.
        minp: mean inverse negative penalty, R / rank of the last right answer (Ye et al., TPAMI 2021).
        num_queries: Q.
        num_valid: queries with a right answer in the gallery.
        num_gallery: gallery images left after the convention's rules that hold for every query.
        num_tied: queries for which the tie rule mattered.
        ap: (Q,) average precision; 0 where there is no right answer.
        inp: (Q,) inverse negative penalty; 0 where there is no right answer.
        first_rank: (Q,) rank of the first right answer, 0 where there is none; (Q, repeats) with a single gallery shot.
        num_matches: (Q,) right answers in the gallery.
        pids: (Q,) of the queries.
        camids: (Q,) of the queries.
        names: (Q,) of the queries.
        camera_pairs: results by camera pair; None with a single gallery shot.
        notes: what must be said beside the numbers.
    """

    convention: Convention
    cmc: np.ndarray
    map: float
    minp: float
    num_queries: int
    num_valid: int
    num_gallery: int
    num_tied: int
    ap: np.ndarray
    inp: np.ndarray
    first_rank: np.ndarray
    num_matches: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    names: np.ndarray
    camera_pairs: CameraPairs | None
    notes: tuple[str, ...]

    @property
    def valid(self) -> np.ndarray:
        """(Q,) whether the query has a right answer in the gallery."""
        return self.num_matches > 0

    @property
    def counted(self) -> np.ndarray:
        """(Q,) whether the query enters the means under this convention."""
        return self.valid if self.convention.without_match == "skip" else np.ones(self.num_queries, dtype=bool)

    def rank(self, k: int) -> float:
        """Rank-k.

        Raises:
            UsageError: k beyond the ranks that were kept.
        """
        if not 1 <= k <= len(self.cmc):
            raise UsageError(f"Rank-{k}: this evaluation kept ranks 1 to {len(self.cmc)} (max_rank).")
        return float(self.cmc[k - 1])

    def found_by(self, k: int) -> np.ndarray:
        """(Q,) whether a right answer is among the first k; with a single gallery shot, how often."""
        hit = (self.first_rank >= 1) & (self.first_rank <= k)
        return hit.mean(axis=1) if hit.ndim == 2 else hit.astype(float)

    def summary(self) -> dict[str, float]:
        """Rank-1, -5, -10, mAP and mINP, as far as `max_rank` reaches."""
        ranks = {f"rank{k}": float(self.cmc[k - 1]) for k in (1, 5, 10) if k <= len(self.cmc)}
        return {**ranks, "map": self.map, "minp": self.minp}

    def to_dict(self) -> dict[str, Any]:
        """All but the per-query columns, JSON-able."""
        return {
            **self.summary(),
            "cmc": self.cmc.tolist(),
            "num_queries": self.num_queries,
            "num_valid": self.num_valid,
            "num_gallery": self.num_gallery,
            "num_tied": self.num_tied,
            "convention": asdict(self.convention),
            "convention_in_words": self.convention.in_words(),
            "camera_pairs": self.camera_pairs.rows() if self.camera_pairs else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class TrialScores:
    """Repeated random splits of one small data set: mean and spread of each number.

    Attributes:
        mean: by the names of `RetrievalScores.summary`.
        std: population standard deviation (divided by the number of trials), the custom of the small data sets.
        num_trials: how many.
    """

    mean: dict[str, float]
    std: dict[str, float]
    num_trials: int


def over_trials(trials: Sequence[RetrievalScores]) -> TrialScores:
    """Average the trials of one data set.

    Raises:
        UsageError: no trial, or trials of different conventions.
    """
    if len({trial.convention for trial in trials}) != 1:
        raise UsageError(f"{len(trials)} trials to average: one or more are needed, all under one convention.")
    rows = [trial.summary() for trial in trials]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return TrialScores(
        {name: float(column.mean()) for name, column in columns.items()},
        {name: float(column.std()) for name, column in columns.items()},
        len(trials),
    )


def precision_at_hits(hit: np.ndarray, rank: np.ndarray, rule: str) -> np.ndarray:
    """What each right answer adds to R times the average precision of its query.

    Args:
        hit: i, the number of the right answer among those of its query, from 1.
        rank: r_i, from 1.
        rule: "rank" or "trapezoid".

    Source:
        Trapezoid: Philbin et al., CVPR 2007 (Oxford buildings), taken over by Zheng et al., ICCV 2015 (Market-1501).

    Example:
        >>> hits, ranks = np.array([1, 2, 3]), np.array([1, 3, 6])
        >>> [round(float(precision_at_hits(hits, ranks, rule).mean()), 4) for rule in ("rank", "trapezoid")]
        [0.7222, 0.6778]
    """
    precision = hit / rank
    if rule == "rank":
        return precision
    before = np.where(rank == 1, 1.0, (hit - 1) / np.maximum(rank - 1, 1))
    return (precision + before) / 2


class PairTable:
    """Gathers the results by camera pair, block after block."""

    def __init__(self, query_camids: np.ndarray, gallery_camids: np.ndarray, rule: str) -> None:
        self._cameras, self._row_of = np.unique(query_camids, return_inverse=True)
        self._gallery_cameras, self._rule = gallery_camids, rule
        self._count, self._rank1, self._ap = np.zeros((3, len(self._cameras), len(gallery_camids)))

    def add(self, ranks: Ranks, first: int) -> None:
        """Enter the queries from `first` on. Sums run query by query, so that they do not depend on the size of a block."""
        C, rows = len(self._gallery_cameras), len(ranks.start) - 1
        cell = np.repeat(np.arange(rows), np.diff(ranks.start)) * C + ranks.camera
        right = np.bincount(cell, minlength=rows * C)
        precision = precision_at_hits(ranks.camera_hit, ranks.camera_rank, self._rule)
        total = np.bincount(cell, weights=precision, minlength=rows * C)
        first_hit = np.bincount(cell[ranks.camera_rank == 1], minlength=rows * C)
        seen = np.flatnonzero(right)
        pair = (self._row_of[first + seen // C], seen % C)
        np.add.at(self._count, pair, 1)
        np.add.at(self._rank1, pair, first_hit[seen])
        np.add.at(self._ap, pair, total[seen] / right[seen])

    def finish(self) -> CameraPairs:
        """The means."""
        with np.errstate(invalid="ignore"):
            rank1, ap = self._rank1 / self._count, self._ap / self._count
        return CameraPairs(self._cameras, self._gallery_cameras, self._count.astype(np.int64), rank1, ap)
