"""Pictures of a film one after the other: a video file through PyAV, or a folder of pictures in the order of their names.

What cannot be decoded is skipped and counted: a camera that lost a packet has not lost the day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.datasets.images import read_image
from passerby.datasets.video_frames import open_video
from passerby.datasets.walking import image_files, shown
from passerby.errors import DataError, ImageError, UsageError, listing

__all__ = ["FOLDER_FPS", "Film", "Frame", "open_film"]

FOLDER_FPS = 25.0
"""Pictures a second of a folder of pictures, where nobody says."""
_NO_FILMS = ("tty", "image2")


@dataclass(frozen=True)
class Frame:
    """One picture of a film.

    Attributes:
        number: from 0.
        seconds: since the beginning of the film.
        mark: where it lies in the file (`Film.frames` finds it again by it); None where it is found by counting.
        pixels: makes the (H, W, 3) uint8 RGB picture; costly, so only what is looked at is made.
    """

    number: int
    seconds: float
    mark: int | None
    pixels: Callable[[], np.ndarray]


class Film:
    """A video file or a folder of pictures, opened.

    Attributes:
        path: of the file or folder.
        size: width and height of its pictures, pixels.
        fps: pictures a second.
        count: how many; None where the file does not say.
        damaged: numbers of the frames that could not be decoded, as far as `frames` has come.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, count: int | None) -> None:
        self.path, self.size, self.fps, self.count = path, size, fps, count
        self.damaged: list[int] = []

    def frames(self, start: int = 0, mark: int | None = None) -> Iterator[Frame]:
        """The frames from number `start` on, in order.

        Args:
            start: number of the first one.
            mark: its mark, as an earlier reading gave it: what lies before need not be decoded.

        Raises:
            DataError: not one frame can be decoded, or pictures differ in size.
        """
        raise NotImplementedError

    def note(self) -> str:
        """What must be said of damaged frames; empty where there are none."""
        if not self.damaged:
            return ""
        count = len(self.damaged)
        counted = "1 frame cannot be decoded and was" if count == 1 else f"{count} frames cannot be decoded and were"
        return f'"{shown(self.path)}": {counted} skipped ({listing(self.damaged)})'


class _PictureFolder(Film):
    def __init__(self, path: Path, fps: float) -> None:
        self.pictures = sorted(image_files(path), key=_natural)
        if not self.pictures:
            raise DataError(f'"{shown(path)}" holds no pictures and no video.')
        super().__init__(path, read_image(self.pictures[0]).size, fps, len(self.pictures))

    def frames(self, start: int = 0, mark: int | None = None) -> Iterator[Frame]:
        del mark
        for number, path in list(enumerate(self.pictures))[start:]:
            try:
                picture = read_image(path)
            except ImageError:
                self.damaged.append(number)
                continue
            if picture.size != self.size:
                raise DataError(
                    f'"{shown(path)}" has {picture.size[0]} x {picture.size[1]} pixels, the pictures before it '
                    f"{self.size[0]} x {self.size[1]}: frames of one camera have one size. Crops of people go in with "
                    "--dataset images."
                )
            yield Frame(number, number / self.fps, None, lambda picture=picture: np.asarray(picture))
        if self.damaged and len(self.damaged) == len(self.pictures):
            raise DataError(f'"{shown(self.path)}": not one of {len(self.pictures)} pictures can be decoded. Copy them again.')


def _natural(path: Path) -> list[Any]:
    """`frame9` before `frame10`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.stem) if part]


class _VideoFile(Film):
    def __init__(self, path: Path, fps: float | None) -> None:
        with open_video(path) as container:
            kind = container.format.name
            if kind in _NO_FILMS or kind.endswith(
                "_pipe"
            ):  # FFmpeg draws the letters of a text, and shows a picture for a moment
                raise DataError(f'"{shown(path)}" is a text or one picture, no film: give a video file or a folder of pictures.')
            stream = container.streams.video[0]
            told = float(stream.average_rate or stream.guessed_rate or 0)
            size = (stream.codec_context.width, stream.codec_context.height)
            if 0 in size:
                raise DataError(f'"{shown(path)}" tells no picture size: its header is damaged. Copy it again.')
            super().__init__(path, size, fps or told or FOLDER_FPS, stream.frames or None)
            self._forced, self._tick = fps is not None, float(stream.time_base or 0)
            self._zero = int(stream.start_time or 0)

    def frames(self, start: int = 0, mark: int | None = None) -> Iterator[Frame]:
        with open_video(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            number = self._sought(container, stream, start, mark)
            skipping = number > 0
            for decoded in self._decoded(container, stream):
                if skipping and decoded is not None and decoded.pts is not None and decoded.pts < (mark or 0):
                    continue  # between the key frame that was jumped to and the frame that is meant
                skipping = False
                if decoded is None:
                    self.damaged.append(number)
                elif number >= start:
                    yield self._frame(number, decoded)
                number += 1
        if number and number == len(self.damaged):
            raise DataError(f'"{shown(self.path)}": not one of {number} frames can be decoded. Copy it again.')
        if not number:
            raise DataError(f'"{shown(self.path)}" holds no frames. Copy it again.')

    def _sought(self, container: Any, stream: Any, start: int, mark: int | None) -> int:
        """Jump to `mark` where there is one; the number of the frame that comes next."""
        from av.error import FFmpegError

        if not start or mark is None:
            return 0
        try:
            container.seek(mark, stream=stream)
        except FFmpegError:
            return 0  # no index in the file: everything is decoded from its beginning
        return start

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        """Decoded frames; None for each that cannot be."""
        from av.error import FFmpegError

        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                found = stream.codec_context.decode(packet if packet.size else None)
            except FFmpegError as error:
                if isinstance(error, EOFError):
                    return
                yield None
                continue
            for frame in found:
                yield None if frame.is_corrupt or (frame.width, frame.height) != self.size else frame

    def _frame(self, number: int, decoded: Any) -> Frame:
        mark: int | None = decoded.pts
        if mark is None or self._forced or not self._tick:
            seconds = number / self.fps
        else:
            seconds = (mark - self._zero) * self._tick
        return Frame(number, seconds, mark, lambda: decoded.to_ndarray(format="rgb24"))


def open_film(path: Path, fps: float | None = None) -> Film:
    """Look at a video file or a folder of pictures without decoding it all.

    Args:
        path: a file that FFmpeg reads, or a folder of pictures of one camera.
        fps: pictures a second, where the file tells none or a wrong one; None: as it tells, `FOLDER_FPS` for a folder.

    Raises:
        UsageError: `fps` out of range.
        DataError: it is neither, or it cannot be read.
        MissingDependencyError: a video without PyAV.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"fps is {fps:g}: pictures a second are above 0 and up to 1000.")
    if path.is_dir():
        return _PictureFolder(path, fps or FOLDER_FPS)
    return _VideoFile(path, fps)
