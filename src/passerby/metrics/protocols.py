"""Protocols beside plain search: multi-query, and a single gallery shot."""

from __future__ import annotations

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics.counting import right_answers, similar_row
from passerby.metrics.matches import Matches

__all__ = ["SingleShot", "pool_queries"]


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
    pooled = query.vectors / (query.unit_lengths("query vectors") if unit else np.ones(len(query)))[:, None]
    for row in np.flatnonzero(ends > starts):
        members = order[starts[row] : ends[row]]
        vectors = more.vectors[members] / lengths[members, None]
        pooled[row] = vectors.mean(axis=0) if how == "mean" else vectors.max(axis=0)
    alone = int((ends == starts).sum())
    notes = [*query.notes, *([f"{alone} queries have no multi-query images and kept their own vector."] if alone else [])]
    return Embeddings(pooled, query.pids, query.camids, query.names, {**query.meta, **({"notes": notes} if notes else {})})


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
        scale, offset = self._scale.astype(block.dtype, copy=False), self._offset.astype(block.dtype, copy=False)
        for row in range(len(block)):
            query = first + row
            if self._num_matches[query] == 0:
                continue
            draw = self._random.random((self._repeats, len(self._sizes)))
            similar = similar_row(block[row], scale, offset, self._labels.order, buffer)
            shots = similar[self._labels.members[self._labels.member_start[:-1] + (draw * self._sizes).astype(np.int64)]]
            right, _ = right_answers(self._labels, query)
            person = self._labels.person[query]
            value = similar[right[(draw[:, person] * len(right)).astype(np.int64)]][:, None]
            shots[:, person] = -np.inf
            as_near, nearer = (shots >= value).sum(axis=1), (shots > value).sum(axis=1)
            tied[row] = (as_near != nearer).any()
            ranks[row] = 1 + (as_near if self._pessimistic else nearer)
        return ranks, tied
