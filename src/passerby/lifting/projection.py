"""Cameras of lifted people: from metres to pixels of one crop and back. x right, y down, z away from the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["PinholeCamera", "Projection", "WeakCamera"]


class Projection(Protocol):
    """Where a point in metres falls on the picture; pixel (0, 0) reaches from 0 to 1."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres -> (N, 3): column and row in pixels, depth in metres (greater is farther)."""
        ...

    def unproject(self, column: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Pixels and depths of one shape -> (..., 3) metres."""
        ...

    def in_front(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres -> (N,) bool: before the camera, where `project` means something."""
        ...


@dataclass(frozen=True)
class WeakCamera:
    """Parallel rays.

    Attributes:
        scale: pixels a metre.
        column, row: where the origin falls, pixels.
    """

    scale: float
    column: float
    row: float

    @classmethod
    def of_square(cls, scale: float, x: float, y: float, width: int, height: int) -> WeakCamera:
        """The camera (s, tx, ty) of HMR and its kin: u = s (X + tx), v = s (Y + ty) from -1 to 1 over the square about the crop.

        Source: Kanazawa et al., End-to-end Recovery of Human Shape and Pose (CVPR 2018).
        """
        half = max(width, height) / 2
        return cls(scale * half, scale * x * half + width / 2, scale * y * half + height / 2)

    def project(self, points: np.ndarray) -> np.ndarray:
        """See `Projection`."""
        points = np.asarray(points, np.float64)
        return np.concatenate([points[:, :2] * self.scale + [self.column, self.row], points[:, 2:]], 1)

    def unproject(self, column: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """See `Projection`."""
        return np.stack(
            [(column - self.column) / self.scale, (row - self.row) / self.scale, np.broadcast_to(depth, column.shape)], -1
        )

    def in_front(self, points: np.ndarray) -> np.ndarray:
        """See `Projection`: parallel rays come from everywhere."""
        return np.ones(len(points), bool)


@dataclass(frozen=True)
class PinholeCamera:
    """Rays through one point, `shift` metres in front of which the body's origin lies.

    Attributes:
        focal_px: focal length, pixels of the crop.
        column, row: principal point, pixels of the crop; for a crop it may lie far outside.
        shift: (x, y, z) of the body's origin in the camera's axes, metres.
    """

    focal_px: float
    column: float
    row: float
    shift: tuple[float, float, float]

    def project(self, points: np.ndarray) -> np.ndarray:
        """See `Projection`."""
        placed = np.asarray(points, np.float64) + self.shift
        flat = placed[:, :2] / placed[:, 2:] * self.focal_px + [self.column, self.row]
        return np.concatenate([flat, placed[:, 2:] - self.shift[2]], 1)

    def unproject(self, column: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """See `Projection`; the depth is that of `project`, from the body's origin."""
        away = np.broadcast_to(depth, column.shape) + self.shift[2]
        x, y = (column - self.column) / self.focal_px * away, (row - self.row) / self.focal_px * away
        return np.stack([x - self.shift[0], y - self.shift[1], away - self.shift[2]], -1)

    def in_front(self, points: np.ndarray) -> np.ndarray:
        """See `Projection`."""
        return np.asarray(points, np.float64)[:, 2] + self.shift[2] > 0
