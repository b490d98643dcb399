"""Shadows fall where the sun's rays say."""

import numpy as np
import pytest

from passerby.street.meshes import Material, box
from passerby.street.render import DrawItem, Light
from passerby.street.shadows import cast

POST = DrawItem(box((-0.1, -0.1, 0), (0.1, 0.1, 2.0), Material((0.5, 0.5, 0.5))), 1)
SUN = Light(to_sun=(1.0, 0.0, 1.0), blur_m=0.01)


def ground(x, y=0.0):
    return np.array([(x, y, 0.0)])


def test_the_shadow_of_a_post_is_as_long_as_the_sun_is_low():
    shadow = cast([POST], SUN)
    for x, lit in ((0.5, 1), (-0.5, 0), (-1.9, 0), (-2.3, 1)):
        assert shadow.sunlit(ground(x))[0] == lit, x
    assert shadow.sunlit(ground(-1.0, 0.3))[0] == 1


def test_edges_are_soft():
    shadow = cast([POST], Light(to_sun=(1, 0, 1), blur_m=0.05))
    across = shadow.sunlit(np.stack([np.full(41, -1.0), np.linspace(-0.3, 0.3, 41), np.zeros(41)], 1))
    assert 0 in across
    assert 1 in across
    assert ((across > 0) & (across < 1)).any()


def test_a_side_that_looks_at_the_sun_does_not_shade_itself():
    shadow = cast([POST], SUN)
    points = np.stack([np.full(9, 0.1), np.zeros(9), np.linspace(0.2, 1.8, 9)], 1)
    assert (shadow.sunlit(points, np.tile([1.0, 0.0, 0.0], (9, 1))) == 1).all()


def test_what_does_not_cast_leaves_everything_lit():
    quiet = DrawItem(POST.mesh, 1, casts=False)
    for shadow in (cast([quiet], SUN), cast([], SUN), cast([POST], Light(sun=(0, 0, 0)))):
        assert shadow.sunlit(ground(-0.5))[0] == 1


def test_a_sun_straight_above_is_no_special_case():
    shadow = cast([POST], Light(to_sun=(0.0, 0.0, 3.0)))
    assert shadow.sunlit(np.array([(0.0, 0.0, 0.0), (0.5, 0.0, 0.0)])).tolist() == pytest.approx([0, 1])
