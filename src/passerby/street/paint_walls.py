"""House fronts and shops: (h, w, 3) display values in [0, 1]; shops also say what light they give."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.paint import PX_PER_M, canvas, cells, letters, noise, paint, tint

__all__ = ["bricks", "plaster", "shop", "windows"]


def bricks(r: RandomState) -> np.ndarray:
    """A brick wall."""
    shape = (4 * 84, 12 * 28)
    values, joints = cells(r, shape, (4, 12), 1, True)
    colour = np.array([[0.50, 0.33, 0.27], [0.56, 0.44, 0.35], [0.42, 0.31, 0.28], [0.60, 0.53, 0.44]])[r.randint(4)]
    field = 0.85 + 0.3 * values + 0.06 * noise(r, *shape, 1.4)
    return np.where(joints[..., None], paint(field, np.array([0.55, 0.53, 0.50])), paint(field, colour))


def plaster(r: RandomState) -> np.ndarray:
    """A rendered wall with streaks of rain."""
    shape = canvas(8, 6)
    streaks = np.repeat(noise(r, 1, shape[1], 0.8), shape[0], axis=0)
    field = 1 + 0.04 * noise(r, *shape, 1.5) + 0.025 * streaks + 0.015 * noise(r, *shape, 0.0)
    level = r.choice([0.5, 0.62, 0.7, 0.76])
    return paint(field, tint(r, level, 0.06))


def windows(r: RandomState, wall: np.ndarray, storey_m: float, bay_m: float, glass: tuple[float, float]) -> np.ndarray:
    """Cut a grid of windows into a wall; each window shows a different piece of a dark room or of the sky."""
    height, width = round(storey_m * PX_PER_M), round(bay_m * PX_PER_M)
    storeys, bays = 3, 4
    out = np.tile(wall, (storeys * height // wall.shape[0] + 1, bays * width // wall.shape[1] + 1, 1))
    out = out[: storeys * height, : bays * width].copy()
    frame = tint(r, r.choice([0.3, 0.5, 0.75]))
    w, h = round(width * glass[0]), round(height * glass[1])
    for storey in range(storeys):
        for bay in range(bays):
            y, x = storey * height + (height - h) // 3, bay * width + (width - w) // 2
            out[y : y + h, x : x + w] = frame
            pane = 0.2 + 0.06 * noise(r, h, w, 1.7) + r.choice([0.0, 0.04, 0.14]) * np.linspace(1, 0, h)[:, None]
            pane = np.clip(pane, 0.06, 0.6)[..., None] * np.array([0.95, 1.0, 1.06])
            out[y + 2 : y + h - 2, x + 2 : x + w - 2] = pane[2 : h - 2, 2 : w - 2]
            out[y + h // 3 : y + h // 3 + 2, x : x + w] = frame
            out[y : y + h, x + w // 2 : x + w // 2 + 2] = frame
    return out


def shop(r: RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Three shops in a row, 18 m, one storey high: sign bands and lit windows; albedo and glow."""
    parts = [_one_shop(r) for _ in range(3)]
    return np.concatenate([part[0] for part in parts], 1), np.concatenate([part[1] for part in parts], 1)


def _one_shop(r: RandomState) -> tuple[np.ndarray, np.ndarray]:
    height, width = canvas(6.0, 3.6)
    albedo = paint(1 + 0.03 * noise(r, height, width, 1.2), tint(r, r.choice([0.2, 0.3, 0.55, 0.7])))
    glow = np.zeros((height, width, 3), np.float32)
    top, sill = round(r.uniform(0.7, 1.0) * PX_PER_M), round(r.uniform(0.1, 0.6) * PX_PER_M)
    band = np.array([[0.2, 0.2, 0.22], [0.75, 0.73, 0.7], [0.45, 0.2, 0.2], [0.2, 0.27, 0.4], [0.24, 0.36, 0.3]])[r.randint(5)]
    albedo[8 : top - 6, 4:-4] = band
    letters(r, albedo, 14, top - 12, 20, width - 20, np.array([0.9, 0.9, 0.86]) if band.mean() < 0.5 else np.array([0.15] * 3))
    lit, windows = r.uniform(0.1, 0.7), r.randint(1, 4)
    warm = np.array([1.0, r.uniform(0.85, 0.98), r.uniform(0.65, 0.92)])
    for x0 in range(8, width - 20, width // windows):
        x1, y0, y1 = min(x0 + width // windows - 8, width - 8), top, height - sill
        albedo[y0:y1, x0:x1] = 0.2
        glow[y0:y1, x0:x1] = _display_window(r, y1 - y0, x1 - x0, lit) * warm
    return albedo, glow


def _display_window(r: RandomState, height: int, width: int, lit: float) -> np.ndarray:
    """What hangs and stands behind the glass: lamps at the top, shelves or figures, a dark floor; (h, w, 3) display values."""
    down = np.linspace(0, 1, height)[:, None]
    room = lit * (1.05 - 0.5 * down) * (1 + 0.06 * noise(r, height, width, 1.9))
    out = np.repeat(room[..., None], 3, -1)
    for x in range(r.randint(6, 20), width, r.randint(24, 60)):  # lamps
        out[3:6, x : x + r.randint(4, 14)] = min(lit * 1.7, 1.0)
    if r.rand() < 0.5:
        for y in range(height // 3, height - 8, max(14, height // 5)):  # shelves full of small things
            for x in range(4, width - 10, 9):
                tall = r.randint(4, 12)
                out[y - tall : y, x : x + r.randint(4, 8)] = lit * r.uniform(0.15, 0.95) * (0.75 + 0.25 * r.rand(3))
            out[y : y + 2] = lit * 0.3
    else:
        for x in range(r.randint(4, 24), width - 14, r.randint(26, 50)):  # figures and rails of clothes
            tall = r.randint(height // 3, max(height // 3 + 1, int(height * 0.75)))
            out[height - tall - 6 : height - 6, x : x + r.randint(8, 16)] = lit * r.uniform(0.1, 0.8) * (0.75 + 0.25 * r.rand(3))
    out[int(height * 0.93) :] *= 0.4
    return np.clip(out, 0, 1)
