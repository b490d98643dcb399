"""What stands in the gallery, as visitors ask for it: crops, tracks and identities by number or name, a page at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from passerby.errors import GalleryError
from passerby.gallery import Gallery, Identity, Sighting, Track
from passerby.web.opened import OpenGallery

__all__ = ["Holdings", "NotThereError", "no_identity"]

_TRACKS_S = 60.0  # so long a list of tracks may be out of date
_STRIDE = 500  # lone crops between two places that are remembered


class NotThereError(GalleryError):
    """A crop, an identity or an uploaded picture that is asked for by name and is not there."""


def no_identity(number: int) -> NotThereError:
    """What to raise where an identity is not there."""
    return NotThereError(f"identity {number}: not in this gallery; it was merged, taken back or erased.")


class Holdings:
    """Looks things up in a gallery. Safe to be called by threads.

    Args:
        opened: the gallery.
    """

    def __init__(self, opened: OpenGallery) -> None:
        self.opened = opened
        self._listing = threading.Lock()
        self._tracks: tuple[float, int, list[Track]] | None = None
        self._marks: tuple[int, dict[str | None, list[int]]] = (-1, {})

    @property
    def gallery(self) -> Gallery:
        """The gallery.

        Raises:
            GalleryError: it is gone.
        """
        return self.opened()

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
        found = next((each for each in self.gallery.identities() if each.id == number), None)
        if found is None:
            raise no_identity(number)
        return found

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

    def alone(self, start: int, count: int, camera: str | None = None) -> list[Sighting]:
        """Crops that belong to no track, or those of one camera, from the `start`-th on, in the gallery's own order.

        Going on from what was shown before is quick; somebody who begins in the middle waits for a walk to there.
        """
        gallery = self.gallery
        with self._listing:
            size = len(gallery)
            if self._marks[0] != size:
                self._marks = (size, {})
            marks = self._marks[1].setdefault(camera, [0])  # after which ids the 0th, 500th, 1000th ... crop comes
            while len(marks) * _STRIDE <= start:
                part = gallery.listed(marks[-1], _STRIDE, camera=camera, alone=True)
                if len(part) < _STRIDE:
                    return []
                marks.append(part[-1].id)
            place, over = divmod(start, _STRIDE)
            after = marks[place]
        return gallery.listed(after, over + count, camera=camera, alone=True)[over:]

    def tracked(self) -> int:
        """How many crops belong to tracks."""
        return sum(len(track.ids) for track in self.tracks())

    def forget(self) -> None:
        """What was listed is out of date."""
        self._tracks, self._marks = None, (-1, {})

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
