"""Pictures inside the page: small JPEG crops and the plots, as data URIs."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from passerby.datasets import read_image
from passerby.embeddings import Embeddings
from passerby.errors import DataError, listing

__all__ = ["Crops", "check_names", "drawn"]

_TYPES = {"svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg"}
_HIGH, _WIDEST = 120, 96  # px of a crop on the page
_QUALITY = 68


class Crops:
    """Small pictures of the images below a folder, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, tuple[str, tuple[int, int]]] = {}

    def __call__(self, name: str) -> tuple[str, tuple[int, int]]:
        """A data URI and its width and height in px.

        Raises:
            ImageError: it cannot be decoded.
        """
        if name not in self._made:
            image = read_image(self._folder / name)
            scale = min(_HIGH / image.height, _WIDEST / image.width)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            content = io.BytesIO()
            image.resize(size, Image.Resampling.LANCZOS).save(content, "JPEG", quality=_QUALITY, optimize=True)
            self._made[name] = (_uri("jpg", content.getvalue()), size)
        return self._made[name]


def drawn(draw: Callable[[Path], object], suffix: str = "svg") -> str:
    """The data URI of what `draw` writes into the file that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture.{suffix}"
        draw(path)
        return _uri(suffix, path.read_bytes())


def _uri(suffix: str, content: bytes) -> str:
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode('ascii')}"


def check_names(folder: Path, *sets: Embeddings) -> None:
    """Refuse a folder that lacks images of the embeddings, before any work.

    Raises:
        DataError: naming some that are missing.
    """
    names = [str(name) for part in sets for name in part.names]
    missing = [name for name in names if not name or not (folder / name).is_file()]
    if missing:
        raise DataError(
            f'{len(missing)} of {len(names)} images of the embeddings are not below "{folder}" ({listing(missing)}): '
            "give the folder of the data set."
        )
