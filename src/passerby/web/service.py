"""What the page and the JSON interface do, said once: look at pictures, search, confirm, reject. Safe to be called by threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from passerby.errors import GalleryError, UsageError
from passerby.gallery import Event, Gallery, Hit, Identity, Sighting, Track
from passerby.web.opened import OpenGallery
from passerby.web.pictures import Limits, as_jpeg, read_upload
from passerby.web.query import Query
from passerby.web.uploads import Person, Upload, Uploads

__all__ = ["NotThereError", "Picked", "Result", "Service"]

_SHOWN_PX = 1600
_CROP_PX = 640
_MOST_PEOPLE = 40
_LEAST_HEIGHT_PX = 24
_CONFIDENT = 0.35
_ALONE = 0.6  # of the picture: one person who fills so much of it is a crop already
_MOST_ROWS = 1000  # of an identity: the mean of so many vectors does not change with more
_TRACKS_S = 60.0  # so long a list of tracks may be out of date


class NotThereError(GalleryError):
    """A crop, an identity or an uploaded picture that is asked for by name and is not there."""


@dataclass(frozen=True)
class Picked:
    """Somebody in an uploaded picture who is searched for."""

    upload: Upload
    person: int

    @property
    def name(self) -> str:
        """As a `Query` names it."""
        return f"{self.upload.token}.{self.person}"


@dataclass(frozen=True)
class Result:
    """What a search gave.

    Attributes:
        query: as it was asked.
        hits: the best first.
        pictures: uploads that were searched with.
        rows: stored crops that were searched with, by time.
        identity: whom a confirmation goes to; None: to somebody new.
        names: identity -> name.
        used: how many of `rows` were searched with: all, or of very many as many as are enough, spread evenly.
        took_s: seconds, without waiting for other searches.
    """

    query: Query
    hits: list[Hit]
    pictures: list[Picked]
    rows: list[Sighting]
    identity: Identity | None
    names: dict[int, str]
    used: int
    took_s: float


@dataclass
class Service:
    """A gallery with what is needed to search it by pictures.

    Attributes:
        opened: the gallery.
        embedder: (pictures, camera) -> (N, D); None: pictures cannot be searched with.
        detector: (H, W, 3) uint8 -> boxes with ``corners`` and ``confidences``; None: every picture is taken as a crop.
        cameras: of the model's camera statistics, one of which must be named with a picture; empty: none are needed.
        limits: of uploads.
        uploads: those that are held.
    """

    opened: OpenGallery
    embedder: Callable[..., np.ndarray] | None = None
    detector: Callable[[np.ndarray], Any] | None = None
    cameras: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    uploads: Uploads = field(default_factory=Uploads)

    def __post_init__(self) -> None:
        cores = os.cpu_count() or 1
        self._model = threading.Lock()  # a network computes in all cores, and two decoded pictures may be too many
        self._searches = threading.Semaphore(max(2, cores))
        self._writer, self._listing = threading.RLock(), threading.Lock()
        self._tracks: tuple[float, int, list[Track]] | None = None

    @property
    def gallery(self) -> Gallery:
        """The gallery.

        Raises:
            GalleryError: it is gone.
        """
        return self.opened()

    def warm(self) -> None:
        """Search and look once, so that the first visitor does not wait for code to be loaded."""
        if len(self.gallery):
            self.gallery.search(np.ones((1, self.opened.model.dim), np.float32), 1)
        picture = Image.new("RGB", (64, 128))
        if self.detector is not None:
            self.detector(np.asarray(picture))
        if self.embedder is not None:
            self._embedded(picture, self.cameras[0] if self.cameras else None)

    # ------------------------------------------------------------------------------------------------------------- pictures

    def look(self, content: bytes, kind: str = "auto", camera: str | None = None) -> Upload:
        """Take an uploaded picture in: decode it, find people, choose whom to search for where that is clear.

        Args:
            content: of the file.
            kind: ``crop``: it shows one person and nothing else; ``picture``: people are to be found in it; ``auto``: see.
            camera: see `Service.cameras`.

        Raises:
            ImageError: see `pictures.read_upload`.
            UsageError: searching by pictures is off; another kind; a camera where none is needed, or none where one is.
        """
        self._check_look(kind, camera)
        with self._model:
            picture = read_upload(content, self.limits)
            shown = picture if max(picture.size) <= _SHOWN_PX else picture.copy()
            shown.thumbnail((_SHOWN_PX, _SHOWN_PX))
            people = [] if kind == "crop" else self._people(picture, shown.width / picture.width)
            chosen = _chosen(kind, people, shown.size)
            whole = Person((0.0, 0.0, float(shown.width), float(shown.height)), None, as_jpeg(shown, _CROP_PX, 95))
            upload = Upload(Uploads.token(), as_jpeg(shown, _SHOWN_PX), shown.size, (whole, *people), chosen, camera)
            if chosen == 0:
                upload.vectors[0] = self._embedded(picture, camera)
        self.uploads.keep(upload)
        return upload

    def _check_look(self, kind: str, camera: str | None) -> None:
        if self.embedder is None:
            raise UsageError("searching by pictures is off: passerby serve was not given the model of this gallery (--model).")
        if kind not in ("auto", "crop", "picture"):
            raise UsageError('kind: say "auto", "crop" (one person and nothing else) or "picture" (people are found in it).')
        if kind == "picture" and self.detector is None:
            raise UsageError('nobody can be found in a picture here: pip install "passerby[video]", or send a crop.')
        if self.cameras and camera not in self.cameras:
            raise UsageError(f"camera: the model needs to know whose picture it is, one of {', '.join(self.cameras[:12])}.")
        if camera is not None and not self.cameras:
            raise UsageError("camera: the model of this gallery has no statistics of cameras, so none can be named.")

    def _people(self, picture: Image.Image, scale: float) -> list[Person]:
        if self.detector is None:
            return []
        found = self.detector(np.asarray(picture))
        order = np.argsort(-found.confidences, kind="stable")
        people = []
        for corners, sure in zip(found.corners[order].astype(float), found.confidences[order].astype(float), strict=True):
            left, top, right, bottom = (round(side) for side in corners)
            if sure < _CONFIDENT or bottom - top < _LEAST_HEIGHT_PX or right - left < self.limits.least_px:
                continue
            crop = picture.crop((left, top, right, bottom))
            box = (left * scale, top * scale, (right - left) * scale, (bottom - top) * scale)
            people.append(Person(box, sure, as_jpeg(crop, _CROP_PX, 95)))
        return people[:_MOST_PEOPLE]

    def _embedded(self, picture: Image.Image, camera: str | None) -> np.ndarray:
        assert self.embedder is not None
        return np.asarray(self.embedder([picture], camera), np.float32)[0]

    def upload(self, token: str) -> Upload:
        """A picture that was uploaded.

        Raises:
            NotThereError: it was forgotten.
        """
        found = self.uploads.get(token)
        if found is None:
            raise NotThereError(
                "that picture is not held any more: pictures are kept in memory only, and not for long. Send it again."
            )
        return found

    def picked(self, name: str) -> Picked:
        """Somebody in an uploaded picture, by the name that a `Query` has.

        Raises:
            NotThereError: no such picture or person.
            UsageError: nobody is picked.
        """
        token, _, number = name.partition(".")
        upload = self.upload(token)
        person = int(number) if number else upload.chosen
        if person is None:
            raise UsageError(f"{len(upload.people) - 1} people are in that picture: pick one.")
        if person >= len(upload.people):
            raise NotThereError(f"person {person}: that picture has {len(upload.people) - 1}.")
        return Picked(upload, person)

    def _vector(self, picked: Picked) -> np.ndarray:
        from passerby.datasets import decode_image

        held = picked.upload.vectors
        if picked.person not in held:
            with self._model:
                if picked.person not in held:
                    crop = decode_image(picked.upload.people[picked.person].jpeg, "uploaded")
                    held[picked.person] = self._embedded(crop, picked.upload.camera)
        return held[picked.person]

    # -------------------------------------------------------------------------------------------------------------- search

    def search(self, query: Query) -> Result:
        """Find the person of a query.

        Raises:
            NotThereError: a crop, an identity or a picture that it names is not there.
            UsageError: nobody is searched for; a camera that is not there; see `Gallery.search`.
            GalleryError: the store is gone.
        """
        if query.empty:
            raise UsageError("nobody is searched for: send a picture, or click a crop.")
        gallery = self.gallery
        pictures = [self.picked(name) for name in query.picture]
        own = self.rows(query.like)
        known = {each.id: each for each in gallery.identities()}
        identity = self._whose(query, own, known)
        members = gallery.members(query.identity) if query.identity is not None else []
        rejected = gallery.rejected(identity.id) if identity else []
        rows = gallery.sightings(list(dict.fromkeys([*query.like, *members])))
        ids = [row.id for row in rows]
        used = _spread(rows, _MOST_ROWS)
        vectors = [self._vector(picked)[None] for picked in pictures]
        if used:
            vectors.append(gallery.vectors([row.id for row in used]))
        if not vectors:
            raise UsageError(
                f'"{known[query.identity or 0].name}" has no crops: there is nothing to search with. Send a picture.'
            )
        with self._searches:
            began = time.perf_counter()
            (hits,) = gallery.search(
                np.concatenate(vectors), query.k, cameras=query.camera or None, not_cameras=query.not_camera or None,
                since=query.seconds("since"), until=query.seconds("until"), group=query.group, rerank=query.rerank, as_one=True,
                without=[*ids, *rejected, *query.hidden], seen=[(row.camera, row.time) for row in used if row.time is not None],
            )  # fmt: skip
            took_s = time.perf_counter() - began
        rows.sort(key=lambda row: (row.time is None, row.time or 0.0, row.id))
        names = {number: each.name for number, each in known.items()}
        return Result(query, hits, pictures, rows, identity, names, len(used), took_s)

    def _whose(self, query: Query, rows: Sequence[Sighting], known: dict[int, Identity]) -> Identity | None:
        """Whom the crops of a query belong to; None where they belong to nobody, or not to one person."""
        if query.identity is not None:
            if query.identity not in known:
                raise NotThereError(f"identity {query.identity}: not in this gallery; it was merged, taken back or erased.")
            return known[query.identity]
        numbers = {row.identity for row in rows} - {None}
        return known.get(numbers.pop() or 0) if len(numbers) == 1 else None

    def rows(self, ids: Sequence[int]) -> list[Sighting]:
        """Stored crops.

        Raises:
            NotThereError: one is not there.
        """
        try:
            return self.gallery.sightings(list(dict.fromkeys(ids)))
        except GalleryError as error:
            if self.opened.answers():
                raise NotThereError(str(error)) from error
            raise

    def identity(self, number: int) -> Identity:
        """An identity.

        Raises:
            NotThereError: there is none of this number.
        """
        return self._whose(Query(identity=number), [], {each.id: each for each in self.gallery.identities()})  # pyright: ignore

    def named(self, given: str) -> Identity:
        """An identity by its name, or else by its number.

        Raises:
            NotThereError: there is none.
        """
        wanted = " ".join(given.split())
        known = self.gallery.identities()
        found = [each for each in known if each.name == wanted] or [each for each in known if str(each.id) == wanted]
        if not found:
            raise NotThereError(f"no identity has that name or number ({len(known):,} are known).")
        return found[0]

    # -------------------------------------------------------------------------------------------------------------- tracks

    def tracks(self, camera: str | None = None) -> list[Track]:
        """All tracks, or those of one camera, by time. What was added in the last minute may be missing."""
        gallery = self.gallery
        held, now, count = self._tracks, time.monotonic(), len(gallery)
        if held is None or now - held[0] > _TRACKS_S or held[1] != count:
            with self._listing:  # one reads all rows, the others wait for it
                held = self._tracks
                if held is None or now - held[0] > _TRACKS_S or held[1] != count:
                    held = self._tracks = (time.monotonic(), count, gallery.tracks())
        return [track for track in held[2] if camera is None or track.camera == camera]

    def single_rows(self, camera: str | None = None, most: int = 1000) -> list[Sighting]:
        """Crops that stand alone, without a track, by time; of a large gallery without tracks not all."""
        gallery = self.gallery
        if not len(gallery):
            return []
        (hits,) = gallery.search(
            np.ones((1, self.opened.model.dim), np.float32), most, cameras=None if camera is None else [camera], group="row"
        )
        rows = [hit.sighting for hit in hits if hit.sighting.track is None]
        return sorted(rows, key=lambda row: (row.time is None, row.time or 0.0, row.id))

    def whole(self, ids: Sequence[int]) -> list[int]:
        """These crops and all others of their tracks."""
        rows = self.rows(ids)
        wanted = {(row.camera, row.track) for row in rows if row.track is not None}
        found = dict.fromkeys(row.id for row in rows)
        for camera in {camera for camera, _ in wanted}:
            for track in self.tracks(camera):
                if (camera, track.name) in wanted:
                    found.update(dict.fromkeys(track.ids))
        return list(found)

    # ---------------------------------------------------------------------------------------------------------- identities

    def change(self, do: Callable[[Gallery], Any]) -> tuple[Any, int]:
        """Change something as the only writer of this process; what `do` gave, and the number of the event that tells of it."""
        with self._writer:
            gallery = self.gallery
            given = do(gallery)
            latest = gallery.audit(1)
            return given, latest[0].id if latest else 0

    def confirm(self, query: Query, ids: Sequence[int], name: str = "") -> tuple[Query, int]:
        """These crops are the person of the query: they go to its identity, a new one where it has none, and join the query.

        Args:
            query: what was searched for.
            ids: crops; where the query groups by track, their tracks go with them.
            name: of the new identity; empty: ``person N``.

        Returns:
            The query that goes on, and the number of the event.

        Raises:
            NotThereError: a crop or the identity is gone.
            UsageError: no crop; the crops of the query belong to several people.
        """
        with self._writer:
            wanted = self._grouped(query, ids)
            number, own = self._target(query)
            members = list(dict.fromkeys([*own, *wanted]))
            if number is not None:
                _, event = self.change(lambda gallery: gallery.assign(number, members))
                return query.but(identity=number, like=()), event
            number, event = self.change(lambda gallery: gallery.create_identity(name or _free_name(gallery), members))
            not_they = [id for id in self._grouped(query, query.hidden) if id not in members] if query.hidden else []
            if not_they:
                self.change(lambda gallery: gallery.reject(number, not_they))
            return query.but(identity=number, like=(), hidden=()), event

    def reject(self, query: Query, ids: Sequence[int]) -> tuple[Query, int]:
        """These crops are not the person of the query: its identity keeps that, or the query where it has none yet.

        Returns and raises as `confirm`; the event is 0 where only the query changed.
        """
        with self._writer:
            wanted = self._grouped(query, ids)
            number, _ = self._target(query)
            if number is None:
                hidden = tuple(dict.fromkeys([*query.hidden, *ids]))
                return Query.model_validate(query.but(hidden=hidden).model_dump()), 0
            _, event = self.change(lambda gallery: gallery.reject(number, wanted))
            return query, event

    def _grouped(self, query: Query, ids: Sequence[int]) -> list[int]:
        if not ids:
            raise UsageError("no crop was named: nothing was changed.")
        return self.whole(ids) if query.group == "track" else [row.id for row in self.rows(ids)]

    def _target(self, query: Query) -> tuple[int | None, list[int]]:
        """The identity that the query's person is, and its stored crops."""
        own = self.rows(query.like)
        numbers = {row.identity for row in own} - {None}
        if query.identity is None and len(numbers) > 1:
            raise UsageError(
                f"the crops that are searched with belong to {len(numbers)} identities: merge those first, or search with one."
            )
        known = {each.id: each for each in self.gallery.identities()}
        found = self._whose(query, own, known)
        ids = [row.id for row in own]
        return (found.id if found else None), (self.whole(ids) if query.group == "track" and ids else ids)

    def undoable(self) -> Event | None:
        """The change that `undo` takes back next."""
        for event in self.gallery.audit(200):
            if event.action in ("erase", "retain", "re-embed"):
                return None
            if event.action != "undo" and not event.undone:
                return event
        return None

    def undo(self, expected: int | None = None) -> Event:
        """Take the latest change back.

        Args:
            expected: the event that is meant; None: whichever is the latest.

        Raises:
            UsageError: nothing can be taken back, or somebody else has changed something since.
        """
        with self._writer:
            latest = self.undoable()
            if latest is None:
                raise UsageError("there is nothing to take back: nothing was changed yet, or something was erased since.")
            if expected is not None and latest.id != expected:
                raise UsageError(f"something else was done since ({latest.action}): look at the log, and take that back first.")
            undone = self.gallery.undo()
            if undone is None:
                raise UsageError("there is nothing to take back.")
            return undone

    def erase(self, number: int, name: str) -> int:
        """Erase a person for good; how many crops.

        Args:
            number: the identity.
            name: its name, written out, so that nobody is erased by mistake.

        Raises:
            NotThereError: no such identity.
            UsageError: another name.
        """
        with self._writer:
            if self.identity(number).name != " ".join(name.split()):
                raise UsageError("the name that was written is not that of the identity: nobody was erased.")
            self._tracks = None
            return self.gallery.erase(number)


def _chosen(kind: str, people: Sequence[Person], size: tuple[int, int]) -> int | None:
    if kind == "crop" or (kind == "auto" and not people):
        return 0
    if len(people) != 1:
        return None
    if kind == "auto" and people[0].box[2] * people[0].box[3] >= _ALONE * size[0] * size[1]:
        return 0
    return 1


def _spread(rows: list[Sighting], most: int) -> list[Sighting]:
    return rows if len(rows) <= most else [rows[n] for n in np.linspace(0, len(rows) - 1, most).astype(int)]


def _free_name(gallery: Gallery) -> str:
    known = gallery.identities()
    taken, number = {each.name for each in known}, max((each.id for each in known), default=0) + 1
    while f"person {number}" in taken:
        number += 1
    return f"person {number}"
