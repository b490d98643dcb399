"""Protocols beside plain search: multi-query, and a single gallery shot."""

from __future__ import annotations

import numpy as np

from passerby.embeddings import BLOCK_NUMBERS, Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics.counting import right_answers, similar_row
from passerby.metrics.matches import Matches

__all__ = ["DRAWN_NUMBERS", "SingleShot", "pool_queries"]

DRAWN_NUMBERS = 2**16  # of a query's repeated draws, made together; the numbers do not depend on it


def pool_queries(query: Embeddings, more: Embeddings, how: str, *, unit: bool = True) -> Embeddings:
    """Each query as the pooled vector of its person's images in its camera.

    Args:
        query: (Q, D) queries. One without images of its pid and camera in `more` keeps its own vector, and a note says so.
        more: (M, D) the multi-query images; they hold the query's own image where it is to count.
        how: "mean", or "max" element by element.
        unit: whether vectors are brought to length 1 before pooling, as a cosine asks. The pooled vector is not.

    Raises:
        UsageError: `how` is neither.
        EmbeddingsError: other dimensions; no image of any query's pid and camera; a zero vector with `unit`.

    Source:
        Zheng et al., ICCV 2015, section 5.1 (average and max pooling of multiple queries).
    """
    if how not in ("mean", "max"):
        raise UsageError(f'multi-query by "{how}": allowed are mean, max.')
    if query.dim != more.dim:
        raise EmbeddingsError(f"queries have {query.dim} dimensions, multi-query images {more.dim}: one model must make both.")
    keys = np.stack([np.concatenate([query.pids, more.pids]), np.concatenate([query.camids, more.camids])])
    group = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)
    of_query, of_more = group[: len(query)], group[len(query) :]
    order = np.argsort(of_more, kind="stable")
    starts = np.searchsorted(of_more[order], of_query, side="left")
    ends = np.searchsorted(of_more[order], of_query, side="right")
    if len(query) and not (ends > starts).any():
        raise EmbeddingsError(f"none of the {len(more)} multi-query images has the pid and camera of a query.")
    lengths = more.unit_lengths("multi-query vectors") if unit else np.ones(len(more))
    own_lengths = query.unit_lengths("query vectors") if unit else np.ones(len(query))
    pooled = np.empty(query.vectors.shape, dtype=np.float32)
    for row in range(len(query)):
        members = order[starts[row] : ends[row]]
        source, of = (more.vectors, lengths) if len(members) else (query.vectors, own_lengths)
        pooled[row] = _pooled(source, of, members if len(members) else np.array([row]), how)
    alone = int((ends == starts).sum())
    notes = [*query.notes, *([f"{alone} queries have no multi-query images and kept their own vector."] if alone else [])]
    return Embeddings(pooled, query.pids, query.camids, query.names, {**query.meta, **({"notes": notes} if notes else {})})


def _pooled(vectors: np.ndarray, lengths: np.ndarray, members: np.ndarray, how: str) -> np.ndarray:
    """(D,) mean or maximum of some rows over their lengths, in float64, a few rows at a time."""
    size = max(1, BLOCK_NUMBERS // vectors.shape[1])
    reduce = np.add.reduce if how == "mean" else np.maximum.reduce
    parts = []
    for start in range(0, len(members), size):
        rows = members[start : start + size]
        parts.append(reduce(vectors[rows] / lengths[rows, None], axis=0))
    together = reduce(parts, axis=0)
    return together / len(members) if how == "mean" else together


class SingleShot:
    """Ranks each query's right answer among one random image of each other person, several times.

    Each draw takes one of the images that the convention leaves to the query, of every pid once: pid -1 and pid 0 too, where they
    are kept, count as one person each.
    """

    def __init__(
        self, matches: Matches, scale: np.ndarray, offset: np.ndarray, *, pessimistic: bool, repeats: int, seed: int
    ) -> None:
        self._labels, self._num_matches, self._scale, self._offset = matches.labels, matches.num_matches, scale, offset
        self._pessimistic, self._repeats = pessimistic, repeats
        self._random = np.random.default_rng(seed)
        self._sizes = np.diff(matches.labels.member_start)

    def __call__(self, block: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw for the queries `first`, `first` + 1, ...: (rows, repeats) ranks, 0 without a match, and (rows,) ties met.

        Draws are made query by query in order, so that they do not depend on the size of a block.
        """
        ranks = np.zeros((len(block), self._repeats), dtype=np.int64)
        tied = np.zeros(len(block), dtype=bool)
        buffer = np.empty(len(self._labels.order), dtype=block.dtype)
        at_once = max(1, DRAWN_NUMBERS // len(self._sizes))
        scale, offset = self._scale.astype(block.dtype, copy=False), self._offset.astype(block.dtype, copy=False)
        for row in range(len(block)):
            query = first + row
            if self._num_matches[query] == 0:
                continue
            similar = similar_row(block[row], scale, offset, self._labels.order, buffer)
            for start in range(0, self._repeats, at_once):
                shots = slice(start, min(start + at_once, self._repeats))
                as_near, nearer = self._counted(similar, query, shots.stop - shots.start)
                tied[row] |= (as_near != nearer).any()
                ranks[row, shots] = 1 + (as_near if self._pessimistic else nearer)
        return ranks, tied

    def _counted(self, similar: np.ndarray, query: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
        """(repeats,) how many of the drawn others are at least as near as the drawn right answer, and how many nearer."""
        draw = self._random.random((repeats, len(self._sizes)))
        right, _ = right_answers(self._labels, query)
        person = self._labels.person[query]
        value = similar[right[(draw[:, person] * len(right)).astype(np.int64)]][:, None]
        draw *= self._sizes
        shots = similar[self._labels.members[self._labels.member_start[:-1] + draw.astype(np.int64)]]
        shots[:, person] = -np.inf
        return (shots >= value).sum(axis=1), (shots > value).sum(axis=1)
