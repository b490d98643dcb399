"""Measures of the naked shape, and parts cut out of it."""

import numpy as np
import pytest

from passerby.street.mannequin import STANDARD_M, Part, make_mannequin, ramp

BODY = make_mannequin({"gender": 0.0, "age": 0.7, "height": 0.4})


def test_ramp():
    np.testing.assert_allclose(ramp(1.0, 3.0, np.array([0, 1, 2, 3, 9])), (0, 0, 0.5, 1, 1))


def test_the_soles_are_at_zero_and_heights_are_in_order():
    assert BODY.points[:, 2].min() == pytest.approx(0, abs=1e-6)
    heights = [BODY.crotch, BODY.waist, BODY.chest, BODY.heads["neck01"][2], BODY.eyes[2], BODY.stature]
    assert heights == sorted(heights)
    assert 0.42 < BODY.crotch / BODY.stature < 0.54
    assert 0.91 < BODY.eyes[2] / BODY.stature < 0.95
    assert BODY.size == pytest.approx(BODY.stature / STANDARD_M)


def test_limbs_are_measured_from_shoulder_and_hip():
    names = np.array(BODY.model.bones)
    strongest = names[np.take_along_axis(BODY.model.weight_bones, BODY.model.weights.argmax(1)[:, None], 1)[:, 0]]
    hands, feet = np.char.startswith(strongest, "finger"), np.char.startswith(strongest, "foot")
    assert (BODY.arm_at[hands] > BODY.arm_m).all()
    assert (np.abs(BODY.leg_at[feet] - BODY.leg_m) < 0.12).all()
    assert BODY.arm[hands].min() > 0.9
    assert BODY.leg[hands].max() == 0
    away = np.linalg.norm(BODY.points - BODY.arm_axis, axis=1)[np.char.startswith(strongest, "lowerarm")]
    assert away.max() < 0.09


def test_pattern_coordinates_run_down_the_sleeves():
    suit = BODY.model.parts["tights"]
    sleeve = BODY.arm[suit] > 0.95
    z, along = BODY.coords(suit)[sleeve, 2], BODY.arm_at[suit][sleeve]
    assert np.corrcoef(z, along)[0, 1] < -0.999
    np.testing.assert_allclose(
        BODY.coords(suit)[BODY.arm[suit] == 0], BODY.points[suit][BODY.arm[suit] == 0] / BODY.size, rtol=1e-5
    )


def test_a_part_keeps_what_its_cut_shows_and_no_more():
    suit = BODY.model.parts["tights"]
    points = BODY.points[suit]
    part = BODY.part("tights", points, 0.5 - points[:, 2], 3)
    assert part.material == 3
    assert part.rows is not None
    assert set(np.unique(part.faces)) == set(range(len(part.points)))
    assert part.cut[part.faces].max(1).min() > 0
    np.testing.assert_array_equal(part.points, BODY.points[part.rows])
    assert part.points[part.cut > 0, 2].max() < 0.5


def test_limited_to_nothing_is_empty():
    triangle = Part(
        points=np.eye(3, dtype=np.float32),
        faces=np.array([[0, 1, 2]], np.int32),
        bones=np.zeros((3, 4), np.int32),
        weights=np.ones((3, 4), np.float32),
        coords=np.eye(3, dtype=np.float32),
        cut=np.ones(3, np.float32),
        material=0,
    )
    assert len(triangle.limited(np.array([-1.0, -1.0, -1.0])).points) == 0
    assert len(triangle.limited(np.array([-1.0, 1.0, -1.0])).faces) == 1
