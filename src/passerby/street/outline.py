"""A person as 21 points: enough to say where on the picture somebody is and what hides them, without building the body.

The points are joints of the mean body, posed once for each action and each of 32 phases of the walk, rounded to millimetres and
kept; plans that are made from them are the same on every machine.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from passerby.street.bodies import Person
from passerby.street.body_model import body_model, transforms
from passerby.street.cameras import Box
from passerby.street.motion import Gait, Pose, rotations
from passerby.street.render import View

__all__ = ["outline", "outline_box", "stature_m"]

_PHASES = 32
_USUAL_M_S = 1.3

# bone, point at the bone's head moved by (left, back, up), radius of the body around it; all fractions of the stature
_POINTS: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("head", (0.0, 0.0, 1.0), 0.0),  # the top, see `_rest_points`
    ("head", (0.0, -0.02, 0.93), 0.048),
    ("spine02", (0.0, -0.02, 0.0), 0.085),
    *((f"shoulder01.{side}", (sign * 0.055, 0.0, 0.0), 0.04) for side, sign in (("L", 1), ("R", -1))),
    *((f"lowerarm01.{side}", (0.0, 0.0, 0.0), 0.032) for side in "LR"),
    *((f"wrist.{side}", (0.0, 0.0, 0.0), 0.022) for side in "LR"),
    *((f"finger3-3.{side}", (0.0, 0.0, 0.0), 0.016) for side in "LR"),
    *((f"upperleg01.{side}", (0.0, 0.0, 0.0), 0.06) for side in "LR"),
    *((f"lowerleg01.{side}", (0.0, 0.0, 0.0), 0.038) for side in "LR"),
    *((f"foot.{side}", (0.0, 0.02, 0.0), 0.03) for side in "LR"),
    *((f"foot.{side}", (0.0, 0.035, -9.0), 0.008) for side in "LR"),  # the heel on the ground
    *((f"toe3-1.{side}", (0.0, -0.05, -9.0), 0.008) for side in "LR"),
)
_RADII = np.array([radius for _, _, radius in _POINTS])


def stature_m(person: Person) -> float:
    """Height with shoes, mostly within 3 cm: a formula fitted to the body model, so that plans need no body."""
    shape = person.shape
    grown = 0.0701 + 3.0811 * shape.age - 1.9192 * shape.age**2
    tall = 1.6563 * shape.height - 0.7022 * shape.height**2
    return grown + tall - 0.1316 * shape.gender + 0.0513 * shape.african - 0.1188 * shape.asian


@lru_cache(maxsize=1)
def _rest_points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bone heads (J, 3) of the mean body with the soles at 0 and a stature of 1, the points (P, 3), and their bones (P,)."""
    model = body_model()
    count = len(model.weights)
    skin, heads = model.mean[:count].astype(np.float64), model.mean[count:].astype(np.float64)
    floor, top = skin[:, 2].min(), skin[model.parts["body"], 2].max()
    heads = (heads - [0, 0, floor]) / (top - floor)
    names = list(model.bones)
    bones = np.array([names.index(bone) for bone, _, _ in _POINTS])
    points = heads[bones] + [shift for _, shift, _ in _POINTS]
    on_head = bones == names.index("head")
    points[on_head, 2] = [shift[2] for bone, shift, _ in _POINTS if bone == "head"]
    points[:, 2] = np.maximum(points[:, 2], 0.0)
    return heads, points, bones


@lru_cache(maxsize=512)
def _posed_points(action: str, moving: bool, step: int) -> np.ndarray:
    """(P, 3) fractions of the stature: forwards, left, up."""
    model = body_model()
    heads, points, bones = _rest_points()
    pose = Pose(phase=step / _PHASES, speed=_USUAL_M_S if moving else 0.0, action=action)
    placed = transforms(model.parents, heads, rotations(pose, Gait(), model.bones, heads)).astype(np.float64)[bones]
    posed = (placed[:, :, :3] @ points[:, :, None])[:, :, 0] + placed[:, :, 3]
    posed[:, 2] -= posed[:, 2].min()
    return np.round(np.stack([-posed[:, 1], posed[:, 0], posed[:, 2]], 1), 3)


def outline(person: Person, pose: Pose) -> np.ndarray:
    """(21, 3) world points on head, trunk, arms and legs, metres."""
    moving = pose.speed > 0
    step = round(pose.phase * _PHASES) % _PHASES if moving else 0
    forwards, left, up = (_posed_points(pose.action, moving, step) * stature_m(person)).T
    cos, sin = math.cos(pose.heading), math.sin(pose.heading)
    return np.stack([pose.x + cos * forwards - sin * left, pose.y + sin * forwards + cos * left, up], 1)


def outline_box(person: Person, pose: Pose, view: View) -> Box:
    """The box in frame pixels that a person fills; of no size where the person is behind the camera."""
    pixels = view.project(outline(person, pose))
    if pixels[:, 2].min() <= view.near:
        return Box(-1e6, -1e6, 0.0, 0.0)
    radius = _RADII * stature_m(person) / pixels[:, 2]
    left, right = (pixels[:, 0] - radius * view.fx).min(), (pixels[:, 0] + radius * view.fx).max()
    top, bottom = (pixels[:, 1] - radius * view.fy).min(), (pixels[:, 1] + radius * view.fy).max()
    hair, cloth = 0.018 * (bottom - top), 0.006 * (bottom - top)
    return Box(float(left - cloth), float(top - hair), float(right - left + 2 * cloth), float(bottom - top + hair))
