"""Bags, scarves, hoods that hang down the back."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.clothes import Garment
from passerby.street.mannequin import Mannequin, Part

__all__ = ["BAGS", "HELD", "bag", "hood_down", "scarf"]

HELD = "finger3-2.L"
"""The bone that a bag hangs from. Phones are in the right hand."""
BAGS = ("backpack", "shoulder", "handbag", "shopper")
_SIZES = {  # width, depth, height, m: small and large
    "backpack": ((0.26, 0.12, 0.36), (0.33, 0.19, 0.50)),
    "shoulder": ((0.06, 0.20, 0.16), (0.10, 0.34, 0.27)),
    "handbag": ((0.09, 0.24, 0.18), (0.12, 0.34, 0.26)),
    "shopper": ((0.10, 0.28, 0.32), (0.16, 0.38, 0.42)),
}


def _pillow(centre: np.ndarray, size: np.ndarray, rows: int = 9, columns: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A box with round edges: points and triangles."""
    polar = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns + 1)[None]

    def power(x: np.ndarray, exponent: float) -> np.ndarray:
        return np.sign(x) * np.abs(x) ** exponent

    around = power(np.cos(polar), 0.35)
    unit = np.stack(
        [around * power(np.cos(angle), 0.5), around * power(np.sin(angle), 0.5), power(np.sin(polar), 0.5) + 0 * angle], -1
    )
    points = unit.reshape(-1, 3) * size / 2 + centre
    first = (np.arange(rows - 1)[:, None] * (columns + 1) + np.arange(columns)).reshape(-1)
    above = first + columns + 1
    faces = np.concatenate([np.stack([first, first + 1, above + 1], 1), np.stack([first, above + 1, above], 1)])
    return points, faces.astype(np.int32)


def _rigid(body: Mannequin, points: np.ndarray, faces: np.ndarray, bone: str | None, material: int) -> Part:
    """A thing that moves with one bone; without one it hangs from the hand, see `Figure`."""
    bones = np.zeros((len(points), 4), np.int32)
    bones[:, 0] = len(body.model.bones) if bone is None else body.model.bones.index(bone)
    weights = np.zeros((len(points), 4), np.float32)
    weights[:, 0] = 1
    flat = points.astype(np.float32)
    return Part(flat, faces, bones, weights, flat / np.float32(body.size), np.ones(len(flat), np.float32), material)


def bag(body: Mannequin, garment: Garment, material: int, back_m: float, hand: np.ndarray) -> list[Part]:
    """A bag of a kind out of `BAGS`.

    Args:
        body: who carries it.
        garment: its record; `length` is its size.
        material: index into the figure's table.
        back_m: thickness of the clothes, m.
        hand: (3,) where the hand is that holds it in the rest pose, m; see `HELD`.
    """
    small, large = _SIZES[garment.kind]
    size = (np.array(small) + (np.array(large) - np.array(small)) * garment.length) * (0.75 + 0.25 * body.size)
    suit = body.points[body.model.parts["tights"]]
    if garment.kind == "backpack":
        centre_z = body.chest - 0.02 * body.size
        near = (np.abs(suit[:, 2] - centre_z) < 0.08) & (np.abs(suit[:, 0]) < 0.1)
        back = float(suit[near, 1].max()) + 0.6 * back_m
        points, faces = _pillow(np.array([0.0, back + size[1] / 2 - 0.01, centre_z]), size)
        return [_rigid(body, points, faces, "spine02", material)]
    if garment.kind == "shoulder":
        low = body.crotch + 0.06 * body.size
        near = (np.abs(suit[:, 2] - low) < 0.08) & (suit[:, 0] < 0)
        hip = float(suit[near, 0].min()) - back_m
        points, faces = _pillow(np.array([hip - size[0] / 2, 0.02, low]), size)
        return [_rigid(body, points, faces, "root", material)]
    points, faces = _pillow(np.array([0.0, 0.0, -size[2] / 2 - 0.07]), size)
    loop, loop_faces = _pillow(np.array([0.0, 0.0, -0.05]), np.array([0.012, 0.5 * size[1], 0.1]), 5, 8)
    both = np.concatenate([points, loop])
    return [_rigid(body, both + hand, np.concatenate([faces, loop_faces + len(points)]), None, material)]


def scarf(body: Mannequin, random: RandomState, material: int, room: float) -> list[Part]:
    """A scarf wound around the neck."""
    angle = np.linspace(0, 2 * np.pi, 29)[:, None]
    ripple = 1 + 0.15 * np.sin(5 * angle + random.uniform(0, 6.28)) + 0.1 * np.sin(9 * angle + random.uniform(0, 6.28))
    centre = body.heads["neck01"] + np.array([0, -0.012, 0.012]) * body.size
    return [_ring(body, centre, angle, (0.072 + 0.3 * room) * body.size, 0.024 * ripple * body.size, 1.35, 0.35, material)]


def hood_down(body: Mannequin, random: RandomState, material: int, room: float) -> list[Part]:
    """A hood that lies on the shoulders: thick behind the neck, running out on the chest."""
    angle = np.linspace(-0.32 * np.pi, 1.32 * np.pi, 25)[:, None]
    behind = 0.5 + 0.5 * np.sin(angle)
    thick = (0.010 + 0.030 * behind**1.5 + 0.004 * random.rand()) * body.size
    centre = body.heads["neck01"] + np.array([0, 0.012, 0.004]) * body.size
    return [_ring(body, centre, angle, (0.07 + 0.45 * room) * body.size, thick, 1.15 + 0.5 * behind, 0.25, material)]


def _ring(
    body: Mannequin,
    centre: np.ndarray,
    angle: np.ndarray,
    radius: float,
    thick: np.ndarray,
    high: np.ndarray | float,
    tilt: float,
    material: int,
) -> Part:
    """A tube around the neck; angle (n, 1) rad, a quarter turn is the back; thick (n, 1) m; `high` times as high as deep."""
    turn = np.linspace(0, 2 * np.pi, 11)[None]
    x = (radius + thick * np.cos(turn)) * np.cos(angle)
    y = (radius * 1.05 + thick * np.cos(turn)) * np.sin(angle)
    z = high * thick * np.sin(turn) + tilt * y
    points = np.stack([x, y, z], -1).reshape(-1, 3) + centre
    first = (np.arange(len(angle) - 1)[:, None] * 11 + np.arange(10)).reshape(-1)
    after = first + 11
    faces = np.concatenate([np.stack([first, after, after + 1], 1), np.stack([first, after + 1, first + 1], 1)])
    return _rigid(body, points, faces.astype(np.int32), "neck01", material)
