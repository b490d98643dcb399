"""Queries whose nearest answer is wrong: whom they were taken for, how surely, and what the mistakes have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from passerby.embeddings import QueryGallery
from passerby.metrics import RetrievalScores
from passerby.plots.ranking import RankedQuery, rank_query
from passerby.report.advice import wilson

__all__ = ["Failure", "Failures", "find_failures"]

_MOST_RANKED = 300  # wrong queries that are ranked again; beyond it, so many spread evenly
_WRONG_SHOWN = 3


@dataclass(frozen=True)
class Failure:
    """One query that found somebody else first.

    Attributes:
        ranked: the query's list up to and with its first right answer, at most as deep as `find_failures` was asked for.
        wrong: columns of the gallery, the nearest wrong ones.
        right: column of the nearest right one; None where it lies deeper.
        margin: how much nearer the wrong one is than the right one, in similarity; NaN where the right one is not known.
    """

    ranked: RankedQuery
    wrong: tuple[int, ...]
    right: int | None
    margin: float

    def nearness(self, column: int) -> float:
        """Similarity of a column of the gallery."""
        return float(self.ranked.nearness[self.ranked.columns.tolist().index(column)])


@dataclass(frozen=True)
class Failures:
    """All of them, and those that are worth looking at.

    Attributes:
        count: queries that count and whose nearest answer is wrong.
        of: queries that count.
        shown: the surest mistakes first.
        sentences: what the mistakes have in common.
    """

    count: int
    of: int
    shown: tuple[Failure, ...]
    sentences: tuple[str, ...]


def find_failures(sets: QueryGallery, scores: RetrievalScores, *, most: int = 8, depth: int = 200) -> Failures:
    """Find the surest mistakes.

    Args:
        sets: query and gallery.
        scores: of them, with single queries and the whole gallery.
        most: how many to show.
        depth: how far down a right answer is looked for.
    """
    wrong = np.flatnonzero(scores.valid & (scores.first_rank > 1))
    looked_at = wrong[np.unique(np.linspace(0, len(wrong) - 1, _MOST_RANKED).astype(int))] if len(wrong) > _MOST_RANKED else wrong
    found = [_failure(sets, scores, int(row), depth) for row in looked_at]
    order = sorted(found, key=lambda failure: (np.isnan(failure.margin), -failure.margin))
    part = "" if len(looked_at) == len(wrong) else f" (looked at: {len(looked_at)} of {len(wrong)}, spread evenly)"
    return Failures(len(wrong), int(scores.valid.sum()), tuple(order[:most]), _in_common(sets, found, part))


def _failure(sets: QueryGallery, scores: RetrievalScores, row: int, depth: int) -> Failure:
    first = int(scores.first_rank[row])
    ranked = rank_query(sets.query, sets.gallery, row, scores.convention, top=min(max(first, _WRONG_SHOWN), depth))
    columns, verdicts = ranked.columns.tolist(), ranked.verdicts
    wrong = tuple(column for column, verdict in zip(columns, verdicts, strict=True) if verdict == "wrong")
    right = next((column for column, verdict in zip(columns, verdicts, strict=True) if verdict == "right"), None)
    sign = -1 if scores.convention.distance == "euclidean" else 1
    near = dict(zip(columns, sign * ranked.nearness, strict=True))
    margin = float(near[wrong[0]] - near[right]) if right is not None else float("nan")
    return Failure(ranked, wrong[: min(_WRONG_SHOWN, first - 1)], right, margin)


def _in_common(sets: QueryGallery, found: list[Failure], part: str) -> tuple[str, ...]:
    """Mistakes within one camera beside what chance would give, and people who are taken for each other."""
    if not found:
        return ()
    query, gallery = sets.query, sets.gallery
    own = sum(query.camids[failure.ranked.row] == gallery.camids[failure.wrong[0]] for failure in found)
    shares = [
        float((gallery.camids[gallery.pids != query.pids[row]] == query.camids[row]).mean())
        for row in (failure.ranked.row for failure in found)
    ]
    chance = float(np.mean(shares))
    said = [
        f"{own} of {len(found)} wrong first answers{part} come from the query's own camera; by the gallery's cameras alone it "
        f"would be {chance * len(found):.0f}."
    ]
    if wilson(own, len(found)).low > chance:
        said.append("So the model knows cameras, not only people: background and colours of a camera count.")
    mixed = Counter(frozenset((int(query.pids[failure.ranked.row]), int(gallery.pids[failure.wrong[0]]))) for failure in found)
    often = [(pair, count) for pair, count in mixed.most_common(3) if count > 1 and min(pair) > 0]
    if often:
        pairs = ", ".join(f"{' and '.join(map(str, sorted(pair)))} ({count} times)" for pair, count in often)
        said.append(f"Taken for each other most often: people {pairs}.")
    return tuple(said)
