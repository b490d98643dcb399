"""Graph re-ranking: each image described by who its nearest images point at, smoothed twice over its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from passerby.errors import UsageError
from passerby.rerank.joined import Distance, Joined, Workers, in_strips, row_blocks
from passerby.rerank.neighbours import Neighbours
from passerby.rerank.overlap import overlap
from passerby.rerank.plans import Plan, plan_graph
from passerby.rerank.smoothing import smoothed, transposed

__all__ = ["GRAPH", "Graph"]

_ROUNDS = 2


@dataclass(frozen=True)
class Graph:
    """Settings of graph ("GNN") re-ranking.

    Attributes:
        k1: neighbours that an image points at, itself among them.
        k2: neighbours that an image is smoothed over; 1 leaves that out.
        weight: lambda, the share of the cosine in the final similarity, 0 to 1.

    Raises:
        UsageError: a value out of range.

    Source:
        Zhang et al., "Understanding Image Retrieval Re-Ranking: A Graph Neural Network Perspective", 2020. For Market-1501;
        for VeRi-776 its authors take k1 60 and k2 10.
    """

    k1: int = 26
    k2: int = 7
    weight: float = 0.3
    distance: ClassVar[Distance] = "cosine"

    def __post_init__(self) -> None:
        if self.k1 < 1 or not 1 <= self.k2 <= self.k1:
            raise UsageError(f"graph re-ranking with k1 {self.k1} and k2 {self.k2}: k1 >= k2 >= 1 is allowed.")
        if not 0 <= self.weight <= 1:
            raise UsageError(f"graph re-ranking with weight (lambda) {self.weight}: it is a share, 0 to 1.")

    def in_words(self) -> str:
        """What was done, in one line, to be printed beside the numbers."""
        return f"graph re-ranking, k1 {self.k1}, k2 {self.k2}, lambda {self.weight:g}, from cosines"

    @property
    def depth(self) -> int:
        """How many neighbours of each image are needed, itself among them."""
        return self.k1

    def plan(self, images: Joined, memory_mb: float, workers: Workers) -> Plan:
        """Blocks under a ceiling, and what they will take; see `plan_graph`."""
        return plan_graph(images, self.k1, self.k2, memory_mb, workers)

    def blocks(
        self, images: Joined, Q: int, found: Callable[[], Neighbours], rows: int, workers: Workers
    ) -> Iterator[np.ndarray]:
        """As `KReciprocal.blocks`: one less the similarity of the paper."""
        smooth = _smoothed(found(), self.k1, self.k2, workers)
        offset = images.num_first
        inverted = transposed(smooth, offset, workers)
        scale = (self.weight * images.scale[offset:]).astype(np.float32)
        buffer, shared = np.empty((2, min(rows, Q) * (len(images) - offset)), dtype=np.float32)
        for part in row_blocks(Q, rows):
            block = overlap(smooth, inverted, part, shared, workers, by_product=True)
            with workers.products():
                cosine = images.products(part, offset, buffer)

            def blend(strip: slice, block: np.ndarray = block, cosine: np.ndarray = cosine) -> None:
                one, other = block[strip], cosine[strip]
                one *= np.float32(self.weight - 1)
                other *= scale
                one -= other
                one += 1

            in_strips(blend, len(block), workers)
            yield block


GRAPH = Graph()
"""The paper's settings for Market-1501."""


def _smoothed(found: Neighbours, k1: int, k2: int, workers: Workers) -> sparse.csr_array:
    """(N, N) who points at whom, after both rounds; rows of length 1, but the plain ones with k2 = 1."""
    N = len(found.ids)
    ones = np.ones(N * k1, dtype=np.float32)
    starts = np.arange(0, N * k1 + 1, k1, dtype=found.ids.dtype)
    pointing = sparse.csr_array((ones, found.ids[:, :k1].ravel(), starts), shape=(N, N))
    if k2 == 1:
        return pointing
    near = ((1 - found.distances[:, :k2] / 2) ** 2).astype(np.float32)
    return smoothed(pointing, found.ids[:, :k2], near, _ROUNDS, workers)
