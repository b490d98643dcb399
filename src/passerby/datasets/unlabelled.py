"""A folder of images of which nothing is known: nobody's name, whatever the files are called."""

from __future__ import annotations

from pathlib import Path

from passerby.datasets.walking import images_below
from passerby.errors import DataError
from passerby.records import Record, Split

__all__ = ["read_unlabelled"]


def read_unlabelled(folder: Path, domain: str) -> Split:
    """All images below a folder, without identity (pid -1) and of one camera.

    Args:
        folder: searched with all its subfolders.
        domain: name of the place, for `Record.domain`.

    Raises:
        DataError: there is none.
    """
    paths = images_below(folder) if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder} holds no image: give a folder with images (.jpg, .png, ...) in it or below it.")
    return Split(tuple(Record(path, -1, 0, domain) for path in paths))
