"""Cameras of lifted people: from metres to pixels and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.lifting import PinholeCamera, WeakCamera


def test_hmrs_camera_covers_the_square_about_a_portrait():
    """As the paper's code has it: row = (v + 1) / 2 S, column = (u + 1) / 2 S - H / 2 + W / 2."""
    camera = WeakCamera.of_square(0.9, 0.1, 0.2, width=64, height=128)
    point = np.array([[0.3, -0.4, 1.7]])
    u, v = 0.9 * (0.3 + 0.1), 0.9 * (-0.4 + 0.2)
    expected = [(u + 1) / 2 * 128 - 64 + 32, (v + 1) / 2 * 128, 1.7]
    np.testing.assert_allclose(camera.project(point)[0], expected)


def test_a_pinhole_puts_farther_points_nearer_to_its_middle():
    camera = PinholeCamera(500, 32, 64, (0.0, 0.0, 10.0))
    near, far = camera.project(np.array([[0.5, 0, -1.0], [0.5, 0, 1.0]]))
    assert near[0] == pytest.approx(32 + 500 * 0.5 / 9) and far[0] == pytest.approx(32 + 500 * 0.5 / 11)
    assert (near[2], far[2]) == (-1, 1)


def test_a_pinhole_has_a_behind_and_parallel_rays_have_none():
    points = np.array([[0, 0, -10.1], [0, 0, -10.0], [0, 0, -9.9], [5, 5, 0]])
    assert PinholeCamera(500, 32, 64, (0.0, 0.0, 10.0)).in_front(points).tolist() == [False, False, True, True]
    assert WeakCamera(60, 32, 64).in_front(points).all()


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1.5, 1.5)] * 3), min_size=1, max_size=5), st.booleans())
def test_pixels_and_depth_lead_back_to_the_point(points: list[tuple[float, float, float]], weak: bool):
    camera = WeakCamera(71.5, 30, 66) if weak else PinholeCamera(800, -40, 500, (0.3, -2.0, 9.0))
    projected = camera.project(np.array(points))
    np.testing.assert_allclose(camera.unproject(*projected.T), points, atol=1e-9)
