"""What a network's input stage expects, and how pictures become that; the same for training, evaluation and serving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from passerby.errors import UsageError, nearest

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "INTERPOLATIONS",
    "EvalTransform",
    "Preprocess",
    "as_image_tensor",
    "normalise",
    "resize",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

INTERPOLATIONS = ("bicubic", "bilinear")


@dataclass(frozen=True)
class Preprocess:
    """The input of a network; it travels with the weights.

    Attributes:
        size: (H, W) in px.
        mean: of the red, green and blue channel, as fractions of 255.
        std: of the channels, as fractions of 255.
        interpolation: ``bicubic`` or ``bilinear``; both average over all pixels when they shrink, as Pillow does and OpenCV does
            not.

    Raises:
        UsageError: a size, channel value or filter that cannot be.
    """

    size: tuple[int, int] = (256, 128)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON and YAML give lists
        if len(self.size) != 2 or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in self.size):
            raise UsageError(f"input size is {self.size}: give (height, width) in px, whole numbers of 1 or more.")
        if len(self.mean) != 3 or not all(0 <= v <= 1 for v in self.mean):
            raise UsageError(f"mean is {self.mean}: give red, green and blue as fractions of 255, for instance {IMAGENET_MEAN}.")
        if len(self.std) != 3 or not all(v > 0 and math.isfinite(v) for v in self.std):
            raise UsageError(f"std is {self.std}: give red, green and blue as fractions of 255, for instance {IMAGENET_STD}.")
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(f'no interpolation "{self.interpolation}". {nearest(self.interpolation, INTERPOLATIONS)}')

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The uint8 colour nearest to `mean`: 0 after normalisation, but for at most half a grey level of rounding."""
        red, green, blue = (round(255 * value) for value in self.mean)
        return red, green, blue

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; `from_dict` reads them back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Read what `to_dict` gave.

        Raises:
            UsageError: an unknown key, or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise UsageError(f'preprocessing has no "{key}". {nearest(key, known)}')
        return cls(**values)


@dataclass(frozen=True)
class EvalTransform:
    """Picture to network size, nothing else.

    Attributes:
        preprocess: the size and the filter; normalisation is left to `normalise`, on whole batches.
    """

    preprocess: Preprocess

    def __call__(self, image: Image.Image, generator: np.random.Generator | None = None) -> Tensor:
        """(3, H, W) uint8.

        Args:
            image: of mode ``RGB``.
            generator: there so that loaders call every transform alike; nothing here is random.
        """
        return as_image_tensor(resize(image, self.preprocess))


def resize(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """The picture at the network's size, aspect ratio not kept (the field's custom).

    Torch's 8-bit filter is Pillow's algorithm, two to four times as fast; the two differ by at most one grey level, in one
    pixel of five hundred. Training, evaluation and serving all use this function.

    Args:
        image: of mode ``RGB``, of any size.
        preprocess: size and filter.

    Returns:
        (H, W, 3) uint8, not shared with the picture.
    """
    pixels = np.array(image)
    if pixels.shape[:2] == preprocess.size:
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, preprocess.size, mode=preprocess.interpolation, antialias=True, align_corners=False)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def as_image_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 pixels as a (3, H, W) tensor over the same memory: no pixel is moved before the batch is made."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def normalise(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """(pixel / 255 - mean) / std.

    Args:
        batch: (B, 3, H, W), uint8 from 0 to 255 or float from 0 to 1; on any device.
        preprocess: mean and std.

    Returns:
        (B, 3, H, W) in channels-last memory, which convolutions prefer; fp32 from uint8, else the dtype of `batch`.

    Raises:
        UsageError: not (B, 3, H, W), or an integer type other than uint8.

    >>> normalise(torch.full((1, 3, 2, 2), 0.5), Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)).abs().max()
    tensor(0.)
    """
    if batch.ndim != 4 or batch.shape[1] != 3:
        raise UsageError(f"a batch of shape {tuple(batch.shape)} cannot be normalised: give (B, 3, H, W).")
    if batch.dtype != torch.uint8 and not batch.is_floating_point():
        raise UsageError(f"a batch of type {batch.dtype} cannot be normalised: give uint8 from 0 to 255, or float from 0 to 1.")
    dtype, full = (torch.float32, 255.0) if batch.dtype == torch.uint8 else (batch.dtype, 1.0)
    # One row of W red-green-blue triples makes a long inner loop; a stride over 3 channels would be five times as slow.
    pixels = batch.permute(0, 2, 3, 1).contiguous()
    scale, shift = _rows(preprocess.mean, preprocess.std, full, pixels.shape[2], dtype, batch.device)
    rows = torch.addcmul(shift, pixels.view(-1, scale.numel()), scale) if pixels.numel() else pixels.to(dtype)
    return rows.view(pixels.shape).permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _rows(
    mean: tuple[float, ...], std: tuple[float, ...], full: float, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # a tensor cached under inference mode could not take part in training later
        means, stds = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        scale, shift = 1 / (full * stds), -means / stds
        return scale.repeat(width).to(device, dtype), shift.repeat(width).to(device, dtype)
