"""Posters, leaves, fences, cars, posts: (h, w, 3) display values, or (h, w, 4) with coverage."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.paint import letters, noise, paint, tint

__all__ = ["car_side", "fence", "leaves", "poster", "round_post", "striped", "twigs"]


def poster(r: RandomState) -> np.ndarray:
    """A bill with pictures and writing."""
    height, width = 64, 44
    muted = lambda: 0.25 + 0.5 * r.rand() + 0.16 * r.uniform(-1, 1, 3)  # noqa: E731
    out = np.tile(muted(), (height, width, 1))
    for _ in range(3):
        y, x = r.randint(0, 50), r.randint(0, 34)
        out[y : y + r.randint(6, 30), x : x + r.randint(6, 30)] = muted()
    letters(r, out, 6, 14, 4, width - 4, muted())
    letters(r, out, 48, 54, 4, width - 4, muted())
    out[:2] = out[-2:] = out[:, :2] = out[:, -2:] = 0.3
    return out


def leaves(r: RandomState, hedge: bool) -> np.ndarray:
    """A hedge, or with holes a shrub or a crown."""
    height, width = 160, 160
    fine = noise(r, height, width, 0.5) + 0.8 * noise(r, height, width, 1.4)
    light = np.clip(0.75 + 0.22 * fine + 0.25 * np.linspace(0.7, -0.7, height)[:, None], 0.15, 1.5)
    colour = np.array([0.27, 0.34, 0.18]) * r.uniform(0.75, 1.25) + r.uniform(-0.02, 0.04, 3)
    if hedge:
        return paint(light, colour)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cover = (0.72 - np.hypot(x, y) + 0.22 * noise(r, height, width, 1.1)) > 0
    return np.dstack([paint(light, colour), cover])


def twigs(r: RandomState) -> np.ndarray:
    """The crown of a bare tree: crooked lines that run up and outwards, with holes between them."""
    height, width = 240, 180
    out = np.zeros((height, width, 4), np.float32)
    out[..., :3] = np.array([0.23, 0.2, 0.18]) * r.uniform(0.8, 1.2)
    tips = [(height - 1.0, width / 2, -np.pi / 2, 5.0)]
    while tips:
        y, x, angle, thick = tips.pop()
        for _ in range(int(10 + 9 * thick)):
            y, x, angle = y + np.sin(angle), x + np.cos(angle), angle + r.normal(0, 0.07)
            rows, columns = (
                slice(max(int(y), 0), max(int(y + 1), 0)),
                slice(max(int(x - thick / 2), 0), max(int(x + thick / 2) + 1, 0)),
            )
            out[rows, columns, 3] = 1
        if thick > 0.7:
            tips += [(y, x, angle + turn + r.normal(0, 0.15), thick * r.uniform(0.55, 0.8)) for turn in (-0.45, 0.05, 0.5)]
    return out


def fence(r: RandomState) -> np.ndarray:
    """A railing of bars."""
    height, width = 48, 48
    out = np.zeros((height, width, 4), np.float32)
    out[..., :3] = tint(r, r.choice([0.2, 0.45, 0.65]))
    out[:, 0:2, 3] = out[:, 16:17, 3] = out[:, 32:33, 3] = 1
    out[2:5, :, 3] = out[-6:-4, :, 3] = 1
    return out


def car_side(r: RandomState) -> np.ndarray:
    """A car seen from the side, 4.3 m x 1.5 m, with holes where it ends."""
    height, width = 72, 206
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height
    body = (v > 0.42) & (v < 0.86) & (u > 0.01) & (u < 0.99)
    cabin = (v > 0.04) & (v <= 0.42) & (u > 0.2 + 0.22 * (0.42 - v)) & (u < 0.86 - 0.3 * (0.42 - v))
    paint = np.array([[0.15, 0.15, 0.16], [0.62, 0.63, 0.65], [0.82, 0.82, 0.8], [0.22, 0.26, 0.36], [0.42, 0.17, 0.16]])[
        r.randint(5)
    ]
    out = np.zeros((height, width, 4), np.float32)
    out[..., :3] = paint * (0.8 + 0.3 * (1 - v))[..., None]
    glass = cabin & (v > 0.1) & (np.abs(u - 0.53) > 0.012)
    out[..., :3][glass] = 0.17
    out[..., 3] = body | cabin
    for centre in (0.19, 0.8):
        distance = np.hypot((u - centre) * width, (v - 0.8) * height)
        out[..., :3][distance < 15] = 0.1
        out[..., :3][distance < 8] = 0.45
        out[..., 3][distance < 15] = 1
    return out


def round_post(r: RandomState) -> np.ndarray:
    """A post, lit across its round."""
    across = np.sqrt(np.clip(1 - np.linspace(-0.98, 0.98, 16) ** 2, 0, 1))
    field = np.tile(0.45 + 0.55 * across, (64, 1)) + 0.03 * noise(r, 64, 16, 1.2)
    return paint(field, tint(r, r.choice([0.25, 0.4, 0.6])))


def striped(r: RandomState, period_px: int) -> np.ndarray:
    """Cloth of an awning."""
    first, second = (
        tint(r, 0.8),
        np.array([[0.5, 0.2, 0.19], [0.2, 0.3, 0.45], [0.28, 0.4, 0.3], [0.6, 0.55, 0.45]])[r.randint(4)],
    )
    stripes = (np.arange(96) // period_px % 2).astype(bool)
    return np.where(stripes[None, :, None], first, second) * (1 + 0.05 * noise(r, 48, 96, 1.3))[..., None]
