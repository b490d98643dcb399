"""What lifts: a `Lifter` gives for each crop a body, a camera and a mask, or says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from passerby.lifting.projection import Projection

__all__ = ["Crop", "Lifted", "Lifter", "Refused"]


@dataclass(frozen=True, eq=False)
class Crop:
    """One image of one person.

    Attributes:
        image: (H, W, 3) uint8.
        name: the file, relative to what is lifted, with slashes; finds what other tools made of it.
    """

    image: np.ndarray
    name: str = ""


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


class Lifter(Protocol):
    """Turns crops into bodies; `batch` is how many crops a call should hold."""

    batch: int

    def __call__(self, crops: Sequence[Crop]) -> list[Lifted | Refused]:
        """One answer a crop, in their order; no crop's answer depends on the others."""
        ...
