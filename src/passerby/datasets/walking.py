"""Looking into folders: sorted, without the clutter that archives bring, and names that can be printed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

__all__ = [
    "IMAGE_SUFFIXES",
    "absent",
    "command",
    "files_below",
    "image_files",
    "images_below",
    "is_clutter",
    "shown",
    "subfolders",
]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})


def shown(path: str | os.PathLike[str]) -> str:
    """A path as one printable line: names may hold line breaks, or bytes that are no text."""
    text = os.fspath(path).encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def command(verb: str, path: str | os.PathLike[str]) -> str:
    """What to type to have a verb of the command line work on `path`."""
    return f"passerby {verb} {shlex.quote(shown(path))}"


def is_clutter(name: str) -> bool:
    """Hidden files, ``._*`` and ``__MACOSX``: what macOS and file managers leave in archives."""
    return name.startswith(".") or name == "__MACOSX"


def image_files(folder: Path, limit: int | None = None) -> list[Path]:
    """The image files directly in `folder`, sorted by name; with `limit` any so many of them, for a quick look."""
    return sorted(islice(_entries(folder, folders=False), limit))


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted by name."""
    return sorted(_entries(folder, folders=True))


def images_below(folder: Path) -> list[Path]:
    """The image files in `folder` and in every folder below it, sorted by path."""
    return files_below(folder, IMAGE_SUFFIXES)


def files_below(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """The files with one of `suffixes` (lower case) in `folder` and in every folder below it, sorted by path."""
    found = list(_entries(folder, folders=False, suffixes=suffixes))
    for child in subfolders(folder):
        found += files_below(child, suffixes)
    return sorted(found)


def _entries(folder: Path, *, folders: bool, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> Iterator[Path]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_clutter(entry.name) or entry.is_dir() != folders:
                continue
            if folders or os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122 (100,000 names)
                yield folder / entry.name


def absent(paths: Iterable[Path]) -> list[Path]:
    """Those of `paths` that are no files, in the given order; one look into each folder instead of one a file."""
    names: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        if path.parent not in names:
            names[path.parent] = _names(path.parent)
        if path.name not in names[path.parent]:
            missing.append(path)
    return missing


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}
