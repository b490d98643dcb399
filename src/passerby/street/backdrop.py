"""The world without people, as one camera sees it: linear light in shade, light added by the sun, depth.

Drawn once a camera, by casting each pixel's ray at textured planes without any renderer, so that both person renderers and every
machine get the same streets. People are composited into it by depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from passerby.street.paint import PX_PER_M
from passerby.street.raycast import fill_plane, reach_of_boxes
from passerby.street.render import Light, View
from passerby.street.textures import make_texture

__all__ = ["Backdrop", "Block", "Piece", "Surface"]

NEAR_M = 0.2
FAR_M = 400.0
TILE_PX = 240
_RIM_PX = 6  # drawn around a tile and thrown away, so that shadows interpolate across its edge
_SHADE_STEP = 3  # shadows and corner darkening are computed for every third pixel and interpolated: they are soft anyway


@dataclass(frozen=True)
class Surface:
    """A textured parallelogram.

    Attributes:
        corner: (3,) where u = v = 0, metres; for walls the upper left seen from the front.
        u, v: (3,) edges from the corner.
        texture: a key of `textures.TEXTURES`.
        seed: which one of its kind.
        tint: factor on the albedo.
    """

    corner: tuple[float, float, float]
    u: tuple[float, float, float]
    v: tuple[float, float, float]
    texture: str
    seed: int = 0
    tint: float = 1.0


@dataclass(frozen=True)
class Block:
    """A box standing in the world that throws a shadow: lower and upper corner, metres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class Piece:
    """A rectangle of what one camera sees without people.

    Attributes:
        shade: (h, w, 3) float32 linear light without the sun.
        sunlit: (h, w, 3) float32 linear light that the sun adds.
        depth: (h, w) float32 metres along the viewing direction.
    """

    shade: np.ndarray
    sunlit: np.ndarray
    depth: np.ndarray


class Backdrop:
    """The empty street in front of one camera, drawn in tiles when they are asked for.

    The tiles lie on a fixed grid, so that a pixel is the same whatever was asked for before it.

    Args:
        surfaces: what is seen.
        blocks: what throws shadows and darkens the ground beside it.
        light: sun, sky and haze.
        view: the camera's whole frame.
    """

    def __init__(self, surfaces: Sequence[Surface], blocks: Sequence[Block], light: Light, view: View) -> None:
        self.blocks, self.light, self.view = tuple(blocks), light, view
        boxes = [(surface, _screen_box(view, surface)) for surface in surfaces]
        self._seen = [(surface, box) for surface, box in boxes if box is not None]
        self._tiles: dict[tuple[int, int], Piece] = {}

    def piece(self, left: int, top: int, width: int, height: int) -> Piece:
        """The rectangle of that place and size, in whole pixels inside the frame."""
        shade = np.empty((height, width, 3), np.float32)
        sunlit = np.empty((height, width, 3), np.float32)
        depth = np.empty((height, width), np.float32)
        for y0 in range(top // TILE_PX * TILE_PX, top + height, TILE_PX):
            for x0 in range(left // TILE_PX * TILE_PX, left + width, TILE_PX):
                tile = self._tile(x0, y0)
                tall, wide = tile.depth.shape
                rows, columns = (
                    slice(max(top - y0, 0), min(top + height - y0, tall)),
                    slice(max(left - x0, 0), min(left + width - x0, wide)),
                )
                there = (
                    slice(y0 + rows.start - top, y0 + rows.stop - top),
                    slice(x0 + columns.start - left, x0 + columns.stop - left),
                )
                shade[there], sunlit[there] = tile.shade[rows, columns], tile.sunlit[rows, columns]
                depth[there] = tile.depth[rows, columns]
        return Piece(shade, sunlit, depth)

    def overview(self, step: int = 5) -> Piece:
        """The whole frame, `step` times coarser: what an automatic exposure goes by."""
        width, height = self.view.width // step, self.view.height // step
        view = self.view.cropped(0, 0, width * step, height * step, width, height)
        return _draw([surface for surface, _ in self._seen], self.blocks, self.light, view)

    def _tile(self, x0: int, y0: int) -> Piece:
        if (x0, y0) not in self._tiles:
            width, height = min(TILE_PX, self.view.width - x0), min(TILE_PX, self.view.height - y0)
            wide, tall = width + 2 * _RIM_PX, height + 2 * _RIM_PX
            near = [surface for surface, box in self._seen if _meet(box, x0 - _RIM_PX, y0 - _RIM_PX, wide, tall)]
            view = self.view.cropped(x0 - _RIM_PX, y0 - _RIM_PX, wide, tall, wide, tall)
            drawn = _draw(near, self.blocks, self.light, view)
            inner = (slice(_RIM_PX, _RIM_PX + height), slice(_RIM_PX, _RIM_PX + width))
            shade, sunlit = (part[inner].astype(np.float16) for part in (drawn.shade, drawn.sunlit))  # a city fits into memory
            self._tiles[(x0, y0)] = Piece(shade, sunlit, drawn.depth[inner].copy())
        return self._tiles[(x0, y0)]


def _meet(box: tuple[int, int, int, int], left: int, top: int, width: int, height: int) -> bool:
    """Whether (x0, x1, y0, y1) of the frame, which ends at its edges, reaches into a rectangle that may stick out of it."""
    x0, x1, y0, y1 = box
    return x0 < left + width and left < x1 + _RIM_PX and y0 < top + height and top < y1 + _RIM_PX


def _unit(direction: Sequence[float]) -> np.ndarray:
    vector = np.asarray(direction, np.float32)
    return vector / np.linalg.norm(vector)


def _rays(view: View, step: int) -> np.ndarray:
    """(h, w, 3) world directions of every `step`-th pixel's centre, with length 1 along the viewing direction."""
    x = (np.arange(0, view.width, step, dtype=np.float32) + np.float32(0.5) - np.float32(view.cx)) / np.float32(view.fx)
    y = (np.arange(0, view.height, step, dtype=np.float32) + np.float32(0.5) - np.float32(view.cy)) / np.float32(view.fy)
    right, down, forward = view.rotation.astype(np.float32)
    return x[None, :, None] * right + y[:, None, None] * down + forward


def _screen_box(view: View, surface: Surface) -> tuple[int, int, int, int] | None:
    """The pixels that a surface can touch; clipped at the near plane."""
    corner, u, v = (np.asarray(part, np.float64) for part in (surface.corner, surface.u, surface.v))
    ring = np.array([corner, corner + u, corner + u + v, corner + v])
    depth = view.project(ring)[:, 2]
    kept: list[np.ndarray] = []
    for here in range(4):
        after = (here + 1) % 4
        if depth[here] >= NEAR_M:
            kept.append(ring[here])
        if (depth[here] >= NEAR_M) != (depth[after] >= NEAR_M):
            part = (NEAR_M - depth[here]) / (depth[after] - depth[here])
            kept.append(ring[here] + part * (ring[after] - ring[here]))
    if not kept:
        return None
    pixels = view.project(np.array(kept))[:, :2]
    low, high = np.floor(pixels.min(0)), np.ceil(pixels.max(0))
    x0, y0 = (int(value) for value in np.clip(low, 0, [view.width, view.height]))
    x1, y1 = (int(value) for value in np.clip(high, 0, [view.width, view.height]))
    return (x0, x1, y0, y1) if x1 > x0 and y1 > y0 else None


class _Canvas:
    """The pictures that grow while surfaces are drawn."""

    def __init__(self, view: View, light: Light) -> None:
        shape = (view.height, view.width)
        self.view, self.light = view, light
        self.depth = np.full(shape, FAR_M, np.float32)
        self.colour = np.zeros((*shape, 6), np.float32)  # albedo, then the light that a surface gives by itself
        self.colour[..., 3:] = light.horizon
        self.normal = np.zeros((*shape, 3), np.float32)
        self._lens = np.array([view.fx, view.fy, view.cx, view.cy])

    def draw(self, surface: Surface) -> None:
        """Draw one surface where it is nearer than what is there."""
        box = _screen_box(self.view, surface)
        if box is None:
            return
        u, v = np.asarray(surface.u, np.float64), np.asarray(surface.v, np.float64)
        offset = self.view.eye - np.asarray(surface.corner, np.float64)
        normal = np.cross(v, u)
        normal /= np.linalg.norm(normal) * (1 if normal @ offset >= 0 else -1)
        texture = make_texture(surface.texture, surface.seed)
        length_u, length_v = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        repeats_u = length_u / texture.width_m if texture.width_m else 1.0
        repeats_v = length_v / texture.height_m if texture.height_m else 1.0
        if texture.whole:  # no half shop
            repeats_u, repeats_v = max(1.0, round(repeats_u)), max(1.0, round(repeats_v))
        texels_per_m = texture.levels[0, 2] / length_u if texture.width_m == 0 else float(PX_PER_M)
        axes = np.stack([u / (u @ u), v / (v @ v)])
        fill_plane(
            box, self._lens, self.view.rotation, offset, normal, axes, (repeats_u, repeats_v), texels_per_m, texture.texels,
            texture.levels, surface.tint, NEAR_M, self.depth, self.colour, self.normal,
        )  # fmt: skip


def _sun_and_corners(canvas: _Canvas, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) share of the sun that arrives, and (H, W) darkening of ground close to standing things."""
    view = canvas.view
    rays = _rays(view, _SHADE_STEP)
    depth = canvas.depth[::_SHADE_STEP, ::_SHADE_STEP]
    normal = canvas.normal[::_SHADE_STEP, ::_SHADE_STEP]
    points = view.eye.astype(np.float32) + rays * depth[..., None] + normal * np.float32(0.03)
    low = np.array([block.low for block in blocks], np.float32).reshape(-1, 3)
    high = np.array([block.high for block in blocks], np.float32).reshape(-1, 3)
    lit, open_sky = reach_of_boxes(points.reshape(-1, 3), _unit(canvas.light.to_sun), low, high)
    size = (canvas.depth.shape[0] / depth.shape[0], canvas.depth.shape[1] / depth.shape[1])
    lit = ndimage.gaussian_filter(lit.reshape(depth.shape), 0.7)
    return _finer(lit, size), _finer(open_sky.reshape(depth.shape), size)


def _finer(coarse: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    return np.asarray(ndimage.zoom(coarse, size, order=1, grid_mode=True, mode="nearest"))


def _draw(surfaces: Sequence[Surface], blocks: Sequence[Block], light: Light, view: View) -> Piece:
    """Draw one picture of the empty street."""
    canvas = _Canvas(view, light)
    for surface in surfaces:
        canvas.draw(surface)
    albedo, glow = canvas.colour[..., :3], canvas.colour[..., 3:]
    lit, open_sky = _sun_and_corners(canvas, blocks)
    facing = np.clip(canvas.normal @ _unit(light.to_sun), 0, 1)
    up = (0.5 + 0.5 * canvas.normal[..., 2:]).astype(np.float32)
    around = (np.asarray(light.ground, np.float32) * (1 - up) + np.asarray(light.sky, np.float32) * up) * open_sky[..., None]
    solid = canvas.depth < FAR_M
    shade = np.where(solid[..., None], albedo * around + glow, glow)
    sunlit = albedo * np.asarray(light.sun, np.float32) * (facing * lit * solid)[..., None]
    fog = (1 - (1 - np.float32(light.haze_per_m)) ** np.minimum(canvas.depth, 150))[..., None]
    shade = shade * (1 - fog) + np.asarray(light.horizon, np.float32) * fog
    return Piece(shade.astype(np.float32), (sunlit * (1 - fog)).astype(np.float32), canvas.depth)
