"""One person's naked shape with the measures a tailor takes: along the limbs, around the trunk, on the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from passerby.street.body_model import BodyModel, body_model, normals

__all__ = ["Mannequin", "Part", "make_mannequin", "ramp"]

STANDARD_M = 1.75
"""Pattern coordinates are those of a person of this height, so that "at the chest" is the same number for everybody."""


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a figure in the rest pose.

    Args:
        points: (V, 3) float32, m.
        faces: (F, 3) int32.
        bones, weights: (V, 4): what moves it.
        coords: (V, 3) float32: where its patterns are evaluated.
        cut: (V,) float32, m: negative where it is not drawn.
        material: index into the figure's table.
        rows: (V,) which vertices of the body model these are; None for other geometry.
    """

    points: np.ndarray
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    coords: np.ndarray
    cut: np.ndarray
    material: int
    rows: np.ndarray | None = None

    def limited(self, cut: np.ndarray) -> Part:
        """The part with another `cut` (V,), without the faces that it hides whole and the vertices that no face needs."""
        used, small = np.unique(self.faces[(cut[self.faces] > 0).any(1)], return_inverse=True)
        return Part(
            self.points[used],
            small.reshape(-1, 3).astype(np.int32),
            self.bones[used],
            self.weights[used],
            self.coords[used],
            cut[used].astype(np.float32),
            self.material,
            None if self.rows is None else self.rows[used],
        )


def ramp(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, eq=False)
class Mannequin:
    """A naked shape in the rest pose, the soles at z = 0, and its measures.

    Attributes:
        model: where vertices, bones and weights come from.
        points: (V, 3) float32, m; normals: (V, 3) of each part by itself.
        heads: bone name -> (3,) where it begins, m.
        stature: height without shoes, m; size: stature / `STANDARD_M`.
        arm, leg: (V,) share of a vertex that arms or legs move, 0 to 1.
        arm_at, leg_at: (V,) m along the limb from shoulder or hip; arm_axis, leg_axis: (V, 3) nearest point of its middle line.
        arm_m, leg_m: lengths to wrist and ankle.
    """

    model: BodyModel
    points: np.ndarray
    normals: np.ndarray
    heads: Mapping[str, np.ndarray]
    stature: float
    size: float
    arm: np.ndarray
    leg: np.ndarray
    arm_at: np.ndarray
    leg_at: np.ndarray
    arm_axis: np.ndarray
    leg_axis: np.ndarray
    arm_m: float
    leg_m: float

    @property
    def eyes(self) -> np.ndarray:
        """(3,) the point between the eyes."""
        head = self.heads["head"]
        return head + np.array([0.0, -0.109, 0.031], np.float32) * self.head_size

    @property
    def head_size(self) -> float:
        """Size of the head against the mean adult's."""
        return float((self.stature - self.heads["head"][2]) / 0.152)

    @property
    def crotch(self) -> float:
        """Height of the crotch, m."""
        return float(self.heads["upperleg01.L"][2] - 0.075 * self.size)

    @property
    def waist(self) -> float:
        """Height of the waist, m."""
        return float(self.heads["spine05"][2] + 0.055 * self.size)

    @property
    def chest(self) -> float:
        """Height of the widest part of the chest, m."""
        return float(self.heads["spine02"][2] + 0.07 * self.size)

    def coords(self, part: slice | np.ndarray) -> np.ndarray:
        """Pattern coordinates of vertices: the rest pose scaled to the standard height; along the sleeves z runs down the arm."""
        points = self.points[part] / np.float32(self.size)
        shoulder = self.heads["upperarm01.L"][2] / self.size
        along = shoulder - self.arm_at[part] / self.size
        arm = ramp(0.3, 0.8, self.arm[part])
        points[:, 2] = points[:, 2] * (1 - arm) + along * arm
        return points.astype(np.float32)

    def part(self, name: str, points: np.ndarray, cut: np.ndarray, material: int) -> Part:
        """A part of the model's own vertices, moved to `points` (n, 3), without the faces that `cut` (n,) hides whole."""
        where = self.model.parts[name]
        rows = np.arange(where.start, where.stop)
        whole = Part(
            points.astype(np.float32),
            self.model.faces[name] - where.start,
            self.model.weight_bones[where],
            self.model.weights[where],
            self.coords(where),
            cut,
            material,
            rows,
        )
        return whole.limited(cut)


def _along(points: np.ndarray, joints: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Metres along a chain of joints, and the nearest point on it, for every point; the ends go on straight."""
    best = np.full(len(points), np.inf)
    at, axis = np.zeros(len(points)), np.zeros((len(points), 3))
    start = 0.0
    for k, (a, b) in enumerate(pairwise(joints)):
        length = float(np.linalg.norm(b - a))
        t = (points - a) @ (b - a) / length**2
        t = np.clip(t, -9.0 if k == 0 else 0.0, 9.0 if k == len(joints) - 2 else 1.0)
        near = a + t[:, None] * (b - a)
        distance = np.linalg.norm(points - near, axis=1)
        closer = distance < best
        best[closer], at[closer], axis[closer] = distance[closer], start + t[closer] * length, near[closer]
        start += length
    return at, axis


def make_mannequin(sliders: Mapping[str, float]) -> Mannequin:
    """The naked shape for sliders named in `body_model.PHENOTYPES`."""
    model = body_model()
    points, heads = model.rest(sliders)
    low = points[model.parts["tights"], 2].min()
    shift = np.array([0, 0, low], np.float32)
    points, heads = (points - shift).astype(np.float32), (heads - shift).astype(np.float32)
    named = dict(zip(model.bones, heads, strict=True))
    left = points[:, 0] > 0

    def share(*stems: str) -> np.ndarray:
        moved = np.array([name.startswith(stems) for name in model.bones])
        return (model.weights * moved[model.weight_bones]).sum(1)

    arm_at, arm_axis = np.zeros(len(points)), np.zeros((len(points), 3))
    leg_at, leg_axis = np.zeros(len(points)), np.zeros((len(points), 3))
    for side, mask in (("L", left), ("R", ~left)):
        chain = [named[f"{name}.{side}"] for name in ("upperarm01", "lowerarm01", "wrist")]
        arm_at[mask], arm_axis[mask] = _along(points[mask], chain)
        chain = [named[f"{name}.{side}"] for name in ("upperleg01", "lowerleg01", "foot")]
        leg_at[mask], leg_axis[mask] = _along(points[mask], chain)
    directions = np.zeros_like(points)
    for name, where in model.parts.items():
        directions[where] = normals(points[where], model.faces[name] - where.start)
    stature = float(points[model.parts["body"], 2].max())
    joints = [named[f"{name}.L"] for name in ("upperarm01", "lowerarm01", "wrist")]
    legs = [named[f"{name}.L"] for name in ("upperleg01", "lowerleg01", "foot")]
    return Mannequin(
        model=model,
        points=points,
        normals=directions,
        heads=named,
        stature=stature,
        size=stature / STANDARD_M,
        arm=share("upperarm", "lowerarm", "wrist", "finger"),
        leg=share("upperleg", "lowerleg", "foot", "toe"),
        arm_at=arm_at,
        leg_at=leg_at,
        arm_axis=arm_axis,
        leg_axis=leg_axis,
        arm_m=float(sum(np.linalg.norm(b - a) for a, b in pairwise(joints))),
        leg_m=float(sum(np.linalg.norm(b - a) for a, b in pairwise(legs))),
    )
