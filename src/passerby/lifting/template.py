"""The `template` lifter: one body, standing, placed on the mask or on the whole crop. It needs no network and sees nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from passerby.lifting.body import SHAPES, STANDING, fit_body
from passerby.lifting.lifter import Crop, Lifted, Refused, small
from passerby.lifting.masks import read_mask
from passerby.lifting.projection import WeakCamera

__all__ = ["TemplateLifter"]

_FILLS = 0.92  # of a crop's height that detectors' boxes leave to the person
_CLOTH_M = 0.015


class TemplateLifter:
    """A mean body that stands and faces the camera.

    Args:
        masks: folder with a mask for each crop, see `masks.beside`; None: people fill their crops as detectors' boxes have them,
            and what the body covers is the person.
        tilt_deg: how far the cameras look down.
    """

    batch = 16

    def __init__(self, masks: Path | None = None, *, tilt_deg: float = 15.0) -> None:
        self.masks, self.tilt_deg = masks, tilt_deg

    def __call__(self, crops: Sequence[Crop]) -> list[Lifted | Refused]:
        """See `Lifter`."""
        return [self._lift(crop) for crop in crops]

    def _lift(self, crop: Crop) -> Lifted | Refused:
        if too_small := small(crop.image):
            return too_small
        height, width = crop.image.shape[:2]
        mask = None
        if self.masks is not None:
            mask = read_mask(self.masks, crop)
            if isinstance(mask, Refused):
                return mask
            rows, columns = np.nonzero(mask)
            top, tall, middle = rows.min(), np.ptp(rows) + 1.0, columns.mean() + 0.5
        else:
            top, tall, middle = (1 - _FILLS) / 2 * height, _FILLS * height, width / 2
        vertices = _standing(self.tilt_deg)
        low, high = vertices.min(0), vertices.max(0)
        scale = tall / float(high[1] - low[1])
        camera = WeakCamera(scale, middle - scale * float(low[0] + high[0]) / 2, top - scale * float(low[1]))
        return Lifted(vertices, camera, fit_body().faces, mask)


@lru_cache(maxsize=4)
def _standing(tilt_deg: float) -> np.ndarray:
    """(V, 3) the mean body as a camera sees it that looks down by `tilt_deg`."""
    body, tilt = fit_body(), torch.tensor(np.deg2rad(tilt_deg)).float()
    cos, sin, zero = tilt.cos(), tilt.sin(), torch.zeros(())
    root = torch.stack([zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos]).reshape(1, 3, 3)
    pose = body.pose(torch.zeros(1, SHAPES), STANDING[None], root)
    return body.points(pose, torch.arange(body.vertices), torch.full((1, 1), _CLOTH_M))[0].numpy()
