"""Places: a stretch of street with its ground, walls, furniture, paths and light, as data and as surfaces to draw."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from passerby.street.backdrop import Block, Surface
from passerby.street.furniture import Thing, build

__all__ = ["Place", "Wall"]

Point = tuple[float, float]


@dataclass(frozen=True)
class Wall:
    """A front that closes a place on one side.

    Attributes:
        side: "north" (+y), "south", "east" (+x) or "west".
        distance_m: from the middle of the place.
        texture: a key of `textures.TEXTURES`.
        height_m: 0 means open: nothing is drawn.
        base: texture of the ground floor, for instance shops below flats; empty: as above.
    """

    side: str
    distance_m: float
    texture: str
    height_m: float = 8.0
    base: str = ""


@dataclass(frozen=True)
class Place:
    """One stretch of street. Coordinates are the town's own, metres.

    Attributes:
        name: unique in its town.
        x, y: its middle.
        length_m, width_m: what people walk on, along x and y.
        ground: texture of what people walk on.
        verge: texture of the ground around it.
        walls: what closes it.
        things: furniture.
        paths: ways through it, each a chain of points; people walk them in both directions.
        spread_m: how far people stray from the middle of a path to either side.
        ceiling: texture of a roof, empty under the sky.
        seed: which bricks, which shops.
    """

    name: str
    x: float
    y: float
    length_m: float
    width_m: float
    ground: str
    verge: str
    walls: tuple[Wall, ...] = ()
    things: tuple[Thing, ...] = ()
    paths: tuple[tuple[Point, ...], ...] = ()
    spread_m: float = 0.8
    ceiling: str = ""
    seed: int = 0
    reach_m: float = field(default=60.0)

    def blocks(self, eye: np.ndarray) -> list[Block]:
        """What hides people and throws shadows: furniture, without the walls."""
        return build(self.things, eye)[1]

    def build(self, eye: np.ndarray) -> tuple[list[Surface], list[Block]]:
        """All surfaces and shadow boxes, as seen from `eye`, (3,) metres."""
        surfaces, blocks = build(self.things, eye)
        half, deep = self.length_m / 2, self.width_m / 2
        reach = self.reach_m
        paved = Surface((self.x - half, self.y - deep, 0), (self.length_m, 0, 0), (0, self.width_m, 0), self.ground, self.seed)
        around = Surface((self.x - reach, self.y - reach, -0.03), (2 * reach, 0, 0), (0, 2 * reach, 0), self.verge, self.seed + 1)
        surfaces += [paved, around]
        if self.ceiling:
            corner = (self.x - reach, self.y - reach, 4.6)
            surfaces.append(Surface(corner, (2 * reach, 0, 0), (0, 2 * reach, 0), self.ceiling, self.seed))
        for number, wall in enumerate(self.walls):
            fronts, shadow = self._front(wall, number)
            if fronts and _in_front(fronts[0], eye, (self.x, self.y)):
                surfaces += fronts
            blocks += shadow
        return surfaces, blocks

    def _front(self, wall: Wall, number: int) -> tuple[list[Surface], list[Block]]:
        far, deep, seed = wall.distance_m, 10.0, self.seed + 7 * number
        wide = self.reach_m
        if wall.height_m <= 0:
            return [], []
        corner, along, low, high = {
            "north": ((self.x - wide, self.y + far), (2 * wide, 0.0), (-wide, far), (wide, far + deep)),
            "south": ((self.x + wide, self.y - far), (-2 * wide, 0.0), (-wide, -far - deep), (wide, -far)),
            "east": ((self.x + far, self.y + wide), (0.0, -2 * wide), (far, -wide), (far + deep, wide)),
            "west": ((self.x - far, self.y - wide), (0.0, 2 * wide), (-far - deep, -wide), (-far, wide)),
        }[wall.side]
        base_m = 3.6 if wall.base else 0.0
        fronts = [Surface((*corner, wall.height_m), (*along, 0.0), (0, 0, base_m - wall.height_m), wall.texture, seed)]
        if wall.base:
            fronts.append(Surface((*corner, base_m), (*along, 0.0), (0, 0, -base_m), wall.base, seed))
        shadow = Block((self.x + low[0], self.y + low[1], 0), (self.x + high[0], self.y + high[1], wall.height_m))
        return fronts, [shadow]


def _in_front(front: Surface, eye: np.ndarray, middle: Point) -> bool:
    """Whether the eye is on the same side of the wall as the middle of the place: the back of a wall is not drawn."""
    normal = np.cross(np.asarray(front.v, float), np.asarray(front.u, float))
    corner = np.asarray(front.corner, float)
    return float(normal @ (eye - corner)) * float(normal @ (np.array([*middle, 0.0]) - corner)) > 0
