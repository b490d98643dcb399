import math

import numpy as np
import pytest

from passerby.street.bodies import make_person
from passerby.street.clothes import WARDROBES
from passerby.street.figures import Figure
from passerby.street.motion import Pose
from passerby.street.outline import outline, outline_box, stature_m
from passerby.street.render import View
from passerby.street.video import mesh_box

PERSON = make_person(3, WARDROBES["campus"])
VIEW = View.look_at((-9, 0, 3), (0, 0, 1), 1000, 1280, 720)


def test_the_points_reach_from_the_ground_to_the_stature():
    points = outline(PERSON, Pose(speed=0.0, action="stand"))
    assert points.shape == (21, 3)
    assert points[:, 2].min() == 0
    assert points[:, 2].max() == pytest.approx(stature_m(PERSON), rel=0.03)


def test_a_pose_moves_and_turns_the_points():
    here = outline(PERSON, Pose(phase=0.25))
    there = outline(PERSON, Pose(x=2, y=3, heading=math.pi / 2, phase=0.25))
    assert np.allclose(there, np.stack([2 - here[:, 1], 3 + here[:, 0], here[:, 2]], 1))


def test_at_heel_strike_the_left_foot_is_in_front():
    points = outline(PERSON, Pose(phase=0.0))
    left_heel, right_heel = points[-4], points[-3]
    assert left_heel[0] - right_heel[0] > 0.4
    assert left_heel[1] > right_heel[1]


def test_the_outline_is_close_to_the_body_that_is_drawn():
    overlaps = []
    for seed, (name, wardrobe) in enumerate(sorted(WARDROBES.items())):
        person = make_person(seed, wardrobe)
        figure = Figure(person)
        assert stature_m(person) == pytest.approx(figure.stature_m, abs=0.1), name
        for phase, heading, action in ((0.1, 0.3, "walk"), (0.6, 1.5, "walk"), (0.3, 2.6, "phone")):
            pose = Pose(heading=heading, phase=phase, action=action)
            a, b = outline_box(person, pose, VIEW), mesh_box(figure.posed(pose), VIEW)
            width = min(a.right, b.right) - max(a.left, b.left)
            height = min(a.bottom, b.bottom) - max(a.top, b.top)
            overlaps.append(width * height / (a.width * a.height + b.width * b.height - width * height))
    assert min(overlaps) > 0.6 and np.mean(overlaps) > 0.84


def test_nobody_behind_the_camera_has_a_box():
    assert outline_box(PERSON, Pose(x=-12), VIEW).width == 0
