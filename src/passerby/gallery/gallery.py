"""A gallery: crops of people with their vectors, cameras, times and identities, to be searched and put in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from passerby.errors import GalleryError, UsageError, listing, nearest
from passerby.gallery import changes
from passerby.gallery.rows import Event, Hit, Identity, Model, NewSighting, Sighting, Thresholds, Track
from passerby.gallery.searching import checked_rows, in_words, person, reranked, unit_vectors
from passerby.gallery.store import Filter, Store
from passerby.gallery.transitions import Transitions

__all__ = ["Gallery", "check_model"]


class Gallery:
    """Crops of people, searched by vector. `Gallery.open` makes one; it is a context manager.

    One writer and any number of readers may have one gallery open at once, in threads and in processes. Writers wait for each
    other between transactions.

    Attributes:
        model: what made its vectors; others are refused.
        url: what it was opened with.

    Example::

        with Gallery.open("town.gallery") as gallery:
            (hits,) = gallery.search(embedder("somebody.jpg"), k=10, not_cameras=["lobby"])
            for hit in hits:
                print(hit.sighting.camera, hit.sighting.time, hit.similarity, hit.word)
    """

    def __init__(self, store: Store, url: str) -> None:
        self._store, self.url = store, url

    @classmethod
    def open(cls, url: str | Path, *, create: bool = False, model: Model | None = None, read_only: bool = False) -> Gallery:
        """Open a gallery.

        Args:
            url: a file, ``sqlite:///FILE`` or ``milvus://host:port/collection``.
            create: make it where it is not there yet; needs `model`.
            model: what makes the vectors that will be added or searched; a gallery of another model is refused.
            read_only: change nothing.

        Raises:
            GalleryError: no such gallery, a damaged one, one of another model, or a store that does not answer.
            UsageError: a url of no known kind; `create` without `model`, or with `read_only`.
            MissingDependencyError: the store needs a package that is not installed.
        """
        if create and (model is None or read_only):
            raise UsageError("to create a gallery, say by which model (model=Model.of(embedder)), and leave read_only out.")
        text = str(url)
        scheme, _, rest = text.partition("://")
        if not rest:
            scheme, rest = "sqlite", "/" + text
        if scheme == "sqlite":
            from passerby.gallery.sqlite import open_sqlite

            store: Store = open_sqlite(Path(rest[1:]), model if create else None, read_only)
        elif scheme == "milvus":
            from passerby.gallery.milvus import open_milvus

            store = open_milvus(rest, model if create else None, read_only)
        else:
            raise UsageError(f'"{text}": {nearest(scheme, ["sqlite", "milvus"])} Or give the path of a file.')
        try:
            if model is not None:
                _check(store, model)
        except GalleryError:
            store.close()
            raise
        return cls(store, text)

    def close(self) -> None:
        """Let the store go; a closed gallery cannot be used any more."""
        self._store.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        return f"Gallery({self.url!r}, {len(self)} x {self.model.dim} by {self.model.name})"

    # ------------------------------------------------------------------------------------------------ what it knows of itself

    @property
    def model(self) -> Model:
        """What made its vectors."""
        return self._store.model

    @property
    def thresholds(self) -> Thresholds | None:
        """From which similarity on two crops are one person; None: not calibrated, hits get no word."""
        stored = self._store.fact("thresholds")
        return Thresholds(**stored) if stored else None

    def set_thresholds(self, thresholds: Thresholds | None) -> None:
        """Keep thresholds, as `Thresholds.of(read_calibration(artefact))` gives them; None takes them out."""
        kept = thresholds and {
            "same": thresholds.same, "different": thresholds.different, "far": thresholds.far, "facts": dict(thresholds.facts)
        }  # fmt: skip
        with self._store.writing():
            self._store.set_fact("thresholds", kept)

    @property
    def transitions(self) -> Transitions:
        """The least seconds between cameras."""
        return Transitions.from_json(self._store.fact("transitions") or [])

    def set_transitions(self, seconds: Mapping[tuple[str, str], float]) -> None:
        """Keep the least seconds between cameras in place of older ones; see `Transitions`.

        Raises:
            UsageError: a time that is none.
        """
        stored = Transitions(dict(seconds)).to_json()
        with self._store.writing():
            self._store.set_fact("transitions", stored)

    # ---------------------------------------------------------------------------------------------------------------- rows

    def add(self, sightings: Sequence[NewSighting], *, bookmark: tuple[str, str] | None = None) -> list[int]:
        """Add crops, all or none. When this returns, they outlive a crash of the machine.

        Args:
            sightings: what is added; a key that is there already is left as it is.
            bookmark: (source, state) that is kept in the same step; see `progress`.

        Returns:
            The id of each, new or not, in order.

        Raises:
            EmbeddingsError: vectors of another dimension, of length zero, or not finite.
            GalleryError: an identity that is not there; a disk that is full; another writer that does not finish.
        """
        rows = checked_rows(sightings, self.model.dim)
        with self._store.writing():
            wanted = {row.identity for row in rows if row.identity is not None}
            if wanted:
                changes.check_identities(self._store, sorted(wanted))
            ids = self._store.add(rows)
            if bookmark is not None:
                self._store.set_bookmark(*bookmark)
        return ids

    def progress(self, source: str) -> str | None:
        """The bookmark that was kept for a source: where an interrupted indexing goes on. None: nothing yet."""
        return self._store.bookmark(source)

    def add_progress(self, source: str, state: str) -> None:
        """Keep a bookmark alone, or remove it with an empty state; `add` keeps one together with rows."""
        with self._store.writing():
            self._store.set_bookmark(source, state)

    def sightings(self, ids: Sequence[int]) -> list[Sighting]:
        """The rows with these ids, in this order.

        Raises:
            GalleryError: one is not there (any more).
        """
        found = self._store.sightings(ids)
        if len(found) < len(ids):
            gone = sorted(set(ids) - {row.id for row in found})
            raise GalleryError(f"sighting {listing(gone)}: not in this gallery; it may have been erased.")
        return found

    def ids_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> id, of those keys that are in the gallery."""
        return self._store.ids_of(keys)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """(n, D) float32 unit vectors of these rows.

        Raises:
            GalleryError: one is not there.
        """
        return self._store.vectors(ids)

    def thumbnail(self, id: int) -> bytes | None:
        """The crop as JPEG; None where none was kept.

        Raises:
            GalleryError: no such row.
        """
        return self._store.thumbnail(id)

    def tracks(self, camera: str | None = None) -> list[Track]:
        """All tracks, or those of one camera, by start."""
        return self._store.tracks(camera)

    def listed(self, after: int = 0, limit: int = 100, *, camera: str | None = None, alone: bool = False) -> list[Sighting]:
        """Rows by rising id, a part at a time: the id of the last one is where the next part begins.

        In a file ids rise as rows were added; other stores have an order of their own, which stays as it is too.

        Args:
            after: only rows with larger ids.
            limit: rows at most, 1 or more.
            camera: only there.
            alone: only rows that belong to no track; see `tracks` for the others.

        Raises:
            UsageError: a limit below 1.
        """
        if limit < 1:
            raise UsageError(f"limit is {limit}: how many rows are wanted? 1 or more.")
        return self._store.listed(after, limit, camera, alone)

    def cameras(self) -> list[str]:
        """The names of all cameras, sorted."""
        return self._store.cameras()

    def span(self) -> tuple[float, float] | None:
        """First and last time, seconds since 1970 UTC; None where no row has one."""
        return self._store.span()

    # -------------------------------------------------------------------------------------------------------------- search

    def search(
        self,
        vectors: np.ndarray,
        k: int = 20,
        *,
        cameras: Sequence[str] | None = None,
        not_cameras: Sequence[str] | None = None,
        since: float | None = None,
        until: float | None = None,
        group: Literal["track", "row"] = "track",
        rerank: bool = False,
        as_one: bool = False,
        approximate: bool = False,
        without: Sequence[int] = (),
        seen: Sequence[tuple[str, float]] = (),
    ) -> list[list[Hit]]:
        """Find who is alike.

        Args:
            vectors: (Q, D) of the gallery's model; brought to length 1.
            k: how many hits each.
            cameras: only there; None: everywhere.
            not_cameras: not there.
            since: seconds since 1970 UTC, the earliest.
            until: not from then on. With either, rows without a time are left out.
            group: ``track`` shows the most similar crop of each track, ``row`` every crop.
            rerank: put the nearest candidates in another order by their mutual neighbours (k-reciprocal).
            as_one: the Q vectors are one person, which gives one list; similarity is the mean over them.
            approximate: use the accelerated index where there is one (`accelerate`), and a few results may be missed.
            without: leave out these rows and their tracks, for instance the ones that are searched with.
            seen: (camera, time) where the person is known to have been; hits that contradict it get a note.

        Returns:
            One list of hits a vector, the best first.

        Raises:
            UsageError: k out of range, a camera that is not there, since after until.
            EmbeddingsError: vectors of another dimension, of length zero, or not finite.
            GalleryError: the store is gone.
        """
        if k < 1:
            raise UsageError(f"k is {k}: how many hits are wanted? 1 or more.")
        where = self._filter(cameras, not_cameras, since, until, without)
        wanted = unit_vectors(vectors, self.model.dim)
        searched = person(wanted) if as_one else wanted
        by_track = group == "track"
        if rerank:
            found = reranked(self._store, searched, k, where, by_track, approximate)
        else:
            found = self._store.nearest(searched, k, where, by_track=by_track, approximate=approximate)
        return in_words(self._store, found, self.thresholds, self.transitions, seen)

    def like(
        self,
        ids: Sequence[int],
        k: int = 20,
        *,
        cameras: Sequence[str] | None = None,
        not_cameras: Sequence[str] | None = None,
        since: float | None = None,
        until: float | None = None,
        group: Literal["track", "row"] = "track",
        rerank: bool = False,
        approximate: bool = False,
    ) -> list[Hit]:
        """Find who is like the person that these stored rows show: other rows, other tracks. Arguments as in `search`.

        Raises:
            GalleryError: a row is not there.
            UsageError: no row; see `search`.
        """
        if not len(ids):
            raise UsageError("a search like no row: give at least one id.")
        seen = [(row.camera, row.time) for row in self.sightings(ids) if row.time is not None]
        (hits,) = self.search(
            self.vectors(ids), k, cameras=cameras, not_cameras=not_cameras, since=since, until=until, group=group, rerank=rerank,
            as_one=True, approximate=approximate, without=ids, seen=seen,
        )  # fmt: skip
        return hits

    def accelerate(self) -> float:
        """Build the index that ``search(approximate=True)`` uses.

        A file's index needs faiss, is made in seconds and lies beside it; rows that are added later are searched exactly beside
        it; erasing removes it. In Milvus it takes the place of the exact scan: from then on every search walks a graph, only more
        or less widely.

        Returns:
            Share of the 50 nearest that it finds, of 100 rows with noise; searches are as wide as 0.97 takes, if it can be had.

        Raises:
            MissingDependencyError: faiss is not installed.
            GalleryError: the store is gone, or was opened for reading only.
        """
        return self._store.accelerate()

    def _filter(
        self,
        cameras: Sequence[str] | None,
        not_cameras: Sequence[str] | None,
        since: float | None,
        until: float | None,
        without: Sequence[int],
    ) -> Filter:
        named = [*(cameras or ()), *(not_cameras or ())]
        if named:
            known = self.cameras()
            unknown = [name for name in named if name not in known]
            if unknown:
                raise UsageError(f'no camera "{unknown[0]}" in this gallery. {nearest(unknown[0], known)}')
        if since is not None and until is not None and since >= until:
            raise UsageError(f"since {since:.0f} until {until:.0f}: nothing lies between; since must come before until.")
        only = None if cameras is None else tuple(cameras)
        return Filter(only, tuple(not_cameras or ()), since, until, tuple(int(id) for id in without))

    # ---------------------------------------------------------------------------------------------------------- identities

    def identities(self) -> list[Identity]:
        """All identities by number."""
        return self._store.identities()

    def members(self, identity: int) -> list[int]:
        """Ids of the sightings of an identity, rising.

        Raises:
            GalleryError: no such identity.
        """
        changes.check_identities(self._store, [identity])
        return self._store.members(identity)

    def rejected(self, identity: int) -> list[int]:
        """Ids of the sightings that were said not to be this identity, rising.

        Raises:
            GalleryError: no such identity.
        """
        changes.check_identities(self._store, [identity])
        return self._store.rejected(identity)

    def create_identity(self, name: str, ids: Sequence[int] = ()) -> int:
        """Make an identity of these sightings, which leave the identity that they had; its number.

        Raises:
            GalleryError: a sighting is not there.
            UsageError: an empty name, or one that another identity has.
        """
        with self._store.writing():
            return changes.create(self._store, name, ids, time.time())

    def assign(self, identity: int, ids: Sequence[int]) -> None:
        """Say that these sightings are this person.

        Raises:
            GalleryError: no such identity or sighting.
        """
        with self._store.writing():
            changes.assign(self._store, identity, ids, time.time())

    def reject(self, identity: int, ids: Sequence[int]) -> None:
        """Say that these sightings are not this person.

        Raises:
            GalleryError: no such identity or sighting.
        """
        with self._store.writing():
            changes.reject(self._store, identity, ids, time.time())

    def rename(self, identity: int, name: str) -> None:
        """Give an identity another name.

        Raises:
            GalleryError: no such identity.
            UsageError: an empty name, or one that another identity has.
        """
        with self._store.writing():
            changes.rename(self._store, identity, name, time.time())

    def merge(self, a: int, b: int) -> None:
        """Two identities are one person: all of `b` goes to `a`, and `b` is gone.

        Raises:
            GalleryError: no such identity.
            UsageError: both are the same.
        """
        with self._store.writing():
            changes.merge(self._store, a, b, time.time())

    def split(self, identity: int, ids: Sequence[int], name: str = "") -> int:
        """These sightings of an identity are another person; its number. Left out, the name is made of the number.

        Raises:
            GalleryError: no such identity, or sightings that are not in it.
            UsageError: no sighting, or all of the identity.
        """
        with self._store.writing():
            return changes.split(self._store, identity, ids, name, time.time())

    def link(self, groups: Sequence[Sequence[int]], into: Sequence[int | None] | None = None) -> list[int]:
        """Put sightings together in one step that `undo` takes back as one; see `linking.link`.

        Args:
            groups: sightings of one person each.
            into: the identity that each group goes to; None makes a new one, as it does where `into` is left out.

        Returns:
            The identity of each group.

        Raises:
            GalleryError: a sighting or an identity is not there.
            UsageError: a sighting in two groups.
        """
        with self._store.writing():
            return changes.link(self._store, groups, into, time.time())

    def undo(self) -> Event | None:
        """Take the latest change of identities back, and next time the one before it. Erasing cannot be taken back.

        Returns:
            What was taken back; None where nothing is left.
        """
        with self._store.writing():
            return changes.undo(self._store, time.time())

    def audit(self, limit: int | None = None) -> list[Event]:
        """What was done to identities and by erasing, latest first."""
        return self._store.events(limit)

    # --------------------------------------------------------------------------------------------------------------- erase

    def erase(self, identity: int) -> int:
        """Erase a person: all sightings, the name, and every trace of both in the store's files. Cannot be taken back.

        Returns:
            How many sightings were erased.

        Raises:
            GalleryError: no such identity; or readers that keep the store's files busy, after which erasing goes on at the next
                opening.
        """
        with self._store.writing():
            count = changes.erase(self._store, identity, time.time())
        self._store.scrub()
        return count

    def erase_sightings(self, ids: Sequence[int]) -> int:
        """Erase sightings; an identity that none is left of goes with them. Cannot be taken back.

        Raises:
            GalleryError: as `erase`; a sighting is not there.
        """
        with self._store.writing():
            count = changes.erase_sightings(self._store, ids, "erase", time.time())
        self._store.scrub()
        return count

    def older_than(self, time: float) -> list[int]:
        """Ids of the rows with a time before `time`."""
        return self._store.older_than(time)

    def retain(self, max_age_s: float, now: float | None = None) -> int:
        """Erase what is older than `max_age_s` seconds at `now` (default: the clock); how many rows. Rows without a time stay.

        Raises:
            UsageError: a negative age.
            GalleryError: as `erase`.
        """
        if not max_age_s >= 0:
            raise UsageError(f"an age of {max_age_s} s: give the seconds that sightings may be kept, 0 or more.")
        at = time.time()
        with self._store.writing():
            ids = self._store.older_than((at if now is None else now) - max_age_s)
            count = changes.erase_sightings(self._store, ids, "retain", at) if ids else 0
        if count:
            self._store.scrub()
        return count

    # ------------------------------------------------------------------------------------------------------------- as whole

    def copy_to(self, other: Gallery) -> int:
        """Copy everything into another, empty gallery of any store: rows, identities, bookmarks of sources, facts.

        Returns:
            How many rows.

        Raises:
            GalleryError: `other` is of another model, or not empty.
        """
        from passerby.gallery.copying import copy_gallery

        return copy_gallery(self._store, other._store)

    def re_embed(
        self, embedder: Any, *, model: Model | None = None, images: Literal["thumbnails", "sources"] = "thumbnails"
    ) -> int:
        """Give every row a vector of another model; identities, times and tracks stay, thresholds go.

        Args:
            embedder: (images) -> (N, D).
            model: of the embedder; None: `Model.of`.
            images: embed the kept thumbnails, or the image files that the crops come from.

        Returns:
            How many rows.

        Raises:
            GalleryError: rows without such an image: nothing is changed then.
        """
        from passerby.gallery.re_embedding import re_embed

        return re_embed(self._store, embedder, model or Model.of(embedder), images)


def check_model(gallery: Gallery, model: Model) -> None:
    """Refuse vectors of another model than the gallery's.

    Raises:
        GalleryError: it is another one.
    """
    _check(gallery._store, model)


def _check(store: Store, model: Model) -> None:
    own = store.model
    if own.fingerprint != model.fingerprint or own.dim != model.dim:
        raise GalleryError(
            f"{store.name} holds vectors of {own.name or own.fingerprint} ({own.dim}-d, {own.fingerprint}), these are of "
            f"{model.name or model.fingerprint} ({model.dim}-d, {model.fingerprint}): they cannot be compared. Use the gallery's "
            "model, or migrate: passerby gallery re-embed"
        )
