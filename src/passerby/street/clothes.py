"""What people wear: an outfit is a small record; a wardrobe says how often each garment and colour is worn.

Weights are rough counts of what passers-by wear in European and Asian city centres: most clothes are black, grey, navy, denim,
white or beige, saturated colours are rare, so that many people look alike and colour alone does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import RandomState

__all__ = ["COLOURS", "WARDROBES", "Garment", "Outfit", "Wardrobe", "make_outfit"]

Colour = tuple[float, float, float]
Weights = tuple[tuple[str, float], ...]

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "black": (30, 30, 33),
    "charcoal": (58, 59, 63),
    "grey": (118, 118, 121),
    "pale_grey": (176, 176, 178),
    "white": (228, 227, 224),
    "navy": (34, 38, 54),
    "blue": (60, 82, 120),
    "sky": (142, 172, 204),
    "dark_denim": (42, 48, 64),
    "denim": (72, 86, 110),
    "pale_denim": (126, 141, 158),
    "beige": (198, 184, 158),
    "camel": (164, 130, 92),
    "khaki": (136, 126, 98),
    "olive": (80, 82, 58),
    "brown": (84, 62, 48),
    "burgundy": (92, 36, 46),
    "red": (164, 42, 44),
    "rust": (158, 84, 50),
    "orange": (214, 118, 48),
    "yellow": (212, 176, 76),
    "green": (50, 92, 68),
    "teal": (44, 104, 110),
    "mint": (158, 196, 178),
    "pink": (212, 158, 168),
    "magenta": (162, 52, 102),
    "purple": (86, 62, 108),
    "signal": (206, 226, 58),
}
"""Display colours (sRGB, 0-255) in the middle of each family; a garment's own colour lies around it."""


@dataclass(frozen=True)
class Garment:
    """One piece of clothing.

    Args:
        kind: its cut, e.g. "tshirt", "hoodie", "coat", "jeans", "skirt", "sneakers", "cap", "backpack".
        colour, second: linear RGB.
        pattern: a name out of `meshes.PATTERNS`.
        scale, offset, cover: as in `meshes.Material`.
        length: how far it reaches, 0 short to 1 long for its kind.
        width: how wide it is cut, 0 tight to 1 wide.
    """

    kind: str
    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    scale: float = 0.05
    offset: float = 0.0
    cover: float = 0.5
    length: float = 0.5
    width: float = 0.5


@dataclass(frozen=True)
class Outfit:
    """All that a person wears and carries; None is absent."""

    top: Garment
    bottom: Garment
    shoes: Garment
    outer: Garment | None = None
    hat: Garment | None = None
    bag: Garment | None = None
    scarf: Garment | None = None


@dataclass(frozen=True)
class Wardrobe:
    """How people of a place dress: pairs of (name, weight), weights of any sum.

    Args:
        top, bottom, shoes: weights of cuts; a cut marked in `_ONLY` is kept to women or men.
        outer, hat, bag, scarf: the same, "none" where they are absent.
        palette: weights of colour families (`COLOURS`), for tops, outer garments, hats and bags.
        bottom_palette: the same for trousers and skirts (jeans have their own).
        patterned: share of tops that have a pattern.
        women, children: shares of the population.
    """

    top: Weights
    bottom: Weights
    shoes: Weights
    outer: Weights
    hat: Weights
    bag: Weights
    scarf: Weights
    palette: Weights
    bottom_palette: Weights
    patterned: float = 0.3
    women: float = 0.5
    children: float = 0.03


_ONLY = {
    "women": ("blouse", "dress", "skirt", "long_skirt", "leggings", "handbag", "ankle_boots"),
    "men": ("polo", "suit_trousers"),
}
_DENIM: Weights = (("dark_denim", 4), ("denim", 4), ("pale_denim", 1.5), ("black", 2.5), ("charcoal", 0.8))
_SHOES: Weights = (
    ("black", 5),
    ("brown", 1.5),
    ("white", 3),
    ("grey", 1.2),
    ("charcoal", 1),
    ("navy", 0.7),
    ("camel", 0.5),
    ("red", 0.2),
)
_PRINTS = ("rings", "pinstripes", "plaid", "print", "print", "two_tone", "dots", "sleeves", "blotches")


def pick(random: RandomState, weights: Sequence[tuple[str, float]]) -> str:
    """One name, as often as its weight says."""
    bounds = np.cumsum([weight for _, weight in weights])
    return weights[min(int(np.searchsorted(bounds, random.rand() * bounds[-1], side="right")), len(weights) - 1)][0]


def dyed(random: RandomState, family: str) -> Colour:
    """A colour of a family, linear RGB: a little lighter or darker, more or less washed out, a little off in hue."""
    base = np.array(COLOURS[family], np.float64) / 255
    tone = np.exp(random.normal(0, 0.13))
    base = base + (base.mean() - base) * random.uniform(0.05, 0.45)
    own = np.clip(base * tone * np.exp(random.normal(0, 0.035, 3)), 0.012, 0.93)
    red, green, blue = (own**2.2).tolist()
    return round(red, 4), round(green, 4), round(blue, 4)


def make_outfit(random: RandomState, wardrobe: Wardrobe, woman: bool) -> Outfit:
    """An outfit out of a wardrobe."""
    forbidden = _ONLY["men" if woman else "women"]

    def cut(weights: Weights) -> str:
        return pick(random, [(name, weight) for name, weight in weights if name not in forbidden])

    top = _top(random, cut(wardrobe.top), wardrobe)
    bottom = _bottom(random, cut(wardrobe.bottom), wardrobe, top)
    outer = _plain(random, cut(wardrobe.outer), wardrobe.palette)
    if outer is not None and outer.kind == "vest_signal":
        outer = replace(
            outer, colour=dyed(random, pick(random, (("signal", 3), ("orange", 1)))), second=dyed(random, "pale_grey")
        )
    elif outer is not None and outer.kind == "denim_jacket":
        outer = replace(
            outer, colour=dyed(random, pick(random, _DENIM)), pattern="denim", second=dyed(random, "pale_denim"), cover=0.35
        )
    elif outer is not None and outer.kind == "blazer" and random.rand() < 0.6:
        # Buttoned: the shirt shows in a V above the button.
        outer = replace(outer, pattern="open_front", second=top.colour, scale=0.003, offset=round(random.uniform(1.14, 1.26), 3))
    elif outer is not None and random.rand() < 0.35 and outer.kind != "puffer":
        # Worn open: the top shows through a strip on the front.
        outer = replace(outer, pattern="open_front", second=top.colour, scale=round(random.uniform(0.02, 0.07), 3), offset=1.05)
    elif outer is not None and random.rand() < 0.15:
        outer = replace(outer, pattern="two_tone", second=dyed(random, pick(random, wardrobe.palette)), offset=1.28, cover=0.2)
    shoes = _plain(random, cut(wardrobe.shoes), _SHOES)
    assert shoes is not None
    sole = dyed(random, pick(random, (("white", 3), ("black", 3), ("camel", 0.7))))
    shoes = replace(shoes, second=sole, pattern="two_tone", offset=round(random.uniform(0.022, 0.035), 3), cover=0.9)
    bag = _plain(random, cut(wardrobe.bag), (*wardrobe.palette, ("black", sum(weight for _, weight in wardrobe.palette) * 0.5)))
    return Outfit(
        top=top,
        bottom=bottom,
        shoes=shoes,
        outer=outer,
        hat=_plain(random, cut(wardrobe.hat), wardrobe.palette),
        bag=bag,
        scarf=_plain(random, cut(wardrobe.scarf), wardrobe.palette),
    )


def _plain(random: RandomState, kind: str, palette: Weights) -> Garment | None:
    length, width = (round(value, 3) for value in random.rand(2))
    family, other = pick(random, palette), pick(random, palette)
    colour, second = dyed(random, family), dyed(random, other)
    if kind == "none":
        return None
    return Garment(kind, colour, second, length=length, width=width)


def _top(random: RandomState, kind: str, wardrobe: Wardrobe) -> Garment:
    garment = _plain(random, kind, wardrobe.palette)
    assert garment is not None
    scale, offset, cover = random.rand(3)
    pattern = _PRINTS[random.randint(len(_PRINTS))] if random.rand() < wardrobe.patterned else "plain"
    if pattern == "plain" and kind == "jumper" and random.rand() < 0.25:
        pattern = "zigzag"
    if pattern in ("print", "two_tone", "sleeves") and kind in ("shirt", "blouse", "dress"):
        pattern = "dots" if kind != "shirt" else "pinstripes"
    sizes = {
        "rings": (0.025 + 0.09 * scale, offset, 0.3 + 0.35 * cover),
        "pinstripes": (0.015 + 0.03 * scale, 0.0, 0.15 + 0.35 * cover),
        "plaid": (0.04 + 0.06 * scale, offset, 0.3 + 0.3 * cover),
        "blotches": (0.03 + 0.06 * scale, 9 * offset, 0.45 + 0.15 * cover),
        "print": (0.07 + 0.05 * scale, 1.18 + 0.1 * offset, cover),
        "two_tone": (0.1, 1.1 + 0.2 * offset, 0.2 if cover < 0.5 else 0.9),
        "dots": (0.03 + 0.04 * scale, 0.0, 0.3 + 0.3 * cover),
        "zigzag": (0.06 + 0.06 * scale, offset, 0.3 + 0.2 * cover),
        "sleeves": (0.1, 0.17, 0.5),
    }
    if pattern == "plain":
        return garment
    size, place, share = (round(value, 3) for value in sizes[pattern])
    return replace(garment, pattern=pattern, scale=size, offset=place, cover=share)


def _bottom(random: RandomState, kind: str, wardrobe: Wardrobe, top: Garment) -> Garment:
    garment = _plain(random, kind, _DENIM if kind in ("jeans", "jean_shorts") else wardrobe.bottom_palette)
    assert garment is not None
    if kind in ("jeans", "jean_shorts"):
        red, green, blue = garment.colour
        faded = (
            round(min(red * 1.7 + 0.02, 0.8), 4),
            round(min(green * 1.7 + 0.02, 0.8), 4),
            round(min(blue * 1.6 + 0.02, 0.8), 4),
        )
        return replace(
            garment, pattern="denim", second=faded, cover=round(random.uniform(0.1, 0.7), 3), offset=round(9 * random.rand(), 3)
        )
    if top.kind == "dress":
        return replace(garment, kind="leggings" if random.rand() < 0.4 else "bare", colour=dyed(random, "black"))
    if kind in ("skirt", "long_skirt") and random.rand() < 0.3:
        return replace(garment, pattern=("plaid", "dots", "blotches")[random.randint(3)], scale=0.05, cover=0.45)
    if kind == "joggers" and random.rand() < 0.3:
        return replace(garment, pattern="sleeves", offset=0.21)  # a stripe down the outer side of the legs
    return garment


_CITY: Weights = (
    ("black", 26),
    ("charcoal", 9),
    ("grey", 11),
    ("pale_grey", 6),
    ("white", 11),
    ("navy", 12),
    ("blue", 4),
    ("sky", 3),
    ("beige", 6),
    ("camel", 3),
    ("khaki", 2.5),
    ("olive", 3),
    ("brown", 3),
    ("burgundy", 2),
    ("red", 2.5),
    ("rust", 1),
    ("yellow", 0.8),
    ("green", 1.5),
    ("teal", 1),
    ("pink", 2),
    ("magenta", 0.5),
    ("purple", 1),
)
_LEGS: Weights = (
    ("black", 34),
    ("charcoal", 12),
    ("grey", 8),
    ("navy", 14),
    ("beige", 7),
    ("khaki", 6),
    ("camel", 2),
    ("olive", 4),
    ("brown", 4),
    ("white", 3),
    ("burgundy", 1),
    ("pale_grey", 2),
)


def _shifted(weights: Weights, factors: Mapping[str, float]) -> Weights:
    """The weights with some multiplied, and names that were absent added."""
    known = dict(weights)
    return tuple({name: known.get(name, 1.0) * factors.get(name, 1.0) for name in {**known, **factors}}.items())


_SPRING = Wardrobe(
    top=(
        ("tshirt", 18),
        ("polo", 4),
        ("shirt", 12),
        ("blouse", 12),
        ("longsleeve", 16),
        ("jumper", 18),
        ("hoodie", 16),
        ("dress", 6),
    ),
    bottom=(
        ("jeans", 48),
        ("trousers", 20),
        ("suit_trousers", 10),
        ("leggings", 14),
        ("joggers", 8),
        ("skirt", 7),
        ("long_skirt", 3),
    ),
    shoes=(("sneakers", 55), ("shoes", 28), ("ankle_boots", 12)),
    outer=(("none", 38), ("jacket", 26), ("blazer", 10), ("denim_jacket", 7), ("cardigan", 7), ("coat", 6), ("bodywarmer", 4)),
    hat=(("none", 88), ("cap", 8), ("beanie", 2), ("hood", 2)),
    bag=(("none", 46), ("backpack", 22), ("shoulder", 17), ("handbag", 9), ("shopper", 6)),
    scarf=(("none", 94), ("scarf", 6)),
    palette=_CITY,
    bottom_palette=_LEGS,
)
_SUMMER = replace(
    _SPRING,
    top=(("tshirt", 42), ("tank", 8), ("polo", 8), ("shirt", 10), ("blouse", 12), ("longsleeve", 5), ("dress", 14)),
    bottom=(
        ("jeans", 30),
        ("jean_shorts", 12),
        ("shorts", 26),
        ("trousers", 14),
        ("leggings", 8),
        ("skirt", 14),
        ("long_skirt", 6),
    ),
    shoes=(("sneakers", 70), ("shoes", 30)),
    outer=(("none", 94), ("cardigan", 3), ("blazer", 3)),
    hat=(("none", 76), ("cap", 17), ("sunhat", 7)),
    scarf=(("none", 1),),
    palette=_shifted(
        _CITY, {"white": 1.9, "pale_grey": 1.4, "black": 0.8, "sky": 2, "pink": 1.6, "beige": 1.4, "red": 1.5, "mint": 1}
    ),
    bottom_palette=_shifted(_LEGS, {"beige": 1.9, "khaki": 1.8, "white": 1.8, "black": 0.7}),
    patterned=0.4,
)
_WINTER = replace(
    _SPRING,
    top=(("jumper", 50), ("hoodie", 25), ("longsleeve", 25)),
    bottom=(("jeans", 48), ("trousers", 24), ("suit_trousers", 8), ("leggings", 14), ("joggers", 5), ("long_skirt", 3)),
    shoes=(("sneakers", 30), ("shoes", 25), ("boots", 30), ("ankle_boots", 18)),
    outer=(("coat", 32), ("parka", 24), ("puffer", 26), ("jacket", 16), ("bodywarmer", 2)),
    hat=(("none", 52), ("beanie", 30), ("hood", 14), ("cap", 4)),
    scarf=(("none", 62), ("scarf", 38)),
    palette=_shifted(
        _CITY, {"black": 1.5, "charcoal": 1.4, "navy": 1.3, "white": 0.4, "pale_grey": 0.5, "sky": 0.4, "burgundy": 1.4}
    ),
    patterned=0.2,
)
_OFFICE = replace(
    _SPRING,
    top=(("shirt", 52), ("blouse", 34), ("jumper", 14), ("dress", 9), ("tshirt", 5)),
    bottom=(("suit_trousers", 46), ("trousers", 34), ("jeans", 12), ("skirt", 16)),
    shoes=(("shoes", 78), ("sneakers", 14), ("ankle_boots", 14)),
    outer=(("none", 34), ("blazer", 44), ("coat", 16), ("cardigan", 6)),
    hat=(("none", 1),),
    bag=(("none", 42), ("shoulder", 26), ("handbag", 14), ("backpack", 16)),
    palette=_shifted(_CITY, {"navy": 1.7, "charcoal": 1.8, "white": 1.5, "sky": 2, "red": 0.3, "yellow": 0.2}),
    bottom_palette=_shifted(_LEGS, {"charcoal": 1.8, "navy": 1.5, "khaki": 0.5}),
    patterned=0.3,
)
_CAMPUS = replace(
    _SPRING,
    top=(("tshirt", 30), ("hoodie", 30), ("longsleeve", 14), ("jumper", 12), ("shirt", 8), ("blouse", 6), ("dress", 4)),
    bottom=(("jeans", 52), ("joggers", 14), ("trousers", 12), ("leggings", 16), ("shorts", 10), ("skirt", 7)),
    shoes=(("sneakers", 86), ("ankle_boots", 8), ("shoes", 6)),
    outer=(("none", 56), ("jacket", 22), ("denim_jacket", 11), ("bodywarmer", 4), ("parka", 6)),
    hat=(("none", 84), ("cap", 11), ("beanie", 5)),
    bag=(("none", 28), ("backpack", 56), ("shoulder", 16)),
    patterned=0.36,
    children=0.0,
)
_WORK = replace(
    _SPRING,
    top=(("tshirt", 30), ("longsleeve", 26), ("hoodie", 24), ("polo", 14), ("shirt", 10)),
    bottom=(("work_trousers", 56), ("jeans", 30), ("trousers", 12)),
    shoes=(("boots", 56), ("sneakers", 34), ("shoes", 8)),
    outer=(("none", 34), ("vest_signal", 26), ("jacket", 26), ("raincoat", 14), ("bodywarmer", 8)),
    hat=(("none", 52), ("helmet", 20), ("cap", 18), ("beanie", 12)),
    bag=(("none", 74), ("backpack", 16), ("shoulder", 10)),
    palette=_shifted(_CITY, {"navy": 2.2, "blue": 2.2, "grey": 1.4, "orange": 2, "pink": 0.3, "white": 0.5}),
    bottom_palette=_shifted(_LEGS, {"navy": 2.0, "charcoal": 1.6, "khaki": 1.5}),
    patterned=0.2,
    women=0.3,
    children=0.0,
)

WARDROBES: Mapping[str, Wardrobe] = {
    "spring": _SPRING,
    "summer": _SUMMER,
    "winter": _WINTER,
    "office": _OFFICE,
    "campus": _CAMPUS,
    "work": _WORK,
}
"""Wardrobes by name."""
