"""Procedural textures of the world: ground, walls, street furniture. Linear albedo in [0, 1], sampled with mip levels.

Colours are chosen in display values (what an sRGB picture shows) and kept linear, because light adds up linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import RandomState

from passerby.street.seeds import stream

__all__ = ["TEXTURES", "Texture", "make_texture"]

PX_PER_M = 48  # finest texel: about one pixel of a camera that sees a person 80 px high from close by
_GREYS = {"dark": 0.27, "mid": 0.42, "light": 0.58, "pale": 0.72}


@dataclass(frozen=True)
class Texture:
    """A picture with its size in the world.

    Attributes:
        levels: mip pyramid of (h, w, 4) float32: linear albedo and coverage (1 solid, 0 hole); level k is 2^k times coarser.
        glow: the same pyramid of (h, w, 3) light that the surface sends out by itself, or empty.
        width_m: metres that one repeat covers along u; 0 stretches the picture once over the whole surface.
        height_m: the same along v.
    """

    levels: tuple[np.ndarray, ...]
    glow: tuple[np.ndarray, ...]
    width_m: float
    height_m: float


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


def _tint(r: RandomState, level: float, warmth: float = 0.03) -> np.ndarray:
    """A nearly grey display colour of the given brightness."""
    return level + np.array([1.0, 0.2, -1.0]) * r.uniform(-warmth, warmth) + r.uniform(-0.01, 0.01, 3)


def _paint(field: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Brightness factors (h, w) times one display colour -> (h, w, 3) display values."""
    return field[..., None].astype(np.float32) * np.asarray(colour, np.float32)


def _canvas(width_m: float, height_m: float) -> tuple[int, int]:
    return round(height_m * PX_PER_M), round(width_m * PX_PER_M)


def _cells(r: RandomState, shape: tuple[int, int], cell: tuple[int, int], joint: int, shift: bool) -> tuple[np.ndarray, np.ndarray]:
    """Bricks or slabs: a random number in [0, 1] for each cell, and a mask of the joints between them."""
    (height, width), (ch, cw) = shape, cell
    rows = np.arange(height) // ch
    offset = (rows % 2) * (cw // 2) * shift
    columns = ((np.arange(width)[None] + offset[:, None]) % width) // cw
    values = r.rand(height // ch + 1, width // cw + 1)[rows[:, None], columns]
    joints = ((np.arange(height) % ch) < joint)[:, None] | (((np.arange(width)[None] + offset[:, None]) % cw) < joint)
    return values, joints


def _asphalt(r: RandomState) -> np.ndarray:
    shape = _canvas(10, 10)
    field = 1 + 0.05 * noise(r, *shape, 1.5) + 0.09 * noise(r, *shape, 0.1)
    field[noise(r, *shape, 1.9) > 1.7] *= 0.86  # patches and stains
    return _paint(field, _tint(r, r.uniform(0.36, 0.5), 0.015))


def _slabs(r: RandomState, size_m: float, level: float, spread: float, shift: bool = True, warmth: float = 0.03) -> np.ndarray:
    cell = max(4, round(size_m * PX_PER_M))
    cells = max(2, round(8 / size_m / 2) * 2)
    shape = (cell * cells, cell * cells)
    values, joints = _cells(r, shape, (cell, cell), max(1, round(0.012 * PX_PER_M)), shift)
    field = 1 + spread * (values - 0.5) + 0.05 * noise(r, *shape, 1.3) + 0.03 * noise(r, *shape, 0.1)
    return _paint(np.where(joints, 0.72 * field, field), _tint(r, level, warmth))


def _cobbles(r: RandomState) -> np.ndarray:
    shape = (12 * 40, 12 * 40)
    values, joints = _cells(r, shape, (6, 8), 1, True)
    field = 0.85 + 0.3 * values + 0.07 * noise(r, *shape, 1.4)
    return _paint(np.where(joints, 0.6 * field, field), _tint(r, 0.43, 0.02))


def _grass(r: RandomState) -> np.ndarray:
    shape = _canvas(8, 8)
    field = 1 + 0.1 * noise(r, *shape, 1.5) + 0.22 * noise(r, *shape, 0.2)
    dry = np.clip(0.25 + 0.25 * noise(r, *shape, 1.6), 0, 1)[..., None]
    return _paint(field, np.array([0.30, 0.38, 0.18])) * (1 - dry) + _paint(field, np.array([0.44, 0.42, 0.27])) * dry


def _gravel(r: RandomState) -> np.ndarray:
    shape = _canvas(6, 6)
    return _paint(1 + 0.07 * noise(r, *shape, 1.4) + 0.16 * noise(r, *shape, 0.0), _tint(r, 0.55, 0.05))


def _snow(r: RandomState) -> np.ndarray:
    shape = _canvas(10, 10)
    trodden = np.clip(0.3 + 0.35 * noise(r, *shape, 1.4), 0, 1)[..., None]
    fresh = _paint(1 + 0.03 * noise(r, *shape, 0.8), np.array([0.86, 0.88, 0.92]))
    return fresh * (1 - trodden) + _paint(1 + 0.08 * noise(r, *shape, 0.4), np.array([0.66, 0.67, 0.7])) * trodden


def _planks(r: RandomState) -> np.ndarray:
    shape = (8 * 48, 8 * 48)
    values, joints = _cells(r, shape, (8, 192), 1, True)
    grain = np.repeat(noise(r, shape[0], shape[1] // 8, 0.6), 8, axis=1)
    field = 0.85 + 0.3 * values + 0.06 * grain
    return _paint(np.where(joints, 0.5 * field, field), np.array([0.47, 0.40, 0.33]) + r.uniform(-0.05, 0.05))


def _bricks(r: RandomState) -> np.ndarray:
    shape = (4 * 84, 12 * 28)
    values, joints = _cells(r, shape, (4, 12), 1, True)
    colour = np.array([[0.50, 0.33, 0.27], [0.56, 0.44, 0.35], [0.42, 0.31, 0.28], [0.60, 0.53, 0.44]])[r.randint(4)]
    field = 0.85 + 0.3 * values + 0.06 * noise(r, *shape, 1.4)
    return np.where(joints[..., None], _paint(field, np.array([0.55, 0.53, 0.50])), _paint(field, colour))


def _plaster(r: RandomState) -> np.ndarray:
    shape = _canvas(8, 6)
    streaks = np.repeat(noise(r, 1, shape[1], 0.8), shape[0], axis=0)
    field = 1 + 0.04 * noise(r, *shape, 1.5) + 0.025 * streaks + 0.015 * noise(r, *shape, 0.0)
    level = r.choice([0.5, 0.62, 0.7, 0.76])
    return _paint(field, _tint(r, level, 0.06))


def _windows(r: RandomState, wall: np.ndarray, storey_m: float, bay_m: float, glass: tuple[float, float]) -> np.ndarray:
    """Cut a grid of windows into a wall; each window shows a different piece of a dark room or of the sky."""
    height, width = round(storey_m * PX_PER_M), round(bay_m * PX_PER_M)
    storeys, bays = 3, 4
    out = np.tile(wall, (storeys * height // wall.shape[0] + 1, bays * width // wall.shape[1] + 1, 1))
    out = out[: storeys * height, : bays * width].copy()
    frame = _tint(r, r.choice([0.3, 0.5, 0.75]))
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


def _shop(r: RandomState) -> tuple[np.ndarray, np.ndarray]:
    """A lit shop window under a sign band, one storey high: albedo and glow."""
    height, width = _canvas(6.0, 3.6)
    albedo = _paint(1 + 0.03 * noise(r, height, width, 1.2), _tint(r, r.choice([0.2, 0.3, 0.55, 0.7])))
    glow = np.zeros((height, width, 3), np.float32)
    top, sill = round(0.9 * PX_PER_M), round(0.45 * PX_PER_M)
    band = np.array([[0.2, 0.2, 0.22], [0.75, 0.73, 0.7], [0.45, 0.2, 0.2], [0.2, 0.27, 0.4], [0.24, 0.36, 0.3]])[r.randint(5)]
    albedo[8 : top - 6, 4:-4] = band
    _letters(r, albedo, 14, top - 12, 20, width - 20, np.array([0.9, 0.9, 0.86]) if band.mean() < 0.5 else np.array([0.15] * 3))
    lit = r.uniform(0.15, 0.75)
    warm = np.array([1.0, r.uniform(0.8, 0.97), r.uniform(0.55, 0.9)])
    for x0 in range(8, width - 20, width // 2):
        x1 = min(x0 + width // 2 - 8, width - 8)
        y0, y1 = top, height - sill
        albedo[y0:y1, x0:x1] = 0.22
        room = np.clip(0.75 + 0.25 * noise(r, y1 - y0, x1 - x0, 1.7), 0.1, 1.4)[..., None]
        glow[y0:y1, x0:x1] = lit * room * warm
        for _ in range(r.randint(5, 14)):  # goods
            gw, gh = r.randint(6, 30), r.randint(8, 44)
            gx, gy = r.randint(x0, max(x0 + 1, x1 - gw)), r.randint(y0 + 10, max(y0 + 11, y1 - gh))
            glow[gy : min(gy + gh, y1), gx : min(gx + gw, x1)] = lit * r.uniform(0.1, 0.9) * (0.6 + 0.4 * r.rand(3))
    return albedo, glow


def _letters(r: RandomState, out: np.ndarray, y0: int, y1: int, x0: int, x1: int, colour: np.ndarray) -> None:
    """Strokes that look like writing from afar."""
    step = max(3, int((y1 - y0) * 0.75))
    length = r.randint(4, 12) * step
    x = x0 + max(0, (x1 - x0 - length) // 2)
    while x + step < min(x1, x0 + max(0, (x1 - x0 - length) // 2) + length):
        glyph = np.kron(r.rand(4, 3) < 0.58, np.ones(((y1 - y0) // 4, max(1, int(step * 0.75) // 3)), bool))
        patch = out[y0 : y0 + glyph.shape[0], x : x + glyph.shape[1]]
        patch[glyph[: patch.shape[0], : patch.shape[1]]] = colour
        x += step if r.rand() < 0.85 else 2 * step


def _poster(r: RandomState) -> np.ndarray:
    height, width = 64, 44
    muted = lambda: 0.25 + 0.5 * r.rand() + 0.16 * r.uniform(-1, 1, 3)  # noqa: E731
    out = np.tile(muted(), (height, width, 1))
    for _ in range(3):
        y, x = r.randint(0, 50), r.randint(0, 34)
        out[y : y + r.randint(6, 30), x : x + r.randint(6, 30)] = muted()
    _letters(r, out, 6, 14, 4, width - 4, muted())
    _letters(r, out, 48, 54, 4, width - 4, muted())
    out[:2] = out[-2:] = out[:, :2] = out[:, -2:] = 0.3
    return out


def _leaves(r: RandomState, hedge: bool) -> np.ndarray:
    height, width = 160, 160
    fine = noise(r, height, width, 0.5) + 0.8 * noise(r, height, width, 1.4)
    light = np.clip(0.75 + 0.22 * fine + 0.25 * np.linspace(0.7, -0.7, height)[:, None], 0.15, 1.5)
    colour = np.array([0.27, 0.34, 0.18]) * r.uniform(0.75, 1.25) + r.uniform(-0.02, 0.04, 3)
    if hedge:
        return _paint(light, colour)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cover = (0.72 - np.hypot(x, y) + 0.22 * noise(r, height, width, 1.1)) > 0
    return np.dstack([_paint(light, colour), cover])


def _fence(r: RandomState) -> np.ndarray:
    height, width = 48, 48
    out = np.zeros((height, width, 4), np.float32)
    out[..., :3] = _tint(r, r.choice([0.2, 0.45, 0.65]))
    out[:, 0:2, 3] = out[:, 16:17, 3] = out[:, 32:33, 3] = 1
    out[2:5, :, 3] = out[-6:-4, :, 3] = 1
    return out


def _car_side(r: RandomState) -> np.ndarray:
    """A car seen from the side, 4.3 m x 1.5 m, with holes where it ends."""
    height, width = 72, 206
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height
    body = (v > 0.42) & (v < 0.86) & (u > 0.01) & (u < 0.99)
    cabin = (v > 0.04) & (v <= 0.42) & (u > 0.2 + 0.22 * (0.42 - v)) & (u < 0.86 - 0.3 * (0.42 - v))
    paint = np.array([[0.15, 0.15, 0.16], [0.62, 0.63, 0.65], [0.82, 0.82, 0.8], [0.22, 0.26, 0.36], [0.42, 0.17, 0.16]])[r.randint(5)]
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


def _round_post(r: RandomState) -> np.ndarray:
    across = np.sqrt(np.clip(1 - np.linspace(-0.98, 0.98, 16) ** 2, 0, 1))
    field = np.tile(0.45 + 0.55 * across, (64, 1)) + 0.03 * noise(r, 64, 16, 1.2)
    return _paint(field, _tint(r, r.choice([0.25, 0.4, 0.6])))


def _striped(r: RandomState, period_px: int) -> np.ndarray:
    first, second = _tint(r, 0.8), np.array([[0.5, 0.2, 0.19], [0.2, 0.3, 0.45], [0.28, 0.4, 0.3], [0.6, 0.55, 0.45]])[r.randint(4)]
    stripes = (np.arange(96) // period_px % 2).astype(bool)
    return np.where(stripes[None, :, None], first, second) * (1 + 0.05 * noise(r, 48, 96, 1.3))[..., None]


def _plain(r: RandomState, level: float) -> np.ndarray:
    return _paint(1 + 0.05 * noise(r, 96, 96, 1.3), _tint(r, level, 0.04))


Picture = np.ndarray | tuple[np.ndarray, np.ndarray]

# name -> (metres of one repeat along u and v, 0 = stretched over the surface; painter)
TEXTURES: dict[str, tuple[float, float, Callable[[RandomState], Picture]]] = {
    "asphalt": (10, 10, _asphalt),
    "slabs": (8, 8, lambda r: _slabs(r, 0.5, r.uniform(0.5, 0.62), 0.14)),
    "big slabs": (8, 8, lambda r: _slabs(r, 0.8, r.uniform(0.5, 0.65), 0.1)),
    "tiles": (8, 8, lambda r: _slabs(r, 0.4, r.uniform(0.55, 0.72), 0.07, shift=False, warmth=0.06)),
    "dark tiles": (8, 8, lambda r: _slabs(r, 0.4, r.uniform(0.32, 0.42), 0.1, shift=False)),
    "cobbles": (6.7, 5, _cobbles),
    "grass": (8, 8, _grass),
    "gravel": (6, 6, _gravel),
    "snow": (10, 10, _snow),
    "planks": (8, 5, _planks),
    "bricks": (7, 7, _bricks),
    "plaster": (8, 6, _plaster),
    "brick house": (12, 9.6, lambda r: _windows(r, _bricks(r), 3.2, 3.0, (0.45, 0.5))),
    "plaster house": (12, 9.6, lambda r: _windows(r, _plaster(r), 3.2, 3.0, (0.4, 0.55))),
    "office": (12, 9.9, lambda r: _windows(r, _plain(r, r.choice([0.35, 0.55, 0.7])), 3.3, 3.0, (0.92, 0.6))),
    "shop": (6, 3.6, _shop),
    "concrete": (8, 8, lambda r: _slabs(r, 2.0, r.uniform(0.48, 0.62), 0.05, shift=False)),
    "shutter": (2, 2, lambda r: np.repeat(_plain(r, 0.5) * np.where(np.arange(96) % 6 < 1, 0.7, 1)[:, None, None], 1, axis=0)),
    "poster": (0, 0, _poster),
    "foliage": (0, 0, lambda r: _leaves(r, False)),
    "hedge": (2.5, 2.5, lambda r: _leaves(r, True)),
    "fence": (1, 0, _fence),
    "car": (0, 0, _car_side),
    "post": (0, 0, _round_post),
    "awning": (2, 0, lambda r: _striped(r, 12)),
    "timber": (2, 2, lambda r: _planks(r)[:96, :96]),
    "dark": (2, 2, lambda r: _plain(r, 0.22)),
    "mid": (2, 2, lambda r: _plain(r, 0.45)),
    "light": (2, 2, lambda r: _plain(r, 0.7)),
    "white": (2, 2, lambda r: _plain(r, 0.85)),
    "water": (12, 12, lambda r: _paint(1 + 0.12 * noise(r, 384, 384, 1.0), np.array([0.36, 0.42, 0.45]))),
}


def _pyramid(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = [np.ascontiguousarray(picture, np.float32)]
    while min(levels[-1].shape[:2]) >= 4:
        last = levels[-1][: levels[-1].shape[0] // 2 * 2, : levels[-1].shape[1] // 2 * 2]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)
    return tuple(levels)


@lru_cache(maxsize=256)
def make_texture(name: str, seed: int) -> Texture:
    """Paint one texture; the same name and seed give the same picture.

    Args:
        name: a key of `TEXTURES`.
        seed: which one of its kind.
    """
    width_m, height_m, painter = TEXTURES[name]
    picture = painter(stream("texture", name, seed))
    display, glow = picture if isinstance(picture, tuple) else (picture, None)
    colour = linear(display[..., :3])
    cover = display[..., 3:] if display.shape[-1] == 4 else np.ones((*display.shape[:2], 1))
    glowing = () if glow is None else _pyramid(linear(glow))
    return Texture(_pyramid(np.concatenate([colour, cover], -1)), glowing, width_m, height_m)
