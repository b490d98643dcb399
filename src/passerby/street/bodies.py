"""People: a person is a small record that can be saved, listed and rendered again; a figure is that person's body and clothes.

    person = make_person(7, WARDROBES["spring"])
    figure = Figure(person)                     # about 50 ms: shape, clothes, hair
    mesh = figure.posed(Pose(x=2, y=5, speed=1.4, phase=0.3))     # about 3 ms: in the world, ready to draw
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from passerby.street.clothes import Outfit, Wardrobe
from passerby.street.meshes import Mesh
from passerby.street.motion import Pose

__all__ = ["Figure", "Gait", "Hair", "Person", "Shape", "make_person"]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """The body model's sliders, each 0 to 1: gender 0 woman to 1 man; age 0.5 is 25 years, 1 is 90."""

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    african: float
    asian: float
    caucasian: float


@dataclass(frozen=True)
class Hair:
    """Hair style ("bald", "cropped", "short", "side", "bob", "long", "ponytail", "bun", "afro") and linear RGB colour."""

    style: str
    colour: Colour


@dataclass(frozen=True)
class Gait:
    """How one walks: factors around 1 for stride and arm swing; stoop, toe-out in rad; share of the bounce."""

    stride: float
    swing: float
    stoop: float
    toe_out: float


@dataclass(frozen=True)
class Person:
    """One identity, JSON-able with `to_json` and `from_json`.

    Args:
        seed: what `make_person` was given.
        shape, skin, hair, outfit, gait: see there; skin is linear RGB.
    """

    seed: int
    shape: Shape
    skin: Colour
    hair: Hair
    outfit: Outfit
    gait: Gait

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Person:
        """The person whose `to_json` gave `content`."""
        raise NotImplementedError


def make_person(seed: int, wardrobe: Wardrobe) -> Person:
    """A person, a pure function of the seed and the wardrobe."""
    raise NotImplementedError


class Figure:
    """A person's body, clothes and hair as geometry, built once, posed often.

    Attributes:
        person: the record.
        stature_m: height with shoes, m.
        stride_m: length of a whole walk cycle (two steps) at 1.3 m/s, m.
    """

    person: Person
    stature_m: float
    stride_m: float

    def __init__(self, person: Person) -> None:
        raise NotImplementedError

    def posed(self, pose: Pose) -> Mesh:
        """The figure in the world."""
        raise NotImplementedError
