"""Boxes of people in one picture: where a detector or another tool sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Boxes", "overlaps"]


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes in one picture.

    Attributes:
        corners: (N, 4) float32 left, top, right, bottom, pixels from 0; right and bottom are the first that are outside.
        confidences: (N,) float32, 0 to 1.
        tracks: (N,) int64 numbers of the tracks that they belong to, -1 where they belong to none.
    """

    corners: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    confidences: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    tracks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, corners: ArrayLike, confidences: ArrayLike, tracks: ArrayLike | None = None) -> Boxes:
        """Boxes from whatever numbers; without `tracks` they belong to none."""
        shaped = np.asarray(corners, np.float32).reshape(-1, 4)
        numbers = np.full(len(shaped), -1) if tracks is None else np.asarray(tracks)
        return cls(shaped, np.asarray(confidences, np.float32).reshape(-1), numbers.astype(np.int64).reshape(-1))

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, rows: np.ndarray | slice) -> Boxes:
        """The chosen rows."""
        return Boxes(self.corners[rows], self.confidences[rows], self.tracks[rows])

    @property
    def areas(self) -> np.ndarray:
        """(N,) square pixels."""
        return (self.corners[:, 2:] - self.corners[:, :2]).astype(float).prod(axis=1)

    def clipped(self, size: tuple[int, int]) -> Boxes:
        """The parts inside a picture of (width, height); boxes of which nothing is inside are left out."""
        corners = self.corners.clip(0, [*size, *size])
        inside = np.flatnonzero(np.all(corners[:, 2:] - corners[:, :2] >= 1, axis=1))
        return Boxes(corners, self.confidences, self.tracks)[inside]

    def doubtful(self, overlap: float = 0.4, inside: float = 0.9) -> np.ndarray:
        """Which boxes may show someone behind another person, or that person again, or a part of them.

        Args:
            overlap: a box is doubtful that shares more than this with a surer one that is not (intersection over union).
            inside: and one of which more than this share lies in such a box.

        Returns:
            (N,) bool. Of boxes that are equally sure the first one is the surer.
        """
        corners, doubtful = self.corners.astype(float), np.ones(len(self), bool)
        shared, areas = overlaps(corners, corners), self.areas.clip(1e-9)
        near = (shared > overlap * (areas[:, None] + areas[None] - shared)) | (shared > inside * areas[:, None])
        for row in np.argsort(-self.confidences, kind="stable"):
            doubtful[row] = bool(near[row, ~doubtful].any())
        return doubtful


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Areas that boxes share.

    Args:
        first: (N, 4) corners.
        second: (M, 4) corners.

    Returns:
        (N, M) square pixels.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return (high - low).clip(0).prod(axis=2)
