"""Augmentation: what happens to a picture between the file and the batch while training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from passerby.errors import UsageError, nearest
from passerby.torchvision_repair import repair_torchvision
from passerby.transforms.auto_augment import augment_by_pair
from passerby.transforms.erasing import erase, erase_several, grey_patch
from passerby.transforms.preprocess import Preprocess, as_image_tensor, resize

__all__ = ["AUTO_AUGMENT", "PAD_MODES", "TrainTransforms"]

AUTO_AUGMENT = ("off", "randaugment", "reid")
PAD_MODES = ("zeros", "grey", "edge")
_PAD_COLOURS = {"zeros": 0, "grey": 127, "edge": 0}


@dataclass(frozen=True)
class TrainTransforms:
    """Picture to network size with random changes: auto-augment, colours, resize, flip, pad and crop, grey patch, erasing.

    All of it works on 8-bit pixels and every choice comes from the generator that the call passes, so an image depends on
    nothing else. Defaults are those of layumi/Person_reID_baseline_pytorch.

    Attributes:
        preprocess: the network's input.
        flip: probability of mirroring, published 0.5.
        pad_px: padding on each side before the random crop, in px of the network's input; published 10 at 256x128, 0 for PCB.
        pad_mode: what the padding holds: ``zeros`` (black, published), ``grey`` (127), or ``edge``, the pixel next to it.
        color_jitter: largest change of brightness, contrast, saturation and hue, by torchvision's ``ColorJitter``; published
            (0.1, 0.1, 0.1, 0).
        auto_augment: ``off``; ``randaugment``, torchvision's, 2 operations of magnitude 9 (Cubuk et al. 2020); ``reid``, see
            `augment_by_pair`.
        random_erasing: probability of erasing a rectangle, published 0.5 among the tricks; it gets the mean colour.
        erased_area: largest share of the image that such a rectangle takes, published 0.4; the smallest is 0.02.
        erasing_plus: probability of a rectangle and of going on to a further one, up to five.
        grayscale_patch: probability of turning a rectangle grey, published 0.2.

    Raises:
        UsageError: a probability outside 0 to 1, a padding or a change out of range, or an unknown mode.
    """

    preprocess: Preprocess
    flip: float = 0.5
    pad_px: int = 10
    pad_mode: str = "zeros"
    color_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    auto_augment: str = "off"
    random_erasing: float = 0.0
    erasing_plus: float = 0.0
    grayscale_patch: float = 0.0
    erased_area: float = 0.4

    def __post_init__(self) -> None:
        object.__setattr__(self, "color_jitter", tuple(self.color_jitter))
        for name in ("flip", "random_erasing", "erasing_plus", "grayscale_patch"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}: it is a probability, from 0 to 1.")
        if not 0.02 < self.erased_area <= 1:
            raise UsageError(f"erased_area is {self.erased_area}: a share of the image, above 0.02 and at most 1.")
        if not 0 <= self.pad_px < min(self.preprocess.size):
            raise UsageError(
                f"pad_px is {self.pad_px}: give 0 or more, and less than the sides of the input, {self.preprocess.size}."
            )
        for name, allowed in (("pad_mode", PAD_MODES), ("auto_augment", AUTO_AUGMENT)):
            if getattr(self, name) not in allowed:
                raise UsageError(f'no {name} "{getattr(self, name)}". {nearest(getattr(self, name), allowed)}')
        if len(self.color_jitter) != 4 or not all(0 <= v <= 1 for v in self.color_jitter) or self.color_jitter[3] > 0.5:
            raise UsageError(
                f"color_jitter is {self.color_jitter}: give the largest change of brightness, contrast and saturation "
                "(0 to 1) and of hue (0 to 0.5)."
            )
        _ = self._torchvision_operations  # import torchvision here, not in every worker

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Tensor:
        """(3, H, W) uint8.

        Args:
            image: of mode ``RGB``.
            generator: draws every choice; the same state gives the same image.
        """
        resized = resize(self._changed_picture(image, generator), self.preprocess)
        pixels = self._cropped(resized, generator)
        grey_patch(pixels, self.grayscale_patch, generator)
        erase(pixels, self.random_erasing, self.preprocess.mean_colour, generator, most=self.erased_area)
        erase_several(pixels, self.erasing_plus, self.preprocess.mean_colour, generator)
        return as_image_tensor(pixels)

    def _changed_picture(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        if self.auto_augment == "reid":
            image = augment_by_pair(image, generator)
        for operation in self._torchvision_operations:
            with _torch_seeded(int(generator.integers(2**63))):
                image = operation(image)
        return image

    @cached_property
    def _torchvision_operations(self) -> tuple[Any, ...]:
        if self.auto_augment != "randaugment" and not any(self.color_jitter):
            return ()
        repair_torchvision()
        from torchvision.transforms import v2

        chosen = [v2.RandAugment()] if self.auto_augment == "randaugment" else []
        return (*chosen, v2.ColorJitter(*self.color_jitter)) if any(self.color_jitter) else tuple(chosen)

    def _cropped(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Mirror, pad, and crop at a random place; the last two as one copy of the part that stays visible."""
        pad = self.pad_px
        down, right = (int(generator.integers(2 * pad + 1)) - pad for _ in range(2)) if pad else (0, 0)
        if self.flip and generator.random() < self.flip:
            pixels = torch.from_numpy(pixels).flip(1).numpy()  # NumPy's negative strides are ten times as slow
        result = np.full_like(pixels, _PAD_COLOURS[self.pad_mode])
        to, source = zip(*(_overlap(n, by) for n, by in zip(pixels.shape[:2], (down, right), strict=True)), strict=True)
        result[to] = pixels[source]
        if self.pad_mode == "edge":
            top, bottom, left, right = to[0].start, to[0].stop, to[1].start, to[1].stop
            result[:top], result[bottom:] = result[top], result[bottom - 1]
            result[:, :left], result[:, right:] = result[:, left, None], result[:, right - 1, None]
        return result


def _overlap(length: int, by: int) -> tuple[slice, slice]:
    """Where a line of pixels lands when it is moved by `-by`, and which part of it is still inside."""
    return slice(max(0, -by), length - max(0, by)), slice(max(0, by), length - max(0, -by))


@contextmanager
def _torch_seeded(seed: int) -> Iterator[None]:
    """Torch's CPU generator at `seed` inside the block and untouched afterwards: torchvision draws from it and from nothing else.

    `torch.random.fork_rng` does the same at seventy times the cost, because `torch.manual_seed` seeds every device.
    """
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
