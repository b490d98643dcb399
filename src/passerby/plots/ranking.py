"""Ranked lists: what a search found for one query, by the rules of a convention; and which queries are worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import UsageError, listing, nearest
from passerby.metrics import MARKET1501, Convention, RetrievalScores
from passerby.records import DISTRACTOR_PID, JUNK_PID

__all__ = ["Junk", "RankedQuery", "Verdict", "choose_queries", "find_queries", "rank_query"]

Verdict = Literal["right", "wrong", "junk"]
Junk = Literal["drop", "mark"]


@dataclass(frozen=True)
class RankedQuery:
    """The head of one query's ranked list.

    Attributes:
        row: of the query in its embeddings.
        columns: gallery rows, best first.
        verdicts: whether each is right, wrong, or junk that the convention takes out.
        ranks: rank of each from 1 as the convention counts; 0 for junk.
        nearness: similarity (cosine or dot product) of each; under a Euclidean convention the distance.
        matches: right answers in the whole gallery.
        first_rank: of the first right answer; 0 where there is none.
    """

    row: int
    columns: np.ndarray
    verdicts: tuple[Verdict, ...]
    ranks: tuple[int, ...]
    nearness: np.ndarray
    matches: int
    first_rank: int


def _closeness(query: np.ndarray, gallery: np.ndarray, distance: str) -> np.ndarray:
    """(G,) float32: large is near."""
    if distance == "euclidean":
        return -np.linalg.norm(gallery - query, axis=1)
    if distance == "cosine":
        query = query / max(float(np.linalg.norm(query)), 1e-30)
        return (gallery @ query) / np.maximum(np.linalg.norm(gallery, axis=1), 1e-30)
    return gallery @ query


def rank_query(
    query: Embeddings, gallery: Embeddings, row: int, convention: Convention = MARKET1501, *, top: int = 10, junk: Junk = "drop"
) -> RankedQuery:
    """Rank the gallery for one query by the rules of a convention.

    Args:
        query: (Q, D).
        gallery: (G, D).
        row: which query.
        convention: what is junk, what is right, what is near.
        top: how many entries.
        junk: ``drop`` what the convention takes out, or ``mark`` it where it would have stood, without a rank.
    """
    close = _closeness(query.vectors[row], gallery.vectors, convention.distance)
    same = gallery.pids == query.pids[row]
    out = np.zeros(len(gallery), dtype=bool)
    if convention.junk == "drop":
        out |= gallery.pids == JUNK_PID
    if convention.distractors == "drop":
        out |= gallery.pids == DISTRACTOR_PID
    if convention.same_camera == "drop":
        out |= same & (gallery.camids == query.camids[row])
    else:
        out |= same & (gallery.names == query.names[row]) & (gallery.names != "")
    # Ties as the convention says: against the query, a wrong answer stands first.
    tie = same if convention.ties == "pessimistic" else ~same
    order = np.lexsort((tie, -close))
    kept = ~out[order]
    ranks = np.where(kept, np.cumsum(kept), 0)
    right = same[order] & kept
    shown = np.arange(len(order)) if junk == "mark" else np.flatnonzero(kept)
    shown = shown[:top]
    verdicts: tuple[Verdict, ...] = tuple("junk" if not kept[i] else "right" if right[i] else "wrong" for i in shown)
    first = np.flatnonzero(right)
    return RankedQuery(
        row=row,
        columns=order[shown],
        verdicts=verdicts,
        ranks=tuple(int(ranks[i]) for i in shown),
        nearness=np.abs(close[order[shown]]) if convention.distance == "euclidean" else close[order[shown]],
        matches=int(right.sum()),
        first_rank=int(ranks[first[0]]) if len(first) else 0,
    )


def choose_queries(scores: RetrievalScores, each: int = 3) -> dict[str, list[int]]:
    """Rows of the best, the median and the worst queries by average precision, among those with a right answer.

    Equal queries are taken in their order; no query is in two groups.

    Args:
        scores: of all queries.
        each: how many of each group.
    """
    valid = np.flatnonzero(scores.valid)
    order = valid[np.argsort(-scores.ap[valid], kind="stable")].tolist()
    if len(order) <= 3 * each:
        third = max(1, len(order) // 3)
        groups = {"best": order[:third], "median": order[third : len(order) - third], "worst": order[third:][-third:]}
    else:
        middle = (len(order) - each) // 2
        groups = {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}
    return {name: rows for name, rows in groups.items() if rows}


def find_queries(query: Embeddings, names: Sequence[str]) -> list[int]:
    """Rows of queries by name, or by the end of a name that no other query ends in.

    Raises:
        UsageError: no query has that name, or several end in it.
    """
    rows = []
    for name in names:
        exact = np.flatnonzero(query.names == name)
        found = exact if len(exact) else np.flatnonzero(np.char.endswith(query.names, name))
        if len(found) == 0:
            raise UsageError(f'no query "{name}" among {len(query)}. {nearest(name, list(query.names))}')
        if len(found) > 1:
            raise UsageError(f'{len(found)} queries end in "{name}": {listing(query.names[found])}. Give more of the name.')
        rows.append(int(found[0]))
    return rows
