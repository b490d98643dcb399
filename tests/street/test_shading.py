"""Packed tables hold what they were given."""

import numpy as np

from passerby.street.meshes import PATTERNS, Material
from passerby.street.render import Light
from passerby.street.shading import COLUMNS, pack_light, pack_materials


def test_packing_keeps_every_number():
    material = Material(
        (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "dots", 0.7, 0.8, 0.9, 0.11, 0.12, 0.13, 0.14, "belt", (0.15, 0.16, 0.17), 0.18
    )
    row = pack_materials([material])[0]
    assert row.shape == (COLUMNS,)
    wanted = [
        0.1,
        0.2,
        0.3,
        PATTERNS.index("dots"),
        0.4,
        0.5,
        0.6,
        0.7,
        0.15,
        0.16,
        0.17,
        5,
        0.8,
        0.9,
        0.11,
        0.13,
        0.14,
        0.18,
        0.12,
    ]
    np.testing.assert_allclose(row[:19], wanted, rtol=1e-6)


def test_the_sun_is_packed_as_a_unit_vector():
    packed = pack_light(Light(to_sun=(3.0, 0.0, 4.0), shadow=0.7, haze_per_m=0.01))
    np.testing.assert_allclose(packed[:3], (0.6, 0.0, 0.8))
    np.testing.assert_allclose(packed[[15, 17]], (0.7, 0.01))
