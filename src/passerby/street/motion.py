"""How people stand and move: a pose is a handful of numbers, and gives the rotations of the bones.

A person's root stands at (x, y) on the ground; heading is in rad, 0 looks along +x, pi/2 along +y.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ACTIONS", "Pose"]

ACTIONS = ("walk", "stand", "phone", "talk", "carry")
"""walk; stand still; stand or walk looking at a phone; a phone at the ear; hands in the pockets or on a bag."""


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
        sway: slow idle movement, rad (-0.1 to 0.1): which leg carries a standing person.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    phase: float = 0.0
    speed: float = 1.3
    action: str = "walk"
    look: float = 0.0
    sway: float = 0.0
