"""What lifts: a `Lifter` gives for each crop a body, a camera and a mask, or says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from passerby.errors import UsageError
from passerby.lifting.projection import Projection

__all__ = ["LEAST_PX", "Crop", "Lifted", "Lifter", "Refused", "small"]

LEAST_PX = (16, 8)
"""Rows and columns below which a crop shows nobody."""


@dataclass(frozen=True, eq=False)
class Crop:
    """One image of one person.

    Attributes:
        image: (H, W, 3) uint8.
        name: the file, relative to what is lifted, with slashes; finds what other tools made of it.

    Raises:
        UsageError: the image is of another shape or type, or empty.
    """

    image: np.ndarray
    name: str = ""

    def __post_init__(self) -> None:
        image = self.image
        if not isinstance(image, np.ndarray):
            found = f"a {type(image).__name__}"
        elif image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            found = f"{image.shape} {image.dtype}"
        else:
            return
        raise UsageError(
            f"the image of a crop is {found}: give a NumPy array (H, W, 3) of uint8, red, green and blue, "
            "as numpy.asarray(passerby.datasets.read_image(path)) does."
        )


@dataclass(frozen=True, eq=False)
class Lifted:
    """A body in a crop.

    Attributes:
        vertices: (V, 3) float, metres from the pelvis: x right, y down, z away from the camera.
        camera: where they fall on the crop, in pixels of the crop.
        faces: (F, 3) int32, or None where only the vertices are known.
        mask: (H, W) bool, the person's pixels, or None: those that the body covers.
    """

    vertices: np.ndarray
    camera: Projection
    faces: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Refused:
    """Why a crop becomes no cloud.

    Attributes:
        reason: the same few words for all crops of a kind, so that they can be counted.
        detail: what was found in this one.
    """

    reason: str
    detail: str = ""


def small(image: np.ndarray) -> Refused | None:
    """Why a crop of so few pixels becomes no cloud, for lifters that look at the picture, or at its size."""
    if image.shape[0] >= LEAST_PX[0] and image.shape[1] >= LEAST_PX[1]:
        return None
    return Refused(
        "person too small",
        f"the crop has {image.shape[1]} x {image.shape[0]} pixels, at least {LEAST_PX[1]} x {LEAST_PX[0]} are needed",
    )


class Lifter(Protocol):
    """Turns crops into bodies; `batch` is how many crops a call should hold."""

    batch: int

    def __call__(self, crops: Sequence[Crop]) -> list[Lifted | Refused]:
        """One answer a crop, in their order; no crop's answer depends on the others."""
        ...
