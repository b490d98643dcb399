"""What every store of a gallery must do. `Gallery` stands on this alone, and one contract test holds all stores to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from passerby.gallery.rows import Event, Identity, Model, NewSighting, Sighting, Track

__all__ = ["Filter", "Found", "Patch", "Store"]


@dataclass(frozen=True)
class Filter:
    """Which rows a search may return.

    Attributes:
        cameras: only these; None: all.
        not_cameras: none of these.
        since, until: seconds since 1970 UTC, since <= time < until; with either, rows without a time are left out.
        without: none of these rows, and none of their tracks.
    """

    cameras: tuple[str, ...] | None = None
    not_cameras: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    without: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        """Every row may be returned."""
        return self == Filter()


@dataclass(frozen=True, eq=False)
class Found:
    """Rows near one vector, the most similar first, of equally similar ones the older first.

    Attributes:
        ids: (n,) int64.
        similarities: (n,) float32 products with the vector.
        rows: the rows themselves, where the store has them at hand; None: ask for them.
    """

    ids: np.ndarray
    similarities: np.ndarray
    rows: Sequence[Sighting] | None = None


@dataclass(frozen=True)
class Patch:
    """A change of identities, as the values that shall stand afterwards.

    Attributes:
        names: identity -> name; None removes it, with whatever was assigned to it or rejected.
        assigned: sighting -> identity or None.
        rejected: (identity, sighting) -> whether it was said not to be this person.
    """

    names: Mapping[int, str | None] = field(default_factory=dict)
    assigned: Mapping[int, int | None] = field(default_factory=dict)
    rejected: Mapping[tuple[int, int], bool] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        """JSON-able."""
        return [list(self.names.items()), list(self.assigned.items()), [[*pair, on] for pair, on in self.rejected.items()]]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Patch:
        """What `to_json` gave."""
        names, assigned, rejected = stored
        return cls(
            {int(a): b for a, b in names}, {int(a): b for a, b in assigned}, {(int(a), int(b)): bool(on) for a, b, on in rejected}
        )


class Store(Protocol):
    """One place where a gallery is kept.

    Every method raises GalleryError, on one line, when the store is damaged or gone. Methods may be called from several
    threads. What changes something is called inside `writing`.
    """

    name: str
    """what to call it in messages"""

    @property
    def model(self) -> Model:
        """What made the vectors."""
        ...

    def close(self) -> None:
        """Let everything go. Closing twice is no error."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Be the only writer; what is changed inside stands as a whole afterwards, or not at all where the store can do that.

        Raises:
            GalleryError: another writer does not finish, or the store was opened for reading.
        """
        ...

    def fact(self, name: str) -> Any:
        """A JSON-able fact about the gallery; None where there is none."""
        ...

    def set_fact(self, name: str, value: Any) -> None:
        """Keep a fact."""
        ...

    def add(self, rows: Sequence[NewSighting]) -> list[int]:
        """Add rows whose key is not there yet; the ids of all, in order. Vectors are (D,) float32 of length 1."""
        ...

    def bookmark(self, source: str) -> str | None:
        """What was kept for a source by `set_bookmark`."""
        ...

    def bookmarks(self) -> dict[str, str]:
        """All bookmarks, by source."""
        ...

    def set_bookmark(self, source: str, state: str) -> None:
        """Keep a bookmark, together with the rows that are added in the same `writing`; an empty one is removed."""
        ...

    def __len__(self) -> int: ...

    def sightings(self, ids: Sequence[int]) -> list[Sighting]:
        """The rows that are there, in the order asked for."""
        ...

    def ids_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> id of those that are there."""
        ...

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """(n, D) float32; GalleryError where a row is not there."""
        ...

    def thumbnail(self, id: int) -> bytes | None:
        """The crop as JPEG."""
        ...

    def cameras(self) -> list[str]:
        """Sorted."""
        ...

    def span(self) -> tuple[float, float] | None:
        """The first and the last time."""
        ...

    def tracks(self, camera: str | None) -> list[Track]:
        """By start, then camera and name."""
        ...

    def listed(self, after: int, limit: int, camera: str | None, alone: bool) -> list[Sighting]:
        """At most `limit` rows with ids above `after`, rising; with `alone` only those of no track."""
        ...

    def older_than(self, time: float) -> list[int]:
        """Ids of rows with a time before `time`."""
        ...

    def nearest(self, vectors: np.ndarray, k: int, where: Filter, *, by_track: bool, approximate: bool) -> list[Found]:
        """Up to `k` rows for each of (Q, D) vectors; with `by_track` only the most similar one of each track."""
        ...

    def identities(self) -> list[Identity]:
        """By number."""
        ...

    def members(self, identity: int) -> list[int]:
        """Ids of the sightings of an identity, rising."""
        ...

    def rejected(self, identity: int) -> list[int]:
        """Ids of sightings that were said not to be this person, rising."""
        ...

    def rejections_of(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """(identity, sighting) of all rejections of these sightings."""
        ...

    def next_identity(self) -> int:
        """A number that no identity ever had."""
        ...

    def change(self, patch: Patch, inverse: Patch | None, action: str, identities: Sequence[int], text: str, at: float) -> None:
        """Apply a patch and log it; with `inverse` it can be taken back."""
        ...

    def last_change(self) -> tuple[Event, Patch] | None:
        """The latest event that can be taken back and was not, with the patch that takes it back."""
        ...

    def mark_undone(self, event: int) -> None:
        """Note that an event was taken back."""
        ...

    def events(self, limit: int | None = None) -> list[Event]:
        """The audit log, latest first."""
        ...

    def accelerate(self) -> float:
        """Build the index that `nearest` may use where `approximate` is true; the share of the nearest that it finds."""
        ...

    def forget(self, ids: Sequence[int], identities: Sequence[int], action: str, text: str, at: float) -> None:
        """Erase rows and identities for good.

        With them go thumbnails, vectors, rejections, tracks and cameras that no row is left of, the words of events that speak
        of these identities, and the means to take earlier events back. Nothing of it may stay in a file of the store.
        """
        ...

    def scrub(self) -> None:
        """After `forget`, outside `writing`: make the files hold nothing of what was erased."""
        ...

    def replace_vectors(self, model: Model, ids: Sequence[int], vectors: np.ndarray) -> None:
        """The same rows with vectors of another model: all rows at once."""
        ...

    def blocks(self, size: int) -> Iterator[list[NewSighting]]:
        """All rows with vectors and thumbnails, in order of id, to be copied."""
        ...
