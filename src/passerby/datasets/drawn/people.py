"""Who a drawn person is: build, hair, clothes and bag. Nothing here depends on a camera or a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Colour", "Person", "make_person"]

Colour = tuple[float, float, float]

# Few tones, and the dull ones are common, as on a street: colour alone must not tell people apart.
CLOTH: dict[str, tuple[Colour, float]] = {
    "black": ((0.10, 0.10, 0.11), 5.0),
    "charcoal": ((0.25, 0.26, 0.28), 4.0),
    "grey": ((0.52, 0.53, 0.54), 3.0),
    "white": ((0.90, 0.89, 0.87), 4.0),
    "navy": ((0.12, 0.16, 0.31), 5.0),
    "denim": ((0.27, 0.38, 0.55), 4.0),
    "sky": ((0.52, 0.68, 0.82), 2.0),
    "beige": ((0.76, 0.68, 0.54), 3.0),
    "brown": ((0.38, 0.26, 0.17), 2.0),
    "olive": ((0.38, 0.39, 0.22), 2.0),
    "green": ((0.15, 0.43, 0.28), 1.5),
    "red": ((0.70, 0.14, 0.15), 2.0),
    "burgundy": ((0.40, 0.10, 0.16), 1.5),
    "mustard": ((0.82, 0.62, 0.16), 1.5),
    "pink": ((0.87, 0.58, 0.64), 1.5),
    "purple": ((0.36, 0.24, 0.47), 1.0),
}
SKIN: tuple[Colour, ...] = ((0.94, 0.79, 0.69), (0.87, 0.68, 0.55), (0.74, 0.54, 0.40), (0.55, 0.37, 0.26), (0.37, 0.24, 0.17))
HAIR: tuple[Colour, ...] = ((0.09, 0.07, 0.06), (0.20, 0.13, 0.09), (0.38, 0.25, 0.15), (0.72, 0.57, 0.34), (0.60, 0.60, 0.60), (0.50, 0.22, 0.12))
PATTERNS = ("plain", "hoops", "pinstripes", "checks", "blocks", "open", "print", "yoke", "bands")
HAIR_STYLES = ("short", "long", "bun", "bald", "cap", "beanie", "hood")
BOTTOMS = ("trousers", "trousers", "trousers", "stripe", "shorts", "skirt")
BAGS = ("none", "none", "backpack", "crossbody", "tote", "case")


@dataclass(frozen=True)
class Person:
    """What stays the same from camera to camera.

    Attributes:
        height: body height as a fraction of the tallest, 0.88 to 1.
        girth: width of trunk and limbs as a factor, 0.85 to 1.3.
        skin, hair: colours.
        hair_style: one of `HAIR_STYLES`.
        top, top_second: main and second colour of what is worn above.
        pattern: one of `PATTERNS`; says where the second colour goes.
        sleeve: how far down the arm the sleeve goes, 0 to 1.
        coat: whether the top reaches to the thigh.
        bottom: one of `BOTTOMS`.
        bottom_colour, shoe: colours.
        boots: whether the shoe reaches up the shin.
        bag: one of `BAGS`.
        bag_colour: colour.
        bag_side: -1 left, 1 right.
        glasses, beard: on the face.
        stride: swing of the legs in degrees.
    """

    height: float
    girth: float
    skin: Colour
    hair: Colour
    hair_style: str
    top: Colour
    top_second: Colour
    pattern: str
    sleeve: float
    coat: bool
    bottom: str
    bottom_colour: Colour
    shoe: Colour
    boots: bool
    bag: str
    bag_colour: Colour
    bag_side: int
    glasses: bool
    beard: bool
    stride: float


def _cloth(random: np.random.Generator, unlike: Colour | None = None) -> Colour:
    """A tone of the palette, a little off; `unlike` keeps a pattern visible on its ground."""
    tones = [tone for tone, _ in CLOTH.values()]
    weights = np.array([weight for _, weight in CLOTH.values()])
    if unlike is not None:
        weights = weights * np.array([float(np.abs(np.subtract(tone, unlike)).sum() > 0.55) for tone in tones])
    chosen = np.array(tones[random.choice(len(tones), p=weights / weights.sum())])
    return _near(chosen, 0.035, random)


def _near(colour: np.ndarray | Colour, spread: float, random: np.random.Generator) -> Colour:
    r, g, b = np.clip(np.asarray(colour) + random.normal(0, spread, 3), 0.03, 0.95)
    return float(r), float(g), float(b)


def make_person(random: np.random.Generator) -> Person:
    """Draw one person's looks.

    Args:
        random: where every choice comes from; the same state gives the same person.
    """
    top = _cloth(random)
    bottom = BOTTOMS[random.integers(len(BOTTOMS))]
    coat = bool(random.random() < 0.22) and bottom != "shorts"
    return Person(
        height=float(random.uniform(0.88, 1.0)),
        girth=float(np.clip(random.normal(1.03, 0.11), 0.85, 1.3)),
        skin=_near(SKIN[random.integers(len(SKIN))], 0.02, random),
        hair=_near(HAIR[random.integers(len(HAIR))], 0.02, random),
        hair_style=HAIR_STYLES[random.choice(len(HAIR_STYLES), p=(0.3, 0.24, 0.1, 0.08, 0.12, 0.08, 0.08))],
        top=top,
        top_second=_cloth(random, unlike=top),
        pattern=PATTERNS[random.choice(len(PATTERNS), p=(0.26, 0.12, 0.07, 0.08, 0.1, 0.15, 0.09, 0.07, 0.06))],
        sleeve=1.0 if coat else float(random.choice((0.32, 0.45, 1.0, 1.0, 1.0))),
        coat=coat,
        bottom=bottom,
        bottom_colour=_cloth(random),
        shoe=_cloth(random),
        boots=bool(random.random() < 0.2),
        bag=BAGS[random.integers(len(BAGS))],
        bag_colour=_cloth(random, unlike=top if random.random() < 0.7 else None),
        bag_side=int(random.choice((-1, 1))),
        glasses=bool(random.random() < 0.2),
        beard=bool(random.random() < 0.18),
        stride=float(random.uniform(18, 28)),
    )
