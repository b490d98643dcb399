"""Where people are seen: six cameras that differ in place, light, colour, sharpness and the direction in which people walk."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from passerby.datasets.drawn.body import draw_person
from passerby.datasets.drawn.people import Person, make_person
from passerby.datasets.drawn.solids import Easel

__all__ = ["CAMERAS", "Camera", "Scene"]


@dataclass(frozen=True)
class Camera:
    """What one camera does to a picture.

    Attributes:
        place: what stands behind people, one of the keys of `_PLACES`.
        cast: gains of red, green and blue.
        exposure: gain of all three; gamma: exponent after it; contrast: slope about the middle.
        light: direction to the light (right, up, towards the camera); ambient: share of light from everywhere.
        pitch: degrees that it looks down.
        heading, spread: mean and deviation of the walking direction, degrees; 0 comes towards the camera, 90 walks to the right.
        both_ways: whether half of the people walk the other way.
        detail: share of the pixels that it resolves.
        blur: of the lens, pixels of the finished picture; noise: deviation, 0 to 1; quality: of its JPEG.
    """

    place: str
    cast: tuple[float, float, float]
    exposure: float
    gamma: float
    contrast: float
    light: tuple[float, float, float]
    ambient: float
    pitch: float
    heading: float
    spread: float
    both_ways: bool
    detail: float
    blur: float
    noise: float
    quality: int


CAMERAS: tuple[Camera, ...] = (
    Camera("shops", (1.04, 1.0, 0.94), 1.08, 0.92, 1.05, (-0.5, 0.6, 0.6), 0.50, 6, 10, 24, False, 1.0, 0.3, 0.006, 92),
    Camera("underpass", (1.18, 0.98, 0.66), 0.80, 1.10, 0.92, (0.1, 0.9, 0.3), 0.60, 16, 180, 28, False, 0.72, 0.5, 0.016, 80),
    Camera("park", (0.94, 1.07, 0.92), 0.98, 1.00, 1.12, (0.7, 0.5, 0.4), 0.38, 3, 90, 22, True, 0.90, 0.3, 0.007, 88),
    Camera("road", (0.80, 0.95, 1.24), 0.78, 1.05, 0.90, (-0.2, 0.8, 0.5), 0.66, 12, 45, 50, True, 0.62, 0.6, 0.018, 78),
    Camera("hall", (0.98, 1.06, 1.00), 1.12, 0.86, 0.88, (0.0, 0.8, 0.6), 0.62, 20, 0, 60, True, 0.80, 0.4, 0.010, 85),
    Camera("bricks", (1.10, 1.00, 0.84), 0.92, 1.00, 1.18, (0.85, 0.25, 0.3), 0.34, 2, 135, 26, True, 0.95, 0.3, 0.007, 90),
)


def _noise(shape: tuple[int, int], sigma: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit deviation."""
    field = gaussian_filter(random.standard_normal(shape), sigma, mode="wrap")
    return field / max(float(field.std()), 1e-9)


def _fill(height: int, width: int, colour: tuple[float, float, float]) -> np.ndarray:
    return np.tile(np.array(colour, float), (height, width, 1))


def _windows(wall: np.ndarray, random: np.random.Generator, colours: tuple, step: int, gap: int) -> None:
    """Panes side by side, each with its own tone and a soft reflection."""
    height, width = wall.shape[:2]
    for left in range(0, width, step):
        tone = np.array(colours[random.integers(len(colours))]) * random.uniform(0.8, 1.15)
        shine = np.linspace(1.15, 0.85, height)[:, None, None]
        wall[gap * 2 : height - gap * 2, left + gap : left + step - gap] = (tone * shine)[gap * 2 : height - gap * 2]


def _shops(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    wall[:] = (0.62, 0.58, 0.52)
    _windows(wall, random, ((0.34, 0.42, 0.48), (0.75, 0.68, 0.50), (0.25, 0.28, 0.30), (0.66, 0.30, 0.26)), 110, 7)
    wall[: wall.shape[0] // 6] *= 0.7
    return 0.66, 0.64, 0.60


def _underpass(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    wall[:] = (0.50, 0.49, 0.46)
    wall *= 1 + 0.05 * _noise(wall.shape[:2], (14, 5), random)[..., None]
    for left in range(0, wall.shape[1], 170):
        wall[:, left : left + 34] *= 0.62
    wall[:: wall.shape[0] // 5] *= 0.8
    return 0.42, 0.41, 0.39


def _park(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    wall[:] = (0.22, 0.36, 0.17)
    leaves = _noise(wall.shape[:2], (3, 3), random) + 0.8 * _noise(wall.shape[:2], (22, 22), random)
    wall *= np.clip(1 + 0.28 * leaves, 0.3, 2.0)[..., None]
    sky = int(wall.shape[0] * 0.18)
    wall[:sky] = 0.6 * np.array((0.72, 0.80, 0.86)) + 0.4 * wall[:sky]
    return 0.55, 0.52, 0.42


def _road(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    wall[:] = (0.46, 0.47, 0.49)
    height, width = wall.shape[:2]
    for left in range(0, width, 230):
        tone = np.array(((0.55, 0.12, 0.12), (0.75, 0.76, 0.77), (0.12, 0.16, 0.26), (0.2, 0.2, 0.2))[random.integers(4)])
        y, x = np.mgrid[0:height, 0:200]
        car = (np.abs((x - 100) / 95) ** 4 + np.abs((y - height * 0.72) / (height * 0.2)) ** 4) < 1
        cabin = (np.abs((x - 100) / 55) ** 4 + np.abs((y - height * 0.48) / (height * 0.22)) ** 4) < 1
        part = wall[:, left : left + 200]
        car, cabin = car[:, : part.shape[1]], cabin[:, : part.shape[1]]
        part[cabin] = (0.16, 0.19, 0.22)
        part[car] = tone
    return 0.36, 0.37, 0.39


def _hall(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    wall[:] = (0.78, 0.79, 0.78)
    _windows(wall, random, ((0.70, 0.78, 0.80), (0.82, 0.84, 0.84), (0.56, 0.62, 0.62)), 150, 4)
    for left in range(60, wall.shape[1], 310):
        wall[:, left : left + 46] = (0.80, 0.50, 0.20)
    return 0.74, 0.73, 0.70


def _bricks(wall: np.ndarray, random: np.random.Generator) -> tuple[float, float, float]:
    height, width = wall.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    row = y // 14
    tones = random.normal(1, 0.12, (height // 14 + 1, width // 30 + 2))
    column = (x + (row % 2) * 15) // 30
    wall[:] = np.array((0.52, 0.27, 0.20)) * tones[row, column][..., None]
    wall[(y % 14 < 2) | ((x + (row % 2) * 15) % 30 < 2)] = (0.60, 0.56, 0.50)
    return 0.50, 0.48, 0.47


_PLACES = {"shops": _shops, "underpass": _underpass, "park": _park, "road": _road, "hall": _hall, "bricks": _bricks}


class Scene:
    """One camera at its place; makes crops of people who pass.

    Args:
        camera: what it does to a picture.
        size: (H, W) of a crop in pixels.
        random: where the place's own look comes from.
    """

    def __init__(self, camera: Camera, size: tuple[int, int], random: np.random.Generator) -> None:
        self.camera, self.size = camera, size
        self._height, self._width = size[0] * 2, size[1] * 2  # drawn at twice the size, then taken down
        self._backdrop = self._make_backdrop(random)

    def _make_backdrop(self, random: np.random.Generator) -> np.ndarray:
        """A strip eight crops wide: wall above, ground below, out of focus."""
        height, width = 256, 1024
        horizon = int(height * (0.62 - 0.012 * self.camera.pitch))
        strip = _fill(height, width, (0, 0, 0))
        ground = np.array(_PLACES[self.camera.place](strip[:horizon], random))
        depth = np.linspace(0, 1, height - horizon)[:, None, None]
        strip[horizon:] = ground * (0.82 + 0.25 * depth)
        strip[horizon:] *= 1 + 0.05 * _noise((height - horizon, width), (1.5, 6), random)[..., None]
        joints = (np.linspace(0.45, 1, height - horizon) ** 2 * 9 % 1) < 0.06
        strip[horizon:][joints] *= 0.86
        strip[horizon : horizon + 4] *= 0.6
        strip = gaussian_filter(strip, (1.6, 1.6, 0))
        return zoom(strip, (self._height / height, self._height / height, 1), order=1)

    def photograph(self, person: Person, random: np.random.Generator, *, spoilt: bool = False) -> bytes:
        """One picture of `person`, as the JPEG that the camera writes.

        Args:
            person: who.
            random: pose, place in the box, passing light, what stands in front.
            spoilt: a false box, as a bad detector cuts it: half a body or none.
        """
        camera, height, width = self.camera, self._height, self._width
        start = int(random.integers(0, self._backdrop.shape[1] - width + 1))
        canvas = self._backdrop[:, start : start + width].copy()
        heading = camera.heading + random.normal(0, camera.spread) + (180 if camera.both_ways and random.random() < 0.5 else 0)
        scale = height * random.uniform(0.86, 0.95) * (1.45 if spoilt else 1.0)
        foot = (width * (0.5 + random.normal(0, 0.035)), height * random.uniform(0.955, 0.985))
        if spoilt:
            foot = (foot[0] + width * random.choice((-0.55, 0.55)), foot[1] + height * random.uniform(0.0, 0.5))
        easel = Easel(
            canvas, foot, scale * person.height, np.deg2rad(heading), np.deg2rad(camera.pitch), _unit(camera.light), camera.ambient
        )
        self._shadow(canvas, foot, scale)
        draw_person(easel, person, random.uniform(0, 2 * np.pi))
        if random.random() < 0.12:
            self._obstacle(canvas, random)
        buffer = io.BytesIO()
        self._expose(canvas, random).save(buffer, "JPEG", quality=camera.quality)
        return buffer.getvalue()

    def _shadow(self, canvas: np.ndarray, foot: tuple[float, float], scale: float) -> None:
        y, x = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]]
        lean = -self.camera.light[0] * 0.10 * scale
        reach = ((x - foot[0] - lean) / (scale * 0.17)) ** 2 + ((y - foot[1] + 0.012 * scale) / (scale * 0.028)) ** 2
        canvas *= (1 - 0.45 * (1 - self.camera.ambient * 0.6) * np.exp(-reach))[..., None]

    def _obstacle(self, canvas: np.ndarray, random: np.random.Generator) -> None:
        """Something between the camera and the person: a bollard, a low wall or another person's shoulder."""
        height, width = canvas.shape[:2]
        kind = int(random.integers(3))
        if kind == 0:
            left = int(random.uniform(0.1, 0.75) * width)
            canvas[int(height * random.uniform(0.45, 0.65)) :, left : left + width // 7] = (0.24, 0.25, 0.27)
        elif kind == 1:
            top = int(height * random.uniform(0.74, 0.84))
            canvas[top:] = np.array((0.45, 0.44, 0.42)) * np.linspace(1.1, 0.8, height - top)[:, None, None]
        else:
            foot = (width * random.choice((-0.08, 1.08)), height * 1.03)
            near = Easel(canvas, foot, height * 0.95, random.uniform(0, 6.28), 0.0, _unit(self.camera.light), self.camera.ambient)
            draw_person(near, replace(make_person(random), bag="none"), random.uniform(0, 6.28))

    def _expose(self, canvas: np.ndarray, random: np.random.Generator) -> Image.Image:
        camera = self.camera
        gain = camera.exposure * np.exp(random.normal(0, 0.10)) * np.array(camera.cast) * np.exp(random.normal(0, 0.025, 3))
        slope = np.linspace(1 + random.normal(0, 0.06), 1 + random.normal(0, 0.06), canvas.shape[1])[None, :, None]
        seen = np.clip(canvas * gain * slope, 0, 1) ** camera.gamma
        seen = (seen - 0.45) * camera.contrast + 0.45
        picture = Image.fromarray((np.clip(seen, 0, 1) * 255).astype(np.uint8))
        detail = camera.detail * random.uniform(0.8, 1.0)
        low = (max(8, round(self.size[1] * detail)), max(16, round(self.size[0] * detail)))
        picture = picture.resize(low, Image.Resampling.BOX)
        pixels = gaussian_filter(np.asarray(picture, float) / 255, (camera.blur * detail, camera.blur * detail, 0))
        pixels += random.normal(0, camera.noise, pixels.shape[:2])[..., None] + random.normal(0, camera.noise / 2, pixels.shape)
        picture = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
        return picture.resize((self.size[1], self.size[0]), Image.Resampling.BICUBIC)


def _unit(direction: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = np.array(direction) / np.linalg.norm(direction)
    return float(x), float(y), float(z)
