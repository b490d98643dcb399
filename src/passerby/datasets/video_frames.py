"""Numbered frames of a sequence: a video file, decoded once from its start, or a folder of numbered pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from passerby.datasets.images import read_image
from passerby.datasets.walking import image_files, shown
from passerby.errors import DataError, MissingDependencyError, listing

__all__ = ["VIDEO_SUFFIXES", "FrameSource", "frames", "open_frames", "open_video"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")


@dataclass(frozen=True)
class FrameSource:
    """Where the frames of one sequence lie.

    Attributes:
        path: a video file, or a folder of pictures whose names are frame numbers.
        size: width and height, pixels.
        count: number of frames; None where a video does not tell before it is decoded.
    """

    path: Path
    size: tuple[int, int]
    count: int | None


def open_frames(path: Path) -> FrameSource:
    """Look at a video or a folder of frames without decoding it all.

    Raises:
        DataError: it is no video, or there are no numbered pictures.
        MissingDependencyError: a video without PyAV.
    """
    if path.is_dir():
        pictures = _numbered(path)
        if not pictures:
            raise DataError(f'"{shown(path)}" holds no pictures that are named by their frame number, like 000001.jpg.')
        return FrameSource(path, read_image(pictures[min(pictures)]).size, max(pictures))
    with open_video(path) as container:
        stream = container.streams.video[0]
        return FrameSource(path, (stream.width, stream.height), stream.frames or None)


def frames(source: FrameSource, wanted: Collection[int]) -> Iterator[tuple[int, Image.Image]]:
    """Yield (frame number, RGB picture) in rising order for each wanted number; numbers count from 1.

    Raises:
        DataError: a wanted frame is not there, or the video breaks off.
    """
    if source.path.is_dir():
        pictures = _numbered(source.path)
        _require(source, wanted, set(pictures))
        for number in sorted(wanted):
            yield number, read_image(pictures[number])
        return
    yield from _decode(source, set(wanted))


def _decode(source: FrameSource, wanted: set[int]) -> Iterator[tuple[int, Image.Image]]:
    last = max(wanted, default=0)
    if source.count is not None:
        _require(source, wanted, range(1, source.count + 1))
    number = 0
    with open_video(source.path) as container:
        decoded = _guarded(container.decode(video=0), source.path)
        for number, frame in zip(range(1, last + 1), decoded, strict=False):
            if number in wanted:
                yield number, frame.to_image()
    _require(source, wanted, range(1, number + 1))


def _guarded(decoded: Iterator[Any], path: Path) -> Iterator[Any]:
    from av.error import FFmpegError

    try:
        yield from decoded
    except FFmpegError as error:
        raise DataError(f'video "{shown(path)}" breaks off: {error.strerror}. Copy it again.') from error


def _require(source: FrameSource, wanted: Collection[int], there: Collection[int]) -> None:
    missing = sorted(number for number in wanted if number not in there)
    if missing:
        raise DataError(
            f'ground truth names frame {listing(missing)}, but "{shown(source.path)}" has {len(there)} frames. '
            "Do video and boxes belong together?"
        )


def _numbered(folder: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in image_files(folder) if path.stem.isascii() and path.stem.isdigit()}


def open_video(path: Path) -> Any:
    """Open a video file with PyAV; the container is closed by whoever asked.

    Raises:
        DataError: it is no video.
        MissingDependencyError: PyAV is not installed.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise MissingDependencyError('Reading video needs PyAV: pip install "passerby[video]"') from error
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise DataError(f'"{shown(path)}" is no video that can be read: {error.strerror}.') from error
    if not container.streams.video:
        container.close()
        raise DataError(f'"{shown(path)}" holds no video stream.')
    return container
