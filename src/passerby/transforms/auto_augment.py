"""The baseline's own list of colour and shape changes, a pair of them an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["PAIRS", "augment_by_pair"]

# (operation, level 0 to 9 or None, probability); the pairs are drawn with equal chances, so one that stands twice counts twice.
Step = tuple[str, "int | None", float]
PAIRS: tuple[tuple[Step, Step], ...] = (
    (("equalize", None, 0.8), ("equalize", None, 0.6)),
    (("equalize", None, 0.8), ("equalize", None, 0.6)),
    (("posterize", 7, 0.6), ("posterize", 6, 0.6)),
    (("posterize", 5, 0.8), ("equalize", None, 1.0)),
    (("equalize", None, 0.6), ("posterize", 6, 0.4)),
    (("equalize", None, 0.0), ("equalize", None, 0.8)),
    (("color", 4, 0.6), ("contrast", 8, 1.0)),
    (("color", 4, 0.6), ("contrast", 8, 1.0)),
    (("shear_x", 5, 0.6), ("equalize", None, 1.0)),
    (("color", 0, 0.4), ("equalize", None, 0.6)),
    (("solarize", 5, 0.6), ("autocontrast", None, 0.6)),
)


def augment_by_pair(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """One random pair of `PAIRS`, each of its two operations with its own probability.

    Levels mean what they mean in AutoAugment: posterize keeps 8 down to 4 bits, solarize inverts from 256 down to 0, colour and
    contrast change by up to +-0.9, shear by up to +-0.3 of the height; the sign is random.

    Args:
        image: of mode ``RGB``.
        generator: draws all.

    Source:
        layumi/Person_reID_baseline_pytorch, option ``DA``; levels: Cubuk et al. 2019, table 6.
    """
    for operation, level, probability in PAIRS[generator.integers(len(PAIRS))]:
        if generator.random() < probability:
            sign = 1 if generator.random() < 0.5 else -1
            image = _OPERATIONS[operation](image, 0 if level is None else level, sign)
    return image


def _posterize(image: Image.Image, level: int, sign: int) -> Image.Image:
    return ImageOps.posterize(image, round(8 - 4 * level / 9))


def _solarize(image: Image.Image, level: int, sign: int) -> Image.Image:
    return ImageOps.solarize(image, round(256 * (1 - level / 9)))


def _color(image: Image.Image, level: int, sign: int) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 + sign * 0.1 * level)


def _contrast(image: Image.Image, level: int, sign: int) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 + sign * 0.1 * level)


def _shear_x(image: Image.Image, level: int, sign: int) -> Image.Image:
    shear = sign * 0.3 * level / 9
    middle = shear * image.height / 2  # about the middle row, so that the person stays in the picture
    coefficients = (1, shear, -middle, 0, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))


_OPERATIONS: dict[str, Callable[[Image.Image, int, int], Image.Image]] = {
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "autocontrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "posterize": _posterize,
    "solarize": _solarize,
    "color": _color,
    "contrast": _contrast,
    "shear_x": _shear_x,
}
