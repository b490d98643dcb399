"""A film into a gallery: look, follow, cut out, embed, add; to be taken up again after any interruption without double entries.

Three things make that sure. The tracks and crops of a film depend on nothing but the film and the options. Each crop has a key
made of the film, the track and the frame, and a gallery takes a key once. And how far a film has come is kept in the same
transaction as the crops of the tracks that had ended by then.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from passerby.datasets.walking import image_files, shown
from passerby.errors import DataError, GalleryError, UsageError
from passerby.gallery import Gallery, NewSighting
from passerby.gallery.ingest import make_thumbnail
from passerby.progress import meter
from passerby.video.boxes import Boxes
from passerby.video.crops import Cropping, TrackCrop, TrackCrops, cut
from passerby.video.detector import Detector
from passerby.video.frames import Film, Frame
from passerby.video.given import GivenBoxes
from passerby.video.seeing import Look, Place, Watcher, packed, unpacked
from passerby.video.tracking import Tracking

if TYPE_CHECKING:
    from passerby.embedder import Embedder

__all__ = ["FilmReport", "Indexing", "film_key", "index_film"]

_SEGMENT_S = 600.0
_HASHED_BYTES = 2**20


@dataclass(frozen=True)
class Indexing:
    """How a film is indexed.

    Attributes:
        every: look at every N-th frame; tracks go on between them.
        tracking, cropping: see there.
        segment_s: tracks end at a quiet moment after so many seconds of film, at the latest after half as long again.
        commit_looks, commit_s: the gallery is written to after so many looks or seconds, or when a batch of crops is full.

    Raises:
        UsageError: a value out of range.
    """

    every: int = 1
    tracking: Tracking = field(default_factory=Tracking)
    cropping: Cropping = field(default_factory=Cropping)
    segment_s: float = _SEGMENT_S
    commit_looks: int = 500
    commit_s: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.every <= 1000:
            raise UsageError(f"every is {self.every}: look at every frame (1) up to every 1000th.")
        if self.segment_s <= 0 or self.commit_looks < 1 or self.commit_s <= 0:
            raise UsageError(
                f"segment_s {self.segment_s:g}, commit_looks {self.commit_looks}, commit_s {self.commit_s:g}: all above 0."
            )


@dataclass(frozen=True)
class FilmReport:
    """What was done with one film.

    Attributes:
        source: its path.
        camera: whose film it is.
        frames: that were gone through now, and by runs before.
        looks: of these, how many were looked at.
        tracks: that have crops in the gallery.
        crops: of these tracks.
        too_small: tracks without a crop that is large enough.
        resumed_at: frame at which an interrupted run was taken up; None: from the beginning.
        was_done: the film had been indexed whole before; nothing was done.
        duration_s: how long the film is.
        seconds: of this run.
        note: what must be said of damaged frames; empty where there are none.
    """

    source: str
    camera: str
    frames: int
    looks: int
    tracks: int
    crops: int
    too_small: int
    resumed_at: int | None
    was_done: bool
    duration_s: float
    seconds: float
    note: str


@dataclass
class _State:
    """The bookmark: all that must be known to go on, but for the boxes, which lie in `chunks` bookmarks of their own."""

    how: dict[str, Any]
    next: int = 0
    last: int = 0
    duration_s: float = 0.0
    mark: int | None = None
    segment: int = 0
    segment_number: int = 0
    segment_chunk: int = 0
    chunks: int = 0
    looks: int = 0
    tracks: int = 0
    crops: int = 0
    too_small: int = 0
    done: bool = False


def film_key(film: Film) -> str:
    """Names the content of a film, wherever it lies: from its size, beginning and end; of a folder, from all names and sizes."""
    digest = hashlib.sha256()
    if film.path.is_dir():
        for picture in image_files(film.path):
            digest.update(f"{picture.name} {picture.stat().st_size}\n".encode())
        digest.update(image_files(film.path)[0].read_bytes())
    else:
        size = film.path.stat().st_size
        digest.update(str(size).encode())
        with film.path.open("rb") as content:
            digest.update(content.read(_HASHED_BYTES))
            content.seek(max(0, size - _HASHED_BYTES))
            digest.update(content.read())
    return digest.hexdigest()[:16]


def index_film(
    gallery: Gallery,
    embedder: Embedder,
    film: Film,
    camera: str,
    eyes: Detector | GivenBoxes,
    *,
    start: float | None = None,
    how: Indexing | None = None,
) -> FilmReport:
    """Find, follow, cut out and embed the people of one film, and add their best crops to a gallery.

    Called again after an interruption, it goes on where the gallery was last written to; called again after the end, it does
    nothing.

    Args:
        gallery: open for writing, of the model of `embedder`.
        embedder: crops to vectors.
        film: see `open_film`.
        camera: name of the camera in the gallery.
        eyes: a detector, or the boxes of another tool.
        start: when the film begins, seconds since 1970 UTC; None: unknown, and crops get no time.
        how: options.

    Raises:
        UsageError: the film was begun with other options.
        DataError: the film cannot be decoded, or boxes name frames that it does not have.
        GalleryError: see `Gallery.add`.
    """
    return _Run(gallery, embedder, film, camera, eyes, start, how or Indexing()).go()


class _Run:
    """One call of `index_film`."""

    def __init__(
        self,
        gallery: Gallery,
        embedder: Embedder,
        film: Film,
        camera: str,
        eyes: Detector | GivenBoxes,
        start: float | None,
        how: Indexing,
    ) -> None:
        self.gallery, self.embedder, self.film, self.camera, self.start, self.how = gallery, embedder, film, camera, start, how
        self.watcher = Watcher(film, eyes, how.tracking, how.every, how.segment_s)
        self.key = film_key(film)
        self.bookmark = f"film {self.key} {camera}"
        self.crops: dict[int, TrackCrops] = {}
        self.waiting: list[tuple[int, int, TrackCrop]] = []  # segment, track, crop of tracks that have ended
        self.looks: list[Look] = []
        self.replayed: dict[int, Boxes] = {}
        self.began = self.written = time.monotonic()
        settings = asdict(how)
        kept = {name: settings[name] for name in ("every", "tracking", "cropping", "segment_s")}
        self.state = _State({**kept, "fps": film.fps, "start": start, "boxes": eyes.name})
        if film.count is not None:
            self._check_frames(film.count)

    def go(self) -> FilmReport:
        begin, mark = self._resume()
        if self.state.done:
            self._forget()
            return self._report(None, was_done=True)
        resumed, still = self.state.next or None, set(self.crops)
        with meter(f"index {self.film.path.name}", self.film.count, "frames") as shown_progress:
            for frame in self.film.frames(begin, mark):
                if frame.number < self.state.next:
                    self._offer(frame, self.replayed.pop(frame.number, Boxes()), still)
                    continue
                self.state.next, self.state.last, self.state.mark = frame.number + 1, frame.number, frame.mark
                self.state.duration_s = round(frame.seconds + 1 / self.film.fps, 3)
                if frame.number % self.how.every == 0:
                    self._see(frame)
                shown_progress.advance(frame.number + 1 - shown_progress.done)
        self._check_frames(self.state.next)
        self._close(tuple(self.crops))
        self.state.done = True
        self._write()
        self._forget()
        return self._report(resumed, was_done=False)

    def _see(self, frame: Frame) -> None:
        """Look at one frame, and write to the gallery where it is time to."""
        look = self.watcher.look(frame)
        self.looks.append(look)
        step = self.watcher.follow(look)
        self._offer(frame, step.boxes)
        self._close(step.ended)
        late = time.monotonic() - self.written >= self.how.commit_s
        if self.watcher.over(frame.number):
            self._close(tuple(self.crops))
            self.watcher.turn(frame.number)
            self._write()
            self._forget()
        elif late or len(self.looks) >= self.how.commit_looks or len(self.waiting) >= self.embedder.batch_size:
            self._write()

    def _offer(self, frame: Frame, boxes: Boxes, only: set[int] | None = None) -> None:
        """Cut out who is there; with `only`, nobody else."""
        wanted = [track for track in boxes.tracks.tolist() if only is None or track in only]
        if not wanted:
            return
        for track in wanted:
            self.crops.setdefault(track, TrackCrops(self.how.cropping.crops_per_track))
        for track, crop in cut(frame, boxes, self.film.size, self.how.cropping).items():
            if track in wanted:
                self.crops[track].offer(crop)

    def _close(self, tracks: Sequence[int]) -> None:
        """Choose the crops of tracks that have ended."""
        for track in tracks:
            best = self.crops.pop(track).best()
            self.waiting += [(self.watcher.place.segment, track, crop) for crop in best]
            self.state.tracks += bool(best)
            self.state.too_small += not best
            self.state.crops += len(best)

    # ---------------------------------------------------------------------------------------------------------- the gallery

    def _write(self) -> None:
        """Embed the crops that wait, and add them together with the bookmark; what was seen is kept before."""
        state = self.state
        if self.looks:
            self.gallery.add_progress(f"{self.bookmark} {state.chunks}", packed(self.looks))
            state.chunks += 1
            state.looks += len(self.looks)
        ahead = self.watcher.place
        first = state.segment_chunk if ahead.segment == state.segment else state.chunks
        kept = {**asdict(state), "segment": ahead.segment, "segment_number": ahead.number, "segment_chunk": first}
        self.gallery.add(self._rows(), bookmark=(self.bookmark, json.dumps(kept)))
        self.looks, self.waiting, self.written = [], [], time.monotonic()

    def _rows(self) -> list[NewSighting]:
        if not self.waiting:
            return []
        camera = self.camera if self.embedder.cameras is not None else None
        vectors = self.embedder([crop.pixels for _, _, crop in self.waiting], camera)
        return [
            NewSighting(
                key=f"{self.key} {self.camera} {segment}.{track} {crop.frame}",
                vector=vector,
                camera=self.camera,
                time=None if self.start is None else self.start + crop.seconds,
                track=f"{self.film.path.stem}-{self.key[:6]}-{segment}-{track}",
                quality=round(crop.quality, 4),
                source=str(self.film.path),
                frame=crop.frame,
                box=crop.box,
                thumbnail=make_thumbnail(Image.fromarray(crop.pixels)),
            )
            for (segment, track, crop), vector in zip(self.waiting, vectors, strict=True)
        ]

    def _forget(self) -> None:
        """What was seen in a finished segment is needed no more: it is taken out of the gallery."""
        for chunk in range(self.state.segment_chunk, self.state.chunks):
            if self.gallery.progress(f"{self.bookmark} {chunk}"):
                self.gallery.add_progress(f"{self.bookmark} {chunk}", "")
        place = self.watcher.place
        self.state.segment, self.state.segment_number, self.state.segment_chunk = place.segment, place.number, self.state.chunks

    def _resume(self) -> tuple[int, int | None]:
        """Bring everything to where an interrupted run was last written.

        Returns:
            The frame to read from, and its mark: the first one of which a crop of a track that has not ended may come.
        """
        kept = self.gallery.progress(self.bookmark)
        if not kept:
            return 0, None
        found = _State(**json.loads(kept))
        self._check_same(found)
        self.state = found
        self.watcher.place = Place(found.segment, found.segment_number)
        firsts: dict[int, Look] = {}
        for look in self._seen():
            step = self.watcher.follow(look)
            self.replayed[look.number] = step.boxes
            for track in step.boxes.tracks.tolist():
                firsts.setdefault(track, look)
            for track in step.ended:
                del firsts[track]
        if found.done or not firsts:
            self.replayed = {}
            return found.last, found.mark
        self.crops = {track: TrackCrops(self.how.cropping.crops_per_track) for track in firsts}
        begin = min(firsts.values(), key=lambda look: look.number)
        self.replayed = {number: boxes for number, boxes in self.replayed.items() if number >= begin.number}
        return begin.number, begin.mark

    def _seen(self) -> list[Look]:
        looks: list[Look] = []
        if self.state.done:
            return looks
        for chunk in range(self.state.segment_chunk, self.state.chunks):
            text = self.gallery.progress(f"{self.bookmark} {chunk}")
            if not text:
                raise GalleryError(
                    f'what was seen of "{shown(self.film.path)}" before the interruption is not in this gallery any more: '
                    "it cannot be gone on with. Index it into a new gallery."
                )
            looks += unpacked(text)
        return looks

    # ------------------------------------------------------------------------------------------------------------- checks

    def _check_same(self, found: _State) -> None:
        now = json.loads(json.dumps(self.state.how))
        other = [name for name in now if now[name] != found.how.get(name)]
        if other:
            name = other[0]
            raise UsageError(
                f'"{shown(self.film.path)}" of camera {self.camera} was begun with {name} {_told(found.how.get(name))}, now '
                f"{name} is {_told(now[name])}: give what it was begun with, or index it into another gallery."
            )

    def _check_frames(self, count: int) -> None:
        eyes = self.watcher.eyes
        if isinstance(eyes, GivenBoxes) and max(eyes.by_frame) >= count:
            raise DataError(
                f'{eyes.name} names frame {max(eyes.by_frame) + 1}, but "{shown(self.film.path)}" has {count}. '
                "Do film and boxes belong together?"
            )

    def _report(self, resumed: int | None, *, was_done: bool) -> FilmReport:
        state = self.state
        return FilmReport(
            str(self.film.path), self.camera, state.next, state.looks, state.tracks, state.crops, state.too_small, resumed,
            was_done, state.duration_s, time.monotonic() - self.began, self.film.note(),
        )  # fmt: skip


def _told(value: Any) -> str:
    """A setting in an error."""
    return ", ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)
