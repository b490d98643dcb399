"""A person as geometry: dressed once in the rest pose, then posed as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from passerby.street import hair as heads
from passerby.street import luggage, tailor
from passerby.street.bodies import Person
from passerby.street.body_model import normals, skin, transforms
from passerby.street.clothes import Garment
from passerby.street.mannequin import Mannequin, Part, make_mannequin
from passerby.street.meshes import Material, Mesh
from passerby.street.motion import Pose, cycle_m, rotations
from passerby.street.seeds import stream

__all__ = ["Figure"]

_CLOTH = {  # grain, crease, gloss
    "jumper": (0.24, 0.16, 0.0),
    "hoodie": (0.16, 0.26, 0.0),
    "shirt": (0.08, 0.3, 0.01),
    "blouse": (0.08, 0.26, 0.02),
    "jeans": (0.2, 0.32, 0.0),
    "jean_shorts": (0.2, 0.22, 0.0),
    "suit_trousers": (0.08, 0.18, 0.01),
    "leggings": (0.06, 0.05, 0.03),
    "blazer": (0.1, 0.2, 0.01),
    "coat": (0.18, 0.22, 0.0),
    "puffer": (0.1, 0.5, 0.07),
    "raincoat": (0.06, 0.3, 0.12),
    "jacket": (0.12, 0.36, 0.05),
    "shoes": (0.1, 0.05, 0.2),
    "ankle_boots": (0.1, 0.06, 0.18),
    "boots": (0.14, 0.08, 0.12),
    "sneakers": (0.14, 0.05, 0.04),
    "helmet": (0.03, 0.0, 0.35),
    "cap": (0.12, 0.05, 0.0),
    "beanie": (0.28, 0.1, 0.0),
    "backpack": (0.14, 0.18, 0.05),
    "shoulder": (0.12, 0.1, 0.12),
    "handbag": (0.1, 0.08, 0.18),
    "shopper": (0.08, 0.2, 0.05),
}


_SKIN_UNDER_M = 0.025  # how far skin goes on under an edge


class Figure:
    """A person's body, clothes and hair as geometry, built once, posed often.

    Attributes:
        person: the record.
        stature_m: height with shoes, standing, m.
    """

    def __init__(self, person: Person) -> None:
        self.person = person
        body = make_mannequin({name: getattr(person.shape, name) for name in person.shape.__dataclass_fields__})
        parts, table = _dress(person, body)
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
        self._table = tuple(table)
        strongest = np.take_along_axis(self._bones, self._weights.argmax(1)[:, None], 1)[:, 0]
        self._region = np.array([_region(name) for name in self._names], np.int32)[strongest]
        self._limbs = _limbs(body)
        self.stature_m = round(float(body.stature - self._points[:, 2].min()), 3)

    @property
    def cycle_m(self) -> float:
        """Length of a walk cycle at 1.35 m/s, m; at another speed see `motion.cycle_m`."""
        return cycle_m(1.35, self.stature_m, self.person.gait)

    def posed(self, pose: Pose) -> Mesh:
        """The figure in the world: the lower of its feet on the ground, its root above (pose.x, pose.y)."""
        turns = rotations(pose, self.person.gait, self._names, self._heads)
        placed = transforms(self._parents, self._heads, turns)
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


def _cloth(garment: Garment, **changes: object) -> Material:
    grain, crease, gloss = _CLOTH.get(garment.kind, (0.13, 0.24, 0.0))
    values = {
        "colour": garment.colour,
        "second": garment.second,
        "pattern": garment.pattern,
        "scale": garment.scale,
        "offset": garment.offset,
        "cover": garment.cover,
        "grain": grain,
        "crease": crease,
        "gloss": gloss,
    }
    return Material(**{**values, **changes})  # type: ignore[arg-type]


def _dress(person: Person, body: Mannequin) -> tuple[list[Part], list[Material]]:
    """All parts of a figure, and the table of their materials."""
    outfit, random = person.outfit, stream("folds", person.seed)
    table: list[Material] = []
    parts: list[Part] = []

    def add(material: Material) -> int:
        table.append(material)
        return len(table) - 1

    bag_trim = {"backpack": ("straps", 0.1), "shoulder": ("sash", 1.23)}.get(outfit.bag.kind if outfit.bag else "", None)
    strap: dict[str, object] = {}
    if outfit.bag is not None and bag_trim is not None:
        strap = {"trim": bag_trim[0], "trim_at": bag_trim[1], "trim_colour": outfit.bag.colour}
    skirted = outfit.bottom.kind in ("skirt", "long_skirt")
    tucked = outfit.top.kind in ("shirt", "blouse") and outfit.top.length > 0.45 and outfit.outer is None
    worn = strap if outfit.outer is None else {}
    tops, open_at, top_hem = tailor.top(body, outfit.top, random, add(_cloth(outfit.top, **{**_front(outfit.top), **worn})), 0.004, tucked)
    thick = tailor.CUTS[outfit.top.kind].ease
    covered = np.full(len(body.points), np.inf)  # how far from under the outer garment, m
    if outfit.outer is not None:
        look = _cloth(outfit.outer, **{**_front(outfit.outer), **strap})
        outers, outer_open, outer_hem = tailor.top(body, outfit.outer, random, add(look), 0.45 * thick)
        tops = [_under(part, outer_open, 0.03) for part in tops] + outers
        covered = _reaching(body, outer_open, outer_hem)
        thick = tailor.CUTS[outfit.outer.kind].ease + 0.45 * thick
    parts += tops
    hem = min(top_hem, body.crotch)
    if skirted:
        legwear, hem = tailor.skirt(body, outfit.bottom, random, add(_cloth(outfit.bottom)))
    else:
        legwear, low = tailor.trousers(body, outfit.bottom, random, add(_cloth(outfit.bottom)))
        hem = low if legwear else hem
    # What hangs over the thighs hides them: a striding leg must not come through a coat or a dress.
    if top_hem < body.crotch - 0.04:
        covered = np.minimum(covered, _reaching(body, open_at, top_hem))
    parts += [_under(part, covered, 0.03) for part in legwear]
    footwear, shaft = tailor.shoes(body, outfit.shoes, add(_cloth(outfit.shoes)))
    skin_tone = Material(person.skin, grain=0.06, gloss=0.03)
    parts += footwear + _legs(person, body, hem, shaft, skin_tone, table)
    brows = tuple(0.7 * value + 0.3 * 0.5 * tone for value, tone in zip(person.hair.colour, person.skin, strict=True))
    face = replace(skin_tone, second=brows, pattern="face", cover=person.hair.beard)
    shown = open_at if outfit.outer is None else np.minimum(open_at, outer_open)
    parts.append(_skin(body, shown, add(face)))
    hatted = outfit.hat.kind if outfit.hat is not None else None
    lock = person.hair.colour
    streaks = tuple(min(value * 1.9 + 0.01, 1.0) for value in lock)
    strands = Material(lock, streaks, "strands", scale=0.006, grain=0.2, crease=0.12, gloss=0.08)
    parts += heads.hair(body, person.hair.style, random, add(strands), hatted, thick)
    if outfit.hat is not None:
        dyed = outfit.hat
        if dyed.kind == "hood":
            over = outfit.outer if outfit.outer is not None else outfit.top
            dyed = Garment("hood", over.colour)
        parts += heads.hat(body, dyed, add(_cloth(dyed, pattern="plain")))
    if outfit.scarf is None and hatted != "hood":
        outermost = outfit.outer or outfit.top
        if outermost.kind in ("hoodie", "parka", "raincoat") or (outermost.kind in ("jacket", "puffer") and random.rand() < 0.45):
            parts += luggage.hood_down(body, random, add(_cloth(outermost, pattern="plain")), thick)
    if outfit.scarf is not None:
        parts += luggage.scarf(body, random, add(_cloth(outfit.scarf, grain=0.25, crease=0.3)), thick)
    if outfit.bag is not None:
        parts += luggage.bag(body, outfit.bag, add(_cloth(outfit.bag, pattern="plain")), thick, body.heads["finger3-2.R"])
    return [part for part in parts if len(part.faces)], table


def _front(garment: Garment) -> dict[str, object]:
    """Zip or buttons, a shade darker than the cloth or bright."""
    darker = tuple(0.45 * value for value in garment.colour)
    if garment.kind in ("jacket", "puffer", "parka", "raincoat", "bodywarmer") and garment.pattern != "open_front":
        return {"trim": "zip", "trim_colour": darker if garment.length < 0.7 else (0.4, 0.4, 0.4)}
    if garment.kind in ("shirt", "cardigan", "coat", "denim_jacket", "polo") and garment.pattern != "open_front":
        return {"trim": "buttons", "trim_colour": darker}
    if garment.kind == "vest_signal":
        return {"trim": "reflectors", "trim_colour": garment.second, "trim_at": 1.22, "light": 0.15}
    return {}


def _reaching(body: Mannequin, openings: np.ndarray, hem: float) -> np.ndarray:
    """How far each vertex of the body model lies outside a garment, m: beyond its openings, or on the trunk below its hem."""
    return np.where(body.arm < 0.3, np.maximum(openings, hem - body.points[:, 2]), openings)


def _under(part: Part, beyond: np.ndarray, more: float) -> Part:
    """A part worn under something: kept only where it shows, and `more` m further."""
    if part.rows is None or not np.isfinite(beyond).any():
        return part
    cut = np.minimum(part.cut, beyond[part.rows] + more).astype(np.float32)
    return replace(part, faces=part.faces[(cut[part.faces] > 0).any(1)], cut=cut)


def _legs(person: Person, body: Mannequin, hem: float, shaft: float, skin_tone: Material, table: list[Material]) -> list[Part]:
    """What shows between the hem and the shoes: skin, nylons or socks."""
    if hem < shaft:
        return []
    random = stream("legs", person.seed)
    warm = person.outfit.outer is not None
    if person.outfit.bottom.kind in ("skirt", "long_skirt") and random.rand() < (0.8 if warm else 0.25):
        table.append(Material((0.02, 0.02, 0.022) if random.rand() < 0.8 else tuple(0.5 * v for v in person.skin), grain=0.05))
        return tailor.bare_legs(body, hem, shaft, len(table) - 1, 0.002)
    table.append(skin_tone)
    parts = tailor.bare_legs(body, hem, shaft, len(table) - 1)
    tall = shaft + random.uniform(0.0, 0.12) * body.size
    if random.rand() < 0.8:
        sock = (0.75, 0.75, 0.73) if random.rand() < 0.5 else (0.03, 0.03, 0.035)
        table.append(Material(sock, grain=0.15))
        parts += tailor.bare_legs(body, min(tall, hem), shaft, len(table) - 1, 0.004)
    return parts


def _skin(body: Mannequin, beyond: np.ndarray, material: int) -> Part:
    """Head, neck and hands, and what else no cloth covers."""
    where = body.model.parts["body"]
    edge = beyond[where] + _SKIN_UNDER_M
    part = body.part("body", body.points[where], edge, material)
    local = (part.points - body.eyes) / np.float32(body.head_size)
    return replace(part, coords=local.astype(np.float32))


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
