"""One row a track: the most similar one stands for all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from passerby.gallery.store import Found

__all__ = ["first_of_groups"]

_MORE = 8  # times the wanted rows that are looked at first, and times more when they are of too few tracks


def first_of_groups(
    search: Callable[[np.ndarray, int], list[Found]],
    queries: np.ndarray,
    k: int,
    groups: Callable[[np.ndarray], np.ndarray],
    total: int,
) -> list[Found]:
    """The most similar row of each of the k nearest groups, exactly.

    Args:
        search: (queries, count) -> the `count` most similar positions of each query.
        queries: (Q, D).
        k: groups wanted.
        groups: what was found -> (n,) its groups; negative: a group of its own.
        total: how many rows can be found at all.
    """
    found: list[Found | None] = [None] * len(queries)
    waiting = np.arange(len(queries))
    count = k * _MORE
    while len(waiting):
        short = []
        for query, near in zip(waiting.tolist(), search(queries[waiting], count), strict=True):
            first = _first(near, groups)
            if len(first) >= k or len(near.ids) < count or count >= total:
                found[query] = Found(near.ids[first[:k]], near.similarities[first[:k]])
            else:
                short.append(query)
        waiting, count = np.array(short, dtype=np.int64), count * _MORE
    return [each for each in found if each is not None]


def _first(near: Found, groups: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Places in `near` of the first row of each group."""
    own = groups(near.ids).astype(np.int64)
    alone = own < 0
    own[alone] = -1 - np.flatnonzero(alone)
    _, first = np.unique(own, return_index=True)
    return np.sort(first)
