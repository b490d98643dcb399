"""Whatever an image arrives as becomes an RGB picture of 8 bits, or a one-line error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from passerby.datasets.images import read_image
from passerby.errors import ImageError

__all__ = ["ImageLike", "each", "picture"]

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor"
"""A file, a PIL image, an (H, W, 3) uint8 array, or a (3, H, W) tensor (uint8, or float from 0 to 1)."""


def each(images: Any) -> Iterator[ImageLike]:
    """One image, a batch, or any iterable of images, one by one."""
    if isinstance(images, (str, os.PathLike, Image.Image)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 3):
        yield images
    else:
        yield from images


def picture(image: Any) -> Image.Image:
    """One image of any kind as a picture.

    Raises:
        ImageError: it cannot be decoded, or has a shape, type or range that no image has.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return image if image.mode == "RGB" else image.convert("RGB")
    if isinstance(image, Tensor):
        image = _array(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"a {type(image).__name__} is no image: give a path, a PIL image, an (H, W, 3) array or a (3, H, W) tensor."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"an array of shape {image.shape} and type {image.dtype} is no image: give (H, W, 3) uint8 in RGB order."
        )
    return Image.fromarray(image)


def _array(image: Tensor) -> np.ndarray:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(f"a tensor of shape {tuple(image.shape)} is no image: give (3, H, W) in RGB order.")
    image = image.detach().cpu()
    if image.is_floating_point():
        if not (image.min() >= 0 and image.max() <= 1):
            raise ImageError(
                f"a float image from {image.min():.3g} to {image.max():.3g}: give 0 to 1, not yet normalised; "
                "the embedder normalises."
            )
        image = (image * 255).round()
    elif image.dtype != torch.uint8:
        raise ImageError(f"a tensor of type {image.dtype} is no image: give uint8, or float from 0 to 1.")
    return np.ascontiguousarray(image.to(torch.uint8).permute(1, 2, 0).numpy())
