"""Queries and gallery as one set of N = Q + G images without a copy of their vectors, and the distances within it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, MissingDependencyError, UsageError, nearest
from passerby.machine import available_cores, in_threads
from passerby.metrics.counting import Kernel
from passerby.metrics.retrieval import limited

__all__ = ["Distance", "Dots", "Joined", "Workers", "in_strips", "row_blocks"]

Distance = Literal["cosine", "euclidean"]
_WORTH_COMPILING = 4_000_000  # cells of the N x N matrix
_STRIP = 8  # rows
_PAIRS = 4096  # gathered at a time where numba is not used


class Dots(NamedTuple):
    """Dot products of queries with gallery images that somebody has already.

    Attributes:
        values: (Q, M) float32.
        factor: what they are to be multiplied by to be products of the vectors as stored.
        columns: (G,) which column is of which gallery image; None where M = G, in order.
    """

    values: np.ndarray
    factor: float
    columns: np.ndarray | None = None


@dataclass(frozen=True)
class Joined:
    """N images, the first Q of them queries; without queries, one set.

    Distances are squared Euclidean ones between the vectors brought to length 1 ("cosine": 2 - 2 cos), or divided by the
    greatest length of all ("euclidean"), which changes no ranking and no ratio and keeps float32 products in range.

    Attributes:
        first: (Q, D) float32.
        second: (G, D) float32.
        scale: (N,) float64, what each vector is multiplied by.
        square: (N,) float64, squared lengths after that.
        dots: products of queries with the gallery that need not be made again.
    """

    first: np.ndarray
    second: np.ndarray
    scale: np.ndarray
    square: np.ndarray
    dots: Dots | None = None

    @staticmethod
    def of(query: Embeddings, gallery: Embeddings, distance: Distance = "cosine", dots: Dots | None = None) -> Joined:
        """Join and check two sets. Where both hold the same vectors, one set is made of them, in which nothing stands twice.

        Raises:
            UsageError: another distance.
            EmbeddingsError: an empty set, unequal dimensions, a zero vector where a cosine is asked.
        """
        if distance not in get_args(Distance):
            raise UsageError(
                f"no re-ranking by {distance} distance: k-reciprocal neighbours need one of {', '.join(get_args(Distance))}."
            )
        same = query is gallery or np.array_equal(query.vectors, gallery.vectors)
        parts = [("gallery", gallery)] if same else [("query", query), ("gallery", gallery)]
        for name, part in parts:
            if len(part) == 0:
                raise EmbeddingsError(f"the {name} is empty: there is nothing to re-rank.")
        if query.dim != gallery.dim:
            raise EmbeddingsError(f"queries have {query.dim} dimensions, the gallery {gallery.dim}: one model must make both.")
        if distance == "cosine":
            lengths = np.concatenate([part.unit_lengths(f"{name} vectors") for name, part in parts])
            scale = 1 / lengths
            square = np.ones(len(lengths))
        else:
            lengths = np.concatenate([part.lengths() for _, part in parts])
            scale = np.full(len(lengths), 1 / (lengths.max() or 1.0))
            square = (lengths * scale) ** 2
        first = np.empty((0, gallery.dim), dtype=np.float32) if same else query.vectors
        return Joined(first, gallery.vectors, scale, square, None if same else dots)

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def num_first(self) -> int:
        """Q."""
        return len(self.first)

    @property
    def dim(self) -> int:
        """D."""
        return self.second.shape[1]

    def rows(self, rows: slice) -> np.ndarray:
        """The vectors of `rows`, scaled: a copy of these rows alone."""
        Q = self.num_first
        parts = [self.first[rows.start : rows.stop], self.second[max(rows.start - Q, 0) : max(rows.stop - Q, 0)]]
        return (np.concatenate(parts) * self.scale[rows, None]).astype(np.float32)

    def take(self, ids: np.ndarray) -> np.ndarray:
        """(n, D) float64 vectors of these images, not scaled."""
        found = np.empty((len(ids), self.dim))
        early = ids < self.num_first
        found[early], found[~early] = self.first[ids[early]], self.second[ids[~early] - self.num_first]
        return found

    def products(self, rows: slice, start: int, out: np.ndarray) -> np.ndarray:
        """(n, N - start) dot products of the images `rows`, scaled, with all from `start` on, these not scaled."""
        Q, width = self.num_first, len(self) - start
        found = out[: (rows.stop - rows.start) * width].reshape(-1, width)
        vectors = self.rows(rows)
        if start < Q:
            np.matmul(vectors, self.first[start:].T, out=found[:, : Q - start])
        known = max(min(rows.stop, Q) - rows.start, 0) if self.dots is not None and start <= Q else 0
        if known:
            self._known(slice(rows.start, rows.start + known), found[:known, Q - start :])
        np.matmul(vectors[known:], self.second[max(start - Q, 0) :].T, out=found[known:, max(Q - start, 0) :])
        return found

    def _known(self, rows: slice, out: np.ndarray) -> None:
        assert self.dots is not None
        values, factor, columns = self.dots
        for given, found, scale in zip(values[rows], out, (self.scale[rows] * factor).astype(np.float32), strict=True):
            if columns is None:
                np.multiply(given, scale, out=found)
            else:  # "raise" would go through a copy
                np.multiply(np.take(given, columns, out=found, mode="clip"), scale, out=found)

    def float_distances(self, rows: slice, start: int, out: np.ndarray) -> np.ndarray:
        """(n, N - start) float32 distances of the images `rows` to all from `start` on, in the buffer `out`."""
        return self.into_distances(self.products(rows, start, out), np.arange(rows.start, rows.stop), start)

    def distances_of(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        """(n, N) float32 distances of any images `ids` to all, in the buffer `out`."""
        return self.into_distances(self.products_of(ids, out), ids, 0)

    def products_of(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        """(n, N) dot products of any images `ids`, scaled, with all, these not scaled."""
        found = out[: len(ids) * len(self)].reshape(-1, len(self))
        vectors = (self.take(ids) * self.scale[ids, None]).astype(np.float32)
        Q = self.num_first
        if self.dots is None or (ids < Q).any():
            np.matmul(vectors, self.first.T, out=found[:, :Q])
        else:
            values, factor, columns = self.dots
            of = ids - Q if columns is None else columns[ids - Q]
            np.multiply(values[:, of].T, (self.scale[ids] * factor).astype(np.float32)[:, None], out=found[:, :Q])
        np.matmul(vectors, self.second.T, out=found[:, Q:])
        return found

    def into_distances(self, block: np.ndarray, ids: np.ndarray, start: int) -> np.ndarray:
        """Turn products of the images `ids` with all from `start` on into distances, in place."""
        block *= (-2 * self.scale[start:]).astype(np.float32)
        block += self.square[start:].astype(np.float32)
        block += self.square[ids, None].astype(np.float32)
        return block

    def pair_distances(self, one: np.ndarray, other: np.ndarray, workers: Workers) -> np.ndarray:
        """(n,) float64 distances of image ``one[i]`` to image ``other[i]``; equal vectors are equally far from any third."""
        found = np.empty(len(one))
        if workers.numba:
            from passerby.rerank.compiled import pair_distances

            def part(start: int, stop: int) -> None:
                pair_distances(
                    self.first, self.second, self.scale, self.square, one[start:stop], other[start:stop], found[start:stop]
                )

            workers.share(part, len(one))
            return found
        for start in range(0, len(one), _PAIRS):
            a, b = one[start : start + _PAIRS], other[start : start + _PAIRS]
            dot = np.einsum("nd,nd->n", self.take(a), self.take(b)) * (self.scale[a] * self.scale[b])
            found[start : start + _PAIRS] = np.maximum(self.square[a] + self.square[b] - 2 * dot, 0)
        return found


@dataclass(frozen=True)
class Workers:
    """How work is done: in machine code or not, and by how many threads."""

    numba: bool
    threads: int
    bounded: bool = False  # whether products keep to that number too

    def products(self) -> Any:
        """A context for products, in which BLAS has as many threads as were asked for."""
        return limited(self.threads if self.bounded else None)

    @staticmethod
    def choose(kernel: Kernel, N: int, threads: int | None = None) -> Workers:
        """Machine code where it is asked for, or installed and worth compiling.

        Raises:
            UsageError: another kernel; fewer than one thread.
            MissingDependencyError: numba was asked for by name and is not installed.
        """
        if kernel not in get_args(Kernel):
            raise UsageError(f'no re-ranking kernel "{kernel}". {nearest(str(kernel), get_args(Kernel))}')
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}: it must be 1 or more.")
        bounded, threads = threads is not None, threads or available_cores()
        if kernel == "numpy" or (kernel == "auto" and N * N < _WORTH_COMPILING):
            return Workers(False, threads, bounded)
        try:
            import numba  # noqa: F401
        except ImportError as error:
            if kernel == "auto":
                return Workers(False, threads, bounded)
            raise MissingDependencyError('kernel "numba": numba is not installed. Install it, or take kernel "numpy".') from error
        return Workers(True, threads, bounded)

    def share(self, work: Callable[[int, int], None], count: int) -> None:
        """Call ``work(start, stop)`` for slices of `count` items, one a thread."""
        in_threads(work, count, self.threads)


def in_strips(work: Callable[[slice], None], rows: int, workers: Workers) -> None:
    """Call `work` for slices of few rows of a block, so that what passes over them several times finds them in the cache."""

    def some(start: int, stop: int) -> None:
        for part in row_blocks(stop - start, _STRIP):
            work(slice(start + part.start, start + part.stop))

    workers.share(some, rows)


def row_blocks(count: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` out of `count`."""
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))
