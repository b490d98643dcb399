"""Kernels of the backdrop: a textured plane filled into a picture, and what boxes take away of sun and sky."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["fill_plane", "reach_of_boxes"]


@njit(cache=True)
def fill_plane(
    box: tuple[int, int, int, int],
    lens: np.ndarray,
    rotation: np.ndarray,
    offset: np.ndarray,
    normal: np.ndarray,
    axes: np.ndarray,
    repeats: tuple[float, float],
    texels_per_m: float,
    texels: np.ndarray,
    levels: np.ndarray,
    tint: float,
    near: float,
    depth: np.ndarray,
    colour: np.ndarray,
    facing: np.ndarray,
) -> None:
    """Fill one textured parallelogram where it is nearer than what is there.

    Args:
        box: columns x0 to x1 and rows y0 to y1 that it can touch.
        lens: (4,) fx, fy, cx, cy.
        rotation: (3, 3) world to camera.
        offset: (3,) from its corner to the eye, m.
        normal: (3,) unit, towards the eye.
        axes: (2, 3) edges u and v, each over its squared length: point - corner -> share of the edge.
        repeats: of the texture along u and v.
        texels_per_m: of the finest level.
        texels: (T, 4 or 7) uint16, all mip levels one behind the other: albedo, coverage, and glow where there is any.
        levels: (L, 3) start, height and width of each.
        tint: factor on the albedo.
        near: nothing nearer is drawn, m.
        depth: (H, W), changed; colour: (H, W, 6) albedo and glow, changed; facing: (H, W, 3) normals, changed.
    """
    x0, x1, y0, y1 = box
    height_over = normal[0] * offset[0] + normal[1] * offset[1] + normal[2] * offset[2]
    start_a = axes[0, 0] * offset[0] + axes[0, 1] * offset[1] + axes[0, 2] * offset[2]
    start_b = axes[1, 0] * offset[0] + axes[1, 1] * offset[1] + axes[1, 2] * offset[2]
    sample = np.zeros(7, np.float32)
    for row in range(y0, y1):
        v = (row + 0.5 - lens[3]) / lens[1]
        for column in range(x0, x1):
            u = (column + 0.5 - lens[2]) / lens[0]
            rx = u * rotation[0, 0] + v * rotation[1, 0] + rotation[2, 0]
            ry = u * rotation[0, 1] + v * rotation[1, 1] + rotation[2, 1]
            rz = u * rotation[0, 2] + v * rotation[1, 2] + rotation[2, 2]
            along = rx * normal[0] + ry * normal[1] + rz * normal[2]
            if along > -1e-7:
                continue
            away = -height_over / along
            if away <= near or away >= depth[row, column]:
                continue
            a = start_a + away * (rx * axes[0, 0] + ry * axes[0, 1] + rz * axes[0, 2])
            b = start_b + away * (rx * axes[1, 0] + ry * axes[1, 1] + rz * axes[1, 2])
            if a < 0 or a >= 1 or b < 0 or b >= 1:
                continue
            slant = max(-along / math.sqrt(rx * rx + ry * ry + rz * rz), 0.02)
            footprint = away / lens[0] * texels_per_m / math.sqrt(slant)
            _sample(texels, levels, a * repeats[0], b * repeats[1], math.log2(max(footprint, 1.0)), sample)
            if sample[3] < 0.5:
                continue
            depth[row, column] = away
            for k in range(3):
                colour[row, column, k] = sample[k] * tint
                colour[row, column, 3 + k] = sample[4 + k]
                facing[row, column, k] = normal[k]


@njit(cache=True)
def _sample(texels: np.ndarray, levels: np.ndarray, a: float, b: float, level: float, out: np.ndarray) -> None:
    """Trilinear look-up: bilinear in the two mip levels around `level`, mixed; the texture repeats."""
    last = len(levels) - 1
    fine = min(int(level), last)
    part = min(max(level - fine, 0.0), 1.0) if fine < last else 0.0
    out[:] = 0
    for step in range(2):
        share = 1 - part if step == 0 else part
        if share <= 0:
            continue
        start, height, width = levels[fine + step]
        x, y = (a - math.floor(a)) * width - 0.5, (b - math.floor(b)) * height - 0.5
        fx, fy = math.floor(x), math.floor(y)
        tx, ty = x - fx, y - fy
        left, top = int(fx) % width, int(fy) % height
        right, low = (left + 1) % width, (top + 1) % height
        for k in range(texels.shape[1]):
            upper = texels[start + top * width + left, k] * (1 - tx) + texels[start + top * width + right, k] * tx
            lower = texels[start + low * width + left, k] * (1 - tx) + texels[start + low * width + right, k] * tx
            out[k] += share * (upper * (1 - ty) + lower * ty) * np.float32(1 / 65535)


@njit(cache=True)
def reach_of_boxes(points: np.ndarray, to_sun: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For (N, 3) points: 0 where a box stands before the sun, else 1; and the share of the sky that boxes close by leave."""
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
