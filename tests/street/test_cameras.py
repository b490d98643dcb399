import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.street.cameras import Box, Camera, Detector, Response, degrade, detect

CLEAN = Response(lift=0.0, saturation=1.0, blur_px=0.0, sharpen=0.0, noise=0.0, quality=95)
CAMERA = Camera(0, "c1", "square", 1.0, -8.0, 3.0, 90.0, 10.0, 0.0, 800.0, 640, 480)


def rng(seed=0):
    return np.random.RandomState(seed)


def test_a_camera_that_looks_north_sees_the_point_before_it_in_the_middle():
    ahead = CAMERA.eye + np.array([0.0, math.cos(math.radians(10)), -math.sin(math.radians(10))]) * 5
    east = ahead + np.array([1.0, 0.0, 0.0])
    column, row, depth = CAMERA.view().project(np.array([ahead]))[0]
    assert (column, row, depth) == pytest.approx((320, 240, 5))
    assert CAMERA.view().project(np.array([east]))[0, 0] == pytest.approx(320 + 800 / 5)


def test_box_clips_and_overlaps():
    box = Box(-10, 5, 30, 40)
    assert box.clipped(15, 30) == Box(0, 5, 15, 25)
    assert box.overlaps(Box(19, 44, 5, 5)) and not box.overlaps(Box(20, 5, 5, 5))


def test_a_perfect_detector_reports_the_box_in_whole_pixels():
    camera = replace(CAMERA, detector=Detector(margin=0, jitter=0, truncation=0))
    assert detect(Box(100.2, 50.7, 60.1, 150.1), camera, rng()) == Box(100, 50, 61, 151)


def test_a_detector_of_one_shape_widens_narrow_boxes_around_their_middle():
    camera = replace(CAMERA, detector=Detector(margin=0, jitter=0, truncation=0, aspect=0.5))
    box = detect(Box(100, 50, 20, 200), camera, rng())
    assert box.width == 100 and box.left + box.width / 2 == 110


@given(st.integers(0, 10_000), st.floats(-50, 650), st.floats(-50, 470), st.floats(20, 400))
def test_detected_boxes_lie_inside_the_frame(seed, left, top, height):
    box = detect(Box(left, top, 0.4 * height, height), CAMERA, rng(seed))
    assert box.left >= 0 and box.top >= 0 and box.right <= 640 and box.bottom <= 480
    assert box.width >= 8 and box.height >= 16


def test_grey_light_becomes_the_display_value_of_its_gamma():
    picture = degrade(np.full((8, 8, 3), 0.18, np.float32), CLEAN, rng())
    assert np.unique(picture).tolist() == [round(255 * 0.18 ** (1 / 2.2))]


def test_more_light_is_never_darker_and_never_wraps():
    ramp = np.repeat(np.linspace(0, 8, 64, dtype=np.float32)[None, :, None], 3, 2)
    picture = degrade(ramp, CLEAN, rng())[0, :, 0].astype(int)
    assert (np.diff(picture) >= 0).all() and picture[-1] > 250


def test_a_cast_shifts_the_white_balance_only():
    warm = degrade(np.full((4, 4, 3), 0.2, np.float32), replace(CLEAN, cast=(1.1, 1.0, 0.9)), rng())[0, 0]
    assert warm[0] > warm[1] > warm[2]


def test_blur_and_motion_keep_the_mean_and_spread_an_edge():
    step = np.zeros((32, 32, 3), np.float32)
    step[:, 16:] = 0.3
    sharp, soft, moved = (
        degrade(step, r, rng(), motion_px=m) for r, m in ((CLEAN, 0), (replace(CLEAN, blur_px=2), 0), (CLEAN, 5))
    )
    assert len(np.unique(sharp)) == 2 < min(len(np.unique(soft)), len(np.unique(moved)))


def test_noise_is_as_strong_as_it_says_and_repeats_with_its_seed():
    flat = np.full((64, 64, 3), 0.2, np.float32)
    noisy = degrade(flat, replace(CLEAN, noise=5.0), rng(3))
    assert 3 < noisy.astype(float).std() < 9
    assert np.array_equal(noisy, degrade(flat, replace(CLEAN, noise=5.0), rng(3)))


def test_a_poor_jpeg_is_further_from_the_light_than_a_good_one():
    light = rng(1).rand(48, 48, 3).astype(np.float32) * 0.5
    exact = degrade(light, CLEAN, rng()).astype(int)
    poor, good = (np.abs(degrade(light, replace(CLEAN, quality=q), rng()) - exact).mean() for q in (10, 90))
    assert good < poor
