"""Six towns: each a named set of places, cameras, light and wardrobe, joined by walking times.

A town's style is the literal table `TOWNS`; `make_town` turns it into places and cameras, always the same ones, so that
"train in one, test in another" meets the same gap on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.random import RandomState

from passerby.street.backdrop import Block
from passerby.street.cameras import Camera, Detector, Response
from passerby.street.furniture import Thing
from passerby.street.places import Place, Wall
from passerby.street.random_styles import style_of
from passerby.street.render import Light
from passerby.street.seeds import stream
from passerby.street.styles import TOWNS, TownStyle

__all__ = ["TOWNS", "Town", "make_town"]

Span = tuple[float, float]
STROLL_M_S = 1.25


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
    _blocks: dict[int, list[Block]] = field(default_factory=dict, repr=False, compare=False)

    def place(self, name: str) -> Place:
        """The place called `name`."""
        return next(place for place in self.places if place.name == name)

    def blocks(self, camera: Camera) -> list[Block]:
        """The furniture that may hide people from a camera of this town."""
        if camera.camid not in self._blocks:
            self._blocks[camera.camid] = self.place(camera.place).blocks(camera.eye)
        return self._blocks[camera.camid]

    def walking_s(self, first: str, second: str) -> float:
        """Seconds that an unhurried walk from one place to another takes; streets are 1.25 times the straight line."""
        a, b = self.place(first), self.place(second)
        return 1.25 * math.hypot(a.x - b.x, a.y - b.y) / STROLL_M_S


def _row(r: RandomState, kinds: tuple[str, ...], span: Span, y: float, step_m: Span) -> list[Thing]:
    """Furniture along a line, with gaps in the middle for the path that crosses."""
    things, x = [], span[0] + r.uniform(0, 1.5)
    while x < span[1]:
        if abs(x - (span[0] + span[1]) / 2) > 1.8:
            things.append(
                Thing(kinds[r.randint(len(kinds))], round(x, 2), round(y + r.uniform(-0.25, 0.25), 2), int(r.randint(1000)))
            )
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
        ((x - 16.5, y + 0.45 * lane), (x + 16.5, y + 0.45 * lane)),
        ((x - 16.5, y - 0.45 * lane), (x + 16.5, y - 0.45 * lane)),
        ((x - 16.5, y - 0.4 * lane), (x - 2, y - 0.2 * lane), (x + 3, y + 0.5 * lane), (x + 16.5, y + 0.5 * lane)),
    )
    return Place(
        f"{town}-{number + 1}",
        x,
        y,
        round(length, 1),
        round(width, 2),
        str(r.choice(style.grounds)),
        str(r.choice(style.verges)),
        walls,
        tuple(things),
        paths,
        round(0.3 * lane + 0.2, 2),
        style.ceiling,
        100 * number,
    )


def _scaled(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (round(float(part * factor), 4) for part in colour)
    return red, green, blue


def _make_light(town: str, style: TownStyle, number: int) -> Light:
    r = stream("light", town, number)
    elevation = math.radians(style.sun_elevation_deg)
    azimuth = math.radians(style.sun_azimuth_deg)
    shine = 1.0 if r.uniform() < style.sun_share else 0.12
    level = r.uniform(0.85, 1.15)
    return Light(
        to_sun=(math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)),
        sun=_scaled(style.sun, shine * level),
        sky=_scaled(style.sky, level),
        ground=_scaled(style.ground, level),
        horizon=_scaled(style.horizon, 1.0),
        shadow=0.9 if shine == 1.0 else 0.6,
        blur_m=0.02 if not style.ceiling else 0.15,
        haze_per_m=style.haze_per_m,
    )


def _make_response(r: RandomState, style: TownStyle) -> Response:
    draw = lambda span: round(float(r.uniform(*span)), 3)  # noqa: E731
    cast = tuple(round(float(tint * (1 + np.clip(r.normal(0, style.cast), -0.12, 0.12))), 3) for tint in style.tint)
    return Response(
        draw(style.exposure),
        (cast[0], cast[1], cast[2]),
        draw(style.gamma),
        draw(style.contrast),
        draw(style.lift),
        draw(style.saturation),
        draw(style.blur_px),
        draw(style.sharpen),
        draw(style.noise),
        int(r.randint(style.quality[0], style.quality[1] + 1)),
        round(float(r.choice([0.004, 0.01, 0.02])), 3),
    )


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
        camid,
        f"{town}-c{camid + 1}",
        place.name,
        round(eye[0], 2),
        round(eye[1], 2),
        round(height, 2),
        round(pan, 2),
        round(tilt, 2),
        round(float(np.clip(r.normal(0, 1.0), -3, 3)), 2),
        round(focal, 1),
        width_px,
        height_px,
        _make_response(r, style),
        Detector(
            jitter=round(float(r.uniform(*style.jitter)), 4),
            truncation=round(float(r.uniform(*style.truncation)), 4),
            aspect=(0.0, 0.36, 0.41)[r.randint(3)],
        ),
    )


@lru_cache(maxsize=8)
def make_town(name: str) -> Town:
    """Build a town; always the same one.

    Args:
        name: a key of `TOWNS`, or ``random-N``.

    Raises:
        UsageError: there is no such town.
    """
    style = style_of(name)
    places = tuple(_make_place(name, style, number) for number in range(style.places))
    cameras = tuple(_make_camera(name, style, camid, places[camid % len(places)]) for camid in range(style.cameras))
    lights = {place.name: _make_light(name, style, number) for number, place in enumerate(places)}
    return Town(name, style, places, cameras, lights)
