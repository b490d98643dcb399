"""What the files themselves say: which cannot be read, which are the same picture under two names, whose points are uneven."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from passerby.datasets.cloud_files import CLOUD_SUFFIXES, is_row, read_cloud
from passerby.datasets.consequences import Finding
from passerby.datasets.images import decode_image
from passerby.datasets.modelnet import MODELNET40
from passerby.datasets.walking import shown
from passerby.errors import DataError, ImageError, listing
from passerby.progress import track
from passerby.records import Record, ReidData

__all__ = ["CloudLook", "Look", "cloud_findings", "content_findings", "look_at_clouds", "look_at_images", "mesh_findings"]

_AHEAD = 4_096
_MESHES = frozenset({".off"})
_Seen = TypeVar("_Seen", "Look", "CloudLook")


@dataclass(frozen=True)
class Look:
    """One opened file: the hash of its content, or why it cannot be used."""

    path: Path
    digest: str
    error: str = ""


@dataclass(frozen=True)
class CloudLook:
    """One cloud that was read: how many points it has and whether they are coloured, or why it cannot be used."""

    path: Path
    points: int = 0
    coloured: bool = True
    error: str = ""


def look_at_images(data: ReidData, *, quick: bool) -> list[Look]:
    """Open every image once, on all cores; with `quick`, only ask for its size.

    Returns:
        One `Look` a file; its digest is empty where it was not read.
    """
    paths = [path for path in _paths(data) if not (_is_cloud(path) or path.suffix.lower() in _MESHES)]
    return _each(_size_only if quick else _decode, paths, "checking images")


def look_at_clouds(data: ReidData, *, quick: bool) -> list[CloudLook]:
    """Read every cloud once, as training does; with `quick`, only ask for its size. Meshes are left to who draws points of them.

    Returns:
        One `CloudLook` a cloud; it has no points where it was not read.
    """
    paths = [path for path in _paths(data) if _is_cloud(path) and not _is_mesh(path, data)]
    return _each(_cloud_size_only if quick else _read, paths, "checking clouds")


def _each(look: Callable[[Path], _Seen], paths: Sequence[Path], what: str) -> list[_Seen]:
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        chunks = (paths[start : start + _AHEAD] for start in range(0, len(paths), _AHEAD))
        return list(track((found for chunk in chunks for found in pool.map(look, chunk)), what, total=len(paths)))


def _paths(data: ReidData) -> list[Path]:
    return sorted({record.path for split in _everything(data) for record in split})


def _is_cloud(path: Path) -> bool:
    return path.suffix.lower() in CLOUD_SUFFIXES or is_row(path)


def _is_mesh(path: Path, data: ReidData) -> bool:
    return path.suffix.lower() in ({".obj", *_MESHES} if data.name == MODELNET40.name else _MESHES)


def _everything(data: ReidData) -> Iterator[tuple[Record, ...]]:
    yield from (split.records for split in data.splits().values())
    yield from (split.records for trial in data.trials for split in (trial.train, trial.query, trial.gallery))


def _size_only(path: Path) -> Look:
    return Look(path, "", _wrong_size(path, "image"))


def _cloud_size_only(path: Path) -> CloudLook:
    return CloudLook(path, error=_wrong_size(path.parent if is_row(path) else path, "cloud"))


def _wrong_size(path: Path, what: str) -> str:
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        return f'{what} "{shown(path)}" cannot be read: {error.strerror}.'
    return f'{what} "{shown(path)}" has zero bytes. Copy or unpack it again.' if empty else ""


def _decode(path: Path) -> Look:
    try:
        content = path.read_bytes()
        decode_image(content, path)
    except OSError as error:
        return Look(path, "", f'image "{shown(path)}" cannot be read: {error.strerror}.')
    except ImageError as error:
        return Look(path, "", str(error))
    return Look(path, hashlib.blake2b(content, digest_size=16).hexdigest())


def _read(path: Path) -> CloudLook:
    """A cloud without colours is one, too: some networks need none. Objects, rows of an HDF5 file, never have any."""
    try:
        return CloudLook(path, len(read_cloud(path, colours=not is_row(path))))
    except DataError as error:
        reason = str(error)
    try:
        return CloudLook(path, len(read_cloud(path, colours=False)), coloured=False)
    except DataError:
        return CloudLook(path, error=reason)


def content_findings(data: ReidData, looks: list[Look]) -> list[Finding]:
    """Unreadable files, and equal pictures by what they do to an evaluation."""
    digests = {look.path: look.digest for look in looks if look.digest}
    return [*_unreadable("unreadable-images", looks), *_equal_pictures(data, digests)]


def cloud_findings(looks: list[CloudLook]) -> list[Finding]:
    """Unreadable files, clouds of another number of points than most, and clouds without colours."""
    found = list(_unreadable("unreadable-clouds", looks))
    counts = Counter(look.points for look in looks if look.points)
    most = min(counts, key=lambda points: (-counts[points], points), default=0)
    uneven = [look for look in looks if look.points not in (0, most)]
    if uneven:
        names = listing(f"{_name(look.path)} {look.points:,}" for look in uneven)
        text = (
            f"{len(uneven):,} of {counts.total():,} clouds do not have the {most:,} points of the others ({names}): the clouds "
            "of a batch need equal numbers. Make all from images of one size, or train on the first points of each alone "
            f"(--first {min(counts)})."
        )
        found.append(Finding("uneven-clouds", "problem", text, len(uneven)))
    grey = [look for look in looks if not look.coloured]
    if grey:
        names = listing(_name(look.path) for look in grey)
        text = f"{len(grey):,} of {counts.total():,} clouds have no colours ({names}): only a network with inputs xyz takes them."
        found.append(Finding("colourless-clouds", "consequence", text, len(grey)))
    return found


def mesh_findings(data: ReidData) -> list[Finding]:
    """Files that nobody has opened."""
    meshes = sum(_is_mesh(path, data) for path in _paths(data))
    text = f"{meshes:,} meshes were not opened: a damaged one stops the training that draws points of it."
    return [Finding("unopened-meshes", "note", text, meshes)] if meshes else []


def _unreadable(kind: str, looks: Sequence[Look | CloudLook]) -> Iterator[Finding]:
    broken = [look for look in looks if look.error]
    if broken:
        more = f" And {len(broken) - 1} more: {listing(_name(look.path) for look in broken[1:])}." if len(broken) > 1 else ""
        yield Finding(kind, "problem", broken[0].error + more, len(broken))


def _name(path: Path) -> str:
    return f'"{shown("/".join(path.parts[-2:]) if is_row(path) else path.name)}"'


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
