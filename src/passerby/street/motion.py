"""How people stand and move: a pose is a handful of numbers, and gives the rotations of the bones.

A person's root stands at (x, y) on the ground; heading is in rad, 0 looks along +x, pi/2 along +y. The joint angles of walking
are those of normal adult gait as textbooks of gait analysis print them (hip, knee and ankle over one cycle from heel strike).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from passerby.errors import UsageError, nearest

__all__ = ["ACTIONS", "Gait", "Pose", "cycle_m", "rotations"]

ACTIONS = ("walk", "stand", "phone", "talk", "pockets", "carry", "wave")
"""What the arms and the head do, walking or standing: swing; hang; look at a phone; phone at the ear; hands in the pockets;
a bag in the right hand; point or wave with the right arm."""

_REST_ARM = 0.62  # rad, how far the arms of the rest pose are held out from hanging down
_REST_LEG = 0.115  # rad, how far its legs are spread

_TOGETHER = 0.1  # rad a finger

# Degrees over the cycle: (per cent, flexion). Flexion of the ankle is upwards.
_HIP = ((0, 28), (12, 24), (25, 12), (38, 0), (50, -9), (60, -4), (72, 17), (85, 30), (100, 28))
_KNEE = ((0, 5), (12, 18), (25, 12), (38, 6), (50, 16), (60, 38), (72, 60), (85, 32), (95, 5), (100, 5))
_ANKLE = ((0, 0), (8, -6), (25, 5), (45, 10), (60, -18), (70, -6), (85, 2), (100, 0))


@dataclass(frozen=True)
class Pose:
    """One moment of one person.

    Args:
        x, y: the root on the ground, m.
        heading: rad, 0 looks along +x, counter-clockwise seen from above.
        phase: place in the walk cycle, 0 to 1 (0: the left heel strikes); repeats.
        speed: m/s; 0 stands. Stride and arm swing grow with it.
        action: one of `ACTIONS`: what the arms and the head do.
        look: head turned to the left, rad.
        sway: slow idle movement of a standing person, -1 to 1: which leg carries.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    phase: float = 0.0
    speed: float = 1.3
    action: str = "walk"
    look: float = 0.0
    sway: float = 0.0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise UsageError(f'pose action "{self.action}" is unknown. {nearest(self.action, ACTIONS)}')


@dataclass(frozen=True)
class Gait:
    """How one person moves, apart from the moment.

    Args:
        stride: length of the steps, a factor around 1.
        swing: of the arms, a factor around 1.
        stoop: forward bend of the back, rad.
        toe_out: how far the feet point outwards, rad.
        arms_out: how far the arms hang from the body, rad.
        elbow: bend of the hanging arms, rad.
    """

    stride: float = 1.0
    swing: float = 1.0
    stoop: float = 0.03
    toe_out: float = 0.1
    arms_out: float = 0.1
    elbow: float = 0.25


def cycle_m(speed: float, stature_m: float, gait: Gait) -> float:
    """Length of a whole walk cycle (two steps) at a speed in m/s, m: an adult of 1.70 m takes 1.41 m at 1.35 m/s."""
    return 0.83 * stature_m * gait.stride * (max(speed, 0.2) / 1.35) ** 0.5


@lru_cache(maxsize=1)
def _curves() -> tuple[CubicSpline, CubicSpline, CubicSpline]:
    def periodic(table: tuple[tuple[int, int], ...]) -> CubicSpline:
        place, degrees = np.array(table, np.float64).T
        return CubicSpline(place / 100, np.deg2rad(degrees), bc_type="periodic")

    return periodic(_HIP), periodic(_KNEE), periodic(_ANKLE)


def _rx(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _ry(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _rz(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def rotations(pose: Pose, gait: Gait, bones: tuple[str, ...], heads: np.ndarray) -> np.ndarray:
    """The turns of the bones in the axes of the rest pose (x left, y back, z up).

    Args:
        pose: the moment.
        gait: the person's way.
        bones: names, as in `BodyModel.bones`.
        heads: (J, 3) where they begin in the rest pose, m.

    Returns:
        (J, 3, 3) float64, for `body_model.transforms`.
    """
    turns = {"root": np.eye(3)}
    effort = (pose.speed / 1.35) ** 0.6 if pose.speed > 0 else 0.0
    beat = 2 * np.pi * pose.phase
    _legs(turns, pose, gait, effort)
    bend = gait.stoop + 0.05 * effort
    twist = 0.09 * effort * np.cos(beat)  # the shoulders turn against the hips
    turns["root"] = (
        _rz(-0.5 * twist) @ _rx(0.02 * effort) @ _ry(0.03 * effort * np.sin(beat) + (0.05 * pose.sway if effort == 0 else 0.0))
    )
    turns["spine05"] = _ry(-0.02 * effort * np.sin(beat) - (0.05 * pose.sway if effort == 0 else 0.0)) @ _rx(0.3 * bend)
    turns["spine03"] = _rz(0.6 * twist) @ _rx(0.4 * bend)
    turns["spine01"] = _rz(0.6 * twist) @ _rx(0.6 * bend)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        _arm(turns, pose, gait, effort, side, sign, dict(zip(bones, heads, strict=True)))
    nod = {"phone": 0.42, "talk": 0.05}.get(pose.action, 0.0) - 0.8 * bend
    turns["neck01"] = _rz(0.35 * pose.look - 0.3 * twist) @ _rx(0.35 * nod + 0.06)
    turns["head"] = _rz(0.65 * pose.look - 0.3 * twist) @ _rx(0.65 * nod + 0.03)
    return np.stack([turns.get(name, np.eye(3)) for name in bones])


def _legs(turns: dict[str, np.ndarray], pose: Pose, gait: Gait, effort: float) -> None:
    hip, knee, ankle = _curves()
    for side, sign, lag in (("L", 1.0, 0.0), ("R", -1.0, 0.5)):
        t = (pose.phase + lag) % 1.0
        if effort > 0:
            reach = 0.86 * min(effort, 1.35) * (0.6 + 0.4 * gait.stride)
            lift, fold, foot = hip(t) * reach, knee(t) * (0.35 + 0.65 * min(effort, 1.3)), ankle(t) * reach
            spread = -0.035
        else:
            free = max(sign * pose.sway, 0.0)  # the leg that does not carry is bent and put a little forward
            lift, fold, foot = 0.02 + 0.16 * free, 0.03 + 0.26 * free, -0.05 * free
            spread = -0.03 - 0.05 * free
        adduct = sign * (_REST_LEG + spread)
        turns[f"upperleg01.{side}"] = _rx(-lift) @ _ry(adduct) @ _rz(sign * 0.5 * gait.toe_out)
        turns[f"lowerleg01.{side}"] = _rx(fold)
        turns[f"foot.{side}"] = _rz(sign * 0.5 * gait.toe_out) @ _rx(-foot) @ _ry(-0.3 * sign * _REST_LEG)
        push = max(0.0, 0.55 * effort * np.exp(-(((t - 0.56) / 0.07) ** 2)))
        turns[f"toe3-1.{side}"] = _rx(-push)


def _arm(
    turns: dict[str, np.ndarray], pose: Pose, gait: Gait, effort: float, side: str, sign: float, heads: dict[str, np.ndarray]
) -> None:
    """One arm: hanging and swinging, or busy; collarbone, shoulder and upper arm share the turn, so that no joint creases."""
    t = pose.phase + (0.0 if side == "L" else 0.5)
    swing = -np.cos(2 * np.pi * t) * 0.36 * min(effort, 1.4) * gait.swing
    flex, out, inward, roll = 0.04 + swing, gait.arms_out, 0.25, 0.3
    elbow = gait.elbow + 0.35 * max(swing, 0.0) + 0.1 * effort
    grip = 1.0
    if pose.action == "pockets":
        flex, out, elbow, inward, grip = -0.25 + 0.1 * swing, 0.28, 0.95, 0.35, 1.5
    elif side == "R" and pose.action == "phone":
        flex, elbow, inward, roll, grip = 0.45, 1.75, 0.55, -0.3, 1.6
    elif side == "R" and pose.action == "talk":
        flex, out, elbow, inward, roll, grip = 0.75, 0.45, 2.35, 0.35, 0.2, 1.6
    elif side == "R" and pose.action == "carry":
        flex, out, elbow, grip = 0.03 + 0.25 * swing, 0.14, 0.15, 2.2
    elif side == "R" and pose.action == "wave":
        flex, out, elbow, inward = 1.3, 0.35, 0.5, 0.0
    shoulder, joint, wrist = (heads[f"{name}.{side}"] for name in ("upperarm01", "lowerarm01", "wrist"))
    upper, fore = joint - shoulder, wrist - joint
    bent = np.arccos(upper @ fore / (np.linalg.norm(upper) * np.linalg.norm(fore)))
    across = np.cross(upper, fore)
    down = sign * (_REST_ARM - out)
    turns[f"clavicle.{side}"] = _ry(0.08 * down) @ _rx(-0.05 * flex)
    turns[f"shoulder01.{side}"] = _ry(0.22 * down) @ _rx(-0.1 * flex)
    turns[f"upperarm01.{side}"] = _rx(-0.85 * flex) @ _ry(0.70 * down) @ _about(upper, 0.5 * sign * inward)
    turns[f"upperarm02.{side}"] = _about(upper, 0.5 * sign * inward)
    turns[f"lowerarm01.{side}"] = _about(across, elbow - bent)
    turns[f"lowerarm02.{side}"] = _about(fore, 0.5 * sign * roll)
    turns[f"wrist.{side}"] = _about(fore, 0.5 * sign * roll)
    knuckles = heads[f"finger5-1.{side}"] - heads[f"finger2-1.{side}"]
    palm = np.cross(fore, knuckles)
    for finger in range(1, 6):
        curl = (0.15 if finger == 1 else 0.14 + 0.07 * finger) * grip
        for part in range(1, 4):
            turns[f"finger{finger}-{part}.{side}"] = _about(knuckles, sign * curl)
        # The rest pose spreads the fingers; hanging hands hold them together.
        together = _TOGETHER * (2.6 if finger == 1 else 3.2 - finger)
        turns[f"finger{finger}-1.{side}"] = _about(palm, together) @ turns[f"finger{finger}-1.{side}"]
