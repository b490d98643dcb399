"""The rank of every right answer, found by counting the wrong ones before it. Nothing is sorted but a query's few right answers.

The rank of a query's i-th right answer is i plus the number of wrong answers that are at least as near. So one pass over a row of
similarities for each right answer gives every rank, exactly, whatever the order of the gallery; and a pass that only compares and
adds runs at the speed of memory. The gallery is taken camera by camera, which gives the ranks inside each camera for nothing.

Two kernels give the same integers: the one of `passerby.metrics.compiled`, and `count_rows_numpy` here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from passerby.errors import MissingDependencyError, UsageError, nearest
from passerby.machine import in_threads
from passerby.metrics.matches import Labels, Matches

__all__ = ["Counter", "Kernel", "Ranks", "choose_kernel", "wrong_before"]

Kernel = Literal["auto", "numba", "numpy"]
_WORTH_COMPILING = 40_000_000  # cells of the similarity matrix
_MANY = 64  # from this many right answers on, sorting the wrong ones among them costs less than a pass for each


class Ranks(NamedTuple):
    """The right answers of a block of queries, query by query, nearest first.

    Attributes:
        start: (rows + 1,) where each query's right answers start in the columns below.
        rank: (M,) rank among all gallery images that count, from 1.
        camera: (M,) camera index of the right answer.
        camera_hit: (M,) its place among the query's right answers of its camera, from 1.
        camera_rank: (M,) its rank among the gallery images of its camera, from 1.
        tied: (rows,) whether some wrong answer is exactly as near as some right one, so that the tie rule matters.
    """

    start: np.ndarray
    rank: np.ndarray
    camera: np.ndarray
    camera_hit: np.ndarray
    camera_rank: np.ndarray
    tied: np.ndarray


@dataclass(frozen=True)
class Counter:
    """Ranks blocks of queries.

    Attributes:
        matches: the labels.
        scale: (K,) by position; with `offset`, ``block * scale - offset`` is the similarity, large is near.
        offset: (K,) by position.
        pessimistic: whether ties go against the query.
        kernel: what `choose_kernel` gave.
        threads: into how many slices a block is cut; both kernels leave Python's lock.
    """

    matches: Matches
    scale: np.ndarray
    offset: np.ndarray
    pessimistic: bool
    kernel: Callable[..., None]
    threads: int

    def __call__(self, block: np.ndarray, first: int) -> Ranks:
        """Rank the right answers of the queries `first`, `first` + 1, ..., the rows of `block` (rows, G)."""
        rows = len(block)
        start = np.concatenate([[0], np.cumsum(self.matches.num_matches[first : first + rows])])
        rank, camera, camera_hit, camera_rank = np.empty((4, start[-1]), dtype=np.int64)
        ranks = Ranks(start, rank, camera, camera_hit, camera_rank, np.zeros(rows, dtype=bool))

        scale, offset = self.scale.astype(block.dtype, copy=False), self.offset.astype(block.dtype, copy=False)

        def count(start: int, stop: int) -> None:
            self.kernel(block, scale, offset, self.matches.labels, first, start, stop, self.pessimistic, ranks)

        in_threads(count, rows, self.threads)
        return ranks


def choose_kernel(name: Kernel, cells: int) -> Callable[..., None]:
    """The kernel of that name; "auto" compiles only where there is enough to count.

    Args:
        name: "auto", "numba" or "numpy".
        cells: size of the similarity matrix.

    Raises:
        UsageError: another name.
        MissingDependencyError: numba was asked for by name and is not installed.
    """
    if name not in ("auto", "numba", "numpy"):
        raise UsageError(f'no counting kernel "{name}". {nearest(name, ("auto", "numba", "numpy"))}')
    if name == "numpy" or (name == "auto" and cells < _WORTH_COMPILING):
        return count_rows_numpy
    try:
        from passerby.metrics.compiled import count_rows_numba
    except ImportError as error:
        if name == "auto":
            return count_rows_numpy
        raise MissingDependencyError('kernel "numba": numba is not installed. Install it, or take kernel "numpy".') from error
    return count_rows_numba


def similar_row(row: np.ndarray, scale: np.ndarray, offset: np.ndarray, order: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Fill `out` (K,) with one query's similarities by position."""
    np.take(row, order, out=out, mode="clip")  # "raise" would go through a copy
    np.multiply(out, scale, out=out)
    return np.subtract(out, offset, out=out)


def right_answers(labels: Labels, query: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the query's right answers, and those of every image of its person, which are no wrong answers."""
    person = labels.person[query]
    group = labels.members[labels.member_start[person] : labels.member_start[person + 1]]
    right = group[group != labels.own[query]]
    return (right[labels.camera_of[right] != labels.camera[query]] if labels.drop_same_camera else right), group


def count_rows_numpy(
    block: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    labels: Labels,
    first: int,
    row_from: int,
    row_to: int,
    pessimistic: bool,
    ranks: Ranks,
) -> None:
    """Fill `ranks` for the rows from `row_from` to `row_to` of a block whose row 0 is query `first`."""
    buffer = np.empty(len(labels.order), dtype=block.dtype)
    for row in range(row_from, row_to):
        low, high = ranks.start[row], ranks.start[row + 1]
        n = high - low
        if n == 0:
            continue
        similar = similar_row(block[row], scale, offset, labels.order, buffer)
        right, group = right_answers(labels, first + row)
        nearest_first = np.argsort(-similar[right])
        values, cameras = similar[right[nearest_first]], labels.camera_of[right[nearest_first]]
        similar[group] = -np.inf
        as_near, nearer = wrong_before(similar, values)
        ranks.tied[row] = (as_near != nearer).any()
        ranks.rank[low:high] = np.arange(1, n + 1) + (as_near if pessimistic else nearer)
        ranks.camera[low:high] = cameras
        for camera in np.unique(cameras):
            mine = np.flatnonzero(cameras == camera)
            segment = similar[labels.camera_start[camera] : labels.camera_start[camera + 1]]
            as_near, nearer = wrong_before(segment, values[mine])
            ranks.camera_hit[low + mine] = np.arange(1, len(mine) + 1)
            ranks.camera_rank[low + mine] = np.arange(1, len(mine) + 1) + (as_near if pessimistic else nearer)


def wrong_before(similar: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of `similar` are at least as large as each of the falling `values`, and how many larger."""
    if len(values) < _MANY:
        passes = [(np.count_nonzero(similar >= value), np.count_nonzero(similar > value)) for value in values]
        as_near, nearer = np.array(passes).T
        return as_near, nearer
    near = np.sort(similar[similar >= values[-1]])
    return len(near) - np.searchsorted(near, values, side="left"), len(near) - np.searchsorted(near, values, side="right")
