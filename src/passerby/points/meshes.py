"""Points on the surface of a mesh: .off and .obj files with faces, as object data sets have them."""

from __future__ import annotations

import os
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np

from passerby.datasets.cloud_files import read_bytes, words_by_line
from passerby.datasets.walking import shown
from passerby.errors import DataError

__all__ = ["MESH_SUFFIXES", "read_mesh", "read_surface"]

MESH_SUFFIXES = frozenset({".off", ".obj"})


def read_mesh(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and triangles (T, 3) int64; polygons are cut into fans.

    Raises:
        DataError: no mesh, an empty one, vertices that are not finite, or a face of vertices that are not there.
    """
    path = Path(path)
    content = read_bytes(path)
    try:
        vertices, faces = _off(content.splitlines()) if path.suffix.lower() == ".off" else _obj(words_by_line(content))
        if any(len(row) != 3 for row in vertices):
            raise ValueError
        vertices = np.array(vertices, np.float64).reshape(-1, 3)
    except (ValueError, IndexError):
        raise DataError(
            f'"{shown(path)}" is no mesh that can be read: vertices have three numbers, faces name vertices.'
        ) from None
    if any(not 0 <= i < len(vertices) for face in faces for i in face):
        raise DataError(f'"{shown(path)}" has faces of vertices that are not there: it has {len(vertices)} vertices.')
    triangles = [(face[0], a, b) for face in faces for a, b in pairwise(face[1:])]
    if not len(vertices) or not triangles:
        raise DataError(
            f'"{shown(path)}" has {len(vertices)} vertices and {len(triangles)} triangles: no surface to take points of.'
        )
    if not np.isfinite(vertices).all():
        raise DataError(f'"{shown(path)}" has vertices that are not finite: make the file again.')
    return vertices, np.array(triangles, np.int64)


def _off(lines: list[bytes]) -> tuple[list[list[bytes]], list[list[int]]]:
    words = [line.split() for line in lines if line.strip() and not line.startswith(b"#")]
    if not words[0][0].startswith(b"OFF"):
        raise ValueError
    first = words[0][0][3:]  # some files of ModelNet40 have the counts on the line of the magic word
    counts = [first, *words[0][1:]] if first else words[0][1:] or words[1]
    rest = words[1:] if first or len(words[0]) > 1 else words[2:]
    vertices, faces = int(counts[0]), int(counts[1])
    if min(vertices, faces) < 0 or len(rest) < vertices + faces:
        raise ValueError
    rows = rest[vertices : vertices + faces]
    if any(not 0 <= int(row[0]) < len(row) for row in rows):
        raise ValueError
    found = [[int(word) for word in row[1 : 1 + int(row[0])]] for row in rows]
    return [row[:3] for row in rest[:vertices]], found


def _obj(rows: list[list[bytes]]) -> tuple[list[list[bytes]], list[list[int]]]:
    vertices = [row[1:4] for row in rows if row[:1] == [b"v"]]
    faces = [[int(word.partition(b"/")[0]) for word in row[1:]] for row in rows if row[:1] == [b"f"]]
    return vertices, [[i - 1 if i > 0 else len(vertices) + i for i in face] for face in faces]


def read_surface(path: str | os.PathLike[str], count: int) -> np.ndarray:
    """Points drawn evenly from the surface of a mesh, centred, the farthest at distance 1.

    The draw follows from the file's name, so that a file gives the same points whenever it is read.

    Args:
        path: a .off or .obj file with faces.
        count: points.

    Returns:
        (count, 6) float32, grey.

    Raises:
        DataError: see `read_mesh`; or a mesh without area, or of one beyond all numbers.
    """
    path = Path(path)
    vertices, triangles = read_mesh(path)
    random = np.random.default_rng(zlib.crc32(path.name.encode("utf-8", "replace")))
    corners = vertices[triangles]
    with np.errstate(over="ignore", invalid="ignore"):  # the sum says it
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not np.isfinite(area.sum()):
        raise DataError(f'"{shown(path)}" has coordinates whose areas no number holds: scale it down.')
    if not area.sum() > 0:
        raise DataError(f'"{shown(path)}" has no area: all its triangles are degenerate.')
    chosen = corners[random.choice(len(area), count, p=area / area.sum())]
    u, v = np.sort(random.random((2, count)), axis=0)
    points = chosen[:, 0] * u[:, None] + chosen[:, 1] * (v - u)[:, None] + chosen[:, 2] * (1 - v)[:, None]
    points -= points.mean(0)
    points /= np.linalg.norm(points, axis=1).max()
    return np.concatenate([points, np.full_like(points, 0.5)], 1).astype(np.float32)
