"""Masks that another tool made: one grey picture a crop, in a folder of the same form as the crops'."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from passerby.datasets.images import read_image
from passerby.datasets.walking import shown
from passerby.errors import DataError
from passerby.lifting.lifter import Crop, Refused

__all__ = ["beside", "read_mask"]


def beside(folder: Path, name: str, suffix: str) -> Path | None:
    """What another tool made of a crop: ``NAME.jpg.npz`` or ``NAME.npz`` for a crop ``NAME.jpg``, in the crop's place or flat.

    Args:
        folder: where its files are.
        name: of the crop, relative to what is lifted, with slashes.
        suffix: of the files, with its dot.
    """
    path = PurePosixPath(name)
    for parent in (folder / path.parent, folder):
        for candidate in (parent / (path.name + suffix), parent / (path.stem + suffix)):
            if candidate.is_file():
                return candidate
    return None


def read_mask(folder: Path, crop: Crop) -> np.ndarray | Refused:
    """The mask of a crop, (H, W) bool: bright pixels are the person.

    Raises:
        DataError: it has another size than the crop.
        ImageError: it cannot be decoded.
    """
    path = beside(folder, crop.name, ".png")
    if path is None:
        return Refused("no mask", f'no .png of that name in "{shown(folder)}"')
    mask = np.asarray(read_image(path).convert("L")) > 127
    if mask.shape != crop.image.shape[:2]:
        size, wanted = (f"{width} x {height}" for height, width in (mask.shape, crop.image.shape[:2]))
        raise DataError(f'the mask "{shown(path)}" has {size} pixels, its crop {wanted}: they must be equal.')
    return mask if mask.any() else Refused("no person", "the mask is empty")
