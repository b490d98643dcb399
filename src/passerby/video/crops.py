"""The best few crops of a track, spread over its time, kept while the track is still going on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from passerby.errors import UsageError
from passerby.video.boxes import Boxes
from passerby.video.frames import Frame
from passerby.video.quality import judge, visibility

__all__ = ["Cropping", "TrackCrop", "TrackCrops", "cut"]

_SLOTS = 4  # stretches of time a wanted crop that are kept while a track goes on
_WORTH = 0.5  # of the best crop's quality: what is worse than that is left out


@dataclass(frozen=True)
class Cropping:
    """Which crops of a track are kept.

    Attributes:
        crops_per_track: at most.
        min_height_px, min_width_px: smaller people are not cut out, pixels of the film.
        min_confidence: of a box that is cut out, 0 to 1; weaker ones carry a track on, and often show half a person.

    Raises:
        UsageError: a value out of range.
    """

    crops_per_track: int = 5
    min_height_px: int = 40
    min_width_px: int = 12
    min_confidence: float = 0.3

    def __post_init__(self) -> None:
        for name in ("crops_per_track", "min_height_px", "min_width_px"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: 1 is the least.")
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(f"min_confidence of crops is {self.min_confidence:g}: it is 0 to 1.")


@dataclass(frozen=True, eq=False)
class TrackCrop:
    """One crop of a track.

    Attributes:
        frame: number in the film, from 0.
        seconds: since the beginning of the film.
        box: left, top, width, height, pixels of the frame.
        quality: 0 to 1.
        pixels: (H, W, 3) uint8 RGB.
    """

    frame: int
    seconds: float
    box: tuple[float, float, float, float]
    quality: float
    pixels: np.ndarray


class TrackCrops:
    """The crops of one track.

    Time is cut into equal stretches, the best crop of each is kept, and when there are too many of them two become one: however
    long a track is, few crops are held, and which ones depends on nothing but the track.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted, self._length = wanted, 1
        self._slots: dict[int, TrackCrop] = {}
        self.seen = 0

    def offer(self, crop: TrackCrop) -> None:
        """One more crop of the track, in the order of frames."""
        self.seen += 1
        self._keep(crop)
        while len(self._slots) > _SLOTS * self._wanted:
            self._length *= 2
            held, self._slots = self._slots, {}
            for each in held.values():
                self._keep(each)

    def _keep(self, crop: TrackCrop) -> None:
        slot = crop.frame // self._length
        if slot not in self._slots or crop.quality > self._slots[slot].quality:
            self._slots[slot] = crop

    def best(self) -> list[TrackCrop]:
        """The best crops by time: one of each of as many equal stretches of the track as crops are wanted."""
        held = list(self._slots.values())
        if not held:
            return []
        first, span = held[0].frame, held[-1].frame - held[0].frame + 1
        chosen: dict[int, TrackCrop] = {}
        for crop in held:
            part = (crop.frame - first) * self._wanted // span
            if part not in chosen or crop.quality > chosen[part].quality:
                chosen[part] = crop
        least = _WORTH * max(crop.quality for crop in chosen.values())
        return [crop for crop in chosen.values() if crop.quality >= least]


def cut(frame: Frame, boxes: Boxes, size: tuple[int, int], how: Cropping) -> dict[int, TrackCrop]:
    """Track -> its crop in one frame, of those that are large and sure enough.

    Args:
        frame: the picture; made only if somebody is large enough.
        boxes: with tracks, inside the picture.
        size: width and height of the picture.
        how: options.
    """
    sides = np.rint(boxes.corners).astype(int)
    large = (sides[:, 3] - sides[:, 1] >= how.min_height_px) & (sides[:, 2] - sides[:, 0] >= how.min_width_px)
    wanted = np.flatnonzero(large & (boxes.confidences >= how.min_confidence))
    found: dict[int, TrackCrop] = {}
    if not len(wanted):
        return found
    picture, visible = frame.pixels(), visibility(boxes, size)
    for row in wanted:
        left, top, right, bottom = (int(side) for side in sides[row])
        pixels = picture[top:bottom, left:right].copy()
        quality = judge(pixels, visible[row], boxes.confidences[row]).value
        box = (float(left), float(top), float(right - left), float(bottom - top))
        found[int(boxes.tracks[row])] = TrackCrop(frame.number, frame.seconds, box, quality, pixels)
    return found
