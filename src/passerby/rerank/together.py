"""Several re-ranking methods from one search for neighbours, and the same again with further gallery images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TypeAlias

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics.counting import Kernel
from passerby.rerank.graph import Graph
from passerby.rerank.joined import Distance, Dots, Joined, Workers
from passerby.rerank.k_reciprocal import KReciprocal
from passerby.rerank.neighbours import Candidates, Neighbours, find_candidates, find_neighbours, grow_candidates, settle
from passerby.rerank.plans import check_depth

__all__ = ["Method", "rerank_growing", "rerank_together"]

Method: TypeAlias = KReciprocal | Graph


def rerank_together(
    query: Embeddings,
    gallery: Embeddings,
    methods: Sequence[Method],
    *,
    memory_mb: float = 1000,
    threads: int | None = None,
    kernel: Kernel = "auto",
    search: str = "own",
    progress: bool = False,
) -> list[Iterator[np.ndarray]]:
    """The blocks of several methods, each as `rerank_blocks` gives them, from neighbours that are found once.

    Args:
        query: (Q, D).
        gallery: (G, D).
        methods: all by one distance.
        memory_mb: as in `rerank_blocks`, of the method that needs most.
        threads: as there.
        kernel: as there.
        search: as there.
        progress: as there.

    Raises:
        UsageError: methods by two distances; see `rerank_blocks`.
        EmbeddingsError: see `rerank_blocks`.
    """
    images = Joined.of(query, gallery, _distance(methods))
    workers = Workers.choose(kernel, len(images), threads)
    rows = _rows(images, methods, memory_mb, workers)
    found = partial(find_neighbours, images, _depth(methods), workers, rows, search=search, progress=progress)
    if len(methods) > 1:  # one method lets its neighbours go as soon as it can
        found = cache(lambda find=found: replace(find(), kept={}))
    return [method.blocks(images, len(query), found, rows, workers) for method in methods]


def rerank_growing(
    query: Embeddings,
    gallery: Embeddings,
    first: np.ndarray,
    methods: Sequence[Method],
    *,
    dots: Dots | None = None,
    memory_mb: float = 1000,
    kernel: Kernel = "auto",
) -> Iterator[list[Iterator[np.ndarray]]]:
    """`rerank_together` for the gallery images `first`, and then, where those are not all, for all of them.

    The second time only the further images are searched with. A step's blocks are to be used up before the next is asked for.

    Args:
        query: (Q, D).
        gallery: (G, D).
        first: (G,) bool.
        methods: all by one distance.
        dots: products of the queries with the gallery images, which then are not made again.
        memory_mb: as in `rerank_together`, beside `dots`.
        kernel: as there.

    Yields:
        What `rerank_together` returns, but for rounding.

    Raises:
        UsageError: see `rerank_together`.
        EmbeddingsError: see `rerank_together`.
    """
    depth, every = _depth(methods), np.ones(len(gallery), dtype=bool)
    before: tuple[Joined, Candidates] | None = None
    for kept in [every] if first.all() else [first, every]:
        columns = None if kept.all() else np.flatnonzero(kept)
        some = gallery if columns is None else gallery[columns]
        images = Joined.of(query, some, _distance(methods), dots and dots._replace(columns=columns))
        workers = Workers.choose(kernel, len(images))
        rows = _rows(images, methods, memory_mb, workers)
        of = np.flatnonzero(np.concatenate([np.ones(len(query), dtype=bool), first]))
        if before and images.num_first and np.array_equal(images.scale[of], before[0].scale):
            candidates = grow_candidates(images, before[1], of, depth, workers, rows)
        else:  # the first step, queries that are the gallery in one step alone, or a longer vector among the further ones
            candidates = find_candidates(images, depth, workers, rows)
        before = images, candidates
        neighbours = replace(settle(images, candidates, depth, workers, rows), kept={} if len(methods) > 1 else None)
        found: Callable[[], Neighbours] = lambda neighbours=neighbours: neighbours  # noqa: E731
        yield [method.blocks(images, len(query), found, rows, workers) for method in methods]


def _distance(methods: Sequence[Method]) -> Distance:
    distances: set[Distance] = {method.distance for method in methods}
    if len(distances) != 1:
        raise UsageError(f"{len(methods)} methods by {len(distances)} distances: neighbours that are found once need one.")
    return distances.pop()


def _depth(methods: Sequence[Method]) -> int:
    return max(method.depth for method in methods)


def _rows(images: Joined, methods: Sequence[Method], memory_mb: float, workers: Workers) -> int:
    """Images a block, of the method that needs most memory."""
    check_depth(max(m.k1 for m in methods), max(m.k2 for m in methods), _depth(methods), len(images))
    return min(method.plan(images, memory_mb, workers).rows for method in methods)
