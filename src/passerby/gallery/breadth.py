"""How widely an approximate search must look so that enough of the nearest rows are found: tried on rows with noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from passerby.gallery.store import Found

__all__ = ["BREADTHS", "NEAREST", "SAMPLES", "noisy", "settle"]

BREADTHS = (100, 200, 400, 800, 1600)
"""Of a walk in a graph, or candidates that are scored again; the first with which enough is found is taken."""
NEAREST, SAMPLES = 50, 100
_ENOUGH = 0.97


def noisy(vectors: np.ndarray) -> np.ndarray:
    """(n, D) unit vectors near these, as further images of the same people would be."""
    random = np.random.default_rng(0)
    made = vectors + random.standard_normal(vectors.shape).astype(np.float32) * np.float32(0.5 / vectors.shape[1] ** 0.5)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def settle(right: Sequence[Found], walk: Callable[[int], Sequence[Found]]) -> tuple[int, float]:
    """The breadth that finds enough of what is right, or the widest, and the share that it finds.

    Args:
        right: the nearest rows of some queries, exactly.
        walk: breadth -> what is found with it for the same queries.
    """
    if not right:
        return BREADTHS[0], 1.0
    share = 0.0
    for breadth in BREADTHS:
        share = float(np.mean([np.isin(a.ids, b.ids).mean() for a, b in zip(right, walk(breadth), strict=True)]))
        if share >= _ENOUGH:
            return breadth, share
    return BREADTHS[-1], share
