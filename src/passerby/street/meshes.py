"""Triangles with materials: what people, streets and cars are made of, and what both renderers draw.

World frame: metres, x and y on the ground, z up, the ground at z = 0. Colours are linear RGB reflectances in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["PATTERNS", "TRIMS", "Material", "Mesh", "box", "ellipsoid", "quad"]

Colour = tuple[float, float, float]

PATTERNS = (
    "plain",  # the first colour
    "rings",  # horizontal stripes of period `scale`; the second colour takes the share `cover`
    "pinstripes",  # vertical stripes, the same
    "plaid",  # both, half strength each
    "blotches",  # soft patches of size `scale` (camouflage, stains, foliage)
    "print",  # letters or a picture on the chest: half width `scale`, centre at height `offset`; `cover` picks the picture
    "two_tone",  # the second colour below height `offset`, or above it where `cover` < 0.5
    "open_front",  # an open jacket: a strip of half width `scale` on the front, wider above height `offset`
    "denim",  # washed out in patches, by `cover`
    "checks",  # a checkerboard of tiles `scale` wide
    "strands",  # hair: streaks along z, `scale` wide
    "dots",  # dots with period `scale`
    "zigzag",  # knitted zigzag of period `scale`
    "sleeves",  # the second colour beyond |x| = `offset`
    "face",  # brows, eyes, lips; a beard of strength `cover`, both in the second colour; coords from between the eyes
)
"""The procedural patterns; a material names one. They are functions of a mesh's `coords`, evaluated for every fragment."""

TRIMS = (
    "none",
    "straps",  # of a rucksack: verticals at |x| = `trim_at`
    "sash",  # the strap of a bag from the left shoulder to the right hip, through the middle at height `trim_at`
    "zip",  # a line down the front
    "buttons",  # down the front
    "belt",  # around height `trim_at`
    "reflectors",  # two bright bands, the upper around height `trim_at`
)
"""What lies over a pattern in the trim's colour."""


@dataclass(frozen=True)
class Material:
    """How a surface answers light, and its pattern.

    Args:
        colour: linear RGB reflectance.
        second: the pattern's second colour, linear RGB.
        pattern: a name out of `PATTERNS`.
        scale: the pattern's size, m.
        offset: the pattern's place, m.
        cover: the share of a period that the second colour takes.
        grain: strength of the fine brightness texture, 0 smooth to 1 rough.
        crease: strength of the folds that bend the normals, 0 flat to 1 crumpled.
        gloss: strength of the highlight, 0 matt to 1 polished.
        light: light that the surface gives off by itself, in units of `colour` (lamps, signs, screens).
        trim: a name out of `TRIMS`.
        trim_colour: its linear RGB.
        trim_at: its place, m.
    """

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    scale: float = 0.1
    offset: float = 0.0
    cover: float = 0.5
    grain: float = 0.15
    crease: float = 0.0
    gloss: float = 0.0
    light: float = 0.0
    trim: str = "none"
    trim_colour: Colour = (0.0, 0.0, 0.0)
    trim_at: float = 0.0


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in the world.

    Args:
        positions: (V, 3) float32, m.
        normals: (V, 3) float32, unit, outward.
        coords: (V, 3) float32, m: where the patterns are evaluated. Rest pose for people (x their left, y their back, z up,
            the soles at 0), world or object coordinates for the rest.
        faces: (F, 3) int32 into the vertices.
        material: (V,) int32 into `materials`; the same for the three corners of a face.
        materials: the table.
        cut: (V,) float32, m: a fragment with a negative interpolated value is not drawn, so that hems are smooth lines
            whatever the triangles are. Zeros draw everything.
        open: (V,) float32 in [0, 1]: the share of the sky that a vertex sees (ambient occlusion).
    """

    positions: np.ndarray
    normals: np.ndarray
    coords: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    materials: tuple[Material, ...]
    cut: np.ndarray
    open: np.ndarray


def _flat(positions: np.ndarray, faces: np.ndarray, coords: np.ndarray, material: Material) -> Mesh:
    """A mesh of flat faces: every corner is a vertex of its own, with the face's normal."""
    corners = positions[faces.reshape(-1)].astype(np.float32)
    edges = corners.reshape(-1, 3, 3)
    normals = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    count = len(corners)
    return Mesh(
        positions=corners,
        normals=np.repeat(normals, 3, axis=0).astype(np.float32),
        coords=coords[faces.reshape(-1)].astype(np.float32),
        faces=np.arange(count, dtype=np.int32).reshape(-1, 3),
        material=np.zeros(count, np.int32),
        materials=(material,),
        cut=np.zeros(count, np.float32),
        open=np.ones(count, np.float32),
    )


def quad(corners: Sequence[Sequence[float]], material: Material, pieces: int = 1) -> Mesh:
    """A flat four-sided surface.

    Args:
        corners: four (x, y, z), counter-clockwise seen from the front, m.
        material: its material; patterns are evaluated on world coordinates.
        pieces: cuts each side into this many pieces.
    """
    given = np.asarray(corners, np.float64)
    steps = np.linspace(0, 1, pieces + 1)
    u, v = np.meshgrid(steps, steps)
    u, v = u.reshape(-1, 1), v.reshape(-1, 1)
    points = given[0] * (1 - u) * (1 - v) + given[1] * u * (1 - v) + given[2] * u * v + given[3] * (1 - u) * v
    row = pieces + 1
    first = (np.arange(pieces)[:, None] * row + np.arange(pieces)).reshape(-1)
    faces = np.concatenate([np.stack([first, first + 1, first + row + 1], 1), np.stack([first, first + row + 1, first + row], 1)])
    return _flat(points, faces, points, material)


_BOX = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float64)
_BOX_FACES = np.array(
    [
        [0, 2, 3],
        [0, 3, 1],
        [4, 5, 7],
        [4, 7, 6],
        [0, 1, 5],
        [0, 5, 4],
        [2, 6, 7],
        [2, 7, 3],
        [0, 4, 6],
        [0, 6, 2],
        [1, 3, 7],
        [1, 7, 5],
    ]
)


def box(low: Sequence[float], high: Sequence[float], material: Material) -> Mesh:
    """A box along the axes from corner `low` to corner `high`, m."""
    corners = np.asarray(low, np.float64) + _BOX * (np.asarray(high, np.float64) - np.asarray(low, np.float64))
    return _flat(corners, _BOX_FACES, corners, material)


def ellipsoid(centre: Sequence[float], radii: Sequence[float], material: Material, rings: int = 8, sides: int = 12) -> Mesh:
    """A smooth ellipsoid along the axes, m."""
    polar = np.linspace(0, np.pi, rings + 1)
    angle = np.arange(sides) * (2 * np.pi / sides)
    unit = np.stack(
        [
            np.outer(np.sin(polar), np.cos(angle)),
            np.outer(np.sin(polar), np.sin(angle)),
            np.outer(np.cos(polar), np.ones(sides)),
        ],
        -1,
    ).reshape(-1, 3)
    row, column = np.divmod(np.arange(rings * sides), sides)
    here, right = row * sides + column, row * sides + (column + 1) % sides
    faces = np.concatenate([np.stack([here, here + sides, right + sides], 1), np.stack([here, right + sides, right], 1)])
    scale = np.asarray(radii, np.float64)
    points = unit * scale + np.asarray(centre, np.float64)
    normals = unit / scale
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    count = len(points)
    return Mesh(
        positions=points.astype(np.float32),
        normals=normals.astype(np.float32),
        coords=points.astype(np.float32),
        faces=faces.astype(np.int32),
        material=np.zeros(count, np.int32),
        materials=(material,),
        cut=np.zeros(count, np.float32),
        open=np.ones(count, np.float32),
    )
