"""Embeddings: vectors with their columns, sliced together, saved and read in the forms that tools of this field write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Embeddings"]


@dataclass(frozen=True)
class Embeddings:
    """N images as vectors, with what is known of each.

    Attributes:
        vectors: (N, D) float32.
        pids: (N,) int64, -1 junk or unknown, 0 distractor where the data set has them.
        camids: (N,) int64, one number a camera.
        names: (N,) str, what the image is called: its path inside the data set.
        meta: JSON-able facts about the whole: model, data set, subset, notes that must stand beside every number.
    """

    vectors: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    names: np.ndarray
    meta: Mapping[str, Any] = field(default_factory=dict)
