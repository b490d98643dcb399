"""The gallery that is served: opened anew when its file was replaced, and said to be gone while it is."""

from __future__ import annotations

import threading
from pathlib import Path

from passerby.errors import GalleryError
from passerby.gallery import Gallery, Model

__all__ = ["OpenGallery"]


class OpenGallery:
    """A gallery that is asked for at every request.

    A file that was removed can still be read through the connections that are open, and a new connection would make an empty
    one in its place; so whether it is the same file is looked at first.

    Args:
        url: see `Gallery.open`.

    Raises:
        PasserbyError: see `Gallery.open`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme, _, rest = url.partition("://")
        self._file = Path(url) if not rest else Path(rest[1:]) if scheme == "sqlite" else None
        self._lock = threading.Lock()
        self._earlier: list[Gallery] = []
        self._gallery = Gallery.open(url)
        self.model: Model = self._gallery.model
        self._mark = self._marked()

    def __call__(self) -> Gallery:
        """The gallery.

        Raises:
            GalleryError: it is gone, or another one stands in its place.
        """
        if self._file is None or self._marked() == self._mark:
            return self._gallery
        with self._lock:
            if self._marked() != self._mark:
                fresh = Gallery.open(self.url, model=self.model)
                self._earlier.append(self._gallery)  # other requests may still use it
                self._gallery, self._mark = fresh, self._marked()
            return self._gallery

    def answers(self) -> bool:
        """Whether the store can be asked at all."""
        try:
            len(self())
        except GalleryError:
            return False
        return True

    def close(self) -> None:
        """Let everything go."""
        for gallery in (*self._earlier, self._gallery):
            gallery.close()

    def _marked(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError as error:
            raise GalleryError(
                f"the gallery {self._file.name} is not there any more ({error.strerror}): put it back, and this page goes on."
            ) from error
        return found.st_dev, found.st_ino
