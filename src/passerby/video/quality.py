"""How much a crop says about a person: its size, its sharpness, and how much of the person is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from passerby.video.boxes import Boxes, overlaps

__all__ = ["Quality", "judge", "sharpness", "visibility"]

_FULL_AREA = 128 * 64  # pixels; networks see 256 x 128, from half of that on each side little is lost
_HALF_SHARP = 12.0  # deviation of the Laplacian, in grey levels, that counts as half sharp
_EDGE_PX = 2.0
_CUT = 0.6  # for each edge of the picture that a box touches: some of the person is outside


@dataclass(frozen=True)
class Quality:
    """Of one crop; all from 0 to 1, the larger the better.

    Attributes:
        size: side lengths against 128 x 64 pixels.
        sharpness: see `sharpness`.
        visible: share that nobody stands in front of, less where the picture's edge cuts the person.
        confidence: of the detector.
    """

    size: float
    sharpness: float
    visible: float
    confidence: float

    @property
    def value(self) -> float:
        """All in one: visibility weighs most, because what is hidden cannot be made up for by size."""
        return self.visible * float(np.cbrt(self.size * self.sharpness * self.confidence))


def sharpness(crop: np.ndarray) -> float:
    """Deviation of the Laplacian of the crop at 64 pixels width, as d / (d + 12 grey levels).

    Args:
        crop: (H, W, 3) uint8 RGB.
    """
    grey = Image.fromarray(crop).convert("L").resize((64, 128), Image.Resampling.BILINEAR)
    levels = np.asarray(grey, dtype=np.float32)
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * levels[1:-1, 1:-1]
    deviation = float(around.std())
    return deviation / (deviation + _HALF_SHARP)


def visibility(boxes: Boxes, size: tuple[int, int]) -> np.ndarray:
    """(N,) shares of each box that no box in front of it hides, less where the edge of the picture of (width, height) cuts it.

    Who stands lower in the picture stands nearer to the camera.
    """
    corners = boxes.corners.astype(np.float64)
    areas = (corners[:, 2:] - corners[:, :2]).clip(1e-6).prod(axis=1)
    nearer = corners[None, :, 3] > corners[:, None, 3]
    hidden = np.where(nearer, overlaps(corners, corners), 0.0).max(axis=1, initial=0.0) / areas
    touching = (corners[:, :2] <= _EDGE_PX).sum(axis=1) + (corners[:, 2:] >= np.array(size) - _EDGE_PX).sum(axis=1)
    return (1 - hidden).clip(0, 1) * _CUT**touching


def judge(crop: np.ndarray, visible: float, confidence: float) -> Quality:
    """The quality of one crop.

    Args:
        crop: (H, W, 3) uint8 RGB.
        visible: see `visibility`.
        confidence: of the detector.
    """
    size = min(1.0, float(np.sqrt(crop.shape[0] * crop.shape[1] / _FULL_AREA)))
    return Quality(size, sharpness(crop), float(visible), float(np.clip(confidence, 0, 1)))
