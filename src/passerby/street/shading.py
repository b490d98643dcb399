"""Materials and light as flat tables, the form that both renderers read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.street.meshes import PATTERNS, TRIMS, Material
from passerby.street.render import Light

__all__ = ["COLUMNS", "pack_light", "pack_materials"]

COLUMNS = 20
"""Numbers a material: colour 0-2, pattern 3, second 4-6, scale 7, trim colour 8-10, trim 11, offset, cover, grain, gloss 12-15,
light, place of the trim, crease 16-18, one spare."""


def pack_materials(materials: Sequence[Material]) -> np.ndarray:
    """Materials -> (M, `COLUMNS`) float32."""
    table = np.zeros((len(materials), COLUMNS), np.float32)
    for row, material in zip(table, materials, strict=True):
        row[0:3] = material.colour
        row[3] = PATTERNS.index(material.pattern)
        row[4:7] = material.second
        row[7] = material.scale
        row[8:11] = material.trim_colour
        row[11] = TRIMS.index(material.trim)
        row[12:16] = material.offset, material.cover, material.grain, material.gloss
        row[16:19] = material.light, material.trim_at, material.crease
    return table


def pack_light(light: Light) -> np.ndarray:
    """A light -> (18,) float32: to_sun 0-2, sun 3-5, sky 6-8, ground 9-11, horizon 12-14, shadow, blur, haze 15-17."""
    to_sun = np.asarray(light.to_sun, np.float64)
    packed = np.zeros(18, np.float32)
    packed[0:3] = to_sun / np.linalg.norm(to_sun)
    packed[3:6], packed[6:9], packed[9:12], packed[12:15] = light.sun, light.sky, light.ground, light.horizon
    packed[15:18] = light.shadow, light.blur_m, light.haze_per_m
    return packed
