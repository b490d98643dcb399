"""Shadows of the sun: a depth map seen from the sun, made once a picture and read by both renderers and by the backdrop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.street.kernels import sunlit
from passerby.street.raster import fill, soup
from passerby.street.render import DrawItem, Light

__all__ = ["ShadowMap", "cast"]

_TEXEL_M = 0.012
_LARGEST = 1024


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """Distances from the sun's side.

    Args:
        depth: (S, S) float32, m along the light; inf where nothing casts.
        frame: (3, 4) float32: world point -> column, row (in texels) and depth (m) in the map.
        taps: distance between the nine places that are looked up, texels: the softness of the edge.
    """

    depth: np.ndarray
    frame: np.ndarray
    taps: float

    def sunlit(self, points: np.ndarray, normals: np.ndarray | None = None) -> np.ndarray:
        """The share of the sun that reaches each point, 0 to 1.

        Args:
            points: (N, 3) world, m.
            normals: (N, 3) unit; None takes upward ones, as of the ground.
        """
        flat = np.ascontiguousarray(points, np.float32)
        upward = np.tile(np.array([0, 0, 1], np.float32), (len(flat), 1))
        return sunlit(self.depth, self.frame, self.taps, flat, upward if normals is None else np.asarray(normals, np.float32))


def cast(items: Sequence[DrawItem], light: Light) -> ShadowMap:
    """The shadow map of all items that cast; without any, or without sun, an empty map that darkens nothing."""
    to_sun = np.asarray(light.to_sun, np.float64)
    to_sun = to_sun / np.linalg.norm(to_sun)
    casting = soup([item for item in items if item.casts]) if max(light.sun) * light.shadow > 0 else soup([])
    if not len(casting.faces):
        return ShadowMap(np.full((1, 1), np.inf, np.float32), np.zeros((3, 4), np.float32), 0.0)
    across = np.cross(to_sun, [0.0, 0.0, 1.0] if abs(to_sun[2]) < 0.99 else [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(to_sun, across), -to_sun]).astype(np.float32)
    seen = casting.vertices[:, :3] @ axes.T
    low, high = seen.min(0) - 0.05, seen.max(0) + 0.05
    extent = float(max(high[0] - low[0], high[1] - low[1]))
    size = int(min(_LARGEST, math.ceil(extent / _TEXEL_M)))
    scale = size / extent
    frame = np.zeros((3, 4), np.float32)
    frame[0, :3], frame[0, 3] = axes[0] * scale, -low[0] * scale
    frame[1, :3], frame[1, 3] = axes[1] * scale, -low[1] * scale
    frame[2, :3] = axes[2]
    best = np.full((size, size), -np.inf, np.float32)
    texels = ((seen[:, :2] - low[:2]) * scale).astype(np.float32)
    fill(texels, -seen[:, 2], casting.vertices[:, 9], casting.faces, best, np.full((size, size), -1, np.int32))
    return ShadowMap(-best, frame, max(light.blur_m * scale, 0.7))
