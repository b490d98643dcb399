"""What people wear: an outfit is a small record, drawn from a wardrobe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import RandomState

from passerby.street.wardrobes import WARDROBES, Wardrobe, Weights

__all__ = ["COLOURS", "WARDROBES", "Garment", "Outfit", "Wardrobe", "dyed", "make_outfit", "pick"]

Colour = tuple[float, float, float]

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
