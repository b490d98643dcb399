"""People: a person is a small record that can be saved, listed and rendered again; a figure is that person's body and clothes.

person = make_person(7, WARDROBES["spring"])
figure = Figure(person)                                        # shape, clothes, hair: once
mesh = figure.posed(Pose(x=2, y=5, speed=1.4, phase=0.3))      # in the world, ready to draw: often
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.random import RandomState

from passerby.errors import DataError
from passerby.street.clothes import Garment, Outfit, Wardrobe, make_outfit, pick
from passerby.street.motion import Gait
from passerby.street.seeds import stream

__all__ = ["Hair", "Person", "Shape", "make_person"]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """The body model's sliders: gender 0 man, 1 woman; age 1/3 child, 2/3 young, 1 old; see `body_model.PHENOTYPES`."""

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    cupsize: float
    african: float
    asian: float
    caucasian: float


@dataclass(frozen=True)
class Hair:
    """Style out of `hair.STYLES`, linear RGB colour, strength of a beard 0 to 1."""

    style: str
    colour: Colour
    beard: float = 0.0


@dataclass(frozen=True)
class Person:
    """One identity, JSON-able with `to_json` and `from_json`.

    Args:
        seed: what `make_person` was given.
        shape, hair, outfit, gait: see there.
        skin: linear RGB.
    """

    seed: int
    shape: Shape
    skin: Colour
    hair: Hair
    outfit: Outfit
    gait: Gait

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Person:
        """The person whose `to_json` gave `content`, also after a round through a file.

        Raises:
            DataError: a field is missing or unknown.
        """
        return _record(cls, content)


_RECORDS: Mapping[str, type[Any]] = {
    "shape": Shape,
    "hair": Hair,
    "gait": Gait,
    "outfit": Outfit,
    **dict.fromkeys(("top", "bottom", "shoes", "outer", "hat", "bag", "scarf"), Garment),
}


def _record(kind: type[Any], content: Any) -> Any:
    """A record of a kind from a dict, and the records inside it; lists become tuples."""
    known = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not isinstance(content, Mapping) or not needed <= set(content) <= known:
        found = sorted(content) if isinstance(content, Mapping) else type(content).__name__
        raise DataError(f"{kind.__name__} record: found {found}, expected the fields {sorted(known)}. Render the people again")
    values = {}
    for name, value in content.items():
        if name in _RECORDS and value is not None:
            value = _record(_RECORDS[name], value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


_SKIN = {  # display colours (0-255) from light to dark
    "caucasian": ((232, 196, 172), (206, 160, 130)),
    "asian": ((226, 188, 150), (176, 130, 94)),
    "african": ((140, 98, 72), (66, 44, 34)),
}
_HAIR_COLOURS = {  # display colours from black to blond or red, and how common they are
    "caucasian": (((26, 22, 20), 18), ((50, 36, 28), 34), ((86, 60, 40), 26), ((158, 124, 80), 15), ((118, 62, 36), 3)),
    "asian": (((20, 18, 18), 70), ((42, 30, 25), 25), ((84, 56, 38), 8)),
    "african": (((18, 16, 16), 85), ((38, 28, 24), 15)),
}
_MEN: tuple[tuple[str, float], ...] = (
    ("short", 44),
    ("cropped", 22),
    ("quiff", 14),
    ("bald", 9),
    ("curly", 7),
    ("bob", 2),
    ("bun", 1),
)
_WOMEN: tuple[tuple[str, float], ...] = (("long", 40), ("bob", 20), ("ponytail", 20), ("bun", 11), ("short", 6), ("curly", 6))


def make_person(seed: int, wardrobe: Wardrobe) -> Person:
    """A person: a pure function of the seed and the wardrobe, the same on every machine."""
    random = stream("person", seed)
    woman, child = random.rand() < wardrobe.women, random.rand() < wardrobe.children
    origin = ("caucasian", "asian", "african")[int(np.searchsorted([0.58, 0.85], random.rand()))]
    shape = _shape(random, woman, child, origin)
    light, dark = (np.array(colour) / 255 for colour in _SKIN[origin])
    share = random.rand()
    skin = _rounded((light * (1 - share) + dark * share) ** 2.2)
    return Person(
        seed=seed,
        shape=shape,
        skin=skin,
        hair=_hair(random, woman, child, shape.age, origin),
        outfit=make_outfit(random, wardrobe, woman),
        gait=Gait(
            stride=round(float(np.clip(random.normal(1, 0.06), 0.85, 1.15)), 3),
            swing=round(float(np.clip(random.normal(1, 0.3), 0.3, 1.7)), 3),
            stoop=round(float(np.clip(random.normal(0.04, 0.05) + 0.25 * max(shape.age - 0.85, 0), -0.04, 0.22)), 3),
            toe_out=round(float(np.clip(random.normal(0.12, 0.08), -0.05, 0.35)), 3),
            arms_out=round(float(np.clip(random.normal(0.1, 0.04) + 0.08 * max(shape.weight - 0.6, 0), 0.04, 0.25)), 3),
            elbow=round(float(np.clip(random.normal(0.28, 0.1), 0.1, 0.6)), 3),
        ),
    )


def _rounded(colour: np.ndarray) -> Colour:
    red, green, blue = (round(value, 4) for value in np.clip(colour, 0, 1).tolist())
    return red, green, blue


def _shape(random: RandomState, woman: bool, child: bool, origin: str) -> Shape:
    age = random.uniform(0.4, 0.47) if child else float(np.clip(0.6 + 0.38 * random.beta(1.1, 1.5), 0.6, 0.97))
    shares = random.dirichlet([8.0, 1.0, 1.0])
    order = {"african": (0, 1, 2), "asian": (1, 0, 2), "caucasian": (1, 2, 0)}[origin]

    def slider(middle: float, spread: float, low: float = 0.1, high: float = 0.9) -> float:
        return round(float(np.clip(random.normal(middle, spread), low, high)), 3)

    return Shape(
        gender=round(0.93 + 0.06 * random.rand() if woman else 0.01 + 0.08 * random.rand(), 3),
        age=round(age, 3),
        muscle=slider(0.5, 0.12),
        weight=slider(0.1 + 0.5 * max(age - 0.7, 0) / 0.3, 0.55, -0.85, 1.8),
        height=slider(0.405, 0.042, 0.25, 0.6),
        proportions=slider(0.35, 0.15),
        cupsize=slider(0.45, 0.15),
        african=round(float(shares[order[0]]), 3),
        asian=round(float(shares[order[1]]), 3),
        caucasian=round(float(shares[order[2]]), 3),
    )


def _hair(random: RandomState, woman: bool, child: bool, age: float, origin: str) -> Hair:
    style = pick(random, _WOMEN if woman else _MEN)
    if origin == "african" and random.rand() < 0.45:
        style = "afro" if random.rand() < 0.3 else ("bun" if woman else "cropped")
    shades = _HAIR_COLOURS[origin]
    chosen = int(pick(random, [(str(index), weight) for index, (_, weight) in enumerate(shades)]))
    colour = np.array(shades[chosen][0]) / 255 * np.exp(random.normal(0, 0.1))
    grey = random.rand()
    if age > 0.8 and grey < (age - 0.78) * 5:
        colour = colour * 0.25 + np.array([0.62, 0.61, 0.6]) * random.uniform(0.6, 1.0) * 0.75
    if child and style in ("bald", "quiff"):
        style = "short"
    bearded = random.rand() < 0.3 and not woman and not child
    return Hair(style, _rounded(colour**2.2), round(random.uniform(0.3, 0.95), 2) if bearded else 0.0)
