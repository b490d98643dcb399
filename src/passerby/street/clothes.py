"""What people wear: an outfit is a small record; a wardrobe says how often each garment and colour is worn."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WARDROBES", "Garment", "Outfit", "Wardrobe"]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Garment:
    """One piece of clothing.

    Args:
        kind: e.g. "tshirt", "shirt", "jumper", "hoodie", "jacket", "coat", "trousers", "jeans", "leggings", "shorts", "skirt".
        colour, second: linear RGB.
        pattern: a name out of `meshes.PATTERNS`; scale and offset as in `meshes.Material`.
        length: how far it reaches, 0 short to 1 long.
        width: how wide it is cut, 0 tight to 1 wide.
    """

    kind: str
    colour: Colour
    second: Colour
    pattern: str = "plain"
    scale: float = 0.05
    offset: float = 0.0
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


@dataclass(frozen=True)
class Wardrobe:
    """How people of a place dress; pairs of (name, weight), weights of any sum.

    Args:
        outer: weights of outer garments, "none" included.
        top, bottom, hat, bag: weights of these, "none" where they may be absent.
        palette: weights of colour families (`COLOURS`), for tops and outer garments.
        bottom_palette: the same for trousers and skirts.
        patterned: share of tops that have a pattern.
        women, children: shares of the population.
    """

    outer: tuple[tuple[str, float], ...]
    top: tuple[tuple[str, float], ...]
    bottom: tuple[tuple[str, float], ...]
    hat: tuple[tuple[str, float], ...]
    bag: tuple[tuple[str, float], ...]
    palette: tuple[tuple[str, float], ...]
    bottom_palette: tuple[tuple[str, float], ...]
    patterned: float = 0.3
    women: float = 0.5
    children: float = 0.04


WARDROBES: dict[str, Wardrobe] = {}
"""Wardrobes by name: "spring", "summer", "winter", "office", "campus", "work"."""
