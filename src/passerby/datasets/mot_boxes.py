"""MOTChallenge ground truth: boxes of tracked people, chosen and cut to the picture, ready to become crops.

A line is ``frame, track, left, top, width, height, confidence`` and then, in MOT16 and later, ``class, visibility``, or, in
MOT15, ``x, y, z``. Frames and pixels count from 1. A confidence of 0 in ground truth means "do not use". The two halves of a
track's lifetime stand in for two cameras.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.datasets.walking import shown
from passerby.errors import DataError, UsageError

__all__ = ["HALVES_NOTE", "Box", "Crop", "MotOptions", "choose_crops", "parse_box", "read_truth"]

HALVES_NOTE = (
    "one video has one camera: the first and second half of each track's lifetime stand in for two cameras, "
    "so Rank-k and mAP are far higher than between real cameras"
)


@dataclass(frozen=True)
class MotOptions:
    """Which boxes of a MOT sequence become crops.

    Raises:
        UsageError: a value is out of its range.
    """

    classes: tuple[int, ...] = (1,)
    """MOT16+ classes that are kept; 1 is pedestrian. Files without classes are not filtered."""
    min_visibility: float = 0.3
    """Boxes less visible than this share are left out (0 to 1). Files without visibility are not filtered."""
    min_height_px: int = 40
    """Boxes lower than this after clipping are left out, pixels."""
    min_width_px: int = 12
    """Boxes narrower than this after clipping are left out, pixels."""
    min_inside: float = 0.6
    """Boxes with less than this share of their area inside the picture are left out (0 to 1)."""
    every: int = 1
    """Take every N-th frame; neighbouring frames are nearly the same picture."""
    gap: int = 0
    """Frames left out around the middle of each track, so that its two halves do not touch."""

    def __post_init__(self) -> None:
        for name, low, high in (("min_visibility", 0, 1), ("min_inside", 0, 1), ("every", 1, math.inf), ("gap", 0, math.inf)):
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"{name} is {getattr(self, name)}; allowed are values from {low} to {high}.".replace(" to inf", " on")
                )
        if min(self.min_height_px, self.min_width_px) < 1:
            raise UsageError(f"min_height_px {self.min_height_px} and min_width_px {self.min_width_px} must be at least 1.")


@dataclass(frozen=True)
class Box:
    """One line of ground truth, in its own unit: pixels that count from 1.

    `kind` is the class number, None where the file has none; so is `visibility`.
    """

    frame: int
    track: int
    left: float
    top: float
    width: float
    height: float
    confidence: float = 1.0
    kind: int | None = None
    visibility: float | None = None


@dataclass(frozen=True)
class Crop:
    """One box to cut out: pixels from 0, right and bottom excluded; `half` is 0 or 1."""

    frame: int
    track: int
    half: int
    corners: tuple[int, int, int, int]


def read_truth(path: Path) -> list[Box]:
    """Read a ``gt.txt``, sorted by frame and track.

    Raises:
        DataError: a line does not fit, a track is twice in one frame, or it is a file of detections.
    """
    boxes: dict[tuple[int, int], Box] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        box = parse_box(line, f'"{shown(path)}", line {number}')
        if (box.frame, box.track) in boxes and box.track >= 0:
            raise DataError(f'"{shown(path)}", line {number}: track {box.track} is twice in frame {box.frame}.')
        boxes[box.frame, box.track] = box
    if not boxes:
        raise DataError(f'"{shown(path)}" holds no boxes.')
    if all(track < 0 for _, track in boxes):
        raise DataError(f'"{shown(path)}" holds detections without identities (track -1); ground truth (gt.txt) is needed.')
    return [boxes[key] for key in sorted(boxes) if key[1] >= 0]


def parse_box(line: str, where: str) -> Box:
    """One line of a MOT file; `where` is what an error calls it.

    Raises:
        DataError: it does not fit.
    """
    try:
        values = [float(word) for word in line.replace(",", " ").split()]
    except ValueError:
        raise DataError(f'{where}: "{shown(line[:60])}" is no row of numbers.') from None
    if len(values) not in (6, 7, 9, 10):
        raise DataError(
            f"{where}: {len(values)} columns; MOT ground truth has 9 (MOT16 and later) or 10 (MOT15), or the first 6 or 7."
        )
    if not all(map(math.isfinite, values)) or values[0] != int(values[0]) or values[1] != int(values[1]):
        raise DataError(f'{where}: "{shown(line[:60])}": frame and track are whole numbers, and all values are finite.')
    if values[0] < 1:
        raise DataError(f"{where}: frame {int(values[0])}; MOT counts frames from 1. Add 1 to the frame column.")
    box = Box(int(values[0]), int(values[1]), *values[2:6], confidence=values[6] if len(values) > 6 else 1.0)
    if len(values) == 9:
        kind, visibility = int(values[7]), values[8]
        return replace(box, kind=kind if kind >= 0 else None, visibility=visibility if visibility >= 0 else None)
    return box


def choose_crops(boxes: Sequence[Box], size: tuple[int, int], options: MotOptions) -> tuple[list[Crop], dict[str, int]]:
    """Choose, clip and halve.

    Args:
        boxes: of one sequence.
        size: width and height of its pictures, pixels.
        options: what is left out.

    Returns:
        The crops in order of frame and track, and how many boxes were left out for which reason.
    """
    dropped: Counter[str] = Counter()
    kept: list[tuple[Box, tuple[int, int, int, int]]] = []
    for box in boxes:
        corners = _clip(box, size)
        reason = _reason(box, corners, options)
        if reason:
            dropped[reason] += 1
        else:
            kept.append((box, corners))
    spans: dict[int, tuple[int, int]] = {}
    for box, _ in kept:
        first, last = spans.get(box.track, (box.frame, box.frame))
        spans[box.track] = (min(first, box.frame), max(last, box.frame))
    crops = []
    for box, corners in kept:
        middle = sum(spans[box.track]) / 2
        if 2 * abs(box.frame - middle) < options.gap:
            dropped["in the gap between the halves"] += 1
        else:
            crops.append(Crop(box.frame, box.track, int(box.frame > middle), corners))
    return crops, dict(sorted(dropped.items()))


def _clip(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels from 0, inside the picture; may be empty."""
    left, top = round(box.left - 1), round(box.top - 1)
    right, bottom = round(box.left - 1 + box.width), round(box.top - 1 + box.height)
    return max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])


def _reason(box: Box, corners: tuple[int, int, int, int], options: MotOptions) -> str | None:
    """Why a box is left out, or None."""
    width, height = corners[2] - corners[0], corners[3] - corners[1]
    if box.confidence == 0:
        return "marked as not to be used"
    if box.kind is not None and box.kind not in options.classes:
        return "of another class"
    if box.visibility is not None and box.visibility < options.min_visibility:
        return "hardly visible"
    if (box.frame - 1) % options.every:
        return "between the chosen frames"
    if min(width, height) <= 0 or width * height < options.min_inside * box.width * box.height:
        return "mostly outside the picture"
    if width < options.min_width_px or height < options.min_height_px:
        return "too small"
    return None
