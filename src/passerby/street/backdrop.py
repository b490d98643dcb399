"""The world without people, as one camera sees it: linear light in shade, light added by the sun, depth.

Drawn once a camera, by casting each pixel's ray at textured planes without any renderer, so that both person renderers and every
machine get the same streets. People are composited into it by depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage

from passerby.street.paint import PX_PER_M
from passerby.street.render import Light, View
from passerby.street.textures import Texture, make_texture

__all__ = ["Backdrop", "Block", "Surface", "draw_backdrop"]

NEAR_M = 0.2
FAR_M = 400.0
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
class Backdrop:
    """What one camera sees without people.

    Attributes:
        shade: (H, W, 3) float32 linear light without the sun.
        sunlit: (H, W, 3) float32 linear light that the sun adds.
        depth: (H, W) float32 metres along the viewing direction.
    """

    shade: np.ndarray
    sunlit: np.ndarray
    depth: np.ndarray


def _unit(direction: Sequence[float]) -> np.ndarray:
    vector = np.asarray(direction, np.float32)
    return vector / np.linalg.norm(vector)


def _rays(view: View, x0: int, x1: int, y0: int, y1: int, step: int = 1) -> np.ndarray:
    """(h, w, 3) world directions of pixel centres, with length 1 along the viewing direction."""
    x = (np.arange(x0, x1, step, dtype=np.float32) + np.float32(0.5) - np.float32(view.cx)) / np.float32(view.fx)
    y = (np.arange(y0, y1, step, dtype=np.float32) + np.float32(0.5) - np.float32(view.cy)) / np.float32(view.fy)
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


def _look_up(levels: Sequence[np.ndarray], a: np.ndarray, b: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Nearest texel of the mip level that fits each pixel; a and b count repeats of the texture."""
    out = np.empty((len(a), levels[0].shape[-1]), np.float32)
    chosen = np.clip(level, 0, len(levels) - 1)
    for number in np.unique(chosen):
        rows = np.flatnonzero(chosen == number)
        picture = levels[number]
        height, width = picture.shape[:2]
        x = np.minimum((a[rows] * width).astype(np.int32), width - 1)
        y = np.minimum((b[rows] * height).astype(np.int32), height - 1)
        out[rows] = picture[y, x]
    return out


class _Canvas:
    """The pictures that grow while surfaces are drawn."""

    def __init__(self, view: View, light: Light) -> None:
        shape = (view.height, view.width)
        self.view, self.light = view, light
        self.depth = np.full(shape, FAR_M, np.float32)
        self.albedo = np.zeros((*shape, 3), np.float32)
        self.glow = np.zeros((*shape, 3), np.float32)
        self.glow[:] = light.horizon
        self.normal = np.zeros((*shape, 3), np.float32)

    def draw(self, surface: Surface) -> None:
        """Draw one surface where it is nearer than what is there."""
        box = _screen_box(self.view, surface)
        if box is None:
            return
        corner, u, v = (np.asarray(part, np.float32) for part in (surface.corner, surface.u, surface.v))
        normal = np.cross(v, u)
        normal /= np.linalg.norm(normal)
        centre = self.view.eye.astype(np.float32)
        if normal @ (centre - corner) < 0:
            normal = -normal
        x0, x1, y0, y1 = box
        rays = _rays(self.view, *box)
        along = rays @ normal
        depth = np.float32(normal @ (corner - centre)) / np.where(np.abs(along) < 1e-7, np.float32(1e-7), along)
        # position on the surface is an affine function of the hit point
        offset = centre - corner
        a = (depth * (rays @ (u / (u @ u))) + offset @ (u / (u @ u))).astype(np.float32)
        b = (depth * (rays @ (v / (v @ v))) + offset @ (v / (v @ v))).astype(np.float32)
        hit = (depth > NEAR_M) & (depth < self.depth[y0:y1, x0:x1]) & (a >= 0) & (a < 1) & (b >= 0) & (b < 1)
        rows, columns = np.nonzero(hit)
        if not len(rows):
            return
        texture = make_texture(surface.texture, surface.seed)
        slant = np.abs(along[hit]) / np.linalg.norm(rays[hit], axis=1)
        colour, glow = _surface_colour(
            texture, surface, a[hit], b[hit], depth[hit] / np.sqrt(np.maximum(slant, 0.02)), self.view.fx
        )
        solid = colour[:, 3] > 0.5
        rows, columns = rows[solid] + y0, columns[solid] + x0
        self.depth[rows, columns] = depth[hit][solid]
        self.albedo[rows, columns] = colour[solid, :3] * np.float32(surface.tint)
        self.glow[rows, columns] = glow[solid]
        self.normal[rows, columns] = normal


def _surface_colour(
    texture: Texture, surface: Surface, a: np.ndarray, b: np.ndarray, reach: np.ndarray, focal_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) albedo and coverage and (n, 3) glow at n points; `reach` is how far apart two pixels' hits lie, times the focal."""
    length_u, length_v = float(np.linalg.norm(surface.u)), float(np.linalg.norm(surface.v))
    repeats_u = length_u / texture.width_m if texture.width_m else 1.0
    repeats_v = length_v / texture.height_m if texture.height_m else 1.0
    if texture.glow:
        repeats_u, repeats_v = max(1.0, round(repeats_u)), max(1.0, round(repeats_v))  # no half shop
    texels_per_m = texture.levels[0].shape[1] * repeats_u / length_u if texture.width_m == 0 else float(PX_PER_M)
    footprint = reach / np.float32(focal_px) * np.float32(texels_per_m)
    level = np.round(np.log2(np.maximum(footprint, 1.0))).astype(np.int32)
    a, b = (a * np.float32(repeats_u)) % 1, (b * np.float32(repeats_v)) % 1
    colour = _look_up(texture.levels, a, b, level)
    glow = _look_up(texture.glow, a, b, level) if texture.glow else np.zeros((len(a), 3), np.float32)
    return colour, glow


def _sun_and_corners(canvas: _Canvas, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) share of the sun that arrives, and (H, W) darkening of ground close to standing things."""
    view = canvas.view
    rays = _rays(view, 0, view.width, 0, view.height, _SHADE_STEP)
    depth = canvas.depth[::_SHADE_STEP, ::_SHADE_STEP]
    normal = canvas.normal[::_SHADE_STEP, ::_SHADE_STEP]
    points = view.eye.astype(np.float32) + rays * depth[..., None] + normal * np.float32(0.03)
    low = np.array([block.low for block in blocks], np.float32).reshape(-1, 3)
    high = np.array([block.high for block in blocks], np.float32).reshape(-1, 3)
    lit, open_sky = _reach_of_boxes(points.reshape(-1, 3), _unit(canvas.light.to_sun), low, high)
    size = (canvas.depth.shape[0] / depth.shape[0], canvas.depth.shape[1] / depth.shape[1])
    lit = ndimage.gaussian_filter(lit.reshape(depth.shape), 0.7)
    soft = [ndimage.zoom(part, size, order=1, grid_mode=True, mode="nearest") for part in (lit, open_sky.reshape(depth.shape))]
    return soft[0], soft[1]


@njit(cache=True)
def _reach_of_boxes(points: np.ndarray, to_sun: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For (N, 3) points: whether a box stands before the sun, and how much of the sky the boxes close by take away."""
    lit = np.ones(len(points), np.float32)
    seen = np.ones(len(points), np.float32)
    for i in range(len(points)):
        for j in range(len(low)):
            enter, leave, away = -1e9, 1e9, 0.0
            for k in range(3):
                slope = to_sun[k] if abs(to_sun[k]) > 1e-6 else 1e-6
                one, two = (low[j, k] - points[i, k]) / slope, (high[j, k] - points[i, k]) / slope
                enter, leave = max(enter, min(one, two)), min(leave, max(one, two))
                gap = max(low[j, k] - points[i, k], points[i, k] - high[j, k], 0.0)
                away += gap * gap
            if leave > max(enter, 0.02):
                lit[i] = 0.0
            reach = 0.25 + 0.2 * min(high[j, 2] - low[j, 2], 3.0)
            if 1e-6 < away < 16 * reach * reach:
                seen[i] *= 1 - 0.5 * math.exp(-math.sqrt(away) / reach)
    return lit, seen


def draw_backdrop(surfaces: Sequence[Surface], blocks: Sequence[Block], light: Light, view: View) -> Backdrop:
    """Draw the empty street.

    Args:
        surfaces: what is seen.
        blocks: what throws shadows and darkens the ground beside it.
        light: sun, sky and haze.
        view: the camera.
    """
    canvas = _Canvas(view, light)
    for surface in surfaces:
        canvas.draw(surface)
    lit, open_sky = _sun_and_corners(canvas, blocks)
    facing = np.clip(canvas.normal @ _unit(light.to_sun), 0, 1)
    up = (0.5 + 0.5 * canvas.normal[..., 2:]).astype(np.float32)
    around = (np.asarray(light.ground, np.float32) * (1 - up) + np.asarray(light.sky, np.float32) * up) * open_sky[..., None]
    solid = canvas.depth < FAR_M
    shade = np.where(solid[..., None], canvas.albedo * around + canvas.glow, canvas.glow)
    sunlit = canvas.albedo * np.asarray(light.sun, np.float32) * (facing * lit * solid)[..., None]
    fog = (1 - (1 - np.float32(light.haze_per_m)) ** np.minimum(canvas.depth, 150))[..., None]
    shade = shade * (1 - fog) + np.asarray(light.horizon, np.float32) * fog
    return Backdrop(shade.astype(np.float32), (sunlit * (1 - fog)).astype(np.float32), canvas.depth)
