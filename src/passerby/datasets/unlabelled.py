"""Images of which nobody's name is known, whatever the files are called: a folder of them, or a data set without its labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from passerby.datasets.camera_names import cameras_in_names
from passerby.datasets.registry import DATASETS, identify, read, read_parts, resolve
from passerby.datasets.walking import images_below, shown
from passerby.errors import DataError, ImageError, UsageError, listing
from passerby.records import JUNK_PID, Record, ReidData, Split

__all__ = ["Target", "data_of_target", "digest_of", "layout_of", "read_target", "read_unlabelled", "without_labels"]

_CAMERA_FIRST = re.compile(r"c(\d{1,18})(?:s\d+)?[_-]", re.IGNORECASE)  # c3_000451.jpg, with nobody's number before it


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


def read_unlabelled(folder: Path, domain: str, *, cameras: Literal["ignored", "known", "needed"] = "ignored") -> Split:
    """All images below a folder, without identity (pid -1).

    Args:
        folder: searched with all its subfolders.
        domain: name of the place, for `Record.domain`.
        cameras: ``ignored`` makes all images those of one camera, in the order of their paths. ``needed`` takes the camera from
            each name (``_cN``, ``camN``, ``cN_...``), or from the nearest folder above it of that form, whichever says it of more
            images; ``known`` does so where all images have one, and else ignores them. Both give an order that does not follow
            from who is shown.

    Raises:
        DataError: there is none, or no camera is known of some of them.
        ImageError: a file cannot be read.
    """
    paths = images_below(folder) if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder} holds no image: give a folder with images (.jpg, .png, ...) in it or below it.")
    found = {} if cameras == "ignored" else _cameras(paths, folder)
    if cameras == "needed":
        _check_cameras(paths, found, folder)
    if len(found) < len(paths):
        found = dict.fromkeys(paths, 0)
    split = Split(tuple(Record(path, JUNK_PID, found[path], domain) for path in paths))
    return split if cameras == "ignored" else _in_order(split)


def without_labels(split: Split) -> Split:
    """The same images without identity (pid -1), in an order that does not follow from who they show."""
    return _in_order(replace(record, pid=JUNK_PID) for record in split)


def read_target(target: str, data: Path | None = None, *, cameras: Literal["known", "needed"] = "needed") -> Target:
    """A place to adapt to.

    Args:
        target: a folder of crops; a folder with a data set; or ``NAME`` or ``NAME:PART`` of a data set, as in ``street:market``.
            Of a data set the training images are taken, without their labels; its query and gallery are handed on for the log.
        data: folder that holds the data set, `target` is its name then; None: the one in PASSERBY_DATA.
        cameras: see `read_unlabelled`; of data sets the cameras are always known.

    Raises:
        UsageError: neither a folder nor a data set has that name; or `data` beside a folder.
        DataError: no image, no camera, or the data set does not fit its layout.
        ImageError: a file cannot be read.
    """
    found = data_of_target(target, data)
    if found is None:
        name = Path(target).resolve().name
        return Target(name, read_unlabelled(Path(target), name, cameras=cameras))
    if not len(found.train):
        raise DataError(f'the target "{shown(target)}" ({found.name}) has no training images to learn from without labels.')
    return Target(found.name, without_labels(found.train), found.query, found.gallery, found.notes)


def data_of_target(target: str, data: Path | None = None) -> ReidData | None:
    """The data set that a target is, with its labels, to measure on; None for a folder of crops.

    Args:
        target: see `read_target`.
        data: see `read_target`.

    Returns:
        The data set. Its name is the one that was given; that of a folder is added: ``market-style in site``.

    Raises:
        UsageError: neither a folder nor a data set has that name; or `data` beside a folder.
        DataError: the data set does not fit its layout.
    """
    folder = Path(target)
    if folder.is_dir() and data is not None:
        if _is_name(target):
            return read_parts(target, data)
        raise UsageError(
            f'target_data is {shown(data)}: it holds a data set that --target names, but "{shown(target)}" is a folder. '
            "Leave it out (--target-data None where --config has it)."
        )
    if not folder.is_dir():
        if folder.suffix or len(folder.parts) > 1:
            raise UsageError(f'target "{shown(target)}" is no folder, and no name of a data set: give a folder of images.')
        return read_parts(target, data)
    layout = layout_of(folder)
    if layout is None:
        return None
    found = read(layout, folder)
    return replace(found, name=f"{found.name} in {shown(folder.resolve().name)}")


def _is_name(text: str) -> bool:
    try:
        resolve(text.partition(":")[0])
    except UsageError:
        return False
    return True


def layout_of(folder: Path) -> str | None:
    """The name of the data set that a folder is; None for a folder of crops."""
    layout = identify(folder)
    if layout is None or (layout is DATASETS["folder"] and not (folder / "query").is_dir()):
        return None
    return layout.name


def _in_order(records: Iterable[Record]) -> Split:
    """By what the files hold, and by camera: the order decides what is drawn when, and names may say who is shown."""
    return Split(tuple(sorted(records, key=lambda record: (digest_of(record.path), record.camera))))


def digest_of(path: Path) -> bytes:
    """Of the whole file: 2,000 crops take 0.05 s, and 0.4 s from a cold disk."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise ImageError(f'image "{shown(path)}" cannot be read: {error.strerror or error}. Remove or replace it.') from error


def _cameras(paths: list[Path], folder: Path) -> dict[Path, int]:
    """The camera of each image that says one, in its own name or in that of a folder above it: as more images do."""
    named = cameras_in_names(paths, _CAMERA_FIRST)
    if len(named) == len(paths):
        return named
    above = {path: list(path.relative_to(folder).parents)[:-1] for path in paths}  # the nearest first
    names = sorted({parent.name for parents in above.values() for parent in parents})
    known = {path.name: camera for path, camera in cameras_in_names([Path(f"{name}_") for name in names], _CAMERA_FIRST).items()}
    found = {path: next((known[key] for p in parents if (key := f"{p.name}_") in known), None) for path, parents in above.items()}
    by_folder = {path: camera for path, camera in found.items() if camera is not None}
    return by_folder if len(by_folder) > len(named) else named


def _check_cameras(paths: list[Path], cameras: dict[Path, int], folder: Path) -> None:
    without = [path for path in paths if path not in cameras]
    if without:
        names = listing(f'"{shown(path.relative_to(folder))}"' for path in without)
        raise DataError(
            f"no camera is known of {names} ({len(without)} of {len(paths):,} images of {shown(folder)}): write _cN into the "
            "names, or put the images into a folder a camera (cam1, cam2, ...)."
        )
