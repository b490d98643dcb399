"""Things that stand on a street, as textured planes and shadow boxes. Thin round things turn towards the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from passerby.street.backdrop import Block, Surface
from passerby.street.seeds import stream

__all__ = ["FURNITURE", "Thing", "box", "build"]

Built = tuple[list[Surface], list[Block]]


@dataclass(frozen=True)
class Thing:
    """One piece of furniture.

    Attributes:
        kind: a key of `FURNITURE`.
        x, y: where it stands, metres.
        seed: which one of its kind: size and colours.
    """

    kind: str
    x: float
    y: float
    seed: int = 0


def box(
    low: tuple[float, float, float], high: tuple[float, float, float], texture: str, seed: int, top: str = "", tint: float = 1.0
) -> Built:
    """A box: four textured sides, a top, and its shadow."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    down = (0.0, 0.0, z0 - z1)
    sides = [
        Surface((x0, y0, z1), (x1 - x0, 0, 0), down, texture, seed, tint),
        Surface((x1, y1, z1), (x0 - x1, 0, 0), down, texture, seed, tint),
        Surface((x0, y1, z1), (0, y0 - y1, 0), down, texture, seed, tint),
        Surface((x1, y0, z1), (0, y1 - y0, 0), down, texture, seed, tint),
        Surface((x0, y0, z1), (x1 - x0, 0, 0), (0, y1 - y0, 0), top or texture, seed, tint),
    ]
    return sides, [Block(low, high)]


def _facing(
    eye: np.ndarray, x: float, y: float, z0: float, z1: float, width: float, texture: str, seed: int, tint: float = 1.0
) -> Surface:
    """An upright plane through (x, y) that turns its face to the camera."""
    towards = np.array([eye[0] - x, eye[1] - y])
    towards = towards / max(float(np.hypot(*towards)), 1e-6)
    right = (-float(towards[1]), float(towards[0]))
    corner = (x - right[0] * width / 2, y - right[1] * width / 2, z1)
    return Surface(corner, (right[0] * width, right[1] * width, 0.0), (0.0, 0.0, z0 - z1), texture, seed, tint)


def _pole(eye: np.ndarray, thing: Thing, height: float, width: float) -> Built:
    half = width / 2
    surface = _facing(eye, thing.x, thing.y, 0, height, width, "post", thing.seed)
    return [surface], [Block((thing.x - half, thing.y - half, 0), (thing.x + half, thing.y + half, height))]


def _post(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("post", thing.seed)
    return _pole(eye, thing, r.uniform(3.0, 4.5), r.uniform(0.1, 0.22))


def _lamp(eye: np.ndarray, thing: Thing) -> Built:
    surfaces, blocks = _pole(eye, thing, 5.5, 0.15)
    head, shadow = box((thing.x - 0.2, thing.y - 0.35, 5.5), (thing.x + 0.2, thing.y + 0.35, 5.62), "mid", thing.seed)
    return surfaces + head, blocks + shadow


def _sign(eye: np.ndarray, thing: Thing) -> Built:
    x, y = thing.x, thing.y
    surfaces, blocks = _pole(eye, thing, 2.6, 0.07)
    board = Surface((x - 0.3, y - 0.05, 2.6), (0.6, 0, 0), (0, 0, -0.75), "poster", thing.seed)
    return [*surfaces, board], [*blocks, Block((x - 0.3, y - 0.06, 1.85), (x + 0.3, y - 0.04, 2.6))]


def _bollard(eye: np.ndarray, thing: Thing) -> Built:
    return _pole(eye, thing, 0.95, 0.16)


def _column(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("column", thing.seed)
    half = r.uniform(0.18, 0.32)
    texture = ("concrete", "plaster", "tiles")[r.randint(3)]
    return box((thing.x - half, thing.y - half, 0), (thing.x + half, thing.y + half, 5.0), texture, thing.seed)


def _bench(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    seat = box((x - 0.8, y - 0.22, 0.4), (x + 0.8, y + 0.22, 0.46), "timber", seed)
    back = box((x - 0.8, y + 0.2, 0.55), (x + 0.8, y + 0.24, 0.85), "timber", seed)
    feet = [box((x + s - 0.04, y - 0.2, 0), (x + s + 0.04, y + 0.2, 0.42), "dark", seed) for s in (-0.65, 0.65)]
    return _together([seat, back, *feet])


def _bin(eye: np.ndarray, thing: Thing) -> Built:
    texture = ("dark", "mid", "post")[thing.seed % 3]
    return box((thing.x - 0.25, thing.y - 0.22, 0), (thing.x + 0.25, thing.y + 0.22, 1.0), texture, thing.seed, top="dark")


def _planter(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    pot = box((x - 0.45, y - 0.45, 0), (x + 0.45, y + 0.45, 0.55), "concrete", seed)
    height = stream("planter", seed).uniform(1.2, 2.4)
    bush = Block((x - 0.35, y - 0.35, 0.55), (x + 0.35, y + 0.35, 0.35 + 0.8 * (height - 0.35)))
    return [*pot[0], _facing(eye, x, y, 0.35, height, 1.15, "foliage", seed)], [*pot[1], bush]


def _tree(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("tree", thing.seed)
    trunk, shadow = _pole(eye, thing, 3.4, r.uniform(0.18, 0.34))
    width = r.uniform(3.0, 4.6)
    crown = [
        _facing(
            eye, thing.x + r.uniform(-0.8, 0.8), thing.y + r.uniform(-0.8, 0.8), 2.3, r.uniform(4.8, 6.5), width, "foliage", n
        )
        for n in r.randint(0, 6, 3)
    ]
    half = width * 0.32
    return trunk + crown, [*shadow, Block((thing.x - half, thing.y - half, 2.9), (thing.x + half, thing.y + half, 5.5))]


def _bare_tree(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("bare tree", thing.seed)
    trunk = _facing(eye, thing.x, thing.y, 0, 2.9, r.uniform(0.16, 0.3), "dark", thing.seed)
    twigs = _facing(eye, thing.x, thing.y, 1.9, r.uniform(5.0, 6.5), r.uniform(2.6, 3.8), "twigs", int(r.randint(4)))
    return [trunk, twigs], [Block((thing.x - 0.12, thing.y - 0.12, 0), (thing.x + 0.12, thing.y + 0.12, 3.2))]


def _hedge(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("hedge", thing.seed)
    half, height = r.uniform(1.2, 2.5), r.uniform(0.8, 1.5)
    return box((thing.x - half, thing.y - 0.35, 0), (thing.x + half, thing.y + 0.35, height), "hedge", thing.seed)


def _car(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    sides = [Surface((x - 2.15, y + dy, 1.5), (4.3, 0, 0), (0, 0, -1.5), "car", seed) for dy in (-0.85, 0.85)]
    hood = Surface((x - 2.1, y - 0.85, 0.87), (1.1, 0, 0), (0, 1.7, 0), "mid", seed)
    roof = Surface((x - 1.0, y - 0.75, 1.44), (2.0, 0, 0), (0, 1.5, 0), "mid", seed)
    screen = Surface((x - 1.25, y - 0.8, 0.87), (0.35, 0, 0.57), (0, 1.6, 0), "dark", seed)
    rear = Surface((x + 1.45, y - 0.8, 0.87), (-0.45, 0, 0.57), (0, 1.6, 0), "dark", seed)
    ends = [Surface((x + dx, y - 0.85, 0.87), (0, 1.7, 0), (0, 0, -0.6), "mid", seed) for dx in (-2.12, 2.12)]
    return [*sides, hood, roof, screen, rear, *ends], [Block((x - 2.1, y - 0.85, 0.2), (x + 2.1, y + 0.85, 0.9)),
                                                      Block((x - 1.1, y - 0.8, 0.9), (x + 1.3, y + 0.8, 1.45))]  # fmt: skip


def _stall(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    table = box((x - 1.2, y - 0.5, 0), (x + 1.2, y + 0.5, 0.85), ("timber", "awning", "light")[seed % 3], seed)
    r = stream("stall", seed)
    goods = [
        box(
            (x + a, y - 0.4, 0.85),
            (x + a + 0.4, y + 0.4, 0.85 + r.uniform(0.08, 0.4)),
            ("poster", "hedge", "timber", "light")[r.randint(4)],
            seed + k,
        )
        for k, a in enumerate((-1.1, -0.65, -0.2, 0.25, 0.7))
    ]
    roof = [Surface((x - 1.4, y - 0.9, 2.15), (2.8, 0, 0), (0, 1.6, 0.35), "awning", seed),
            Surface((x - 1.4, y - 0.9, 2.15), (2.8, 0, 0), (0, 0, -0.25), "awning", seed)]  # fmt: skip
    poles = [_pole(eye, Thing("post", x + dx, y - 0.85, seed), 2.15, 0.05) for dx in (-1.35, 1.35)]
    surfaces, blocks = _together([table, *goods, *poles])
    cloth = [
        Block((x - 1.4, y - 0.92, 1.9), (x + 1.4, y - 0.88, 2.15)),
        Block((x - 1.4, y - 0.9, 2.15), (x + 1.4, y + 0.7, 2.45)),
    ]
    return surfaces + roof, blocks + cloth


def _board(eye: np.ndarray, thing: Thing) -> Built:
    return box((thing.x - 0.32, thing.y - 0.1, 0.05), (thing.x + 0.32, thing.y + 0.1, 1.1), "poster", thing.seed, top="dark")


def _kiosk(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    hut = box((x - 1.2, y - 0.9, 0), (x + 1.2, y + 0.9, 2.5), ("shutter", "timber", "light")[seed % 3], seed, top="dark")
    posters = [Surface((x - 1.0 + 0.75 * k, y - 0.92, 1.9), (0.6, 0, 0), (0, 0, -0.85), "poster", seed + k) for k in range(3)]
    return hut[0] + posters, hut[1]


def _container(eye: np.ndarray, thing: Thing) -> Built:
    return box((thing.x - 3.0, thing.y - 1.2, 0), (thing.x + 3.0, thing.y + 1.2, 2.6), "shutter", thing.seed, tint=0.8)


def _crates(eye: np.ndarray, thing: Thing) -> Built:
    r = stream("crates", thing.seed)
    parts = []
    for k in range(3):
        x, y, s = thing.x + r.uniform(-0.6, 0.6), thing.y + r.uniform(-0.4, 0.4), r.uniform(0.3, 0.5)
        parts.append(box((x - s, y - s, 0), (x + s, y + s, r.uniform(0.5, 1.1)), ("timber", "mid")[k % 2], thing.seed + k))
    return _together(parts)


def _fence(eye: np.ndarray, thing: Thing) -> Built:
    surface = Surface((thing.x - 2.0, thing.y, 1.05), (4.0, 0, 0), (0, 0, -1.05), "fence", thing.seed)
    return [surface], [Block((thing.x - 2.0, thing.y - 0.02, 0.95), (thing.x + 2.0, thing.y + 0.02, 1.05))]


def _machine(eye: np.ndarray, thing: Thing) -> Built:
    x, y, seed = thing.x, thing.y, thing.seed
    body = box((x - 0.5, y - 0.35, 0), (x + 0.5, y + 0.35, 1.9), ("mid", "light", "dark")[seed % 3], seed)
    return [*body[0], Surface((x - 0.4, y - 0.37, 1.7), (0.8, 0, 0), (0, 0, -0.9), "poster", seed)], body[1]


def _together(parts: list[Built]) -> Built:
    return [surface for surfaces, _ in parts for surface in surfaces], [block for _, blocks in parts for block in blocks]


FURNITURE: dict[str, Callable[[np.ndarray, Thing], Built]] = {
    "bare tree": _bare_tree,
    "bench": _bench,
    "bin": _bin,
    "board": _board,
    "bollard": _bollard,
    "car": _car,
    "column": _column,
    "container": _container,
    "crates": _crates,
    "fence": _fence,
    "hedge": _hedge,
    "kiosk": _kiosk,
    "lamp": _lamp,
    "machine": _machine,
    "planter": _planter,
    "post": _post,
    "sign": _sign,
    "stall": _stall,
    "tree": _tree,
}


def build(things: tuple[Thing, ...], eye: np.ndarray) -> Built:
    """Surfaces and shadow boxes of all things, as seen from `eye`, (3,) metres."""
    return _together([FURNITURE[thing.kind](eye, thing) for thing in things])
