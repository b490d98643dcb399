"""What solids look like in parallel projection, by geometry that can be done in the head."""

import numpy as np
import pytest

from passerby.datasets.drawn.solids import Easel

RED = (1.0, 0.0, 0.0)
BLUE = (0.0, 0.0, 1.0)


def easel(yaw: float = 0.0, pitch: float = 0.0) -> Easel:
    return Easel(np.zeros((100, 100, 3)), (50.0, 100.0), 100.0, yaw, pitch, (0.0, 0.0, 1.0), 1.0)


def plain(colour: tuple):
    return lambda t, normal: np.broadcast_to(np.array(colour), normal.shape)


def test_projection_turns_left_and_front():
    facing, walking_right = easel(), easel(np.pi / 2)
    assert facing.project((0.1, 0.5, 0.0)) == pytest.approx((60.0, 50.0, 0.0))  # facing us, their left is on our right
    assert facing.project((0.0, 0.0, 0.2)) == pytest.approx((50.0, 100.0, 0.2))
    assert walking_right.project((0.0, 0.5, 0.2)) == pytest.approx((70.0, 50.0, 0.0))
    assert walking_right.project((0.1, 0.5, 0.0))[2] == pytest.approx(-0.1)  # walking right, the left arm is the far one


def test_a_camera_that_looks_down_sees_near_points_lower():
    assert easel(pitch=0.3).project((0, 0.5, 0.2))[1] > easel(pitch=0.3).project((0, 0.5, 0.0))[1]


def test_an_ellipsoid_covers_its_area():
    canvas = easel()
    canvas.ellipsoid((0, 0.5, 0), (0.2, 0.3, 0.1), plain(RED))
    canvas.finish()
    assert canvas.canvas[..., 0].sum() == pytest.approx(np.pi * 20 * 30, rel=0.02)


def test_an_ellipsoid_seen_from_the_side_shows_its_depth():
    canvas = easel(np.pi / 2)
    canvas.ellipsoid((0, 0.5, 0), (0.2, 0.3, 0.1), plain(RED))
    canvas.finish()
    assert canvas.canvas[..., 0].sum() == pytest.approx(np.pi * 10 * 30, rel=0.02)


def test_a_capsule_is_a_rectangle_and_two_half_discs():
    canvas = easel()
    canvas.capsule((0, 0.8, 0), (0, 0.3, 0), (0.1, 0.1), plain(RED))
    canvas.finish()
    assert canvas.canvas[..., 0].sum() == pytest.approx(50 * 20 + np.pi * 10**2, rel=0.02)


def test_a_profile_is_as_wide_as_its_table_says():
    canvas = easel()
    canvas.profile((0, 0.2, 0), (0, 0.8, 0), ((0.0, 0.2), (1.0, 0.1)), 0.5, plain(RED))
    canvas.finish()
    assert canvas.canvas[..., 0].sum() == pytest.approx(60 * 30, rel=0.03)


def test_the_near_solid_hides_the_far_one_whatever_the_order():
    for order in (1, -1):
        canvas = easel()
        for front, colour in [(0.2, RED), (-0.2, BLUE)][::order]:
            canvas.ellipsoid((0, 0.5, front), (0.1, 0.1, 0.1), plain(colour))
        canvas.finish()
        assert canvas.canvas[50, 50] == pytest.approx(RED)


@pytest.mark.parametrize(("yaw", "seen"), [(0.0, RED), (np.pi, BLUE)])
def test_a_print_on_the_chest_turns_with_the_person(yaw: float, seen: tuple):
    canvas = easel(yaw)
    canvas.profile(
        (0, 0.2, 0), (0, 0.8, 0), ((0.0, 0.2), (1.0, 0.2)), 0.6,
        lambda t, normal: np.where(normal[..., 2:] > 0, np.array(RED), np.array(BLUE)),
    )  # fmt: skip
    canvas.finish()
    assert canvas.canvas[50, 50] == pytest.approx(seen)


def test_light_from_the_right_leaves_the_left_in_ambient_light():
    lit = Easel(np.zeros((100, 100, 3)), (50.0, 100.0), 100.0, 0.0, 0.0, (1.0, 0.0, 0.0), 0.3)
    lit.ellipsoid((0, 0.5, 0), (0.3, 0.3, 0.3), plain(RED))
    lit.finish()
    assert lit.canvas[50, 25, 0] == pytest.approx(0.3)
    assert lit.canvas[50, 75, 0] > 0.8


def test_what_lies_outside_the_picture_is_left_out():
    canvas = easel()
    canvas.ellipsoid((3.0, 0.5, 0), (0.1, 0.1, 0.1), plain(RED))
    canvas.finish()
    assert canvas.canvas.sum() == 0
