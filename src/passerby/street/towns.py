"""Six towns: each a named set of places, cameras, light and wardrobe, joined by walking times.

A town's style is the literal table `TOWNS`; `make_town` turns it into places and cameras, always the same ones, so that
"train in one, test in another" meets the same gap on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import RandomState

from passerby.errors import UsageError, nearest
from passerby.street.cameras import Camera, Detector, Response
from passerby.street.furniture import Thing
from passerby.street.places import Place, Wall
from passerby.street.render import Light
from passerby.street.seeds import stream

__all__ = ["TOWNS", "Town", "TownStyle", "make_town"]

Span = tuple[float, float]
STROLL_M_S = 1.25


@dataclass(frozen=True)
class TownStyle:
    """What makes a town look like itself; spans are (lowest, highest), drawn once for each place or camera.

    Attributes:
        title: one line for lists.
        wardrobe: a key of `clothes.WARDROBES`.
        cameras, places: how many; several cameras may look at one place.
        crowd: people who are in a place at once, on average.
        grounds, verges: textures underfoot and beside.
        fronts: (texture, base, height in metres) of the walls; an empty texture leaves that side open.
        behind: furniture along the far edge; before: between the cameras and the people, where it hides them.
        ceiling: texture of a roof; empty outdoors.
        sun_elevation_deg, sun_azimuth_deg, sun, sky, ground, horizon: see `render.Light`.
        sun_share: share of places that the sun reaches.
        haze_per_m: see `render.Light`.
        width_m: of the walkway.
        height_m, person_px: how high cameras hang, and how tall a person is in the middle of their picture.
        frames: frame sizes to choose from.
        exposure, cast, gamma, contrast, lift, saturation, blur_px, sharpen, noise, quality: see `cameras.Response`; `cast` is
            the deviation around `tint`.
        tint: the cast that all cameras share.
        jitter, truncation: see `cameras.Detector`.
    """

    title: str
    wardrobe: str
    cameras: int
    places: int
    crowd: float
    grounds: tuple[str, ...]
    verges: tuple[str, ...]
    fronts: tuple[tuple[str, str, float], ...]
    behind: tuple[str, ...]
    before: tuple[str, ...]
    ceiling: str
    sun_elevation_deg: float
    sun_azimuth_deg: float
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    horizon: tuple[float, float, float]
    sun_share: float = 1.0
    haze_per_m: float = 0.001
    width_m: Span = (4.0, 6.0)
    height_m: Span = (2.2, 4.5)
    person_px: Span = (100, 220)
    frames: tuple[tuple[int, int], ...] = ((1280, 720), (960, 540), (704, 576))
    exposure: Span = (0.8, 1.25)
    cast: float = 0.05
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: Span = (0.9, 1.15)
    contrast: Span = (0.9, 1.15)
    lift: Span = (0.0, 0.06)
    saturation: Span = (0.6, 1.0)
    blur_px: Span = (0.4, 1.1)
    sharpen: Span = (0.0, 0.6)
    noise: Span = (1.0, 5.0)
    quality: tuple[int, int] = (40, 88)
    jitter: Span = (0.015, 0.035)
    truncation: Span = (0.03, 0.1)


@dataclass(frozen=True)
class Town:
    """A town, ready for people.

    Attributes:
        name: a key of `TOWNS`.
        style: what it was made from.
        places, cameras: in order; `cameras[i].camid == i`.
        lights: one a place, by place name.
    """

    name: str
    style: TownStyle
    places: tuple[Place, ...]
    cameras: tuple[Camera, ...]
    lights: dict[str, Light]

    def place(self, name: str) -> Place:
        """The place called `name`."""
        return next(place for place in self.places if place.name == name)

    def walking_s(self, first: str, second: str) -> float:
        """Seconds that an unhurried walk from one place to another takes; streets are 1.25 times the straight line."""
        a, b = self.place(first), self.place(second)
        return 1.25 * math.hypot(a.x - b.x, a.y - b.y) / STROLL_M_S


TOWNS: dict[str, TownStyle] = {
    "arcade": TownStyle(
        "shopping arcade: tiles, lit shop windows, warm lamps", "office", 5, 3, 4.0,
        ("tiles", "slabs", "dark tiles"), ("tiles", "dark tiles"), (("plaster", "shop", 4.6), ("plaster", "shop", 4.6), ("tiles", "shop", 4.6)),
        ("bench", "planter", "board", "bin", "column"), ("column", "planter", "board"), "white",
        78, 40, (0.35, 0.31, 0.25), (0.62, 0.56, 0.48), (0.34, 0.30, 0.26), (0.5, 0.46, 0.4),
        haze_per_m=0.0, width_m=(5.0, 7.0), height_m=(2.4, 3.6), person_px=(100, 210), tint=(1.06, 1.0, 0.9), contrast=(0.85, 1.05),
        saturation=(0.7, 1.05),
    ),
    "campus": TownStyle(
        "university in spring: lawns, brick, trees, sun and shade", "campus", 6, 5, 2.5,
        ("slabs", "asphalt", "gravel"), ("grass", "grass", "asphalt"),
        (("brick house", "", 9.6), ("office", "", 9.9), ("office", "", 9.9), ("hedge", "", 2.2), ("", "", 0)),
        ("tree", "bench", "hedge", "lamp", "sign", "bin"), ("bollard", "lamp", "sign", "hedge", "post"), "",
        42, 205, (1.5, 1.4, 1.2), (0.42, 0.48, 0.58), (0.2, 0.2, 0.16), (0.72, 0.78, 0.86),
        sun_share=0.6, height_m=(1.8, 5.0), person_px=(80, 220), gamma=(0.9, 1.1),
    ),
    "harbour": TownStyle(
        "harbour front: planks, containers, haze over water, low sun", "work", 3, 3, 2.0,
        ("planks", "concrete", "asphalt"), ("water", "concrete"), (("shutter", "", 7.0), ("bricks", "", 6.0), ("", "", 0)),
        ("container", "crates", "fence", "lamp", "bollard"), ("fence", "bollard", "post", "crates"), "",
        24, 160, (1.6, 1.3, 0.95), (0.5, 0.55, 0.62), (0.26, 0.26, 0.25), (0.85, 0.84, 0.82),
        haze_per_m=0.006, width_m=(5.0, 8.0), height_m=(2.5, 6.0), person_px=(80, 180), tint=(0.97, 1.0, 1.04), exposure=(1.0, 1.4),
        contrast=(0.8, 1.0), lift=(0.03, 0.1),
    ),
    "market": TownStyle(
        "market street: stalls, awnings, cobbles, many people", "summer", 2, 2, 6.0,
        ("cobbles", "slabs"), ("cobbles", "asphalt"), (("plaster house", "shop", 12.0), ("brick house", "shop", 12.0), ("plaster house", "", 9.6)),
        ("stall", "stall", "stall", "crates", "bin"), ("stall", "crates", "post"), "",
        58, 250, (1.3, 1.25, 1.15), (0.45, 0.49, 0.55), (0.24, 0.22, 0.19), (0.7, 0.74, 0.8),
        sun_share=0.5, height_m=(2.6, 4.5), person_px=(110, 210), saturation=(0.8, 1.1), truncation=(0.08, 0.14),
    ),
    "station": TownStyle(
        "railway station: concrete, columns, neon light, cameras under the roof", "office", 8, 5, 3.5,
        ("dark tiles", "concrete", "big slabs"), ("concrete", "dark"),
        (("tiles", "", 4.6), ("concrete", "", 4.6), ("shutter", "", 4.6), ("concrete", "shop", 4.6)),
        ("machine", "kiosk", "bench", "sign", "bin", "column"), ("column", "sign", "post"), "concrete",
        80, 120, (0.25, 0.27, 0.25), (0.42, 0.46, 0.42), (0.2, 0.21, 0.19), (0.3, 0.32, 0.3),
        haze_per_m=0.0, width_m=(5.0, 8.0), height_m=(3.0, 4.3), person_px=(70, 170), tint=(0.95, 1.03, 0.97), noise=(3.0, 8.0), blur_px=(0.6, 1.4),
        frames=((704, 576), (640, 480), (1280, 720)), quality=(30, 70), saturation=(0.45, 0.8),
    ),
    "winter": TownStyle(
        "snowy town on a dull day: coats, bare trees, parked cars", "winter", 15, 8, 2.0,
        ("snow", "snow", "asphalt", "slabs"), ("snow",), (("plaster house", "", 9.6), ("brick house", "shop", 9.6), ("plaster house", "shop", 9.6), ("", "", 0)),
        ("car", "bare tree", "lamp", "bench", "fence", "hedge"), ("bollard", "lamp", "sign", "bare tree", "fence"), "",
        20, 170, (0.22, 0.22, 0.24), (0.62, 0.66, 0.74), (0.4, 0.42, 0.46), (0.78, 0.8, 0.84),
        haze_per_m=0.004, height_m=(2.0, 6.0), person_px=(70, 200), tint=(0.95, 1.0, 1.07), exposure=(0.85, 1.35), contrast=(0.85, 1.1),
        lift=(0.02, 0.09), noise=(1.5, 6.0),
    ),
}  # fmt: skip


def _row(r: RandomState, kinds: tuple[str, ...], span: Span, y: float, step_m: Span) -> list[Thing]:
    """Furniture along a line, with gaps in the middle for the path that crosses."""
    things, x = [], span[0] + r.uniform(0, 1.5)
    while x < span[1]:
        if abs(x - (span[0] + span[1]) / 2) > 1.8:
            things.append(Thing(kinds[r.randint(len(kinds))], round(x, 2), round(y + r.uniform(-0.25, 0.25), 2), int(r.randint(1000))))
        x += r.uniform(*step_m)
    return things


def _make_place(town: str, style: TownStyle, number: int) -> Place:
    r = stream("place", town, number)
    angle, radius = 2.4 * number, 45.0 * math.sqrt(number)
    x, y = round(radius * math.cos(angle), 1), round(radius * math.sin(angle), 1)
    width, length = r.uniform(*style.width_m), r.uniform(26, 34)
    half = width / 2
    behind_y, before_y = y + half + 0.9, y - half - 0.9
    things = _row(r, style.behind, (x - 12, x + 12), behind_y, (2.6, 5.5))
    things += _row(r, style.before, (x - 9, x + 9), before_y, (3.0, 7.0))
    fronts = [style.fronts[index] for index in r.randint(0, len(style.fronts), 4)]
    if not fronts[0][0]:  # the side that every camera looks at is never empty on all ways
        fronts[0] = style.fronts[0]
    away = (half + r.uniform(2.2, 5.0), half + r.uniform(8, 11), r.uniform(17, 26), r.uniform(17, 26))
    walls = tuple(
        Wall(side, round(distance, 2), texture or "plaster", height if texture else 0.0, base)
        for side, distance, (texture, base, height) in zip(("north", "south", "east", "west"), away, fronts, strict=True)
    )
    lane = max(half - 1.0, 0.6)
    paths = (
        ((x - 15, y + 0.45 * lane), (x + 15, y + 0.45 * lane)),
        ((x - 15, y - 0.45 * lane), (x + 15, y - 0.45 * lane)),
        ((x - 15, y - 0.4 * lane), (x - 2, y - 0.2 * lane), (x + 3, y + 0.5 * lane), (x + 15, y + 0.5 * lane)),
    )
    return Place(
        f"{town}-{number + 1}", x, y, round(length, 1), round(width, 2), str(r.choice(style.grounds)), str(r.choice(style.verges)),
        walls, tuple(things), paths, round(0.3 * lane + 0.2, 2), style.ceiling, 100 * number,
    )  # fmt: skip


def _make_light(town: str, style: TownStyle, number: int) -> Light:
    r = stream("light", town, number)
    elevation = math.radians(style.sun_elevation_deg)
    azimuth = math.radians(style.sun_azimuth_deg)
    shine = 1.0 if r.uniform() < style.sun_share else 0.12
    level = r.uniform(0.85, 1.15)
    scaled = lambda colour, factor: tuple(round(float(part * factor), 4) for part in colour)  # noqa: E731
    return Light(
        to_sun=(math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)),
        sun=scaled(style.sun, shine * level),
        sky=scaled(style.sky, level),
        ground=scaled(style.ground, level),
        horizon=scaled(style.horizon, 1.0),
        shadow=0.9 if shine == 1.0 else 0.6,
        blur_m=0.02 if not style.ceiling else 0.15,
        haze_per_m=style.haze_per_m,
    )


def _make_response(r: RandomState, style: TownStyle) -> Response:
    draw = lambda span: round(float(r.uniform(*span)), 3)  # noqa: E731
    cast = tuple(round(float(tint * (1 + np.clip(r.normal(0, style.cast), -0.12, 0.12))), 3) for tint in style.tint)
    return Response(
        draw(style.exposure), (cast[0], cast[1], cast[2]), draw(style.gamma), draw(style.contrast), draw(style.lift), draw(style.saturation),
        draw(style.blur_px), draw(style.sharpen), draw(style.noise), int(r.randint(style.quality[0], style.quality[1] + 1)),
        round(float(r.choice([0.004, 0.01, 0.02])), 3),
    )  # fmt: skip


def _make_camera(town: str, style: TownStyle, camid: int, place: Place) -> Camera:
    """A camera south of the walkway that looks across it, or at its end looking along it."""
    r = stream("camera", town, camid)
    along = camid % 3 == 2
    height = r.uniform(*style.height_m)
    width_px, height_px = style.frames[r.randint(len(style.frames))]
    half = place.width_m / 2
    if along:
        sign = r.choice([-1, 1])
        eye = (place.x + sign * r.uniform(11, 14), place.y + r.uniform(-0.8, 0.8) * half)
        target = (place.x - sign * r.uniform(0, 2), place.y + r.uniform(-0.2, 0.2) * half)
    else:
        target = (place.x + r.uniform(-3, 3), place.y + r.uniform(-0.2, 0.4) * half)
        eye = (target[0] + r.uniform(-6, 6), place.y - half - r.uniform(3.5, 7.0))
    flat = math.hypot(target[0] - eye[0], target[1] - eye[1])
    person_px = r.uniform(*style.person_px) * height_px / 600
    focal = person_px / 1.7 * flat
    focal = min(max(focal, 0.62 * width_px), 2.2 * width_px)
    tilt = math.degrees(math.atan2(height - r.uniform(0.7, 1.1), flat))
    pan = math.degrees(math.atan2(target[1] - eye[1], target[0] - eye[0]))
    return Camera(
        camid, f"{town}-c{camid + 1}", place.name, round(eye[0], 2), round(eye[1], 2), round(height, 2), round(pan, 2), round(tilt, 2),
        round(float(np.clip(r.normal(0, 1.0), -3, 3)), 2), round(focal, 1), width_px, height_px, _make_response(r, style),
        Detector(jitter=round(float(r.uniform(*style.jitter)), 4), truncation=round(float(r.uniform(*style.truncation)), 4)),
    )  # fmt: skip


@lru_cache(maxsize=8)
def make_town(name: str) -> Town:
    """Build a town; always the same one.

    Args:
        name: a key of `TOWNS`.

    Raises:
        UsageError: there is no such town.
    """
    if name not in TOWNS:
        raise UsageError(f'no town "{name}". {nearest(name, TOWNS)}')
    style = TOWNS[name]
    places = tuple(_make_place(name, style, number) for number in range(style.places))
    cameras = tuple(_make_camera(name, style, camid, places[camid % len(places)]) for camid in range(style.cameras))
    lights = {place.name: _make_light(name, style, number) for number, place in enumerate(places)}
    return Town(name, style, places, cameras, lights)
