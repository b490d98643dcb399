"""Filling triangles into a z-buffer: the kernel under the numba renderer and under everybody's shadow maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from passerby.street.meshes import Material
from passerby.street.render import DrawItem

__all__ = ["Soup", "fill", "soup"]


class Soup(NamedTuple):
    """All triangles of several items in flat arrays.

    Attributes:
        vertices: (V, 11) float32: position, normal, coords, cut, open.
        faces: (F, 3) int32.
        material: (V,) int32 into `materials`.
        item: (V,) int32 item ids.
        materials: the table.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    item: np.ndarray
    materials: tuple[Material, ...]


def soup(items: Sequence[DrawItem]) -> Soup:
    """Put the items' meshes together; every item keeps its own rows of the material table."""
    rows, faces, material, ids, materials = [], [], [], [], []
    start = 0
    for item in items:
        mesh = item.mesh
        part = np.empty((len(mesh.positions), 11), np.float32)
        part[:, 0:3], part[:, 3:6], part[:, 6:9] = mesh.positions, mesh.normals, mesh.coords
        part[:, 9], part[:, 10] = mesh.cut, mesh.open
        rows.append(part)
        faces.append(mesh.faces + start)
        material.append(mesh.material + len(materials))
        ids.append(np.full(len(part), item.item_id, np.int32))
        materials.extend(mesh.materials)
        start += len(part)
    if not rows:
        return Soup(np.zeros((0, 11), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32), ())
    return Soup(
        np.concatenate(rows),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(material).astype(np.int32),
        np.concatenate(ids),
        tuple(materials),
    )


@njit(cache=True)
def fill(
    points: np.ndarray, nearness: np.ndarray, cut: np.ndarray, faces: np.ndarray, best: np.ndarray, owner: np.ndarray
) -> None:
    """Fill triangles; a sample belongs to the one with the greatest nearness.

    Args:
        points: (V, 2) float32, columns and rows in samples; the centre of the first sample is at 0.5.
        nearness: (V,) float32, linear on the screen: 1 / depth for perspective, minus the depth for parallel rays.
        cut: (V,) float32, linear on the screen; a sample with a negative value is not filled.
        faces: (F, 3) int32.
        best: (H, W) float32, the nearness so far; changed.
        owner: (H, W) int32, the face so far; changed.
    """
    height, width = best.shape
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        left, right = max(math.ceil(min(ax, bx, cx) - 0.5), 0), min(math.floor(max(ax, bx, cx) - 0.5), width - 1)
        top, bottom = max(math.ceil(min(ay, by, cy) - 0.5), 0), min(math.floor(max(ay, by, cy) - 0.5), height - 1)
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if left > right or top > bottom or area == 0:
            continue
        if cut[a] < 0 and cut[b] < 0 and cut[c] < 0:
            continue
        whole = cut[a] >= 0 and cut[b] >= 0 and cut[c] >= 0
        inverse = 1 / area
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
                v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                near = u * nearness[a] + v * nearness[b] + w * nearness[c]
                if near <= best[row, column]:
                    continue
                if not whole and u * cut[a] + v * cut[b] + w * cut[c] < 0:
                    continue
                best[row, column] = near
                owner[row, column] = face
