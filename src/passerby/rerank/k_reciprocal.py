"""k-reciprocal re-ranking, exact and sparse: the numbers of the textbook form without an N x N matrix.

What the textbook form keeps in dense matrices has some dozens of entries a row: here neighbours, sets and weights are lists.
The distances of a block of queries are made when they are asked for, in one buffer, so that the evaluator can count them and
throw them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics.counting import Kernel
from passerby.rerank.joined import Distance, Joined, Workers, in_strips, row_blocks
from passerby.rerank.neighbours import Neighbours, find_neighbours
from passerby.rerank.overlap import overlap
from passerby.rerank.plans import Plan, check_depth, plan_k_reciprocal
from passerby.rerank.reciprocal import averaged, neighbour_weights, positive

__all__ = ["K_RECIPROCAL", "KReciprocal", "jaccard_distances"]


@dataclass(frozen=True)
class KReciprocal:
    """Settings of k-reciprocal re-ranking.

    Attributes:
        k1: neighbours that must be mutual. About the number of images of a person in query and gallery together.
        k2: neighbours over which weights are averaged; 1 leaves that out.
        weight: lambda, the share of the original distance in the final one, 0 to 1.
        power: of the squared Euclidean distances that go in: 1 is the paper, 2 what Person_reID_baseline_pytorch and torchreid's
            engine come to, whose re-ranking code squares a distance that is squared already.
        distance: ``cosine`` brings vectors to length 1 first, ``euclidean`` takes them as they are.

    Raises:
        UsageError: a value out of range.

    Source:
        Zhong, Zheng, Cao and Li, CVPR 2017; settings of section 4.2 for Market-1501.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3
    power: Literal[1, 2] = 1
    distance: Distance = "cosine"

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1:
            raise UsageError(f"re-ranking with k1 {self.k1} and k2 {self.k2}: both count neighbours, 1 is the least.")
        if not 0 <= self.weight <= 1:
            raise UsageError(f"re-ranking with weight (lambda) {self.weight}: it is a share, 0 to 1.")
        if self.power not in (1, 2):
            raise UsageError(
                f"re-ranking with power {self.power}: 1 is the squared Euclidean distance, 2 its square; no other is in use."
            )

    @property
    def depth(self) -> int:
        """How many neighbours of each image are needed, itself among them."""
        return max(self.k1 + 1, self.k2)

    def in_words(self) -> str:
        """What was done, in one line, to be printed beside the numbers."""
        what = "squared Euclidean distances" if self.power == 1 else "squares of squared Euclidean distances"
        unit = " of unit vectors" if self.distance == "cosine" else ""
        return f"k-reciprocal re-ranking, k1 {self.k1}, k2 {self.k2}, lambda {self.weight:g}, from {what}{unit}"

    def plan(self, images: Joined, memory_mb: float, workers: Workers) -> Plan:
        """Blocks under a ceiling, and what they will take; see `plan_k_reciprocal`."""
        return plan_k_reciprocal(images, self.k1, self.k2, memory_mb, workers)

    def blocks(
        self, images: Joined, Q: int, found: Callable[[], Neighbours], rows: int, workers: Workers
    ) -> Iterator[np.ndarray]:
        """Re-ranked distances of the first Q images, `rows` a block; `found` gives the neighbours when the first is asked for."""
        neighbours = found()
        weights = _weights(images, neighbours, self, workers)
        offset = images.num_first
        inverted = weights[offset:].tocsc()
        farthest = positive(neighbours.farthest)
        buffer, shared = np.empty((2, min(rows, Q) * (len(images) - offset)), dtype=np.float32)
        for part in row_blocks(Q, rows):
            together = overlap(weights, inverted, part, shared, workers)
            yield _final(images, part, together, farthest, self, buffer, workers)


K_RECIPROCAL = KReciprocal()
"""The paper's settings for Market-1501."""


def _weights(images: Joined, found: Neighbours, settings: KReciprocal, workers: Workers) -> sparse.csr_array:
    weights = neighbour_weights(images, found, settings.k1, settings.power, workers)
    return averaged(weights, found.ids, settings.k2)


def _final(
    images: Joined,
    rows: slice,
    shared: np.ndarray,
    farthest: np.ndarray,
    settings: KReciprocal,
    buffer: np.ndarray,
    workers: Workers,
) -> np.ndarray:
    """Turn shared weight into (1 - lambda) Jaccard distance + lambda original distance, in place."""
    ids = np.arange(rows.start, rows.stop)
    products = None
    if settings.weight > 0:
        with workers.products():
            products = images.products(rows, images.num_first, buffer)

    def blend(part: slice) -> None:
        one = shared[part]
        np.divide(one, 2 - one, out=one)
        np.subtract(1, one, out=one)
        if products is None:
            return
        other = images.into_distances(products[part], ids[part], images.num_first)
        np.maximum(other, 0, out=other)
        other /= farthest[ids[part], None].astype(np.float32)
        if settings.power == 2:
            np.multiply(other, other, out=other)
        one *= np.float32(1 - settings.weight)
        other *= np.float32(settings.weight)
        one += other

    in_strips(blend, len(shared), workers)
    return shared


def jaccard_distances(
    images: Embeddings,
    k1: int = 30,
    k2: int = 6,
    *,
    distance: Distance = "cosine",
    power: Literal[1, 2] = 1,
    memory_mb: float = 1000,
    threads: int | None = None,
    kernel: Kernel = "auto",
    search: str = "own",
    progress: bool = False,
) -> sparse.csr_array:
    """The k-reciprocal Jaccard distances of one set to itself, sparse: what is not stored is 1.

    Made for clustering: ``DBSCAN(eps, metric="precomputed")`` takes the matrix as it is and reads what is not stored as too far.

    Args:
        images: (N, D).
        k1: neighbours that must be mutual.
        k2: neighbours over which weights are averaged; 1 leaves that out.
        distance: as in `KReciprocal`.
        power: as in `KReciprocal`.
        memory_mb: ceiling of working memory beyond vectors and result, in 10^6 bytes.
        threads: left out, all that the process may use.
        kernel: as in `rerank_blocks`.
        search: as in `rerank_blocks`.
        progress: show how far the work is.

    Returns:
        (N, N) float32, symmetric, with stored zeros on its diagonal.

    Raises:
        UsageError: see `rerank_blocks`.
        EmbeddingsError: see `rerank_blocks`.
    """
    joined = Joined.of(images, images, distance)
    settings = KReciprocal(k1, k2, 0, power, distance)
    workers = Workers.choose(kernel, len(joined), threads)
    check_depth(k1, k2, settings.depth, len(joined))
    plan = settings.plan(joined, memory_mb, workers)
    found = find_neighbours(joined, settings.depth, workers, plan.rows, search=search, progress=progress)
    weights = _weights(joined, found, settings, workers)
    inverted = weights.tocsc()
    shared = np.empty(plan.rows * len(joined), dtype=np.float32)
    parts = []
    for rows in row_blocks(len(joined), plan.rows):
        block = overlap(weights, inverted, rows, shared, workers)
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 1
        row, column = np.nonzero(block)
        both = block[row, column]
        near = np.maximum(1 - both / (2 - both), 0)
        ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(block)))])
        parts.append(sparse.csr_array((near, column.astype(np.int32), ends), shape=(len(block), len(joined))))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))
