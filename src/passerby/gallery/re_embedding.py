"""A gallery moves to another model: every crop is embedded again, and all vectors change in one step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from passerby.errors import GalleryError, listing
from passerby.gallery.rows import Model, NewSighting
from passerby.gallery.store import Store
from passerby.progress import meter

if TYPE_CHECKING:
    from passerby.embedder import Embedder

__all__ = ["Images", "re_embed"]

Images = Literal["thumbnails", "sources"]
_BLOCK = 256


def re_embed(store: Store, embedder: Embedder | Any, model: Model, images: Images = "thumbnails") -> int:
    """Embed every crop again and change model and vectors together; thresholds go, they were of the old model.

    Args:
        store: whose rows.
        embedder: (images, camera) -> (N, D).
        model: of the embedder.
        images: the kept thumbnails, or the files that the crops come from where these are images.

    Returns:
        How many rows.

    Raises:
        GalleryError: a row without an image, found before anything is embedded; or rows that came meanwhile.
    """
    without = [row.key for rows in store.blocks(_BLOCK) for row in rows if not _has_image(row, images)]
    if without:
        what = "no thumbnail" if images == "thumbnails" else "no image file as their source"
        raise GalleryError(f"{len(without)} sightings have {what} ({listing(without)}): index them again with the new model.")
    ids: list[int] = []
    parts: list[np.ndarray] = []
    with meter("embedding", len(store)) as shown:
        for rows in store.blocks(_BLOCK):
            found = store.ids_of([row.key for row in rows])
            ids += [found[row.key] for row in rows]
            parts.append(_embedded(embedder, rows, images))
            shown.advance(len(rows))
    vectors = np.concatenate(parts) if parts else np.zeros((0, model.dim), np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    with store.writing():
        if not len(store) == len(ids) == len(store.sightings(ids)):
            raise GalleryError(f"{store.name} changed while it was embedded: nothing was kept. Do it again when nobody indexes.")
        store.replace_vectors(model, ids, vectors)
    return len(ids)


def _embedded(embedder: Any, rows: Sequence[NewSighting], images: Images) -> np.ndarray:
    pictures = [_image(row, images) for row in rows]
    if getattr(embedder, "cameras", None) is not None:
        return embedder(pictures, [row.camera for row in rows])
    return embedder(pictures)


def _has_image(row: NewSighting, images: Images) -> bool:
    if images == "thumbnails":
        return row.thumbnail is not None
    from passerby.datasets.walking import IMAGE_SUFFIXES

    path = Path(row.source)
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _image(row: NewSighting, images: Images) -> Image.Image:
    from passerby.datasets import decode_image, read_image

    if images == "thumbnails":
        return decode_image(row.thumbnail or b"", f"thumbnail of {row.key}")
    whole = read_image(row.source)
    if row.box is None:
        return whole
    left, top, width, height = row.box
    return whole.crop((round(left), round(top), round(left + width), round(top + height)))
