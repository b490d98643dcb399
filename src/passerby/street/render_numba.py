"""The renderer without OpenGL: a z-buffer, then every visible sample is shaded once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from passerby.street.raster import Soup, fill, soup
from passerby.street.render import DrawItem, Layer, Light, View
from passerby.street.shading import folds, lit, pack_light, pack_materials, surface
from passerby.street.shadows import ShadowMap, cast, reaching

__all__ = ["NumbaRenderer"]


class NumbaRenderer:
    """Draws on any machine; see `render.Renderer`."""

    name = "numba"

    def draw(
        self,
        items: Sequence[DrawItem],
        view: View,
        light: Light,
        samples: int = 2,
        limit: np.ndarray | None = None,
        shadows: ShadowMap | None = None,
    ) -> Layer:
        """See `render.Renderer.draw`."""
        shadow = cast(items, light) if shadows is None else shadows
        triangles = soup(items)
        rotation, translation = view.rotation.astype(np.float32), view.translation.astype(np.float32)
        camera = triangles.vertices[:, :3] @ rotation.T + translation
        triangles, camera = _clipped(triangles, camera, view.near)
        nearness = 1 / np.maximum(camera[:, 2], np.float32(0.5 * view.near))
        focal = np.array([view.fx, view.fy], np.float32) * samples
        points = camera[:, :2] * nearness[:, None] * focal + np.array([view.cx, view.cy], np.float32) * samples
        best = np.zeros((view.height * samples, view.width * samples), np.float32)
        if limit is not None:
            best[:] = np.repeat(np.repeat(1 / np.maximum(limit, 1e-6), samples, 0), samples, 1)
        owner = np.full(best.shape, -1, np.int32)
        fill(points, nearness, triangles.vertices[:, 9] * nearness, triangles.faces, best, owner)
        rgb, coverage, depth, ids = _shade(
            triangles.vertices,
            triangles.faces,
            triangles.material,
            triangles.item,
            points,
            nearness,
            best,
            owner,
            pack_materials(triangles.materials),
            pack_light(light),
            shadow.depth,
            shadow.frame,
            shadow.taps,
            view.eye.astype(np.float32),
            samples,
        )
        return Layer(rgb, coverage, depth, ids)

    def close(self) -> None:
        """Nothing is held."""


def _clipped(triangles: Soup, camera: np.ndarray, near: float) -> tuple[Soup, np.ndarray]:
    """Cut away what is nearer than the near plane; triangles that cross it become one or two smaller ones."""
    behind = camera[:, 2] < near
    count = behind[triangles.faces].sum(1)
    if not count.any():
        return triangles, camera
    faces = [triangles.faces[count == 0]]
    vertices, places, material, item = [triangles.vertices], [camera], [triangles.material], [triangles.item]
    start = len(camera)
    for face in triangles.faces[(count == 1) | (count == 2)]:
        corners = []
        for this, after in zip(face, np.roll(face, -1), strict=True):
            if not behind[this]:
                corners.append((this, this, np.float32(0)))
            if behind[this] != behind[after]:
                corners.append((this, after, (near - camera[this, 2]) / (camera[after, 2] - camera[this, 2])))
        one, other, share = (np.array(column) for column in zip(*corners, strict=True))
        share = share[:, None].astype(np.float32)
        vertices.append(triangles.vertices[one] * (1 - share) + triangles.vertices[other] * share)
        places.append(camera[one] * (1 - share) + camera[other] * share)
        material.append(triangles.material[one])
        item.append(triangles.item[one])
        faces.append(np.array([[0, k, k + 1] for k in range(1, len(corners) - 1)], np.int32).reshape(-1, 3) + start)
        start += len(corners)
    whole = Soup(
        np.concatenate(vertices),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(material),
        np.concatenate(item),
        triangles.materials,
    )
    return whole, np.concatenate(places)


@njit(cache=True)
def _shade(vertices, faces, material, item, points, nearness, best, owner, table, light, shadow, frame, taps, eye, samples):
    """Shade every filled sample and take the means; the depth and the id of a pixel are those of its middle sample."""
    height, width = best.shape[0] // samples, best.shape[1] // samples
    rgb = np.zeros((height, width, 3), np.float32)
    coverage = np.zeros((height, width), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    ids = np.full((height, width), -1, np.int32)
    share = 1.0 / (samples * samples)
    mean = np.empty(11, np.float32)
    for row in range(best.shape[0]):
        for column in range(best.shape[1]):
            face = owner[row, column]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            x, y = column + 0.5, row + 0.5
            ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
            inverse = 1 / ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))
            u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
            v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
            u, v, w = u * nearness[a], v * nearness[b], (1 - u - v) * nearness[c]
            total = u + v + w
            u, v, w = u / total, v / total, w / total
            for k in range(11):
                mean[k] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
            lx, ly, lz = eye[0] - mean[0], eye[1] - mean[1], eye[2] - mean[2]
            distance = math.sqrt(lx * lx + ly * ly + lz * lz)
            lx, ly, lz = lx / distance, ly / distance, lz / distance
            length = max(math.sqrt(mean[3] * mean[3] + mean[4] * mean[4] + mean[5] * mean[5]), 1e-6)
            nx, ny, nz = mean[3] / length, mean[4] / length, mean[5] / length
            # The winding decides the side, as it does in OpenGL: interpolated normals of a visible face may point away.
            if _faces_away(vertices, a, b, c, eye):
                nx, ny, nz = -nx, -ny, -nz
            record = table[material[a]]
            fold, slope_x, slope_y, slope_z = folds(mean[6], mean[7], mean[8])
            colour = surface(record, mean[6], mean[7], mean[8], fold)
            arrived = 1.0
            if light[15] > 0:
                arrived = 1 - light[15] * (1 - reaching(shadow, frame, taps, mean[0], mean[1], mean[2], nx, ny, nz))
            i, j = row // samples, column // samples
            nx, ny, nz = nx + record[18] * slope_x, ny + record[18] * slope_y, nz + record[18] * slope_z
            length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-6)
            nx, ny, nz = nx / length, ny / length, nz / length
            for k in range(3):
                rgb[i, j, k] += share * lit(
                    record, light, colour, (nx, ny, nz), (lx, ly, lz), arrived, min(max(mean[10], 0.0), 1.0), distance, k
                )
            coverage[i, j] += share
            if row - i * samples == samples // 2 and column - j * samples == samples // 2:
                depth[i, j] = 1 / best[row, column]
                ids[i, j] = item[a]
    return rgb, coverage, depth, ids


@njit(cache=True)
def _faces_away(vertices, a, b, c, eye):
    """Whether the eye sees the clockwise side of a triangle."""
    px, py, pz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    qx, qy, qz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
    return nx * (eye[0] - vertices[a, 0]) + ny * (eye[1] - vertices[a, 1]) + nz * (eye[2] - vertices[a, 2]) < 0
