"""A person as geometry: dressed once in the rest pose, then posed as often as wanted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numba import njit

from passerby.street.bodies import Person
from passerby.street.body_model import normals, skin, transforms
from passerby.street.dressing import dress
from passerby.street.luggage import HELD
from passerby.street.mannequin import Mannequin, make_mannequin
from passerby.street.meshes import Mesh
from passerby.street.motion import Pose, cycle_m, rotations

__all__ = ["Figure"]


class Figure:
    """A person's body, clothes and hair as geometry, built once, posed often.

    Attributes:
        person: the record.
        stature_m: height with shoes, standing, m.
    """

    def __init__(self, person: Person) -> None:
        self.person = person
        body = make_mannequin(asdict(person.shape))
        parts, self._table = dress(person, body)
        starts = np.cumsum([0, *(len(part.points) for part in parts)])
        self._parents = body.model.parents
        self._names = body.model.bones
        self._heads = np.stack([body.heads[name] for name in self._names])
        self._points = np.concatenate([part.points for part in parts])
        self._bones = np.concatenate([part.bones for part in parts])
        self._weights = np.concatenate([part.weights for part in parts])
        self._faces = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]).astype(
            np.int32
        )
        self._coords = np.concatenate([part.coords for part in parts]).astype(np.float32)
        self._cut = np.concatenate([part.cut for part in parts]).astype(np.float32)
        self._material = np.concatenate([np.full(len(part.points), part.material, np.int32) for part in parts])
        strongest = np.take_along_axis(self._bones, self._weights.argmax(1)[:, None], 1)[:, 0]
        self._held = self._names.index(HELD)
        self._region = np.array([_region(name) for name in (*self._names, HELD)], np.int32)[strongest]
        self._limbs = _limbs(body)
        self.stature_m = round(float(body.stature - self._points[:, 2].min()), 3)

    @property
    def cycle_m(self) -> float:
        """Length of a walk cycle at 1.35 m/s, m; at another speed see `motion.cycle_m`."""
        return cycle_m(1.35, self.stature_m, self.person.gait)

    def posed(self, pose: Pose) -> Mesh:
        """The figure in the world: the lower of its feet on the ground, its root above (pose.x, pose.y)."""
        turns = rotations(pose, self.person.gait, self._names, self._heads)
        placed = self._with_hand(transforms(self._parents, self._heads, turns))
        points = skin(self._points, self._bones, self._weights, placed)
        ground = points[:, 2].min()
        points[:, 2] -= ground
        outward = normals(points, self._faces)
        limbs = self._limbs
        ends = np.einsum("lkc,lec->lek", placed[limbs.bones, :, :3], limbs.ends) + placed[limbs.bones, None, :, 3]
        ends[:, :, 2] -= ground
        open_ = _openness(points, outward, self._region, ends.astype(np.float32), limbs.radii, limbs.regions)
        turn = pose.heading + np.pi / 2
        cos, sin = np.cos(turn), np.sin(turn)
        rotation = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
        return Mesh(
            positions=points @ rotation + np.array([pose.x, pose.y, 0], np.float32),
            normals=outward @ rotation,
            coords=self._coords,
            faces=self._faces,
            material=self._material,
            materials=self._table,
            cut=self._cut,
            open=open_,
        )

    def _with_hand(self, placed: np.ndarray) -> np.ndarray:
        """The bones and one more, which goes with the hand and stays upright: bags hang from it whatever the arm does."""
        hand = self._heads[self._held]
        shift = placed[self._held, :, :3] @ hand + placed[self._held, :, 3] - hand
        return np.concatenate([placed, np.concatenate([np.eye(3), shift[:, None]], 1)[None].astype(np.float32)])


@dataclass(frozen=True, eq=False)
class _Limbs:
    """The body as capsules that take light from each other: (L,) bones, (L, 2, 3) ends in the rest pose, radii, regions."""

    bones: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    regions: np.ndarray


_REGIONS = (("upperarm", "lowerarm", "wrist", "finger"), ("upperleg", "lowerleg", "foot", "toe"))


def _region(name: str) -> int:
    """0 trunk and head, 1 and 2 the arms, 3 and 4 the legs."""
    side = 1 if name.endswith(".R") else 0
    for index, stems in enumerate(_REGIONS):
        if name.startswith(stems):
            return 1 + 2 * index + side
    return 0


def _limbs(body: Mannequin) -> _Limbs:
    bones, ends, radii, regions = [], [], [], []
    chains = [("spine05", "spine03", 0.13), ("spine03", "spine01", 0.13)]
    for side in ("L", "R"):
        chains += [
            (f"upperarm01.{side}", f"lowerarm01.{side}", 0.05),
            (f"lowerarm01.{side}", f"wrist.{side}", 0.045),
            (f"upperleg01.{side}", f"lowerleg01.{side}", 0.085),
            (f"lowerleg01.{side}", f"foot.{side}", 0.06),
        ]
    for bone, after, radius in chains:
        bones.append(body.model.bones.index(bone))
        ends.append(np.stack([body.heads[bone], body.heads[after]]))
        radii.append(radius * body.size)
        regions.append(_region(bone))
    return _Limbs(np.array(bones), np.stack(ends), np.array(radii, np.float32), np.array(regions, np.int32))


@njit(cache=True)
def _openness(
    points: np.ndarray, outward: np.ndarray, region: np.ndarray, ends: np.ndarray, radii: np.ndarray, regions: np.ndarray
) -> np.ndarray:
    """(V,) share of the sky seen past the other limbs (spheres at the nearest points of their axes) and past the ground."""
    out = np.empty(len(points), np.float32)
    for v in range(len(points)):
        p, n = points[v], outward[v]
        share = 1.0
        for limb in range(len(radii)):
            if regions[limb] == region[v] or (region[v] == 0 and regions[limb] >= 3) or (region[v] >= 3 and regions[limb] == 0):
                continue
            a, b = ends[limb, 0], ends[limb, 1]
            dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
            t = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy + (p[2] - a[2]) * dz) / (dx * dx + dy * dy + dz * dz)
            t = min(max(t, 0.0), 1.0)
            x, y, z = a[0] + t * dx - p[0], a[1] + t * dy - p[1], a[2] + t * dz - p[2]
            distance = max(np.sqrt(x * x + y * y + z * z), radii[limb])
            facing = max((n[0] * x + n[1] * y + n[2] * z) / distance * 0.8 + 0.2, 0.0)
            share *= 1 - 0.85 * facing * (radii[limb] / distance) ** 2
        # The ground is near the shoes and dark under them.
        share *= 0.6 + 0.4 * min(max(p[2] / 0.25, 0.0), 1.0)
        out[v] = share
    return out
