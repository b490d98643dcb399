"""Brushes for the textures of the street: cloud noise, bricks and slabs, writing, colours that are nearly grey."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

__all__ = ["PX_PER_M", "canvas", "cells", "letters", "linear", "noise", "paint", "plain", "tint"]

PX_PER_M = 48  # finest texel: about one pixel of a camera that sees a person 80 px high from close by


def linear(display: np.ndarray | float) -> np.ndarray:
    """Display values in [0, 1] to linear light."""
    return np.clip(display, 0.0, 1.0).astype(np.float32) ** np.float32(2.2)


def noise(r: RandomState, height: int, width: int, slope: float = 1.6) -> np.ndarray:
    """(height, width) tileable cloud noise of mean 0 and deviation 1; a steeper `slope` is smoother."""
    fy, fx = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    strength = np.maximum(np.hypot(fy, fx), 1.0) ** -slope
    strength[0, 0] = 0.0
    phase = r.uniform(0, 2 * np.pi, strength.shape)
    field = np.fft.irfft2(strength * np.exp(1j * phase), s=(height, width))
    return (field / max(field.std(), 1e-9)).astype(np.float32)


def tint(r: RandomState, level: float, warmth: float = 0.03) -> np.ndarray:
    """A nearly grey display colour of the given brightness."""
    return level + np.array([1.0, 0.2, -1.0]) * r.uniform(-warmth, warmth) + r.uniform(-0.01, 0.01, 3)


def paint(field: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Brightness factors (h, w) times one display colour -> (h, w, 3) display values."""
    return field[..., None].astype(np.float32) * np.asarray(colour, np.float32)


def canvas(width_m: float, height_m: float) -> tuple[int, int]:
    """Texels of a texture of that size: (height, width)."""
    return round(height_m * PX_PER_M), round(width_m * PX_PER_M)


def cells(
    r: RandomState, shape: tuple[int, int], cell: tuple[int, int], joint: int, shift: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bricks or slabs: a random number in [0, 1] for each cell, and a mask of the joints between them."""
    (height, width), (ch, cw) = shape, cell
    rows = np.arange(height) // ch
    offset = (rows % 2) * (cw // 2) * shift
    columns = ((np.arange(width)[None] + offset[:, None]) % width) // cw
    values = r.rand(height // ch + 1, width // cw + 1)[rows[:, None], columns]
    joints = ((np.arange(height) % ch) < joint)[:, None] | (((np.arange(width)[None] + offset[:, None]) % cw) < joint)
    return values, joints


def letters(r: RandomState, out: np.ndarray, y0: int, y1: int, x0: int, x1: int, colour: np.ndarray) -> None:
    """Strokes that look like writing from afar."""
    step = max(3, int((y1 - y0) * 0.75))
    length = r.randint(4, 12) * step
    x = x0 + max(0, (x1 - x0 - length) // 2)
    while x + step < min(x1, x0 + max(0, (x1 - x0 - length) // 2) + length):
        glyph = np.kron(r.rand(4, 3) < 0.58, np.ones(((y1 - y0) // 4, max(1, int(step * 0.75) // 3)), bool))
        patch = out[y0 : y0 + glyph.shape[0], x : x + glyph.shape[1]]
        patch[glyph[: patch.shape[0], : patch.shape[1]]] = colour
        x += step if r.rand() < 0.85 else 2 * step


def plain(r: RandomState, level: float) -> np.ndarray:
    """A nearly even surface."""
    return paint(1 + 0.05 * noise(r, 96, 96, 1.3), tint(r, level, 0.04))
