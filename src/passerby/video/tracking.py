"""Follow people from picture to picture: boxes in, the same boxes with numbers of tracks out.

The tracker is ByteTrack of the package `trackers` (Roboflow, Apache-2.0): strong boxes are joined to tracks first, weak ones of
half-hidden people then, both by where a Kalman filter expects each. A box that may be of a person who has a surer one already
counts as weak, however sure it is: it carries on a track that nothing else does, and begins none. The tracker gives one answer
for one input, so that a film that was interrupted can be followed again from its stored boxes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from passerby.errors import MissingDependencyError, UsageError
from passerby.video.boxes import Boxes

__all__ = ["CARRIES", "ByteTracker", "Follower", "GivenTracks", "Step", "Tracking"]


CARRIES = 0.75
"""Boxes with so large a share of the confidence that counts carry a track on."""


@dataclass(frozen=True)
class Tracking:
    """How people are followed.

    Attributes:
        begin: confidence from which a box may begin a track, 0 to 1.
        sure: confidence from which a box is joined to tracks first; weaker ones only to the tracks that are left then.
        overlap: least intersection over union of a box with where its track is expected.
        doubt: a box that shares more than this with a surer one (intersection over union), or of which nine tenths lie in it,
            counts as weak (`Boxes.doubtful`).
        patience_s: seconds after which a track that is not seen any more has ended.
        confirm: looks at a person before it counts as a track.

    Raises:
        UsageError: a value out of range.
    """

    begin: float = 0.45
    sure: float = 0.3
    overlap: float = 0.15
    doubt: float = 0.4
    patience_s: float = 1.0
    confirm: int = 2

    def __post_init__(self) -> None:
        for name in ("begin", "sure", "overlap", "doubt"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name} of the tracking is {getattr(self, name)}: it lies between 0 and 1.")
        if not 0 < self.patience_s <= 60 or self.confirm < 1:
            raise UsageError(
                f"patience_s of the tracking is {self.patience_s:g} and confirm {self.confirm}: up to 60 seconds, and 1 or more."
            )

    @classmethod
    def of(cls, confidence: float) -> Tracking:
        """The usual way to follow people whose boxes count from `confidence` on: a track begins with a box half as sure again."""
        return cls(begin=round(min(1.5 * confidence, (1 + confidence) / 2), 6), sure=confidence)


@dataclass(frozen=True)
class Step:
    """What is known after one more picture: `boxes` that belong to tracks, and the numbers of tracks that `ended`."""

    boxes: Boxes
    ended: tuple[int, ...] = ()


class Follower(Protocol):
    """Whatever follows people. Tracks are numbered from 0."""

    def step(self, number: int, boxes: Boxes) -> Step:
        """One more picture with its frame number."""
        ...

    @property
    def idle(self) -> bool:
        """Nobody is being followed: what comes does not depend on what was."""
        ...

    @property
    def open(self) -> tuple[int, ...]:
        """Numbers of the tracks that have not ended."""
        ...


class ByteTracker:
    """See the module.

    Args:
        how: options.
        looks_a_second: how often a picture comes.

    Raises:
        MissingDependencyError: `trackers` is not installed.
    """

    def __init__(self, how: Tracking, looks_a_second: float) -> None:
        try:
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise MissingDependencyError('Following people needs trackers: pip install "passerby[video]"') from error
        self._tracker = ByteTrackTracker(
            lost_track_buffer=max(1, round(how.patience_s * 30)),  # counted in frames of 30 a second, whatever the rate
            frame_rate=looks_a_second,
            track_activation_threshold=how.begin,
            minimum_consecutive_frames=how.confirm,
            minimum_iou_threshold=how.overlap,
            high_conf_det_threshold=how.sure,
        )
        self._how = how
        self._open: dict[int, None] = {}

    def step(self, number: int, boxes: Boxes) -> Step:
        """See `Follower`."""
        from supervision import Detections

        del number
        weak = np.minimum(boxes.confidences, np.float32(self._how.sure * (1 - 1e-3)))
        strength = np.where(boxes.doubtful(self._how.doubt), weak, boxes.confidences)
        seen = self._tracker.update(Detections(xyxy=boxes.corners, confidence=strength, class_id=np.arange(len(boxes))))
        found = Boxes()
        if len(seen) and seen.tracker_id is not None and seen.class_id is not None:
            rows, tracks = seen.class_id, seen.tracker_id
            order = rows[tracks >= 0]
            found = Boxes.of(boxes.corners[order], boxes.confidences[order], tracks[tracks >= 0])
        alive = {track.tracker_id for track in self._tracker.tracks}
        self._open.update(dict.fromkeys(found.tracks.tolist()))
        ended = tuple(track for track in self._open if track not in alive)
        for track in ended:
            del self._open[track]
        return Step(found, ended)

    @property
    def idle(self) -> bool:
        """See `Follower`."""
        return not self._tracker.tracks

    @property
    def open(self) -> tuple[int, ...]:
        """See `Follower`."""
        return tuple(self._open)


class GivenTracks:
    """Tracks that another tool has made: they end with their last box.

    Args:
        boxes: frame number -> boxes with tracks.
    """

    def __init__(self, boxes: Mapping[int, Boxes]) -> None:
        self._last: dict[int, int] = {}
        for number in sorted(boxes):
            self._last.update(dict.fromkeys(boxes[number].tracks.tolist(), number))
        self._open: dict[int, None] = {}

    def step(self, number: int, boxes: Boxes) -> Step:
        """See `Follower`."""
        self._open.update(dict.fromkeys(boxes.tracks.tolist()))
        ended = tuple(track for track in self._open if self._last[track] <= number)
        for track in ended:
            del self._open[track]
        return Step(boxes, ended)

    @property
    def idle(self) -> bool:
        """See `Follower`."""
        return not self._open

    @property
    def open(self) -> tuple[int, ...]:
        """See `Follower`."""
        return tuple(self._open)
