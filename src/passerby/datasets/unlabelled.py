"""Images of which nobody's name is known, whatever the files are called: a folder of them, or a data set without its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from passerby.datasets.camera_names import cameras_in_names
from passerby.datasets.registry import DATASETS, identify, read, read_parts
from passerby.datasets.walking import images_below, shown
from passerby.errors import DataError, UsageError, listing
from passerby.records import JUNK_PID, Record, Split

__all__ = ["Target", "read_target", "read_unlabelled", "without_labels"]

_CAMERA_FIRST = re.compile(r"c(\d{1,18})(?:s\d+)?[_-]", re.IGNORECASE)  # c3_000451.jpg, with nobody's number before it
_PERSON_FIRST = re.compile(r"^-?\d+_")


@dataclass(frozen=True)
class Target:
    """A place without labels.

    Attributes:
        name: of the data set, or of the folder.
        images: to learn from; every pid is -1.
        query: for the log alone; empty where the place has no test images.
        gallery: likewise.
        notes: what must be said beside every number made from it.
    """

    name: str
    images: Split
    query: Split = field(default_factory=Split)
    gallery: Split = field(default_factory=Split)
    notes: tuple[str, ...] = ()


def read_unlabelled(folder: Path, domain: str, *, by_camera: bool = False) -> Split:
    """All images below a folder, without identity (pid -1).

    Args:
        folder: searched with all its subfolders.
        domain: name of the place, for `Record.domain`.
        by_camera: take the camera from each name (``_cN``, ``camN``, ``cN_...``), or else from a subfolder of that form; False
            makes all images those of one camera.

    Raises:
        DataError: there is none, or no camera is known of some of them.
    """
    paths = images_below(folder) if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder} holds no image: give a folder with images (.jpg, .png, ...) in it or below it.")
    cameras = _cameras(paths, folder) if by_camera else dict.fromkeys(paths, 0)
    records = (Record(path, JUNK_PID, cameras[path], domain) for path in paths)
    return _in_order(records) if by_camera else Split(tuple(records))


def without_labels(split: Split) -> Split:
    """The same images without identity (pid -1), in an order that does not follow from who they show."""
    return _in_order(replace(record, pid=JUNK_PID) for record in split)


def read_target(target: str, data: Path | None = None, *, by_camera: bool = True) -> Target:
    """A place to adapt to.

    Args:
        target: a folder of crops; a folder with a data set; or ``NAME`` or ``NAME:PART`` of a data set, as in ``street:market``.
            Of a data set the training images are taken, without their labels; its query and gallery are handed on for the log.
        data: folder that holds the data set; None: the one in PASSERBY_DATA.
        by_camera: see `read_unlabelled`; of data sets the cameras are always known.

    Raises:
        UsageError: neither a folder nor a data set has that name.
        DataError: no image, no camera, or the data set does not fit its layout.
    """
    folder = Path(target)
    if not folder.is_dir():
        if folder.suffix or len(folder.parts) > 1:
            raise UsageError(f'target "{shown(target)}" is no folder, and no name of a data set: give a folder of images.')
        found = read_parts(target, data)
    else:
        layout = identify(folder)
        if layout is None or (layout is DATASETS["folder"] and not (folder / "query").is_dir()):
            name = folder.resolve().name
            return Target(name, read_unlabelled(folder, name, by_camera=by_camera))
        found = read(layout.name, folder)
    if not len(found.train):
        raise DataError(f'the target "{shown(target)}" ({found.name}) has no training images to learn from without labels.')
    return Target(found.name, without_labels(found.train), found.query, found.gallery, found.notes)


def _in_order(records: Iterable[Record]) -> Split:
    """By file name without the person that may stand first in it: the order decides what is drawn when."""
    return Split(tuple(sorted(records, key=lambda record: (_PERSON_FIRST.sub("", record.path.name), record.path))))


def _cameras(paths: list[Path], folder: Path) -> dict[Path, int]:
    cameras = cameras_in_names(paths, _CAMERA_FIRST)
    if not cameras:
        below = {path: Path(path.parent.name + "_") for path in paths if path.parent != folder}
        named = cameras_in_names(list(below.values()), _CAMERA_FIRST)
        cameras = {path: named[parent] for path, parent in below.items() if parent in named}
    without = [path for path in paths if path not in cameras]
    if without:
        names = listing(f'"{shown(path.relative_to(folder))}"' for path in without)
        raise DataError(
            f"no camera is known of {names} ({len(without)} of {len(paths):,} images of {shown(folder)}): write _cN into the "
            "names, or put the images into a folder a camera (cam1, cam2, ...)."
        )
    return cameras
