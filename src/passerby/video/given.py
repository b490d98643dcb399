"""Boxes that another tool has found, in MOT format: a line is `frame, track, left, top, width, height, confidence...`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from passerby.datasets.mot_boxes import Box, parse_box
from passerby.datasets.walking import shown
from passerby.errors import DataError, listing
from passerby.video.boxes import Boxes

__all__ = ["GivenBoxes", "read_boxes"]

_PEDESTRIAN = 1


@dataclass(frozen=True)
class GivenBoxes:
    """Boxes by frame.

    Attributes:
        name: says which file.
        by_frame: frame number, from 0 -> boxes.
        tracked: they belong to tracks.
    """

    name: str
    by_frame: dict[int, Boxes]
    tracked: bool


def read_boxes(path: Path, *, tracked: bool, confidence: float = 0.0) -> GivenBoxes:
    """Read a file in MOT format; frames and pixels in it count from 1.

    Boxes with confidence 0 ("do not use") and, where the file has MOT16's classes, those that are no pedestrians are left out.

    Args:
        path: the file.
        tracked: the second column numbers tracks; otherwise it is not looked at.
        confidence: detections below it are left out, 0 to 1; one of which the file tells none counts as 1.

    Raises:
        DataError: no such file, a line that does not fit, confidences out of range, tracks without numbers, a track twice in
            one frame.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'boxes "{shown(path)}" cannot be read: {error.strerror}.') from error
    lines = content.decode("utf-8", errors="replace").splitlines()
    found = [parse_box(line, f'"{shown(path)}", line {n}') for n, line in enumerate(lines, 1) if line.strip()]
    kept = [box for box in found if box.confidence != 0 and box.kind in (None, _PEDESTRIAN)]
    if not kept:
        raise DataError(f'"{shown(path)}" holds no boxes of people.')
    _check(path, kept, tracked)
    kept = [box for box in kept if tracked or box.confidence == -1 or box.confidence >= confidence]
    if not kept:
        raise DataError(f'"{shown(path)}" holds no box with a confidence of {confidence:g} or more: lower --confidence.')
    by_frame: dict[int, list[Box]] = defaultdict(list)
    for box in kept:
        by_frame[box.frame - 1].append(box)
    kind = "tracks" if tracked else "detections"
    name = f"{kind} {path.name} {hashlib.sha256(content).hexdigest()[:12]}, confidence {confidence:g}"
    return GivenBoxes(name, {frame: _boxes(by_frame[frame], tracked) for frame in sorted(by_frame)}, tracked)


def _check(path: Path, boxes: list[Box], tracked: bool) -> None:
    if tracked:
        loose = [box.frame for box in boxes if box.track < 0]
        if loose:
            raise DataError(
                f'"{shown(path)}" has boxes without a track (-1, frame {listing(dict.fromkeys(loose))}): it holds detections; '
                "give it as --detections."
            )
        twice = _twice(boxes)
        if twice:
            raise DataError(f'"{shown(path)}": track {twice[1]} is twice in frame {twice[0]}.')
    wrong = [box.confidence for box in boxes if box.confidence != -1 and not 0 <= box.confidence <= 1]
    if wrong and not tracked:
        raise DataError(
            f'"{shown(path)}" has confidences from {min(wrong):g} to {max(wrong):g}: they are 0 to 1 (-1: not told). Scale them.'
        )
    flat = [box.frame for box in boxes if box.width <= 0 or box.height <= 0]
    if flat:
        raise DataError(f'"{shown(path)}" has boxes without width or height (frame {listing(flat)}). Are the columns in order?')


def _twice(boxes: list[Box]) -> tuple[int, int] | None:
    seen: set[tuple[int, int]] = set()
    for box in boxes:
        if (box.frame, box.track) in seen:
            return box.frame, box.track
        seen.add((box.frame, box.track))
    return None


def _boxes(boxes: list[Box], tracked: bool) -> Boxes:
    corners = [[box.left - 1, box.top - 1, box.left - 1 + box.width, box.top - 1 + box.height] for box in boxes]
    sure = [1.0 if tracked or box.confidence == -1 else box.confidence for box in boxes]
    return Boxes.of(corners, sure, [box.track for box in boxes] if tracked else None)
