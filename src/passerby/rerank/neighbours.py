"""The k nearest images of every image, exactly: one float32 product by blocks finds candidates, float64 settles their order.

Distances are symmetric, so a block of rows is multiplied only with the images from its first row on, and every product serves the
row and the column: half the work of the whole N x N product. Float32 products differ in their last digits from one block size,
processor or library to the next; so more candidates than needed are kept and measured again in float64, and a row in which an
image that was not kept might still belong among the nearest is looked at once more. The result depends on the vectors alone; of
equally far images those that come first are taken.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from passerby.errors import MissingDependencyError, UsageError, nearest
from passerby.progress import Meter, meter
from passerby.rerank.joined import Joined, Workers, row_blocks

__all__ = ["SEARCHES", "Candidates", "Neighbours", "find_candidates", "find_neighbours", "grow_candidates", "settle"]

SEARCHES = ("own", "faiss")
_MARGIN = 8  # candidates beyond k
_DOUBT = 4e-7  # of a float32 distance between unit vectors, times the root of D: above what any BLAS was seen to err


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each of N images, itself among them.

    Attributes:
        ids: (N, k) int32, nearest first; of equally far ones the lower number first.
        distances: (N, k) float64 squared Euclidean distances, as `Joined` scales the vectors.
        farthest: (N,) float64 the largest distance of each image to any.
        kept: distances over k-reciprocal sets by k1, where several methods are going to need them.
    """

    ids: np.ndarray
    distances: np.ndarray
    farthest: np.ndarray
    kept: dict[int, sparse.csr_array] | None = None


def find_neighbours(
    images: Joined, k: int, workers: Workers, rows: int, *, search: str = "own", progress: bool = False
) -> Neighbours:
    """Find the `k` nearest images of every image.

    Args:
        images: N images.
        k: from 1 to N; an image is among its own neighbours.
        workers: threads and kernel.
        rows: how many images a block of products has.
        search: "own", or "faiss" for the candidates; what is found is the same.
        progress: show how far the work is.

    Raises:
        UsageError: k out of range, or another search.
        MissingDependencyError: faiss was asked for and is not installed.
    """
    return settle(images, find_candidates(images, k, workers, rows, search=search, progress=progress), k, workers, rows)


@dataclass(frozen=True)
class Candidates:
    """More images than are asked for that are near by float32.

    Attributes:
        ids: (N, m) in no order.
        reach: (N,) how far the farthest of them is; those beyond are no nearer.
        farthest: (N,) how far the farthest image of all is.
        heaps: (N, m) their distances, the farthest first, where the search can go on from there.
    """

    ids: np.ndarray
    reach: np.ndarray
    farthest: np.ndarray
    heaps: np.ndarray | None = None


def find_candidates(
    images: Joined, k: int, workers: Workers, rows: int, *, search: str = "own", progress: bool = False
) -> Candidates:
    """What `settle` chooses from; see `find_neighbours`."""
    N = len(images)
    if not 1 <= k <= N:
        raise UsageError(f"{k} neighbours asked for among {N} images: 1 to {N} can be had.")
    m = min(k + _MARGIN, N)
    if search == "faiss":
        return _by_faiss(images, m)
    if search != "own":
        raise UsageError(f'no search "{search}" for neighbours. {nearest(search, SEARCHES)}')
    with workers.products(), meter("neighbours", N) if progress else nullcontext() as shown:
        return (_by_halves if workers.numba else _by_rows)(images, m, workers, rows, shown)


def settle(images: Joined, candidates: Candidates, k: int, workers: Workers, rows: int) -> Neighbours:
    """The `k` nearest of all images, from candidates for them; see `find_neighbours`."""
    ids, distances = _settled(images, candidates.ids, k, workers)
    doubt = _DOUBT * np.sqrt(images.dim)
    limit = candidates.reach - doubt
    unsure = np.flatnonzero((distances[:, -1] >= limit) & (candidates.ids.shape[1] < len(images)))
    with workers.products():
        _look_again(images, unsure, doubt, ids, distances, workers, rows)
    return Neighbours(ids, distances, np.maximum(candidates.farthest, distances[:, -1]).astype(np.float64))


def grow_candidates(images: Joined, found: Candidates, of: np.ndarray, k: int, workers: Workers, rows: int) -> Candidates:
    """Candidates among more images, from those that were found among some: only the further ones are multiplied.

    Args:
        images: N images.
        found: candidates of some of them among these, for the same `k` and with the same `Joined.scale`.
        of: (n,) which images those are, ascending.
        k: as in `find_neighbours`.
        workers: as there.
        rows: as there.
    """
    N, m = len(images), min(k + _MARGIN, len(images))
    if found.heaps is None or found.heaps.shape[1] != m:
        return find_candidates(images, k, workers, rows)
    lists = _Lists.empty(images, m)
    lists.heaps[of], lists.ids[of], lists.farthest[of] = found.heaps, of[found.ids], found.farthest
    further = np.setdiff1d(np.arange(N), of)
    whole = np.isin(np.arange(N), further)  # each of those meets all images when its own row comes
    buffer = np.empty(min(rows, len(further)) * N, dtype=np.float32)
    with workers.products():
        for part in row_blocks(len(further), rows):
            some = further[part]
            lists.enter(images.products_of(some, buffer), some, 0, whole, workers)
    return lists.candidates()


class _Lists(NamedTuple):
    """The lists of all images while they are filled."""

    scale: np.ndarray
    square: np.ndarray
    heaps: np.ndarray
    ids: np.ndarray
    farthest: np.ndarray

    @staticmethod
    def empty(images: Joined, m: int) -> _Lists:
        N = len(images)
        heaps, ids = np.full((N, m), np.inf, dtype=np.float32), np.full((N, m), -1, dtype=np.int32)
        scale, square = images.scale.astype(np.float32), images.square.astype(np.float32)
        return _Lists(scale, square, heaps, ids, np.zeros(N, dtype=np.float32))

    def enter(self, block: np.ndarray, some: np.ndarray, start: int, whole: np.ndarray, workers: Workers) -> None:
        """Take the products of the images `some` with all from `start` on into the lists of both.

        Afterwards the lists of `some` are `whole`: they met all images, and what is entered later must not enter them again.
        """
        from passerby.rerank.compiled import near_columns, near_rows

        whole[some] = True
        workers.share(lambda a, b: near_rows(block, some, start, self, a, b), len(some))
        workers.share(lambda a, b: near_columns(block, some, start, whole, self, a, b), block.shape[1])

    def candidates(self) -> Candidates:
        return Candidates(self.ids, self.heaps[:, 0], self.farthest, self.heaps)


def _by_halves(images: Joined, m: int, workers: Workers, rows: int, shown: Meter | None) -> Candidates:
    N = len(images)
    lists, whole = _Lists.empty(images, m), np.zeros(N, dtype=bool)
    buffer = np.empty(min(rows, N) * N, dtype=np.float32)
    for part in row_blocks(N, rows):
        block = images.products(part, part.start, buffer)
        lists.enter(block, np.arange(part.start, part.stop), part.start, whole, workers)
        if shown:
            shown.advance(len(block))
    return lists.candidates()


def _by_rows(images: Joined, m: int, workers: Workers, rows: int, shown: Meter | None) -> Candidates:
    N = len(images)
    ids = np.empty((N, m), dtype=np.int32)
    reach, farthest = np.empty((2, N), dtype=np.float32)
    buffer = np.empty(min(rows, N) * N, dtype=np.float32)
    for part in row_blocks(N, rows):
        block = images.float_distances(part, 0, buffer)

        def take(a: int, b: int, block: np.ndarray = block, start: int = part.start) -> None:
            nearest_first = np.argpartition(block[a:b], m - 1, axis=1)[:, :m]
            ids[start + a : start + b] = nearest_first
            reach[start + a : start + b] = np.take_along_axis(block[a:b], nearest_first, axis=1).max(axis=1)
            farthest[start + a : start + b] = block[a:b].max(axis=1)

        workers.share(take, len(block))
        if shown:
            shown.advance(len(block))
    return Candidates(ids, reach, farthest)


def _by_faiss(images: Joined, m: int) -> Candidates:
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingDependencyError(
            'search "faiss": faiss is not installed. pip install faiss-cpu, or take search "own".'
        ) from error
    vectors = images.rows(slice(0, len(images)))
    index = faiss.IndexFlatL2(images.dim)
    index.add(vectors)
    reach, ids = index.search(vectors, m)
    # |a - b|^2 is largest where |b|^2 - 2ab is: a product in which every image has one number more
    lengths = (images.square / 2).astype(np.float32)[:, None]
    farthest_of = faiss.IndexFlatIP(images.dim + 1)
    farthest_of.add(np.hstack([-vectors, lengths]))
    half, _ = farthest_of.search(np.hstack([vectors, np.ones_like(lengths)]), 1)
    return Candidates(ids.astype(np.int32), reach[:, -1], 2 * half[:, 0] + images.square.astype(np.float32))


def _settled(images: Joined, candidates: np.ndarray, k: int, workers: Workers) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of each row's candidates, by float64 distance and then by number."""
    N, m = candidates.shape
    ids, distances = np.empty((N, k), dtype=np.int32), np.empty((N, k))
    if workers.numba:
        from passerby.rerank.compiled import settle_rows

        def part(start: int, stop: int) -> None:
            settle_rows(images.first, images.second, images.scale, images.square, candidates, ids, distances, start, stop)

        workers.share(part, N)
        return ids, distances
    exact = images.pair_distances(np.repeat(np.arange(N), m), candidates.ravel(), workers).reshape(N, m)
    order = np.lexsort((candidates, exact), axis=1)[:, :k]
    ids[:], distances[:] = np.take_along_axis(candidates, order, axis=1), np.take_along_axis(exact, order, axis=1)
    return ids, distances


def _look_again(
    images: Joined, unsure: np.ndarray, doubt: float, ids: np.ndarray, distances: np.ndarray, workers: Workers, rows: int
) -> None:
    """Settle the rows in which more images than candidates may be as near: with many equal vectors, for instance."""
    k, N = ids.shape[1], len(images)
    buffer = np.empty(min(rows, len(unsure)) * N, dtype=np.float32)
    for part in row_blocks(len(unsure), rows):
        some = unsure[part]
        near = images.distances_of(some, buffer) <= (distances[some, -1] + doubt)[:, None]
        for row, chosen in zip(some.tolist(), near, strict=True):
            columns = np.flatnonzero(chosen)
            exact = images.pair_distances(np.full(len(columns), row), columns, workers)
            order = np.lexsort((columns, exact))[:k]
            ids[row], distances[row] = columns[order], exact[order]
