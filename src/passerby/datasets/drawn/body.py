"""A person in one instant of a walk, as solids on an easel."""

from __future__ import annotations

import numpy as np

from passerby.datasets.drawn.people import Colour, Person
from passerby.datasets.drawn.solids import Easel, Paint

__all__ = ["draw_person"]

_KNEE, _HIP, _SHOULDER, _NECK, _HEAD = 0.27, 0.50, 0.815, 0.845, 0.925
_TRUNK = ((0.0, 0.087), (0.12, 0.090), (0.42, 0.080), (0.75, 0.098), (0.92, 0.104), (0.97, 0.085), (1.0, 0.045))


def _plain(colour: Colour) -> Paint:
    return lambda t, normal: np.broadcast_to(np.array(colour), normal.shape)


def _choose(where: np.ndarray, yes: Colour, no: Colour | np.ndarray) -> np.ndarray:
    return np.where(where[..., None], np.array(yes), np.asarray(no))


def _top_paint(person: Person) -> Paint:
    """The trunk: t runs from hem to shoulder, the azimuth from the front (0) to the back (pi)."""
    first, second = person.top, person.top_second

    def paint(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        azimuth = np.arctan2(normal[..., 0], normal[..., 2])
        turn = np.abs(azimuth)
        where = {
            "plain": np.zeros_like(turn, bool),
            "hoops": (t * 7) % 1 < 0.5,
            "pinstripes": (azimuth * 12 / np.pi) % 1 < 0.4,
            "checks": ((t * 6) % 1 < 0.5) ^ ((azimuth * 8 / np.pi) % 1 < 0.5),
            "blocks": t < 0.45,
            "open": turn < 0.42 + 0.15 * (t - 0.5),
            "print": np.hypot(np.sin(azimuth) * 1.1, (t - 0.68) * 2.4) < 0.40,
            "yoke": t > 0.72,
            "bands": (np.abs(t - 0.35) < 0.07) | (np.abs(t - 0.62) < 0.07),
        }[person.pattern]
        if person.pattern in ("open", "print"):
            where = where & (normal[..., 2] > 0)
        colour = _choose(where, second, first)
        if person.bag == "backpack":
            strap = (np.abs(turn - 0.62) < 0.14) & (t > 0.45)
            colour = _choose(strap, person.bag_colour, colour)
        if person.bag == "crossbody":
            strap = np.abs(t - 0.55 + 0.42 * person.bag_side * normal[..., 0]) < 0.05
            colour = _choose(strap, person.bag_colour, colour)
        return _choose((t > 0.955) & (turn < 0.6), person.skin, colour)

    return paint


def _sleeve_paint(person: Person, upper: bool) -> Paint:
    """The arm: t runs from the shoulder; the sleeve ends where the person's sleeve ends."""
    cloth = person.top_second if person.pattern in ("blocks", "bands") and person.sleeve > 0.9 and not upper else person.top
    ends = person.sleeve * 2 if upper else person.sleeve * 2 - 1

    def paint(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        colour = np.broadcast_to(np.array(cloth), normal.shape)
        if person.pattern == "hoops":
            colour = _choose((t * 3.4) % 1 < 0.5, person.top_second, colour)
        return _choose(t > ends, person.skin, colour)

    return paint


def _leg_paint(person: Person, upper: bool, side: int) -> Paint:
    bare = person.bottom in ("shorts", "skirt")

    def paint(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        if bare:
            covered = (t < 0.85) if upper and person.bottom == "shorts" else np.zeros_like(t, bool)
            colour = _choose(covered, person.bottom_colour, person.skin)
        else:
            colour = np.broadcast_to(np.array(person.bottom_colour), normal.shape)
        if person.bottom == "stripe":
            colour = _choose(normal[..., 0] * side > 0.86, person.top_second, colour)
        return _choose(t > 0.45, person.shoe, colour) if person.boots and not upper else colour

    return paint


def _head_paint(person: Person) -> Paint:
    cover = {"cap": person.top_second, "beanie": person.top_second, "hood": person.top}.get(person.hair_style, person.hair)

    def paint(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        left, up, front = normal[..., 0], normal[..., 1], normal[..., 2]
        line = {"bald": 2.0, "cap": 0.30, "beanie": 0.22, "hood": -0.15, "short": 0.50}.get(person.hair_style, 0.44)
        hair = (up > line) | ((front < 0.12) & (up > -0.45) & (line < 1)) | ((person.hair_style == "hood") & (front < 0.45))
        colour = _choose(hair, cover, person.skin)
        if person.hair_style in ("cap", "beanie"):
            colour = _choose((up < line) & (front < 0.1) & (up > -0.4), person.hair, colour)
        face = front > 0.55
        if person.beard:
            colour = _choose(face & (up < -0.35), person.hair, colour)
        eyes = face & (np.abs(up - 0.08) < (0.14 if person.glasses else 0.09)) & (np.abs(np.abs(left) - 0.34) < (0.22 if person.glasses else 0.11))
        return _choose(eyes, (0.08, 0.08, 0.09), colour)

    return paint


def _bend(start: tuple[float, float, float], length: float, angle: float, out: float = 0.0) -> tuple[float, float, float]:
    """The end of a limb that hangs from `start` and swings by `angle` (radians, forwards positive) and `out` sideways."""
    return start[0] + out, start[1] - length * float(np.cos(angle)), start[2] + length * float(np.sin(angle))


def _legs(easel: Easel, person: Person, phase: float) -> None:
    swing = np.deg2rad(person.stride)
    girth = person.girth
    for side in (-1, 1):
        step = phase if side > 0 else phase + np.pi
        thigh = swing * np.sin(step)
        knee_bend = np.deg2rad(6) + np.deg2rad(42) * max(0.0, float(np.cos(step))) ** 2
        hip = (side * 0.041 * girth, _HIP + 0.01, 0.0)
        knee = _bend(hip, _HIP - _KNEE + 0.01, thigh)
        ankle = _bend(knee, _KNEE - 0.045, thigh - knee_bend)
        tilt = thigh - knee_bend
        toe = (ankle[0] + side * 0.008, ankle[1] - 0.028 * float(np.cos(tilt)) + 0.03 * float(np.sin(tilt)), ankle[2] + 0.075)
        loose = 1.0 if person.bottom in ("shorts", "skirt") else 1.12
        easel.capsule(ankle, toe, (0.026, 0.021), _plain(person.shoe), bias=-0.001)
        easel.capsule(knee, ankle, (0.036 * loose * girth, 0.025 * loose), _leg_paint(person, False, side))
        easel.capsule(hip, knee, (0.049 * girth, 0.036 * loose * girth), _leg_paint(person, True, side), bias=0.001)


def _arms(easel: Easel, person: Person, phase: float) -> tuple[float, float, float]:
    """Both arms; returns where the hand on the bag's side is."""
    hands = {}
    for side in (-1, 1):
        holds = person.bag in ("tote", "case") and side == person.bag_side
        swing = -np.deg2rad(20) * np.sin(phase if side > 0 else phase + np.pi) * (0.25 if holds else 1.0)
        shoulder = (side * 0.101 * person.girth, _SHOULDER - 0.026, 0.0)
        elbow = _bend(shoulder, 0.155, swing, side * 0.022)
        hand = _bend(elbow, 0.145, swing + (0.05 if holds else 0.22 + 0.2 * max(0.0, float(np.sin(swing)))))
        thick = 0.030 * person.girth
        easel.capsule(shoulder, elbow, (thick, thick * 0.86), _sleeve_paint(person, True), bias=0.004)
        easel.capsule(elbow, hand, (thick * 0.84, thick * 0.62), _sleeve_paint(person, False), bias=0.005)
        easel.ellipsoid((hand[0], hand[1] - 0.012, hand[2]), (0.018, 0.024, 0.018), _plain(person.skin), bias=0.006)
        hands[side] = hand
    return hands[person.bag_side]


def _head(easel: Easel, person: Person) -> None:
    easel.capsule((0, _NECK - 0.03, -0.005), (0, _HEAD - 0.03, 0.002), (0.028, 0.027), _plain(person.skin), bias=0.002)
    easel.ellipsoid((0, _HEAD + 0.004, 0.006), (0.050, 0.066, 0.056), _head_paint(person), bias=0.004)
    hair = _plain(person.hair)
    if person.hair_style == "long":
        easel.ellipsoid((0, _HEAD - 0.045, -0.026), (0.052, 0.085, 0.034), hair, square=2.6, bias=-0.02)
        easel.ellipsoid((0, _HEAD + 0.022, -0.012), (0.055, 0.052, 0.052), hair, bias=-0.01)
    elif person.hair_style == "bun":
        easel.ellipsoid((0, _HEAD + 0.052, -0.045), (0.026, 0.026, 0.026), hair)
    elif person.hair_style == "short":
        easel.ellipsoid((0, _HEAD + 0.018, -0.010), (0.054, 0.058, 0.055), hair, bias=-0.01)
    elif person.hair_style == "cap":
        easel.ellipsoid((0, _HEAD + 0.022, 0.062), (0.042, 0.009, 0.030), _plain(person.top_second), bias=0.01)
    elif person.hair_style == "hood":
        easel.ellipsoid((0, _HEAD - 0.01, -0.02), (0.064, 0.084, 0.058), _plain(person.top), bias=-0.02)


def _bag(easel: Easel, person: Person, hand: tuple[float, float, float]) -> None:
    paint, side = _plain(person.bag_colour), person.bag_side

    def pocketed(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        shade = np.where((np.abs(t - 0.42) < 0.035) | (np.abs(t - 0.88) < 0.03), 0.6, 1.0)
        return np.array(person.bag_colour) * shade[..., None]

    if person.bag == "backpack":
        easel.ellipsoid((0, 0.69, -0.105 * person.girth), (0.078, 0.108, 0.050), pocketed, square=3.4)
    elif person.bag == "crossbody":
        easel.ellipsoid((side * 0.115 * person.girth, 0.515, 0.01), (0.022, 0.045, 0.062), pocketed, square=3.4, bias=0.02)
    elif person.bag == "tote":
        easel.capsule(hand, (hand[0], hand[1] - 0.07, hand[2]), (0.006, 0.006), paint, bias=0.003)
        easel.ellipsoid((hand[0], hand[1] - 0.125, hand[2]), (0.020, 0.062, 0.060), paint, square=4.0, bias=0.004)
    elif person.bag == "case":
        wheel = (hand[0] + side * 0.01, 0.095, hand[2] - 0.13)
        easel.capsule(hand, wheel, (0.005, 0.005), _plain((0.45, 0.45, 0.47)), bias=-0.004)
        easel.ellipsoid(wheel, (0.055, 0.088, 0.038), pocketed, square=4.0)


def draw_person(easel: Easel, person: Person, phase: float) -> None:
    """Paint `person` on the easel's canvas.

    Args:
        easel: where, how large and seen from which side.
        person: who.
        phase: of the walk, radians; 2 pi is two steps.
    """
    girth = person.girth
    _legs(easel, person, phase)
    hand = _arms(easel, person, phase)
    _head(easel, person)
    widths = tuple((t, width * girth) for t, width in _TRUNK)
    easel.profile((0, _HIP - 0.02, 0), (0, _NECK, 0), widths, 0.62, _top_paint(person), bias=0.003)
    if person.coat:
        flare = ((0.0, 0.118 * girth), (0.7, 0.094 * girth), (1.0, 0.080 * girth))
        easel.profile((0, 0.36, 0.004), (0, _HIP + 0.05, 0), flare, 0.7, _hem_paint(person), bias=0.06)
    elif person.bottom == "skirt":
        flare = ((0.0, 0.118 * girth), (0.75, 0.094 * girth), (1.0, 0.080 * girth))
        easel.profile((0, 0.31, 0), (0, _HIP + 0.04, 0), flare, 0.72, _plain(person.bottom_colour), bias=0.05)
    else:
        belt = ((0.0, 0.070 * girth), (0.4, 0.089 * girth), (1.0, 0.086 * girth))
        easel.profile((0, _HIP - 0.055, 0), (0, _HIP + 0.03, 0), belt, 0.66, _plain(person.bottom_colour), bias=0.0025)
    _bag(easel, person, hand)
    easel.finish()


def _hem_paint(person: Person) -> Paint:
    """The part of a coat below the hip; an open coat shows what is under it."""
    def paint(t: np.ndarray, normal: np.ndarray) -> np.ndarray:
        turn = np.abs(np.arctan2(normal[..., 0], normal[..., 2]))
        gap = (turn < 0.42) & (person.pattern == "open")
        return _choose(gap, person.bottom_colour, person.top)

    return paint
