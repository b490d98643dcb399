"""MOT sequences: a video (or `img1/` frames) with ground-truth boxes and tracks. `passerby data prepare` cuts the crops.

A sequence is ``NAME.mp4`` beside ``NAME.gt.txt``, or MOTChallenge's ``NAME/img1/000001.jpg`` with ``NAME/gt/gt.txt``. Sequences
are the domains. Track t of the n-th sequence (sorted by name) becomes pid 10000 * n + t, so that no two people share a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from passerby.datasets.layouts import Fault, Layout, Scan
from passerby.datasets.mot_boxes import HALVES_NOTE, Crop, MotOptions, choose_crops, read_truth
from passerby.datasets.video_frames import VIDEO_SUFFIXES, FrameSource, open_frames
from passerby.datasets.walking import command, is_clutter, shown, subfolders
from passerby.errors import DataError, listing
from passerby.records import ReidData

__all__ = ["HALVES_NOTE", "MOT", "MotSequence", "find_sequences", "plan_sequence", "track_pid"]

_TRUTH_SUFFIX = ".gt.txt"
_PIDS_A_SEQUENCE = 10_000
_DETECTOR = re.compile(r"(?P<name>.+)-(DPM|FRCNN|SDP)")
_PARTS = re.compile(r"train|test|mot.*", re.IGNORECASE)


@dataclass(frozen=True)
class MotSequence:
    """One sequence: its name, its `gt.txt`, and its video file or folder of frames (None where it is missing)."""

    name: str
    truth: Path
    pictures: Path | None


def find_sequences(root: Path) -> list[MotSequence]:
    """The sequences in `root`, in its folders, and in their `train` or `MOT...` folders, sorted by name.

    MOT17 brings each sequence three times, once a detector, with the same pictures and truth: one of them is taken.
    """
    found: dict[str, MotSequence] = {}
    for sequence in _all_sequences(root):
        match = _DETECTOR.fullmatch(sequence.name)
        name = match["name"] if match else sequence.name
        found.setdefault(name, MotSequence(name, sequence.truth, sequence.pictures))
    return [found[name] for name in sorted(found)]


def _all_sequences(root: Path) -> Iterator[MotSequence]:
    for folder in _sequence_folders(root):
        if (folder / "gt" / "gt.txt").is_file():
            frames = folder / "img1"
            yield MotSequence(folder.absolute().name, folder / "gt" / "gt.txt", frames if frames.is_dir() else None)
        for truth in sorted(folder.glob(f"*{_TRUTH_SUFFIX}")):
            name = truth.name.removesuffix(_TRUTH_SUFFIX)
            if not is_clutter(name):
                videos = (folder / f"{name}{suffix}" for suffix in VIDEO_SUFFIXES)
                yield MotSequence(name, truth, next((video for video in videos if video.is_file()), None))


def _sequence_folders(root: Path, depth: int = 3) -> Iterator[Path]:
    yield root
    for child in subfolders(root):
        if depth and _PARTS.fullmatch(child.name):
            yield from _sequence_folders(child, depth - 1)
        else:
            yield child


def track_pid(sequence: int, track: int) -> int:
    """pid of a track of the `sequence`-th sequence, counted from 0.

    Raises:
        DataError: the track number leaves no room.
    """
    if not 0 <= track < _PIDS_A_SEQUENCE:
        raise DataError(f"track {track}: tracks from 0 to {_PIDS_A_SEQUENCE - 1} can be numbered. Renumber the tracks.")
    return _PIDS_A_SEQUENCE * (sequence + 1) + track


def plan_sequence(sequence: MotSequence, options: MotOptions) -> tuple[FrameSource, list[Crop], dict[str, int]]:
    """What is to be cut from one sequence, and how many boxes are left out for which reason.

    Raises:
        DataError: pictures are missing, the truth is damaged, or it names frames that are not there.
    """
    source = open_frames(_pictures(sequence))
    boxes = read_truth(sequence.truth)
    last = max(box.frame for box in boxes)
    if source.count is not None and last > source.count:
        raise DataError(
            f'"{shown(sequence.truth)}" names frame {last}, but "{shown(source.path)}" has {source.count}. '
            "Do video and boxes belong together?"
        )
    crops, dropped = choose_crops(boxes, source.size, options)
    return source, crops, dropped


def _pictures(sequence: MotSequence) -> Path:
    if sequence.pictures is None:
        beside = sequence.truth.name == "gt.txt"
        needed = (
            "an img1 folder of frames"
            if beside
            else f"a video {sequence.name}{VIDEO_SUFFIXES[0]} (or {listing(VIDEO_SUFFIXES[1:])})"
        )
        raise DataError(f'"{shown(sequence.truth)}" has boxes, but there is no picture to cut from: {needed} must lie beside it.')
    return sequence.pictures


def _scan(root: Path) -> Scan:
    """Without crops there is nothing to read: say what is there, and how crops are made."""
    said, faults = [], []
    for sequence in find_sequences(root):
        try:
            source, _, _ = plan_sequence(sequence, MotOptions())
            boxes = read_truth(sequence.truth)
        except DataError as error:
            faults.append(Fault("broken-sequence", str(error)))
        else:
            tracks = len({box.track for box in boxes})
            said.append(f"{sequence.name} ({source.count or 'uncounted'} frames, {tracks} tracks, {len(boxes):,} boxes)")
    if said:
        text = (
            f'"{shown(root)}" holds MOT sequences: {listing(said, 20)}. Crops must be cut first: '
            f"{command('data prepare', root)} --out NEW_FOLDER"
        )
        faults.append(Fault("not-prepared", text))
    return Scan(ReidData(MOT.name), tuple(faults))


def _recognise(root: Path) -> bool:
    return bool(find_sequences(root))


MOT = Layout(
    name="mot",
    title="MOT sequences",
    aliases=("motchallenge", "mot17", "mot20", "mot15"),
    folders=("MOT17", "MOT20", "MOT16", "MOT15", "2DMOT2015"),
    needs="NAME.mp4 beside NAME.gt.txt, or NAME/img1 beside NAME/gt/gt.txt",
    source="",
    scan=_scan,
    recognise=_recognise,
)
