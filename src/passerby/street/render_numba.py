"""The renderer without OpenGL: a z-buffer, then every visible sample is shaded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.street.kernels import shade
from passerby.street.raster import Soup, fill, soup
from passerby.street.render import DrawItem, Layer, Light, View
from passerby.street.shading import pack_light, pack_materials
from passerby.street.shadows import ShadowMap, cast

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
        rgb, coverage, depth, ids = shade(
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
