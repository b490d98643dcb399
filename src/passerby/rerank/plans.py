"""What re-ranking will take, said before it starts: seconds, from a short product on this machine, and memory, from the sizes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from passerby.errors import UsageError
from passerby.rerank.joined import Joined, Workers

__all__ = ["Plan", "check_depth", "plan_graph", "plan_k_reciprocal"]

_BLOCK_ROWS = 512  # beyond this a product gains nothing
_TRIED = 256, 4096  # rows and columns of the product that is timed
_ENTRY = 8  # bytes of a sparse entry: column and value
_BESIDE = 1.3  # times what the products take
_START_MB = {True: 120, False: 30}  # compiled loops and what their compiler holds; without them, sparse products


@dataclass(frozen=True)
class Plan:
    """What one re-ranking is going to take.

    Attributes:
        rows: images a block.
        memory_mb: predicted peak beyond the vectors, in 10^6 bytes.
        cells: how many products of two vectors it takes, about.
        images: what is re-ranked.
    """

    rows: int
    memory_mb: float
    cells: float
    images: Joined = field(repr=False)

    @cached_property
    def seconds(self) -> float:
        """Predicted from a short product on this machine, which is made when this is asked for."""
        return self.cells * _seconds_a_cell(self.images) * _BESIDE

    def in_words(self) -> str:
        """One line for the user."""
        return f"about {_duration(self.seconds)} and {self.memory_mb:.0f} MB beyond the vectors, {self.rows} images a block"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def check_depth(k1: int, k2: int, depth: int, N: int) -> None:
    """Refuse more neighbours than there are images.

    Raises:
        UsageError: `depth` exceeds `N`.
    """
    if depth > N:
        raise UsageError(
            f"re-ranking with k1 {k1} and k2 {k2} needs {depth} images; query and gallery have {N}. "
            "Take smaller ones: k1 is about the number of images of a person."
        )


def plan_k_reciprocal(images: Joined, k1: int, k2: int, memory_mb: float, workers: Workers) -> Plan:
    """Choose the size of a block under the ceiling and predict the rest.

    Args:
        images: N images.
        k1: neighbours that must be mutual.
        k2: neighbours averaged over.
        memory_mb: the ceiling.
        workers: threads and kernel.

    Raises:
        UsageError: the lists alone exceed the ceiling.
    """
    in_sets = 1.3 * k1  # entries a row, as measured on features with 17 images a person; more only with larger k1
    return _plan(images, k1 + 1, 3 * in_sets * (2 + 0.5 * (k2 - 1)), memory_mb, workers)


def plan_graph(images: Joined, k1: int, k2: int, memory_mb: float, workers: Workers) -> Plan:
    """As `plan_k_reciprocal`, for graph re-ranking, whose lists grow twice by what `k2` neighbours have.

    Raises:
        UsageError: the lists alone exceed the ceiling.
    """
    grown = k1 * (1 if k2 == 1 else 1 + k2)
    return _plan(images, k1, 3 * min(grown, len(images)), memory_mb, workers)


def _plan(images: Joined, k: int, entries: float, memory_mb: float, workers: Workers) -> Plan:
    N, Q = len(images), images.num_first
    fixed = N * (20 * k + 90 + _ENTRY * entries) / 1e6 + _START_MB[workers.numba]
    a_row = (4 * N * (1 if workers.numba else 4) + 20 * images.dim) / 1e6
    if not memory_mb >= fixed + a_row:  # NaN is not
        raise UsageError(
            f"memory_mb is {memory_mb:g}: re-ranking {N} images with these neighbours needs at least {fixed + a_row:.0f}."
        )
    rows = int(min((memory_mb - fixed) // a_row, _BLOCK_ROWS, N))
    cells = (0.5 if workers.numba else 1.0) * N * N + Q * (N - Q)
    return Plan(rows, fixed + rows * a_row, cells, images)


def _seconds_a_cell(images: Joined) -> float:
    """Of a product of `images`' vectors: the better of two tries, the first of which wakes the threads."""
    first, others = images.second[: _TRIED[0]], images.second[: _TRIED[1]]
    out = np.empty((len(first), len(others)), dtype=np.float32)
    tries = []
    for _ in range(2):
        start = time.perf_counter()
        np.matmul(first, others.T, out=out)
        tries.append(time.perf_counter() - start)
    return min(tries) / out.size
