"""What the page and the JSON interface do, said once: look at pictures, search, confirm, reject. Safe to be called by threads."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import numpy as np

from passerby.errors import UsageError
from passerby.gallery import Gallery, Hit, Identity, Sighting
from passerby.web.deciding import Deciding, whose
from passerby.web.holdings import Holdings
from passerby.web.looking import Looking, Picked
from passerby.web.opened import OpenGallery
from passerby.web.query import Query

__all__ = ["Result", "Service"]

_MOST_ROWS = 1000  # of an identity: the mean of so many vectors does not change with more


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


class Service:
    """A gallery with what is needed to search it by pictures.

    Args:
        opened: the gallery.
        looking: at pictures that are sent; None: every search begins with a stored crop.

    Attributes:
        holdings: looks things up in the gallery.
        looking: takes pictures in.
        deciding: changes identities.
    """

    def __init__(self, opened: OpenGallery, looking: Looking | None = None) -> None:
        self.opened = opened
        self.holdings = Holdings(opened)
        self.looking = looking or Looking()
        self.deciding = Deciding(self.holdings)
        self._searches = threading.Semaphore(max(2, os.cpu_count() or 1))

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
        self.looking.warm()

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
        pictures = [self.looking.picked(name) for name in query.picture]
        own = self.holdings.rows(query.like)
        known = {each.id: each for each in gallery.identities()}
        identity = whose(query, own, known)
        members = gallery.members(query.identity) if query.identity is not None else []
        rejected = gallery.rejected(identity.id) if identity else []
        rows = gallery.sightings(list(dict.fromkeys([*query.like, *members])))
        ids = [row.id for row in rows]
        used = _spread(rows, _MOST_ROWS)
        vectors = [self.looking.vector(picked)[None] for picked in pictures]
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


def _spread(rows: list[Sighting], most: int) -> list[Sighting]:
    return rows if len(rows) <= most else [rows[n] for n in np.linspace(0, len(rows) - 1, most).astype(int)]
