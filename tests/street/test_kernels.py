"""Patterns change along the axes that their names promise; folds are smooth; light adds up."""

import numpy as np
import pytest

from passerby.street.kernels import folds, lit, surface
from passerby.street.meshes import Material
from passerby.street.render import Light
from passerby.street.shading import pack_light, pack_materials

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def seen(material, points):
    row = pack_materials([material])[0]
    return np.array([surface(row, *map(float, point), 0.5)[0] for point in points])


def line(axis, count=200):
    points = np.full((count, 3), 0.013)
    points[:, 1] = -0.1
    points[:, axis] = np.linspace(0.0, 1.0, count) - (0.5 if axis == 0 else 0)
    return points


@pytest.mark.parametrize(("pattern", "along", "constant"), [("rings", 2, 0), ("pinstripes", 0, 2), ("zigzag", 2, None)])
def test_stripes_run_the_right_way(pattern, along, constant):
    cloth = Material(BLACK, WHITE, pattern, scale=0.1, grain=0.0)
    changing = seen(cloth, line(along))
    assert changing.min() < 0.1
    assert changing.max() > 0.35
    if constant is not None:
        assert np.ptp(seen(cloth, line(constant))) < 1e-6


def test_plaid_is_the_mean_of_both_stripes():
    points = np.random.RandomState(3).uniform(-0.2, 0.2, (100, 3))
    rings, pins, plaid = (
        seen(Material(BLACK, WHITE, name, scale=0.1, grain=0.0), points) for name in ("rings", "pinstripes", "plaid")
    )
    np.testing.assert_allclose(plaid, (rings + pins) / 2, atol=1e-6)


def test_rings_cover_the_share_that_was_asked_for():
    cloth = Material(BLACK, WHITE, "rings", scale=0.1, cover=0.3, grain=0.0)
    assert seen(cloth, line(2, 4000)).mean() == pytest.approx(0.3, abs=0.02)


def test_two_tone_changes_at_its_height():
    cloth = Material(BLACK, WHITE, "two_tone", offset=0.5, cover=0.9, grain=0.0)
    assert seen(cloth, [(0, 0, 0.4), (0, 0, 0.6)]).tolist() == [1, 0]


def test_a_print_is_on_the_front_alone():
    cloth = Material(BLACK, WHITE, "print", scale=0.1, offset=1.2, grain=0.0)
    spots = [(x, y, z) for y in (-0.1, 0.1) for x in np.linspace(-0.09, 0.09, 19) for z in np.linspace(1.14, 1.26, 13)]
    shown = seen(cloth, spots).reshape(2, -1)
    assert shown[0].max() == 1
    assert shown[1].max() == 0


def test_eyes_are_dark_and_brows_take_the_hairs_colour():
    face = Material((0.5, 0.5, 0.5), BLACK, "face", cover=0.0, grain=0.0)
    eye, cheek, brow, back = seen(face, [(0.032, -0.01, 0.001), (0.04, -0.01, -0.03), (0.032, -0.01, 0.019), (0.032, 0.2, 0.001)])
    assert eye < 0.2
    assert brow < 0.1
    assert cheek == back == pytest.approx(0.5)


def test_folds_are_smooth_and_give_their_own_slope():
    random = np.random.RandomState(0)
    for point in random.uniform(-1, 1, (50, 3)):
        value, *slope = folds(*point)
        assert 0 <= value < 1
        for axis, scale in enumerate((20, 20, 12)):
            step = np.zeros(3)
            step[axis] = 1e-5
            numeric = (folds(*(point + step))[0] - folds(*(point - step))[0]) / (2e-5 * scale)
            assert slope[axis] == pytest.approx(numeric, abs=2e-3)


def test_light_adds_up():
    row, light = pack_materials([Material(WHITE, grain=0.0)])[0], pack_light(Light())
    up, side = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)

    def at(sunlit, open_):
        return lit(row, light, (0.5, 0.5, 0.5), up, up, sunlit, open_, 5.0, 0)

    assert at(0.0, 1.0) == pytest.approx(0.5 * 0.45, abs=1e-3)
    assert at(1.0, 1.0) > at(0.5, 1.0) > at(0.0, 1.0) > at(0.0, 0.3)
    assert lit(row, light, (0.5, 0.5, 0.5), side, side, 0.0, 1.0, 5.0, 0) == pytest.approx(0.5 * (0.45 + 0.2) / 2, abs=1e-3)
