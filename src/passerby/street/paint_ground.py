"""What is underfoot: (h, w, 3) display values in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.paint import PX_PER_M, canvas, cells, noise, paint, tint

__all__ = ["asphalt", "cobbles", "grass", "gravel", "planks", "slabs", "snow", "water"]


def asphalt(r: RandomState) -> np.ndarray:
    """A road, patched and stained."""
    shape = canvas(10, 10)
    field = 1 + 0.05 * noise(r, *shape, 1.5) + 0.09 * noise(r, *shape, 0.1)
    field[noise(r, *shape, 1.9) > 1.7] *= 0.86  # patches and stains
    return paint(field, tint(r, r.uniform(0.36, 0.5), 0.015))


def slabs(r: RandomState, size_m: float, level: float, spread: float, shift: bool = True, warmth: float = 0.03) -> np.ndarray:
    """Paving of square slabs; `spread` is how much their greys differ."""
    cell = max(4, round(size_m * PX_PER_M))
    across = max(2, round(8 / size_m / 2) * 2)
    shape = (cell * across, cell * across)
    values, joints = cells(r, shape, (cell, cell), max(1, round(0.012 * PX_PER_M)), shift)
    field = 1 + spread * (values - 0.5) + 0.05 * noise(r, *shape, 1.3) + 0.03 * noise(r, *shape, 0.1)
    return paint(np.where(joints, 0.72 * field, field), tint(r, level, warmth))


def cobbles(r: RandomState) -> np.ndarray:
    """Small setts."""
    shape = (12 * 40, 12 * 40)
    values, joints = cells(r, shape, (6, 8), 1, True)
    field = 0.85 + 0.3 * values + 0.07 * noise(r, *shape, 1.4)
    return paint(np.where(joints, 0.6 * field, field), tint(r, 0.43, 0.02))


def grass(r: RandomState) -> np.ndarray:
    """A lawn, dry in places."""
    shape = canvas(8, 8)
    field = 1 + 0.1 * noise(r, *shape, 1.5) + 0.22 * noise(r, *shape, 0.2)
    dry = np.clip(0.25 + 0.25 * noise(r, *shape, 1.6), 0, 1)[..., None]
    return paint(field, np.array([0.30, 0.38, 0.18])) * (1 - dry) + paint(field, np.array([0.44, 0.42, 0.27])) * dry


def gravel(r: RandomState) -> np.ndarray:
    """Loose small stones."""
    shape = canvas(6, 6)
    return paint(1 + 0.07 * noise(r, *shape, 1.4) + 0.16 * noise(r, *shape, 0.0), tint(r, 0.55, 0.05))


def snow(r: RandomState) -> np.ndarray:
    """Snow, trodden in places."""
    shape = canvas(10, 10)
    trodden = np.clip(0.3 + 0.35 * noise(r, *shape, 1.4), 0, 1)[..., None]
    fresh = paint(1 + 0.03 * noise(r, *shape, 0.8), np.array([0.86, 0.88, 0.92]))
    return fresh * (1 - trodden) + paint(1 + 0.08 * noise(r, *shape, 0.4), np.array([0.66, 0.67, 0.7])) * trodden


def planks(r: RandomState) -> np.ndarray:
    """Weathered boards."""
    shape = (8 * 48, 8 * 48)
    values, joints = cells(r, shape, (8, 192), 1, True)
    grain = np.repeat(noise(r, shape[0], shape[1] // 8, 0.6), 8, axis=1)
    field = 0.85 + 0.3 * values + 0.06 * grain
    return paint(np.where(joints, 0.5 * field, field), np.array([0.47, 0.40, 0.33]) + r.uniform(-0.05, 0.05))


def water(r: RandomState) -> np.ndarray:
    """A harbour basin on a calm day."""
    return paint(1 + 0.12 * noise(r, 384, 384, 1.0), np.array([0.36, 0.42, 0.45]))
