"""What a camera does to light: where it stands, and how its lens, sensor and encoder change what arrives.

A camera is a record of numbers, so that a town can be listed and its gaps between cameras can be read off.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import RandomState
from PIL import Image
from scipy import ndimage

from passerby.street.render import View

__all__ = ["Box", "Camera", "Detector", "Response", "degrade", "detect", "encode"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Response:
    """From linear light to the picture that is stored.

    Attributes:
        exposure: factor on top of the automatic exposure, about 0.6 (dark) to 1.6 (blown out).
        cast: factor on red, green and blue: wrong white balance.
        gamma: exponent on the display value; above 1 darkens the middle.
        contrast: slope around the middle grey.
        lift: how far black is raised by stray light, 0 to 0.15 of the range.
        saturation: 0 grey to 1 as it is.
        blur_px: deviation of the lens's blur, frame pixels.
        sharpen: strength of the halo that the camera's own sharpening draws, 0 to 1.
        noise: deviation of the sensor's noise at middle grey, in 1/255 of the range.
        quality: JPEG quality of the stream, 1 to 95.
        motion_s: shutter time, s: how long a walking person smears.
    """

    exposure: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 1.0
    lift: float = 0.02
    saturation: float = 0.9
    blur_px: float = 0.6
    sharpen: float = 0.2
    noise: float = 2.5
    quality: int = 75
    motion_s: float = 0.01


@dataclass(frozen=True)
class Detector:
    """How the boxes of this camera's person detector miss the person.

    Attributes:
        margin: air around the person, fraction of the height, split over both ends.
        jitter: deviation of each edge, fraction of the box's height.
        truncation: share of boxes that lose a part of the person: the legs, or one side.
        aspect: least width of a box, fraction of its height: many detectors report boxes of one shape; 0 for tight ones.
    """

    margin: float = 0.06
    jitter: float = 0.025
    truncation: float = 0.06
    aspect: float = 0.0


@dataclass(frozen=True)
class Camera:
    """One camera of a town.

    Attributes:
        camid: number inside the town, from 0.
        name: what people call it.
        place: name of the place that it looks at.
        x, y, height_m: where it hangs, metres.
        pan_deg: direction in which it looks, 0 along +x, counter-clockwise seen from above.
        tilt_deg: how far it looks down.
        roll_deg: how far it hangs askew.
        focal_px: focal length in frame pixels.
        width, height: frame size, pixels.
        response: lens, sensor, encoder.
        detector: its boxes.
    """

    camid: int
    name: str
    place: str
    x: float
    y: float
    height_m: float
    pan_deg: float
    tilt_deg: float
    roll_deg: float
    focal_px: float
    width: int
    height: int
    response: Response = Response()
    detector: Detector = Detector()

    @property
    def eye(self) -> np.ndarray:
        """(3,) position, metres."""
        return np.array([self.x, self.y, self.height_m])

    def view(self) -> View:
        """The whole frame as a pinhole camera."""
        return _view(self)


@lru_cache(maxsize=64)
def _view(camera: Camera) -> View:
    pan, tilt = math.radians(camera.pan_deg), math.radians(camera.tilt_deg)
    forward = np.array([math.cos(pan) * math.cos(tilt), math.sin(pan) * math.cos(tilt), -math.sin(tilt)])
    roll = math.radians(camera.roll_deg)
    ahead = (camera.eye + forward).tolist()
    return View.look_at(camera.eye.tolist(), ahead, camera.focal_px, camera.width, camera.height, roll)


@dataclass(frozen=True)
class Box:
    """A rectangle in frame pixels; it may reach over the frame's edge."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The column just behind the box."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The row just below the box."""
        return self.top + self.height

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a frame of that size."""
        left, top = min(max(self.left, 0), width), min(max(self.top, 0), height)
        return Box(left, top, max(min(self.right, width) - left, 0), max(min(self.bottom, height) - top, 0))


def detect(box: Box, camera: Camera, random: RandomState) -> Box:
    """The whole-pixel box that the camera's detector reports for a person who fills `box`."""
    detector, height = camera.detector, box.height
    margin = detector.margin * height * random.uniform(0.2, 1.0)
    left, top, right, bottom = (random.normal(0, detector.jitter * height) * part for part in (0.8, 1.0, 0.8, 1.0))
    left, right = box.left - margin * 0.6 + left, box.right + margin * 0.6 + right
    top, bottom = box.top - margin * 0.5 + top, box.bottom + margin * 0.5 + bottom
    if random.uniform() < detector.truncation:
        cut = random.uniform(0.12, 0.42)
        side = random.randint(4)  # the legs are lost most often: behind cars, benches, other people
        if side < 2:
            bottom -= cut * (bottom - top)
        elif side == 2:
            left += 0.8 * cut * (right - left)
        else:
            right -= 0.8 * cut * (right - left)
    narrow = max(camera.detector.aspect, 0.24) * (bottom - top) - (right - left)
    left, right = left - max(narrow, 0) / 2, right + max(narrow, 0) / 2
    inside = Box(left, top, right - left, bottom - top).clipped(camera.width, camera.height)
    x0, y0 = math.floor(inside.left), math.floor(inside.top)
    width, height = max(math.ceil(inside.right) - x0, 8), max(math.ceil(inside.bottom) - y0, 16)
    return Box(min(x0, camera.width - width), min(y0, camera.height - height), width, height)


def _respond(light: np.ndarray, response: Response, gain: float) -> np.ndarray:
    """Linear light (H, W, 3) to display values, before noise."""
    exposed = light * np.asarray(response.cast, np.float32) * np.float32(gain * response.exposure)
    shoulder = np.where(exposed > 0.75, 1.0 - 0.25 * np.exp(-(exposed - 0.75) / 0.25), exposed)
    display = np.maximum(shoulder, 0) ** np.float32(response.gamma / 2.2)
    display = (display - np.float32(0.42)) * np.float32(response.contrast) + np.float32(0.42)
    display = np.float32(response.lift) + display * np.float32(1 - response.lift)
    grey = (display @ _LUMA)[..., None]
    return grey + (display - grey) * np.float32(response.saturation)


def degrade(
    light: np.ndarray, response: Response, random: RandomState, *, gain: float = 1.0, motion_px: float = 0.0
) -> np.ndarray:
    """Turn the light of a frame, or of a part of it, into the picture that the camera stores.

    Args:
        light: (H, W, 3) float32 linear light at the frame's own pixel pitch.
        response: lens, sensor, encoder.
        random: the noise.
        gain: the automatic exposure.
        motion_px: how far things move during the exposure, pixels along the rows.

    Returns:
        (H, W, 3) uint8.
    """
    picture = light
    if motion_px >= 1.0:
        picture = ndimage.uniform_filter1d(picture, round(motion_px) + 1, axis=1, mode="nearest")
    if response.blur_px > 0.05:
        picture = ndimage.gaussian_filter(picture, (response.blur_px, response.blur_px, 0), mode="nearest", truncate=3.0)
    display = _respond(picture, response, gain)
    if response.sharpen > 0:
        soft = ndimage.gaussian_filter(display, (1.2, 1.2, 0), mode="nearest", truncate=2.5)
        display = display + np.float32(response.sharpen) * (display - soft)
    if response.noise > 0:
        height, width = display.shape[:2]
        grain = random.normal(0, 1, (height, width, 1)) + 0.5 * random.normal(0, 1, (height, width, 3))
        display = display + grain.astype(np.float32) * np.float32(response.noise / 255) * (0.6 + 0.8 * np.clip(display, 0, 1))
    stored = np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)
    if response.quality >= 95:
        return stored
    return np.asarray(Image.open(io.BytesIO(encode(stored, response.quality))))


def encode(picture: np.ndarray, quality: int) -> bytes:
    """(H, W, 3) uint8 as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
