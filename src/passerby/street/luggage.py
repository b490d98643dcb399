"""Bags and scarves."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.clothes import Garment
from passerby.street.mannequin import Mannequin, Part

__all__ = ["BAGS", "bag", "scarf"]

BAGS = ("backpack", "shoulder", "handbag", "shopper")
_SIZES = {  # width, depth, height, m: small and large
    "backpack": ((0.26, 0.12, 0.36), (0.33, 0.19, 0.50)),
    "shoulder": ((0.07, 0.22, 0.18), (0.11, 0.36, 0.30)),
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


def _rigid(body: Mannequin, points: np.ndarray, faces: np.ndarray, bone: str, material: int) -> Part:
    bones = np.zeros((len(points), 4), np.int32)
    bones[:, 0] = body.model.bones.index(bone)
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
        hand: (3,) where in the rest pose a thing is that shall hang straight below the right hand, m.
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
    return [_rigid(body, both + hand, np.concatenate([faces, loop_faces + len(points)]), "wrist.R", material)]


def scarf(body: Mannequin, random: RandomState, material: int, room: float) -> list[Part]:
    """A scarf wound around the neck."""
    around, tube = 28, 10
    angle = np.linspace(0, 2 * np.pi, around + 1)[:, None]
    turn = np.linspace(0, 2 * np.pi, tube + 1)[None]
    centre = body.heads["neck01"] + np.array([0, -0.012, 0.012]) * body.size
    ripple = 1 + 0.15 * np.sin(5 * angle + random.uniform(0, 6.28)) + 0.1 * np.sin(9 * angle + random.uniform(0, 6.28))
    thick = 0.024 * ripple * body.size
    ring = (0.072 + 0.3 * room) * body.size
    x = (ring + thick * np.cos(turn)) * np.cos(angle)
    y = (ring * 1.05 + thick * np.cos(turn)) * np.sin(angle)
    z = 1.35 * thick * np.sin(turn) + 0.35 * y
    points = np.stack([x, y, z], -1).reshape(-1, 3) + centre
    first = (np.arange(around)[:, None] * (tube + 1) + np.arange(tube)).reshape(-1)
    after = first + tube + 1
    faces = np.concatenate([np.stack([first, after, after + 1], 1), np.stack([first, after + 1, first + 1], 1)])
    return [_rigid(body, points, faces.astype(np.int32), "neck01", material)]
