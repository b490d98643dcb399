"""A person as twenty points: enough to say where on the picture somebody is and what hides them, without the body model."""

from __future__ import annotations

import math

import numpy as np

from passerby.street.bodies import Person
from passerby.street.cameras import Box
from passerby.street.motion import Pose, cycle_m
from passerby.street.render import View

__all__ = ["outline", "outline_box", "stature_m"]


def stature_m(person: Person) -> float:
    """Height with shoes, within about 3 cm: a formula fitted to the body model, so that plans need no body."""
    shape = person.shape
    return 1.65 + 0.08 * (shape.gender - 0.5) + 0.35 * (shape.height - 0.5)


# (forwards, left, up) as fractions of the stature; limbs that swing are added by `outline`
_TRUNK = np.array(
    [
        [0.03, 0.0, 1.0],
        [0.03, 0.045, 0.94],
        [0.03, -0.045, 0.94],
        [0.0, 0.12, 0.81],
        [0.0, -0.12, 0.81],
        [0.06, 0.0, 0.72],
        [-0.06, 0.0, 0.72],
        [0.0, 0.10, 0.62],
        [0.0, -0.10, 0.62],
        [0.0, 0.10, 0.50],
        [0.0, -0.10, 0.50],
    ]
)


def outline(person: Person, pose: Pose) -> np.ndarray:
    """(20, 3) world points on head, trunk, arms and legs, metres."""
    stature = stature_m(person)
    reach = 0.25 * cycle_m(pose.speed, stature, person.gait) / stature if pose.speed > 0 else 0.0
    swing = reach * math.cos(2 * math.pi * pose.phase)  # at phase 0 the left heel strikes, in front
    arm = -0.55 * swing
    fold = 0.17 if pose.action in ("phone", "talk") else 0.0
    limbs = [
        (arm * 0.4 - 0.02, 0.155, 0.63),
        (-arm * 0.4 - 0.02, -0.155, 0.63),
        (arm + 0.06 + fold, 0.15, 0.50 + fold),
        (-arm + 0.06 + fold, -0.15, 0.50 + fold),
        (swing * 0.5 + 0.03, 0.06, 0.28),
        (-swing * 0.5 + 0.03, -0.06, 0.28),
        (swing - 0.03, 0.05, 0.0),
        (-swing - 0.03, -0.05, 0.0),
        (swing + 0.10, 0.05, 0.03),
    ]
    forwards, left, up = (np.concatenate([_TRUNK, limbs]) * stature).T
    cos, sin = math.cos(pose.heading), math.sin(pose.heading)
    return np.stack([pose.x + cos * forwards - sin * left, pose.y + sin * forwards + cos * left, up], 1)


def outline_box(person: Person, pose: Pose, view: View) -> Box:
    """The box in frame pixels that a person fills; of no size where the person is behind the camera."""
    pixels = view.project(outline(person, pose))
    if pixels[:, 2].min() <= view.near:
        return Box(-1e6, -1e6, 0.0, 0.0)
    left, top = pixels[:, :2].min(0)
    right, bottom = pixels[:, :2].max(0)
    air = 0.015 * (bottom - top)  # cloth and hair reach a little over the points
    return Box(float(left - air), float(top - air), float(right - left + 2 * air), float(bottom - top + 1.5 * air))
