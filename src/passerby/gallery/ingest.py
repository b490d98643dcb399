"""Crops that some reader found, into a gallery: no video, no detector, one image a person."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from passerby.errors import UsageError
from passerby.gallery.rows import Model, NewSighting
from passerby.progress import meter
from passerby.records import Record, Split

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.gallery.gallery import Gallery

__all__ = ["THUMBNAIL", "index_records", "make_thumbnail"]

THUMBNAIL = (128, 256)
"""Width and height that a kept crop has at most, pixels."""
_BLOCK = 256  # crops a transaction


def make_thumbnail(image: Image.Image, size: tuple[int, int] = THUMBNAIL, quality: int = 85) -> bytes:
    """A crop as a small JPEG without metadata, never enlarged."""
    small = image.convert("RGB") if image.mode != "RGB" else image.copy()
    small.thumbnail(size)
    made = io.BytesIO()
    clean = Image.new("RGB", small.size)
    clean.paste(small)
    clean.save(made, "JPEG", quality=quality)
    return made.getvalue()


def index_records(
    gallery: Gallery,
    split: Split,
    embedder: Embedder,
    *,
    root: str | os.PathLike[str] | None = None,
    camera: str | Callable[[Record], str] | None = None,
    time: Callable[[Record], float | None] | None = None,
    track: Callable[[Record], str | None] | None = None,
    thumbnails: bool = True,
) -> int:
    """Embed crops and add them; what the gallery has already is not embedded again, so an interrupted run goes on.

    Args:
        gallery: opened for writing, of the embedder's model.
        split: crops of any reader.
        embedder: of the gallery's model.
        root: keys are domain and path below this folder; None takes whole paths.
        camera: name of the camera of all, or of each; None: ``domain/number`` as in the records, counted from 1.
        time: seconds since 1970 UTC of each; None: unknown.
        track: name of the track of each; None: every crop stands alone.
        thumbnails: keep crops as small JPEGs; without them a gallery cannot be shown or moved to another model.

    Returns:
        How many were added.

    Raises:
        GalleryError: a gallery of another model.
        ImageError: a crop cannot be decoded.
        UsageError: a crop outside `root`.
    """
    from passerby.gallery.gallery import check_model

    check_model(gallery, Model.of(embedder))
    keys = [_key(record, root) for record in split]
    there = gallery.ids_of(keys)
    waiting = [(key, record) for key, record in zip(keys, split, strict=True) if key not in there]
    with meter("indexing", len(waiting)) as shown, ThreadPoolExecutor(max(1, embedder.workers)) as pool:
        for start in range(0, len(waiting), _BLOCK):
            part = waiting[start : start + _BLOCK]
            images = list(pool.map(lambda each: _picture(each[1].path), part))
            cameras = [_camera(record, camera) for _, record in part]  # so a network with camera statistics names them
            vectors = embedder(images, cameras if embedder.cameras is not None else None)
            crops = list(pool.map(make_thumbnail, images)) if thumbnails else [None] * len(part)
            gallery.add(
                [
                    NewSighting(
                        key, vector, name, time(record) if time else None, track(record) if track else None,
                        source=record.path.as_posix(), thumbnail=crop,
                    )
                    for (key, record), name, vector, crop in zip(part, cameras, vectors, crops, strict=True)
                ]
            )  # fmt: skip
            shown.advance(len(part))
    return len(set(keys)) - len(there)


def _picture(path: Path) -> Image.Image:
    from passerby.datasets import read_image

    return read_image(path)


def _key(record: Record, root: str | os.PathLike[str] | None) -> str:
    if root is None:
        return record.path.as_posix()
    try:
        return f"{record.domain}/{record.path.relative_to(root).as_posix()}"
    except ValueError:
        raise UsageError(f"{record.path} is not below {root}: keys are paths below the folder of the data.") from None


def _camera(record: Record, camera: str | Callable[[Record], str] | None) -> str:
    from passerby.embedder.splits import camera_name

    if camera is None:
        return camera_name(record.camera)
    return camera if isinstance(camera, str) else camera(record)
