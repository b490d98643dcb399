"""The crops that a gallery keeps, as pictures that are decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from passerby.errors import GalleryError
from passerby.gallery.gallery import Gallery

__all__ = ["Thumbnails", "thumbnails_by_camera"]

_BLOCK = 10_000


class Thumbnails(Sequence[Image.Image]):
    """Pictures of some rows of an open gallery. Threads may ask for them.

    Args:
        gallery: that holds them.
        ids: of the rows.

    Raises:
        GalleryError: on access, a row that is gone or has no thumbnail.
        ImageError: on access, a thumbnail that cannot be decoded.
    """

    def __init__(self, gallery: Gallery, ids: Sequence[int]) -> None:
        self.gallery, self.ids = gallery, tuple(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        from passerby.datasets import decode_image

        if isinstance(index, slice):
            return Thumbnails(self.gallery, self.ids[index])
        id = self.ids[index]
        kept = self.gallery.thumbnail(id)
        if kept is None:
            raise GalleryError(f"sighting {id} has no thumbnail: name the image files of its camera instead.")
        return decode_image(kept, f"thumbnail of sighting {id}")

    def of(self, places: Sequence[int]) -> Thumbnails:
        """Those at some places."""
        return Thumbnails(self.gallery, [self.ids[place] for place in places])


def thumbnails_by_camera(gallery: Gallery) -> dict[str, Thumbnails]:
    """Camera -> its crops in the order of the gallery."""
    return {camera: Thumbnails(gallery, list(_ids(gallery, camera))) for camera in gallery.cameras()}


def _ids(gallery: Gallery, camera: str) -> Iterator[int]:
    after = 0
    while rows := gallery.listed(after, _BLOCK, camera=camera):
        yield from (row.id for row in rows)
        after = rows[-1].id
