"""Whatever an image arrives as becomes an RGB picture of 8 bits, or a one-line error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from passerby.datasets.images import read_image
from passerby.errors import ImageError
from passerby.transforms import Preprocess

__all__ = ["ImageLike", "each", "picture", "resized"]

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


def resized(pictures: Sequence[Image.Image], preprocess: Preprocess) -> Tensor:
    """Pictures at the network's size, bit for bit as `EvalTransform` makes them; those of one size are resized together.

    Args:
        pictures: RGB, one or more.
        preprocess: size and filter.

    Returns:
        (N, 3, H, W) uint8 in channels-last memory.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for position, shown in enumerate(pictures):
        groups.setdefault(shown.size, []).append(position)
    made = torch.empty(len(pictures), *preprocess.size, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    for (width, height), positions in groups.items():
        pixels = torch.from_numpy(np.stack([np.asarray(pictures[position]) for position in positions])).permute(0, 3, 1, 2)
        if (height, width) != preprocess.size:
            pixels = F.interpolate(pixels, preprocess.size, mode=preprocess.interpolation, antialias=True, align_corners=False)
        made[positions] = pixels
    return made
