"""Drawn people: a small data set made on the spot, for a first run that needs no download and no licence form.

Little figures with clothes, patterns, hair and bags walk past up to six cameras that differ in place, light, colour cast, sharpness
and viewing direction. Nothing is filmed and nobody is real; numbers made from these images say nothing about real cameras, and
the data set's notes say so beside every number.

The folder has the layout of Market-1501 (`bounding_box_train`, `query`, `bounding_box_test`; people 1 and up, 0 distractors,
-1 false boxes), with a `dataset.json` beside it, so the ordinary readers read it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from passerby.datasets.drawn.people import Person, make_person
from passerby.datasets.drawn.scenes import CAMERAS, Camera, Scene
from passerby.datasets.prepared import Card, read_card, write_card
from passerby.datasets.registry import read
from passerby.errors import DataError, UsageError
from passerby.progress import track
from passerby.records import DISTRACTOR_PID, JUNK_PID, ReidData

__all__ = ["CAMERAS", "NOTE", "Camera", "DrawnOptions", "Person", "Scene", "make_drawn", "make_person"]

NOTE = "The people are drawn, not filmed: these numbers say whether the software works, nothing about real cameras."
_LAYOUT = "market-style"
_TRAIN, _QUERY, _GALLERY = "bounding_box_train", "query", "bounding_box_test"


@dataclass(frozen=True)
class DrawnOptions:
    """How much is drawn. The same options give the same files, byte for byte, on one version of the libraries.

    Attributes:
        train_people: identities to train on.
        test_people: identities to search for; nobody is in both.
        cameras: 2 to 6.
        images: of each person in each camera, 2 or more; of test people one a camera becomes a query.
        distractors: gallery images of people whom nobody searches for.
        junk: gallery images of false boxes.
        height_px: of an image; it is half as wide.
        seed: of everything.

    Raises:
        UsageError: a number out of range.
    """

    train_people: int = 64
    test_people: int = 40
    cameras: int = 4
    images: int = 3
    distractors: int = 80
    junk: int = 20
    height_px: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "train_people": (1, 4000), "test_people": (2, 4000), "cameras": (2, len(CAMERAS)), "images": (2, 99),
            "distractors": (0, 100_000), "junk": (0, 100_000), "height_px": (32, 512), "seed": (0, 2**63),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value}: it is a whole number from {low} to {high}.")


@dataclass(frozen=True)
class _Shot:
    """One image to be made: where it goes, who is on it, and which random numbers it gets."""

    folder: str
    pid: int
    person: int
    camera: int
    number: int

    @property
    def name(self) -> str:
        pid = f"{self.pid:04d}" if self.pid >= 0 else "-1"
        return f"{pid}_c{self.camera + 1}s1_{self.person * 100 + self.number:06d}_00.jpg"


def _shots(options: DrawnOptions) -> Iterator[_Shot]:
    cameras, first_other = range(options.cameras), options.train_people + options.test_people + 1
    for pid in range(1, first_other):
        for camera in cameras:
            for number in range(options.images):
                test = _QUERY if number == 0 else _GALLERY
                yield _Shot(_TRAIN if pid <= options.train_people else test, pid, pid, camera, number)
    for extra in range(options.distractors + options.junk):
        pid = DISTRACTOR_PID if extra < options.distractors else JUNK_PID
        yield _Shot(_GALLERY, pid, first_other + extra, extra % options.cameras, 0)


def make_drawn(folder: str | os.PathLike[str], options: DrawnOptions = DrawnOptions()) -> ReidData:
    """Draw the data set into a folder, whole or not at all, and read it. A folder that holds it already is only read.

    Args:
        folder: to be made; `data check`, `train` and the rest take it as their `--data`.
        options: how much.

    Returns:
        The data set as the ordinary reader sees it; its notes say that the people are drawn.

    Raises:
        DataError: the folder holds something else.
        OSError: it cannot be written.
    """
    target = Path(folder)
    plan = ",".join(f"{name}={value}" for name, value in asdict(options).items())
    card = read_card(target) if target.is_dir() else None
    if card is None or card.plan != plan:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DataError(f'"{target}" exists and holds something other than these drawn people: choose another folder, or remove it.')
        _draw_all(target, options, Card("drawn", _LAYOUT, notes=(NOTE,), plan=plan, facts=asdict(options)))
    return read(_LAYOUT, target)


def _draw_all(target: Path, options: DrawnOptions, card: Card) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", dir=target.parent))
    size = (options.height_px, options.height_px // 2)
    try:
        for name in (_TRAIN, _QUERY, _GALLERY):
            (temporary / name).mkdir()
        scenes = [Scene(CAMERAS[c], size, np.random.default_rng((options.seed, 1, c))) for c in range(options.cameras)]
        for shot in track(list(_shots(options)), "drawing people"):
            person = make_person(np.random.default_rng((options.seed, 2, shot.person)))
            random = np.random.default_rng((options.seed, 3, shot.person, shot.camera, shot.number))
            jpeg = scenes[shot.camera].photograph(person, random, spoilt=shot.pid == JUNK_PID)
            (temporary / shot.folder / shot.name).write_bytes(jpeg)
        write_card(temporary, card)
        temporary.chmod(0o755)
        if target.is_dir():
            target.rmdir()  # empty, as was checked
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
