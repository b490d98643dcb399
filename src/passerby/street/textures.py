"""Procedural textures of the world: ground, walls, street furniture. Linear albedo in [0, 1], sampled with mip levels.

Colours are chosen in display values (what an sRGB picture shows) and kept linear, because light adds up linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import RandomState

from passerby.street.paint import linear, plain
from passerby.street.paint_ground import asphalt, cobbles, grass, gravel, planks, slabs, snow, water
from passerby.street.paint_things import car_side, fence, leaves, poster, round_post, striped, twigs
from passerby.street.paint_walls import bricks, plaster, shop, windows
from passerby.street.seeds import stream

__all__ = ["FULL_SCALE", "TEXTURES", "Texture", "make_texture"]


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture with its size in the world, and its mip pyramid: level k is 2^k times coarser.

    Attributes:
        texels: (T, 4) uint16, all levels one behind the other: linear albedo and coverage (full scale solid, 0 hole); with three
            more columns, the light given off, where there is any.
        levels: (L, 3) int64: start in `texels`, height and width of each level.
        width_m: metres that one repeat covers along u; 0 stretches the picture once over the whole surface.
        height_m: the same along v.
        whole: only whole repeats fit on a surface (shops).
    """

    texels: np.ndarray
    levels: np.ndarray
    width_m: float
    height_m: float
    whole: bool


FULL_SCALE = 65535
Picture = np.ndarray | tuple[np.ndarray, np.ndarray]

# name -> (metres of one repeat along u and v, 0 = stretched over the surface; painter)
TEXTURES: dict[str, tuple[float, float, Callable[[RandomState], Picture]]] = {
    "asphalt": (10, 10, asphalt),
    "slabs": (8, 8, lambda r: slabs(r, 0.5, r.uniform(0.5, 0.62), 0.14)),
    "big slabs": (8, 8, lambda r: slabs(r, 0.8, r.uniform(0.5, 0.65), 0.1)),
    "tiles": (8, 8, lambda r: slabs(r, 0.4, r.uniform(0.55, 0.72), 0.07, shift=False, warmth=0.06)),
    "dark tiles": (8, 8, lambda r: slabs(r, 0.4, r.uniform(0.32, 0.42), 0.1, shift=False)),
    "cobbles": (6.7, 5, cobbles),
    "grass": (8, 8, grass),
    "gravel": (6, 6, gravel),
    "snow": (10, 10, snow),
    "planks": (8, 5, planks),
    "bricks": (7, 7, bricks),
    "plaster": (8, 6, plaster),
    "brick house": (12, 9.6, lambda r: windows(r, bricks(r), 3.2, 3.0, (0.45, 0.5))),
    "plaster house": (12, 9.6, lambda r: windows(r, plaster(r), 3.2, 3.0, (0.4, 0.55))),
    "office": (12, 9.9, lambda r: windows(r, plain(r, r.choice([0.35, 0.55, 0.7])), 3.3, 3.0, (0.92, 0.6))),
    "shop": (18, 3.6, shop),
    "concrete": (8, 8, lambda r: slabs(r, 2.0, r.uniform(0.48, 0.62), 0.05, shift=False)),
    "shutter": (2, 2, lambda r: np.repeat(plain(r, 0.5) * np.where(np.arange(96) % 6 < 1, 0.7, 1)[:, None, None], 1, axis=0)),
    "poster": (0, 0, poster),
    "foliage": (0, 0, lambda r: leaves(r, False)),
    "twigs": (0, 0, twigs),
    "hedge": (2.5, 2.5, lambda r: leaves(r, True)),
    "fence": (1, 0, fence),
    "car": (0, 0, car_side),
    "post": (0, 0, round_post),
    "awning": (2, 0, lambda r: striped(r, 12)),
    "timber": (2, 2, lambda r: planks(r)[:96, :96]),
    "dark": (2, 2, lambda r: plain(r, 0.22)),
    "mid": (2, 2, lambda r: plain(r, 0.45)),
    "light": (2, 2, lambda r: plain(r, 0.7)),
    "white": (2, 2, lambda r: plain(r, 0.85)),
    "water": (12, 12, lambda r: water(r)),
}


def _pyramid(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pictures: list[np.ndarray] = [picture.astype(np.float32)]
    while min(pictures[-1].shape[:2]) >= 4:
        last = pictures[-1][: pictures[-1].shape[0] // 2 * 2, : pictures[-1].shape[1] // 2 * 2]
        pictures.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / np.float32(4))
    sizes = [level.shape[0] * level.shape[1] for level in pictures]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    levels = np.array([[start, *level.shape[:2]] for start, level in zip(starts, pictures, strict=True)], np.int64)
    return np.concatenate([level.reshape(-1, picture.shape[-1]) for level in pictures]), levels


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
    cover = display[..., 3:] if display.shape[-1] == 4 else np.ones((*display.shape[:2], 1))
    lamps = [] if glow is None else [linear(glow)]
    texels, levels = _pyramid(np.concatenate([linear(display[..., :3]), cover, *lamps], -1))
    return Texture(np.round(texels * FULL_SCALE).astype(np.uint16), levels, width_m, height_m, glow is not None)
