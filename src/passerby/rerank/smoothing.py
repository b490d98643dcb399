"""Neighbour lists smoothed over neighbours, for graph re-ranking: sparse rows that grow to some hundred entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from passerby.rerank.joined import Workers

__all__ = ["smoothed", "transposed"]


class _Lists(NamedTuple):
    """A sparse matrix as the loops take it: where each row starts, columns, values."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @staticmethod
    def empty(sizes: np.ndarray) -> _Lists:
        """For rows of these sizes, in the smallest type that can count their entries, so that SciPy need not copy them."""
        starts = np.concatenate([[0], np.cumsum(sizes)])
        index = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
        return _Lists(starts.astype(index), np.empty(starts[-1], dtype=index), np.empty(starts[-1], dtype=np.float32))

    @staticmethod
    def of(matrix: sparse.csr_array | sparse.csc_array) -> _Lists:
        return _Lists(np.asarray(matrix.indptr), np.asarray(matrix.indices), np.asarray(matrix.data))


def smoothed(lists: sparse.csr_array, ids: np.ndarray, share: np.ndarray, rounds: int, workers: Workers) -> sparse.csr_array:
    """Each image's list as the weighted sum of those of its neighbours, brought to length 1, `rounds` times.

    Args:
        lists: (N, N) float32 who points at whom; with each row goes the column of the same number, who points at it.
        ids: (N, k) neighbours of each image.
        share: (N, k) float32 weight of each.
        rounds: how often.
        workers: threads and kernel.

    Returns:
        (N, N) float32, columns of a row in no order.
    """
    for _ in range(rounds):
        lists = _mixed(lists, ids, share, workers) if workers.numba else _mixed_by_products(lists, ids, share)
    return lists


def transposed(lists: sparse.csr_array, first: int, workers: Workers) -> sparse.csc_array:
    """The rows of `lists` from `first` on, by column: what ``lists[first:].tocsc()`` gives, by all threads."""
    if not workers.numba:
        return sparse.csc_array(lists[first:].tocsc())
    from passerby.rerank.compiled import count_columns, fill_columns

    rows, columns = lists.shape  # pyright: ignore[reportGeneralTypeIssues]
    given = _Lists.of(lists)
    ends = np.linspace(first, rows, workers.threads + 1).astype(int)
    at = np.zeros((workers.threads, columns), dtype=np.int64)

    def count(start: int, stop: int) -> None:
        for part in range(start, stop):
            count_columns(given, ends[part], ends[part + 1], at[part])

    workers.share(count, workers.threads)
    found = _Lists.empty(at.sum(axis=0))
    at[:] = found.starts[:-1] + np.cumsum(at, axis=0) - at  # what one part enters stands before what the next does

    def fill(start: int, stop: int) -> None:
        for part in range(start, stop):
            fill_columns(given, ends[part], ends[part + 1], first, at[part], found)

    workers.share(fill, workers.threads)
    return sparse.csc_array((found.values, found.columns, found.starts), shape=(rows - first, columns))


def _mixed(lists: sparse.csr_array, ids: np.ndarray, share: np.ndarray, workers: Workers) -> sparse.csr_array:
    from passerby.rerank.compiled import count_mixed, fill_mixed

    N = len(ids)
    pointing = _Lists.of(transposed(lists, 0, workers))
    own = _Lists(*(part.astype(like.dtype, copy=False) for part, like in zip(_Lists.of(lists), pointing, strict=True)))
    size = np.empty(N, dtype=np.int64)
    workers.share(lambda a, b: count_mixed(ids, own, pointing, size, a, b), N)
    found = _Lists.empty(size)
    workers.share(lambda a, b: fill_mixed(ids, share, own, pointing, found, a, b), N)
    return sparse.csr_array((found.values, found.columns, found.starts), shape=(N, N))


def _mixed_by_products(lists: sparse.csr_array, ids: np.ndarray, share: np.ndarray) -> sparse.csr_array:
    N, k = ids.shape
    over = sparse.csr_array((share.ravel(), ids.ravel(), np.arange(0, N * k + 1, k)), shape=(N, N))
    found = sparse.csr_array(over @ sparse.csr_array(lists + lists.T.tocsr()))
    length = np.sqrt(found.multiply(found).sum(axis=1))
    found.data /= np.repeat(np.where(length > 0, length, 1), np.diff(found.indptr)).astype(np.float32)
    return found
