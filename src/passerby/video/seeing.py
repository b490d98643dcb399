"""Who is seen in a film, and where: looking, following, and the bookkeeping that lets both be taken up again.

What an interrupted run has seen is kept as boxes, so that nothing is looked at twice: the tracker is fed with them again, which
takes a small part of the time, and gives the same tracks. So that this stays short on a film of a day, the film is cut into
segments: after ten minutes at the first moment when nobody is followed, after fifteen minutes at the latest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from passerby.video.boxes import Boxes
from passerby.video.detector import Detector
from passerby.video.frames import Film, Frame
from passerby.video.given import GivenBoxes
from passerby.video.tracking import ByteTracker, Follower, GivenTracks, Step, Tracking

__all__ = ["Look", "Place", "Watcher", "packed", "unpacked"]

_LATEST = 1.5  # segments last so many times `segment_s` at the most


@dataclass(frozen=True)
class Look:
    """One look at a frame: its number, its mark in the file, and the boxes found, before they are followed."""

    number: int
    mark: int | None
    boxes: Boxes


@dataclass(frozen=True)
class Place:
    """Where in the film a segment begins. `segment` counts from 0, `number` is the first frame."""

    segment: int = 0
    number: int = 0


@dataclass
class Watcher:
    """Looks at frames and follows who is in them.

    Attributes:
        film: what is looked at.
        eyes: a detector, or boxes of another tool.
        tracking: how people are followed; no matter where the boxes are tracked already.
        every: every how many frames are looked at.
        segment_s: see the module.
        place: the segment that is being watched.
    """

    film: Film
    eyes: Detector | GivenBoxes
    tracking: Tracking
    every: int
    segment_s: float
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        self.follower = self._follower()

    def _follower(self) -> Follower:
        if isinstance(self.eyes, GivenBoxes) and self.eyes.tracked:
            return GivenTracks({number: boxes for number, boxes in self.eyes.by_frame.items() if number % self.every == 0})
        return ByteTracker(self.tracking, self.film.fps / self.every)

    def look(self, frame: Frame) -> Look:
        """The boxes in one frame, inside the picture and rounded as they are kept."""
        if isinstance(self.eyes, GivenBoxes):
            found = self.eyes.by_frame.get(frame.number, Boxes()).clipped(self.film.size)
        else:
            found = self.eyes(frame.pixels())
        rounded = Boxes(found.corners.round(1), found.confidences.round(3), found.tracks)
        return Look(frame.number, frame.mark, rounded)

    def follow(self, look: Look) -> Step:
        """Who of them is who."""
        return self.follower.step(look.number, look.boxes)

    def over(self, number: int) -> bool:
        """Whether the segment ends with frame `number`."""
        if isinstance(self.follower, GivenTracks):
            return False
        seconds = (number + 1 - self.place.number) / self.film.fps
        return seconds >= self.segment_s and (self.follower.idle or seconds >= _LATEST * self.segment_s)

    def turn(self, number: int) -> None:
        """Begin a new segment after frame `number`: whoever is followed gets another track from now on."""
        self.place = Place(self.place.segment + 1, number + 1)
        self.follower = self._follower()


def packed(looks: Sequence[Look]) -> str:
    """Looks as one line of JSON."""
    rows = []
    for look in looks:
        boxes = look.boxes
        columns = [boxes.corners.astype(np.float64).round(1), boxes.confidences.astype(np.float64).round(3), boxes.tracks]
        rows.append([look.number, look.mark, np.column_stack(columns).tolist()])
    return json.dumps(rows, separators=(",", ":"))


def unpacked(text: str) -> list[Look]:
    """What `packed` has made, number for number."""
    rows: list[Any] = json.loads(text)
    looks = []
    for number, mark, boxes in rows:
        numbers = np.array(boxes, np.float64).reshape(-1, 6)
        looks.append(Look(number, mark, Boxes.of(numbers[:, :4], numbers[:, 4], numbers[:, 5])))
    return looks
