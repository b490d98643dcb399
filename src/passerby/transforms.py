"""Image to tensor: resize and augmentation on uint8, normalisation on the device.

A picture stays uint8 until it is part of a batch: the conversion to float in a worker costs more than decoding and resizing
together. Random choices come from a NumPy generator that the caller derives from (seed, epoch, position), so an image's
augmentation does not depend on which process made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from passerby.errors import UsageError, listing

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "EvalTransform", "Preprocess", "TrainTransforms", "normalise"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Preprocess:
    """What a network's input stage expects; it travels with the weights.

    Attributes:
        size: (height, width) in px.
        mean: of each channel, RGB, in units of 0 to 1.
        std: of each channel.
        interpolation: resize filter, with antialiasing as Pillow does it; the same in training and in use.

    Raises:
        UsageError: a size below 1 px, a standard deviation that is not positive, an unknown filter.

    >>> Preprocess().size
    (256, 128)
    """

    size: tuple[int, int] = (256, 128)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.size) != 2 or min(self.size) < 1:
            raise UsageError(f"input size is {self.size}: give (height, width) in px, 1 or more each, for instance (256, 128).")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise UsageError(f"mean {self.mean} and std {self.std}: give three numbers each, std above 0.")
        if self.interpolation not in _FILTERS:
            raise UsageError(f'no resize filter "{self.interpolation}": allowed are {listing(_FILTERS)}.')

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """The inverse of `to_dict`.

        Raises:
            UsageError: an unknown key, or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise UsageError(f"preprocessing has no entry {listing(unknown)}: allowed are {listing(known)}.")
        return cls(**values)

    def resize(self, image: Image.Image) -> Image.Image:
        """`image` at the input size."""
        height, width = self.size
        return image if image.size == (width, height) else image.resize((width, height), _FILTERS[self.interpolation])


def normalise(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """(B, 3, H, W) uint8, or float from 0 to 1, to the float32 input of the network; keeps device and memory format."""
    scale = 255.0 if batch.dtype == torch.uint8 else 1.0
    mean = torch.tensor(preprocess.mean, device=batch.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std, device=batch.device).view(1, 3, 1, 1)
    return (batch.float() - mean * scale) / (std * scale)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@dataclass(frozen=True)
class EvalTransform:
    """Resize only: PIL RGB -> (3, H, W) uint8."""

    preprocess: Preprocess = Preprocess()

    def __call__(self, image: Image.Image) -> Tensor:
        """Resize one picture."""
        return _tensor(self.preprocess.resize(image))


@dataclass(frozen=True)
class TrainTransforms:
    """Augmentation for training: PIL RGB and a generator -> (3, H, W) uint8.

    Order: colour jitter, RandAugment or the re-ID pairs, resize, flip, pad and crop, grey patch, erasing.

    Attributes:
        preprocess: size, filter and the mean colour that fills erased rectangles.
        flip: probability of mirroring.
        pad_px: padding on each side before a random crop back to the size; 0 for none.
        pad_mode: the padding holds ``zeros`` (published) or repeats the ``edge``.
        color_jitter: strengths of brightness, contrast, saturation (factor 1 +- s) and hue (+- s of a turn, up to 0.5), 0 for
            none. Published: 0.1 0.1 0.1 0 (baseline), 0.15 0.15 0.1 0.1 (MetaBIN).
        random_erasing: probability of erasing a rectangle.
        erasing_plus: probability of going on to another rectangle after each, five at most.
        grayscale_patch: probability of turning a rectangle grey (published 0.2).
        auto_augment: ``off``, ``randaugment`` (torchvision's, two operations of strength 9) or ``reid`` (the baseline's list).

    Raises:
        UsageError: a probability or strength out of range.

    Source: layumi/Person_reID_baseline_pytorch, train.py; Zhong et al., Random Erasing, AAAI 2020.
    """

    preprocess: Preprocess = Preprocess()
    flip: float = 0.5
    pad_px: int = 10
    pad_mode: Literal["zeros", "edge"] = "zeros"
    color_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    random_erasing: float = 0.0
    erasing_plus: float = 0.0
    grayscale_patch: float = 0.0
    auto_augment: Literal["off", "randaugment", "reid"] = "off"

    def __post_init__(self) -> None:
        for name in ("flip", "random_erasing", "erasing_plus", "grayscale_patch"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}: it is a probability, 0 to 1.")
        if self.pad_px < 0 or self.pad_mode not in ("zeros", "edge"):
            raise UsageError(f"pad_px is {self.pad_px}, pad_mode {self.pad_mode!r}: give 0 px or more, and zeros or edge.")
        if (
            len(self.color_jitter) != 4
            or min(self.color_jitter) < 0
            or max(self.color_jitter[:3]) > 1
            or self.color_jitter[3] > 0.5
        ):
            raise UsageError(
                f"color_jitter is {self.color_jitter}: give brightness, contrast, saturation 0 to 1 and hue 0 to 0.5."
            )
        if self.auto_augment not in ("off", "randaugment", "reid"):
            raise UsageError(f'no augmentation list "{self.auto_augment}": allowed are off, randaugment, reid.')

    def __call__(self, image: Image.Image, random: np.random.Generator) -> Tensor:
        """Augment one picture.

        Args:
            image: RGB.
            random: source of every choice.
        """
        if any(self.color_jitter):
            image = jitter(image, self.color_jitter, random)
        if self.auto_augment == "randaugment":
            image = _randaugment(image, random)
        elif self.auto_augment == "reid":
            image = reid_pair(image, random)
        pixels = np.array(self.preprocess.resize(image))
        if random.random() < self.flip:
            pixels = pixels[:, ::-1]
        if self.pad_px:
            pixels = pad_and_crop(pixels, self.pad_px, self.pad_mode, random)
        pixels = np.ascontiguousarray(pixels)
        if self.grayscale_patch and random.random() < self.grayscale_patch:
            grey_patch(pixels, random)
        if self.random_erasing and random.random() < self.random_erasing:
            self._erase(pixels, random)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def _erase(self, pixels: np.ndarray, random: np.random.Generator) -> None:
        fill = np.round(np.array(self.preprocess.mean) * 255).astype(np.uint8)
        for _ in range(_MOST_RECTANGLES):
            rows, columns = erased_rectangle(pixels.shape[:2], random)
            pixels[rows, columns] = fill
            if random.random() >= self.erasing_plus:
                return


_MOST_RECTANGLES = 5


def erased_rectangle(size: tuple[int, ...], random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a random rectangle: area U(0.02, 0.4), aspect U(0.3, 1/0.3), strictly smaller than the image.

    The aspect is drawn uniformly, not in the logarithm; after 100 vain tries the rectangle is empty.

    Source: layumi/Person_reID_baseline_pytorch, random_erasing.py.
    """
    height, width = size
    for _ in range(100):
        area = random.uniform(0.02, 0.4) * height * width
        aspect = random.uniform(0.3, 1 / 0.3)
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h < height and w < width:
            top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
            return slice(top, top + h), slice(left, left + w)
    return slice(0, 0), slice(0, 0)


def grey_patch(pixels: np.ndarray, random: np.random.Generator) -> None:
    """Turn a random rectangle of (H, W, 3) uint8 grey, in place; luma 0.2989 R + 0.587 G + 0.114 B."""
    rows, columns = erased_rectangle(pixels.shape[:2], random)
    patch = pixels[rows, columns]
    pixels[rows, columns] = np.round(patch @ np.array([0.2989, 0.587, 0.114]))[..., None].astype(np.uint8)


def pad_and_crop(pixels: np.ndarray, pad_px: int, mode: str, random: np.random.Generator) -> np.ndarray:
    """Pad (H, W, 3) on all sides and cut the size out again at a random place."""
    height, width = pixels.shape[:2]
    widths = ((pad_px, pad_px), (pad_px, pad_px), (0, 0))
    padded = np.pad(pixels, widths) if mode == "zeros" else np.pad(pixels, widths, mode="edge")
    top, left = random.integers(0, 2 * pad_px + 1, size=2)
    return padded[top : top + height, left : left + width]


def jitter(image: Image.Image, strengths: tuple[float, ...], random: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation and hue by random factors, in random order."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    factors = [random.uniform(1 - strength, 1 + strength) for strength in strengths[:3]]
    shift = random.uniform(-strengths[3], strengths[3])
    for number in random.permutation(4):
        if number == 3 and shift:
            image = _turn_hue(image, shift)
        elif number < 3 and strengths[number]:
            image = enhancers[number](image).enhance(factors[number])
    return image


def _turn_hue(image: Image.Image, turn: float) -> Image.Image:
    pixels = np.array(image.convert("HSV"))
    pixels[..., 0] += np.uint8(round(turn * 255) % 256)  # wraps round, as a hue does
    return Image.fromarray(pixels, "HSV").convert("RGB")


def _randaugment(image: Image.Image, random: np.random.Generator) -> Image.Image:
    from passerby.torchvision_repair import repair_torchvision

    repair_torchvision()
    from torchvision.transforms import v2

    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global generator
        torch.manual_seed(int(random.integers(2**62)))
        return v2.RandAugment()(image)


# Levels 0 to 9 span AutoAugment's ranges: posterize keeps 8 to 4 bits, solarize starts at 256 to 0, colour changes by 0 to 0.9.
_LEVELS = 9
_OPERATIONS = {
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "autocontrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "posterize": lambda image, level, sign: ImageOps.posterize(image, round(8 - 4 * level / _LEVELS)),
    "solarize": lambda image, level, sign: ImageOps.solarize(image, round(256 - 256 * level / _LEVELS)),
    "color": lambda image, level, sign: ImageEnhance.Color(image).enhance(1 + sign * 0.9 * level / _LEVELS),
    "contrast": lambda image, level, sign: ImageEnhance.Contrast(image).enhance(1 + sign * 0.9 * level / _LEVELS),
    "shear_x": lambda image, level, sign: image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, sign * 0.3 * level / _LEVELS, 0, 0, 1, 0),
        Image.Resampling.BICUBIC,
        fillcolor=(128,) * 3,
    ),
}
_REID_PAIRS = (
    (("equalize", 0, 0.8), ("equalize", 0, 0.6)),
    (("equalize", 0, 0.8), ("equalize", 0, 0.6)),
    (("posterize", 7, 0.6), ("posterize", 6, 0.6)),
    (("posterize", 5, 0.8), ("equalize", 0, 1.0)),
    (("equalize", 0, 0.6), ("posterize", 6, 0.4)),
    (("equalize", 0, 0.0), ("equalize", 0, 0.8)),
    (("color", 4, 0.6), ("contrast", 8, 1.0)),
    (("color", 4, 0.6), ("contrast", 8, 1.0)),
    (("shear_x", 5, 0.6), ("equalize", 0, 1.0)),
    (("color", 0, 0.4), ("equalize", 0, 0.6)),
    (("solarize", 5, 0.6), ("autocontrast", 0, 0.6)),
)


def reid_pair(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """One random pair of the baseline's list, each operation with its own probability.

    Source: layumi/Person_reID_baseline_pytorch, branch dev (``DA``); ranges of Cubuk et al., AutoAugment, CVPR 2019.
    """
    for name, level, probability in _REID_PAIRS[random.integers(len(_REID_PAIRS))]:
        sign = 1 if random.random() < 0.5 else -1
        if random.random() < probability:
            image = _OPERATIONS[name](image, level, sign)
    return image
