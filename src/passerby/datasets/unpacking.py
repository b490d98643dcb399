"""Folders of pictures that are made once from a release, and are whole or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from passerby.datasets.walking import shown
from passerby.errors import DataError
from passerby.progress import meter

__all__ = ["made_once", "place_for"]


def place_for(name: str, root: Path, release: Path | None) -> Path:
    """Where pictures of a release are unpacked: beside it, or in a folder of their own under `PASSERBY_CACHE`.

    Args:
        name: of the data set.
        root: its folder.
        release: the file that they come out of. Another copy of it, or the same one after it was repaired, has another folder.
    """
    place = os.environ.get("PASSERBY_CACHE")
    if not place:
        return root
    facts = [str(root.resolve())]
    if release is not None and release.is_file():
        facts += [str(release.stat().st_size), str(release.stat().st_mtime_ns)]
    return Path(place) / f"{name}-{hashlib.sha256(chr(10).join(facts).encode()).hexdigest()[:8]}"


def made_once(folder: Path, release: str, pictures: Callable[[], Iterable[tuple[str, Image.Image]]]) -> Path:
    """The folder, made on first use.

    Args:
        folder: what to make; it appears when all of it is there.
        release: what the pictures come out of.
        pictures: (file name, picture) of all that it holds; called only where the folder is absent.

    Raises:
        DataError: it cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise DataError(
            f'"{shown(folder)}" cannot be written ({error.strerror}): pictures of {release} are unpacked there once. '
            "Set PASSERBY_CACHE to a folder that can."
        ) from error
    try:
        with meter(f"unpacking {release}") as progress:
            for name, picture in pictures():
                picture.save(part / name)
                progress.advance()
        part.chmod(0o755)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was first, with the same pictures
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
