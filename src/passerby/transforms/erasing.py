"""Random rectangles: erased, or turned grey."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["erase", "erase_several", "grey_patch"]

_TRIES = 100
_RECTANGLES = 5
_AREA = (0.02, 0.4)
_ASPECT = (0.3, 1 / 0.3)
_LUMA = np.array([0.2989, 0.587, 0.114])


def erase(
    pixels: np.ndarray,
    probability: float,
    colour: tuple[int, int, int],
    generator: np.random.Generator,
    *,
    most: float = _AREA[1],
) -> None:
    """Random erasing, in place: with `probability`, one rectangle of one colour.

    Its share of the image is uniform in 0.02 to `most`, its height / width uniform (not log-uniform) in 0.3 to 1 / 0.3; up to 100
    draws until both sides are strictly smaller than the image's.

    Args:
        pixels: (H, W, 3) uint8.
        probability: 0 to 1.
        colour: what it holds; the mean colour, which is 0 after normalisation.
        generator: draws all.
        most: largest share of the image, above 0.02.

    Source:
        Zhong et al. 2017, algorithm 1, with the constants of layumi/Person_reID_baseline_pytorch.
    """
    if probability and generator.random() <= probability:
        _fill(pixels, colour, generator, most)


def erase_several(pixels: np.ndarray, probability: float, colour: tuple[int, int, int], generator: np.random.Generator) -> None:
    """Random erasing of up to five rectangles, in place: before each one, the first too, `probability` decides on going on.

    Source:
        The development branch of layumi/Person_reID_baseline_pytorch (``erasing_p_plus``).
    """
    for _ in range(_RECTANGLES if probability else 0):
        if generator.random() > probability:
            return
        _fill(pixels, colour, generator)


def grey_patch(pixels: np.ndarray, probability: float, generator: np.random.Generator) -> None:
    """With `probability`, one rectangle, drawn as in `erase`, loses its colour, in place (luma .2989 .587 .114).

    Source:
        layumi/Person_reID_baseline_pytorch, which has it with probability 0.2 and does not use it.
    """
    if not probability or generator.random() > probability:
        return
    found = _rectangle(pixels.shape[0], pixels.shape[1], generator)
    if found is not None:
        patch = pixels[found]
        patch[...] = np.rint(patch @ _LUMA).astype(np.uint8)[..., None]


def _fill(pixels: np.ndarray, colour: tuple[int, int, int], generator: np.random.Generator, most: float = _AREA[1]) -> None:
    found = _rectangle(pixels.shape[0], pixels.shape[1], generator, most)
    if found is not None:
        pixels[found] = colour


def _rectangle(height: int, width: int, generator: np.random.Generator, most: float = _AREA[1]) -> tuple[slice, slice] | None:
    for _ in range(_TRIES):
        area = height * width * generator.uniform(_AREA[0], most)
        aspect = generator.uniform(*_ASPECT)
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            top, left = int(generator.integers(height - h + 1)), int(generator.integers(width - w + 1))
            return slice(top, top + h), slice(left, left + w)
    return None
