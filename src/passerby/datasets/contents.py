"""What the image files themselves say: which cannot be decoded, and which are the same picture under two names."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passerby.datasets.consequences import Finding
from passerby.datasets.images import decode_image
from passerby.datasets.walking import shown
from passerby.errors import ImageError, listing
from passerby.progress import track
from passerby.records import Record, ReidData

__all__ = ["Look", "content_findings", "look_at_images"]

_AHEAD = 4_096
_IN_3D = frozenset({".obj", ".ply", ".npz", ".off"})


@dataclass(frozen=True)
class Look:
    """One opened file: the hash of its content, or why it cannot be used."""

    path: Path
    digest: str
    error: str = ""


def look_at_images(data: ReidData, *, quick: bool) -> list[Look]:
    """Open every image once, on all cores; with `quick`, only ask for its size. Clouds and meshes are left to who reads them.

    Returns:
        One `Look` a file; its digest is empty where it was not read.
    """
    paths = sorted({record.path for split in _everything(data) for record in split if not _in_3d(record.path)})
    look = _size_only if quick else _decode
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        chunks = (paths[start : start + _AHEAD] for start in range(0, len(paths), _AHEAD))
        return list(track((found for chunk in chunks for found in pool.map(look, chunk)), "checking images", total=len(paths)))


def _in_3d(path: Path) -> bool:
    return path.suffix.lower() in _IN_3D or path.parent.suffix == ".h5"


def _everything(data: ReidData) -> Iterator[tuple[Record, ...]]:
    yield from (split.records for split in data.splits().values())
    yield from (split.records for trial in data.trials for split in (trial.train, trial.query, trial.gallery))


def _size_only(path: Path) -> Look:
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        return Look(path, "", f'image "{shown(path)}" cannot be read: {error.strerror}.')
    return Look(path, "", f'image "{shown(path)}" has zero bytes. Copy or unpack it again.' if empty else "")


def _decode(path: Path) -> Look:
    try:
        content = path.read_bytes()
        decode_image(content, path)
    except OSError as error:
        return Look(path, "", f'image "{shown(path)}" cannot be read: {error.strerror}.')
    except ImageError as error:
        return Look(path, "", str(error))
    return Look(path, hashlib.blake2b(content, digest_size=16).hexdigest())


def content_findings(data: ReidData, looks: list[Look]) -> list[Finding]:
    """Unreadable files, and equal pictures by what they do to an evaluation."""
    found = []
    broken = [look for look in looks if look.error]
    if broken:
        more = f" And {len(broken) - 1} more: {listing(_name(look.path) for look in broken[1:])}." if len(broken) > 1 else ""
        found.append(Finding("unreadable-images", "problem", broken[0].error + more, len(broken)))
    digests = {look.path: look.digest for look in looks if look.digest}
    return found + list(_equal_pictures(data, digests))


def _name(path: Path) -> str:
    return f'"{shown(path.name)}"'


def _equal_pictures(data: ReidData, digests: dict[Path, str]) -> Iterator[Finding]:
    pictures: dict[str, list[tuple[str, Record]]] = defaultdict(list)
    for subset, split in data.splits().items():
        if subset != "multi_query":
            for record in split:
                pictures[digests.get(record.path, "")].append((subset, record))
    pictures.pop("", None)
    kinds: dict[str, list[Path]] = defaultdict(list)
    for shows in pictures.values():
        if len({record.path for _, record in shows}) > 1:
            kinds[_kind(shows)].append(shows[0][1].path)
    for kind, (severity, meaning) in _MEANINGS.items():
        if kind in kinds:
            paths = kinds[kind]
            text = f"{len(paths):,} pictures ({listing(map(_name, paths), 3)}) {meaning}."
            yield Finding(kind, severity, text, len(paths))


_MEANINGS: dict[str, tuple[Literal["problem", "consequence", "note"], str]] = {
    "leak": ("problem", "are in training and test under different names: every number is made on training images"),
    "contradiction": ("problem", "are in the test images more than once with different pids: at least one label is wrong"),
    "copied-match": ("problem", "are query and gallery at once, with different cameras: the copy is found, not the person"),
    "contradiction-in-training": (
        "consequence",
        "are in the training images more than once with different pids: at least one label is wrong",
    ),
    "in-train-and-val": ("consequence", "are in train and val: validation is partly made on training images"),
    "same-camera-copies": (
        "note",
        "are query and gallery at once, with one pid and camera: evaluation drops them, the numbers stay",
    ),
    "copies": ("note", "occur more than once in one subset, with one pid: they count more than others"),
}


def _kind(shows: list[tuple[str, Record]]) -> str:
    """What it means that one picture occurs more than once."""
    subsets = {subset for subset, _ in shows}
    test = [(subset, record) for subset, record in shows if subset in ("query", "gallery")]
    if test and len(test) < len(shows):
        return "leak"
    if len({record.pid for _, record in shows}) > 1:
        return "contradiction" if test else "contradiction-in-training"
    if subsets == {"query", "gallery"}:
        cameras = {s: {record.camera for subset, record in shows if subset == s} for s in subsets}
        same = cameras["query"] == cameras["gallery"] and len(cameras["query"]) == 1
        return "same-camera-copies" if same else "copied-match"
    return "in-train-and-val" if subsets == {"train", "val"} else "copies"
