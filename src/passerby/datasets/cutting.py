"""Write the images of a converted data set: copies, hard links, or crops out of videos; each file whole or absent.

Tens of thousands of small files are written under hidden names, renamed, and only at the end pushed to the disk all together: one
flush a file, as `passerby.files` makes it, would take most of the time.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passerby.datasets.images import read_image
from passerby.datasets.placing import Placed
from passerby.datasets.video_frames import FrameSource, frames
from passerby.datasets.walking import shown
from passerby.errors import DataError, ImageError
from passerby.progress import Meter, meter

__all__ = ["Cut", "write_images"]

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Cut:
    """A crop that does not exist yet: where its frame is, and its corners in pixels (right and bottom excluded)."""

    source: FrameSource
    frame: int
    corners: tuple[int, int, int, int]


def write_images(placed: Sequence[Placed], cuts: dict[Path, Cut], out: Path, *, link: bool) -> int:
    """Write what is not there yet.

    Args:
        placed: the images.
        cuts: for images that are no files: what to cut; keys are the record paths.
        out: the new folder.
        link: hard-link files instead of copying them.

    Returns:
        How many files were written.

    Raises:
        DataError: a frame is missing, or files cannot be linked to this place.
    """
    wanted = {out / image.target: image.record.path for image in placed}
    folders = {target.parent for target in wanted}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_fragments(folder)
    missing = {target: source for target, source in wanted.items() if not _is_whole(target, source, cut=source in cuts)}
    with meter("writing images", len(missing)) as shown_progress:
        for target, source in missing.items():
            if source not in cuts:
                _place(source, target, link=link)
                shown_progress.advance()
        _cut({target: cuts[source] for target, source in missing.items() if source in cuts}, shown_progress)
    if missing and hasattr(os, "sync"):  # Windows has none
        os.sync()
    return len(missing)


def _is_whole(target: Path, source: Path, *, cut: bool) -> bool:
    """Whether an earlier call wrote this file, and no power cut emptied it before it was flushed."""
    if not target.exists():
        return False
    if not cut:
        return target.stat().st_size == source.stat().st_size
    try:
        read_image(target)
    except ImageError:
        return False
    return True


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` that becomes `target` on success and vanishes on failure."""
    temporary = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_fragments(folder: Path) -> None:
    """Remove what a killed run has left behind: hidden temporary files in our own folder."""
    for path in folder.glob(".*"):
        if path.is_file():
            path.unlink()


def _place(source: Path, target: Path, *, link: bool) -> None:
    if not link:
        with _renamed(target) as temporary:
            shutil.copyfile(source, temporary)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise DataError(
            f'"{shown(source)}" cannot be hard-linked to "{shown(target)}": {error.strerror}. Copy the files instead.'
        ) from error


def _cut(missing: dict[Path, Cut], shown_progress: Meter) -> None:
    """Decode each video once, from its start to the last frame that is needed."""
    by_source: dict[FrameSource, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for target, cut in missing.items():
        by_source[cut.source][cut.frame].append(target)
    for source, by_frame in by_source.items():
        for number, picture in frames(source, by_frame):
            for target in by_frame[number]:
                with _renamed(target) as temporary:
                    picture.crop(missing[target].corners).save(temporary, quality=_JPEG_QUALITY, subsampling=0)
                shown_progress.advance()
