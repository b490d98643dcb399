"""Wardrobes: how often each garment and each colour is worn at a place.

Weights are rough counts of what passers-by wear in European and Asian city centres: most clothes are black, grey, navy, denim,
white or beige, saturated colours are rare, so that many people look alike and colour alone does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["WARDROBES", "Wardrobe", "Weights"]

Weights = tuple[tuple[str, float], ...]


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
    ("white", 1.5),
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
