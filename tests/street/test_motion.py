"""Walking and standing: proper rotations, feet that take turns, arms that swing against the legs."""

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.street.body_model import body_model, transforms
from passerby.street.motion import ACTIONS, Gait, Pose, cycle_m, rotations

MODEL = body_model()
HEADS = MODEL.rest({"gender": 0.0, "age": 0.7, "height": 0.4})[1].astype(float)


def joints(pose, gait=Gait()):  # noqa: B008 - a frozen record
    """Where the bones begin in the pose: name -> (3,), x left, y back, z up."""
    placed = transforms(MODEL.parents, HEADS, rotations(pose, gait, MODEL.bones, HEADS))
    moved = np.einsum("jkc,jc->jk", placed[:, :, :3], HEADS) + placed[:, :, 3]
    return dict(zip(MODEL.bones, moved, strict=True))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("speed", [0.0, 1.4])
def test_every_turn_is_a_rotation(action, speed):
    turns = rotations(Pose(phase=0.3, speed=speed, action=action, look=0.4, sway=0.7), Gait(), MODEL.bones, HEADS)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (len(turns), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-9)


def test_the_left_foot_is_in_front_when_its_heel_strikes_and_the_right_half_a_cycle_later():
    start, half = joints(Pose(phase=0.0)), joints(Pose(phase=0.5))
    assert start["foot.L"][1] < start["foot.R"][1] - 0.3
    assert half["foot.R"][1] < half["foot.L"][1] - 0.3


def test_the_walk_repeats_after_a_cycle():
    once, again = joints(Pose(phase=0.37)), joints(Pose(phase=1.37))
    for name in MODEL.bones:
        np.testing.assert_allclose(once[name], again[name], atol=1e-5)


def test_arms_swing_against_the_legs():
    pose = joints(Pose(phase=0.0))
    assert pose["wrist.R"][1] < pose["wrist.L"][1] - 0.15


def test_the_swinging_foot_passes_above_the_ground():
    at = joints(Pose(phase=0.75))
    assert at["foot.L"][2] > at["foot.R"][2] + 0.02


def test_faster_walkers_reach_further():
    slow, fast = (joints(Pose(phase=0.0, speed=speed)) for speed in (0.7, 1.7))
    assert np.ptp([fast["foot.L"][1], fast["foot.R"][1]]) > np.ptp([slow["foot.L"][1], slow["foot.R"][1]])


def test_standing_arms_hang_beside_the_body():
    at = joints(Pose(speed=0.0))
    for side, sign in (("L", 1), ("R", -1)):
        assert at[f"wrist.{side}"][2] < at["spine05"][2] + 0.05
        assert 0.12 < sign * at[f"wrist.{side}"][0] < 0.42


def test_a_phone_is_held_in_front_of_the_chest_and_looked_at():
    at, plain = joints(Pose(speed=0.0, action="phone")), joints(Pose(speed=0.0))
    assert at["wrist.R"][1] < at["spine02"][1] - 0.15
    assert at["wrist.R"][2] > plain["wrist.R"][2] + 0.25
    assert abs(at["wrist.L"][2] - plain["wrist.L"][2]) < 0.02


def test_gait_differs_between_people():
    stiff, loose = joints(Pose(), Gait(swing=0.4)), joints(Pose(), Gait(swing=1.6))
    assert stiff["wrist.R"][1] > loose["wrist.R"][1] + 0.1
    assert joints(Pose(), Gait(stoop=0.2))["head"][1] < joints(Pose(), Gait(stoop=0.0))["head"][1] - 0.03


def test_cycle_length():
    assert cycle_m(1.35, 1.70, Gait()) == pytest.approx(1.411)
    assert cycle_m(0.9, 1.7, Gait()) < cycle_m(1.35, 1.7, Gait()) < cycle_m(1.35, 1.9, Gait())


def test_an_unknown_action_is_refused():
    with pytest.raises(UsageError, match=r'pose action "wlak" is unknown\. Did you mean "walk"\? Allowed: walk, stand, phone'):
        Pose(action="wlak")
