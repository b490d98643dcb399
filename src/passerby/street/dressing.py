"""Dressing a naked shape: which garment over which, what each hides, and the materials of all surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import RandomState

from passerby.street import hair, luggage, tailor
from passerby.street.bodies import Person
from passerby.street.clothes import Garment, Outfit
from passerby.street.mannequin import Mannequin, Part
from passerby.street.meshes import Material
from passerby.street.seeds import stream

__all__ = ["dress"]

Colour = tuple[float, float, float]

_CLOTH = {  # grain, crease, gloss
    "jumper": (0.24, 0.16, 0.0),
    "hoodie": (0.16, 0.26, 0.0),
    "shirt": (0.08, 0.30, 0.01),
    "blouse": (0.08, 0.26, 0.02),
    "jeans": (0.20, 0.32, 0.0),
    "jean_shorts": (0.20, 0.22, 0.0),
    "suit_trousers": (0.08, 0.18, 0.01),
    "leggings": (0.06, 0.05, 0.03),
    "blazer": (0.10, 0.20, 0.01),
    "coat": (0.18, 0.22, 0.0),
    "puffer": (0.10, 0.50, 0.07),
    "raincoat": (0.06, 0.30, 0.12),
    "jacket": (0.12, 0.36, 0.05),
    "shoes": (0.10, 0.05, 0.20),
    "ankle_boots": (0.10, 0.06, 0.18),
    "boots": (0.14, 0.08, 0.12),
    "sneakers": (0.14, 0.05, 0.04),
    "helmet": (0.03, 0.0, 0.35),
    "cap": (0.12, 0.05, 0.0),
    "beanie": (0.28, 0.10, 0.0),
    "scarf": (0.25, 0.30, 0.0),
    "backpack": (0.14, 0.18, 0.05),
    "shoulder": (0.12, 0.10, 0.12),
    "handbag": (0.10, 0.08, 0.18),
    "shopper": (0.08, 0.20, 0.05),
}
_SKIN_UNDER_M = 0.025  # how far skin and inner clothes go on under an edge


@dataclass
class _Rail:
    """What has been put on so far."""

    body: Mannequin
    random: RandomState
    parts: list[Part] = field(default_factory=list)
    table: list[Material] = field(default_factory=list)

    def surface(self, material: Material) -> int:
        """A new row of the table of materials."""
        self.table.append(material)
        return len(self.table) - 1


@dataclass(frozen=True, eq=False)
class _Cover:
    """What the clothes on the trunk leave open.

    Args:
        skin: (V,) how far a vertex of the body model lies beyond the openings of all tops, m; negative is covered.
        legs: the same for what is worn on the legs: beyond the openings or below the hem of what hangs over them.
        hem: height of the lowest hem, m.
        thick: how far the clothes stand off the trunk, m.
    """

    skin: np.ndarray
    legs: np.ndarray
    hem: float
    thick: float


def dress(person: Person, body: Mannequin) -> tuple[list[Part], tuple[Material, ...]]:
    """All parts of a figure, and the table of their materials."""
    rail = _Rail(body, stream("folds", person.seed))
    cover = _trunk(rail, person.outfit)
    skin = Material(person.skin, grain=0.06, gloss=0.03)
    _lower_half(rail, person, cover, skin)
    _head(rail, person, cover, skin)
    outfit = person.outfit
    if outfit.scarf is not None:
        rail.parts += luggage.scarf(body, rail.random, rail.surface(_cloth(outfit.scarf)), cover.thick)
    if outfit.bag is not None:
        material = rail.surface(replace(_cloth(outfit.bag), pattern="plain"))
        rail.parts += luggage.bag(body, outfit.bag, material, cover.thick, body.heads[luggage.HELD])
    return [part for part in rail.parts if len(part.faces)], tuple(rail.table)


def _cloth(garment: Garment) -> Material:
    grain, crease, gloss = _CLOTH.get(garment.kind, (0.13, 0.24, 0.0))
    return Material(
        colour=garment.colour,
        second=garment.second,
        pattern=garment.pattern,
        scale=garment.scale,
        offset=garment.offset,
        cover=garment.cover,
        grain=grain,
        crease=crease,
        gloss=gloss,
    )


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _trimmed(garment: Garment, bag: Garment | None) -> Material:
    """The material of a top with its zip or buttons, or with the straps of a bag, which hide them."""
    material, darker = _cloth(garment), _scaled(garment.colour, 0.45)
    if bag is not None and bag.kind == "backpack":
        return replace(material, trim="straps", trim_at=0.1, trim_colour=bag.colour)
    if bag is not None and bag.kind == "shoulder":
        return replace(material, trim="sash", trim_at=1.23, trim_colour=bag.colour)
    if garment.kind == "vest_signal":
        return replace(material, trim="reflectors", trim_at=1.22, trim_colour=garment.second, light=0.15)
    if garment.pattern == "open_front":
        return material
    if garment.kind in ("jacket", "puffer", "parka", "raincoat", "bodywarmer"):
        return replace(material, trim="zip", trim_colour=darker if garment.length < 0.7 else (0.4, 0.4, 0.4))
    if garment.kind in ("shirt", "cardigan", "coat", "denim_jacket", "polo"):
        return replace(material, trim="buttons", trim_colour=darker)
    return material


def _trunk(rail: _Rail, outfit: Outfit) -> _Cover:
    """Put on the top and the outer garment."""
    body, outer = rail.body, outfit.outer
    tucked = outfit.top.kind in ("shirt", "blouse") and outfit.top.length > 0.45 and outer is None
    material = rail.surface(_trimmed(outfit.top, outfit.bag if outer is None else None))
    room = 0.004 if tucked or outfit.bottom.kind in ("leggings", "bare") else 0.010  # the seat of trousers is thick
    tops, skin, hem = tailor.top(body, outfit.top, rail.random, material, room, tucked)
    thick = tailor.CUTS[outfit.top.kind].ease
    legs = np.full(len(body.points), np.inf) if tucked else _outside(body, skin, hem)
    if outer is not None:
        material = rail.surface(_trimmed(outer, outfit.bag))
        outers, openings, outer_hem = tailor.top(body, outer, rail.random, material, 0.45 * thick)
        # Where the two hems are close, the inner one would come through in shreds: then it ends inside.
        longer = outer_hem - hem > 0.05
        tops = [
            _under(part, _outside(body, openings, outer_hem) if longer else openings, _SKIN_UNDER_M) for part in tops
        ] + outers
        skin, legs = np.minimum(skin, openings), np.minimum(legs, _outside(body, openings, outer_hem))
        thick = tailor.CUTS[outer.kind].ease + 0.45 * thick
        hem = min(hem, outer_hem)
    rail.parts += tops
    return _Cover(skin, legs, hem, thick)


def _outside(body: Mannequin, openings: np.ndarray, hem: float) -> np.ndarray:
    """How far each vertex of the body model lies outside a garment, m: beyond its openings, or on the trunk below its hem."""
    return np.where(body.arm < 0.3, np.maximum(openings, hem - body.points[:, 2]), openings)


def _under(part: Part, outside: np.ndarray, more: float) -> Part:
    """A part worn under something: kept where that leaves it open, and `more` m further."""
    if part.rows is None:
        return part
    return part.limited(np.minimum(part.cut, outside[part.rows] + more))


def _lower_half(rail: _Rail, person: Person, cover: _Cover, skin: Material) -> None:
    """Put on trousers or a skirt, shoes, and what shows between them."""
    body, outfit = rail.body, person.outfit
    material = rail.surface(_cloth(outfit.bottom))
    if outfit.bottom.kind in ("skirt", "long_skirt"):
        legwear, hem = tailor.skirt(body, outfit.bottom, rail.random, material, bool(np.isfinite(cover.legs).any()))
    else:
        legwear, hem = tailor.trousers(body, outfit.bottom, rail.random, material)
        hem = hem if legwear else min(cover.hem, body.crotch)
    # What hangs over the thighs hides them: a striding leg must not come through a coat or a dress.
    rail.parts += [_under(part, cover.legs, 0.03) for part in legwear]
    footwear, shaft = tailor.shoes(body, outfit.shoes, rail.surface(_cloth(outfit.shoes)))
    rail.parts += footwear
    if hem < shaft:
        return
    random = stream("legs", person.seed)
    skirted = outfit.bottom.kind in ("skirt", "long_skirt")
    if skirted and random.rand() < (0.25 if outfit.outer is None else 0.8):
        nylons = Material((0.02, 0.02, 0.022) if random.rand() < 0.8 else _scaled(person.skin, 0.5), grain=0.05)
        rail.parts += tailor.bare_legs(body, hem, shaft, rail.surface(nylons), 0.002)
        return
    rail.parts += tailor.bare_legs(body, hem, shaft, rail.surface(skin))
    tall = shaft + random.uniform(0.0, 0.12) * body.size
    if random.rand() < 0.8:
        sock = Material((0.75, 0.75, 0.73) if random.rand() < 0.5 else (0.03, 0.03, 0.035))
        rail.parts += tailor.bare_legs(body, min(tall, hem), shaft, rail.surface(sock), 0.004)


def _head(rail: _Rail, person: Person, cover: _Cover, skin: Material) -> None:
    """Head, hands and what else no cloth covers; hair, hat, hood."""
    body, outfit, random = rail.body, person.outfit, rail.random
    where = body.model.parts["body"]
    red, green, blue = (0.7 * hair_ + 0.15 * tone for hair_, tone in zip(person.hair.colour, person.skin, strict=True))
    face = replace(skin, second=(red, green, blue), pattern="face", cover=person.hair.beard)
    part = body.part("body", body.points[where], cover.skin[where] + _SKIN_UNDER_M, rail.surface(face))
    local = (part.points - body.eyes) / np.float32(body.head_size)
    rail.parts.append(replace(part, coords=local.astype(np.float32)))
    streaks = (min(1.9 * value + 0.01, 1.0) for value in person.hair.colour)
    red, green, blue = streaks
    strands = Material(person.hair.colour, (red, green, blue), "strands", scale=0.006, grain=0.2, crease=0.12, gloss=0.08)
    hatted = None if outfit.hat is None else outfit.hat.kind
    rail.parts += hair.hair(body, person.hair.style, random, rail.surface(strands), hatted, cover.thick)
    outermost = outfit.top if outfit.outer is None else outfit.outer
    if outfit.hat is not None:
        worn = Garment("hood", outermost.colour) if hatted == "hood" else outfit.hat
        rail.parts += hair.hat(body, worn, rail.surface(replace(_cloth(worn), pattern="plain")))
    hooded = outermost.kind in ("hoodie", "parka", "raincoat") or (
        outermost.kind in ("jacket", "puffer") and random.rand() < 0.45
    )
    if hooded and hatted != "hood" and outfit.scarf is None:
        material = rail.surface(replace(_cloth(outermost), pattern="plain"))
        rail.parts += luggage.hood_down(body, random, material, cover.thick)
