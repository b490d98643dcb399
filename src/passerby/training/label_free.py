"""How an adaptation without labels is doing, measured without labels: from the exemplars and the cameras that they come from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from passerby.losses.neighbour import camera_neighbours, neighbours
from passerby.training.exemplars import ExemplarMemory

__all__ = ["LabelFreeProgress", "Progress", "measure"]

_KEPT = 10  # nearest exemplars whose change from epoch to epoch is followed
_TABLE = 30_000_000  # similarities that are looked at together, 120 MB
_CLEARLY_BELOW = 0.9  # of the reference: the run warns


@dataclass(frozen=True)
class Progress:
    """One look at the exemplars; means over the probed images.

    Attributes:
        neighbours_intra: neighbours within the camera.
        neighbours_inter: neighbours in other cameras.
        cross_camera: share of images of other cameras among the neighbours that are chosen without regard to cameras, 0 to 1,
            over the share that they have among all images: 1 where cameras make no difference.
        crowding: share of its camera's images that a neighbourhood takes in, the image itself counted. Near 1 all are alike.
        cycles: share of images that the way to the best match in another camera, and from there back to the image's own camera,
            leads home: to the image or to one of its neighbours.
        estimate: mean over images of the share of log2(images of the camera) that a closed cycle leaves decided:
            ``1 - log(1 + |P|) / log |A|``, 0 where the cycle does not close. It falls where cameras do not find each other, and
            where neighbourhoods swallow their camera.
        agreement: mean share of the ten nearest exemplars that were among the ten nearest at the last look; NaN at the first.
    """

    neighbours_intra: float
    neighbours_inter: float
    cross_camera: float
    crowding: float
    cycles: float
    estimate: float
    agreement: float = math.nan


def measure(slots: Tensor, cameras: Tensor, probes: Tensor, *, threshold: float = 0.8) -> tuple[Progress, Tensor]:
    """Look at the exemplars.

    Args:
        slots: (N, D) unit vectors.
        cameras: (N,) int64.
        probes: (P,) int64 images that are looked at.
        threshold: of neighbours, see `losses.neighbour.camera_aware`.

    Returns:
        The numbers (`agreement` left open), and (P, 10) int64 nearest exemplars of each probe, fewer where there are fewer.
    """
    similarities = slots[probes] @ slots.T
    own = cameras[probes]
    chosen = camera_neighbours(similarities, probes, own, cameras, threshold=threshold)
    itself = torch.arange(len(slots), device=slots.device)[None, :] == probes[:, None]
    anyone = neighbours(similarities, ~itself, threshold)
    same = own[:, None] == cameras[None, :]
    in_camera = same.sum(1)
    elsewhere = (len(slots) - in_camera) / max(1, len(slots) - 1)
    across = (anyone & ~same).sum(1) / anyone.sum(1).clamp(min=1)
    home = chosen.intra | itself
    closed = home.gather(1, _there_and_back(slots, similarities, cameras, own)[:, None]).squeeze(1) & (~same).any(1)
    decided = 1 - torch.log(home.sum(1).double()) / torch.log(in_camera.double().clamp(min=2))
    nearest = similarities.masked_fill(itself, -math.inf).topk(min(_KEPT, max(1, len(slots) - 1)), dim=1).indices
    found = Progress(
        neighbours_intra=_mean(chosen.intra.sum(1)),
        neighbours_inter=_mean(chosen.inter.sum(1)),
        cross_camera=_mean(across / elsewhere.clamp(min=1e-9)),
        crowding=_mean(home.sum(1) / in_camera),
        cycles=_mean(closed),
        estimate=_mean(closed * decided),
    )
    return found, nearest


def _there_and_back(slots: Tensor, similarities: Tensor, cameras: Tensor, own: Tensor) -> Tensor:
    """(P,) the exemplar of the probe's own camera that is nearest to the probe's best match in another camera."""
    same = own[:, None] == cameras[None, :]
    there = similarities.masked_fill(same, -math.inf).argmax(1)
    return (slots[there] @ slots.T).masked_fill(~same, -math.inf).argmax(1)


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


class LabelFreeProgress:
    """Looks at a memory at the end of every epoch. Stateful: put it into `fit`'s `state`.

    Args:
        memory: exemplars.
        cameras: (N,) int64, camera of each exemplar.
        threshold: of neighbours.
        probes: images that are looked at, at most; always the same ones.
        seed: of their choice.

    Attributes:
        reference: the estimate of the last look before neighbourhoods acted; None before any.
    """

    def __init__(self, memory: ExemplarMemory, cameras: Tensor, *, threshold: float, probes: int = 1000, seed: int = 0) -> None:
        self.memory, self.cameras, self.threshold = memory, cameras, threshold
        order = torch.randperm(len(cameras), generator=torch.Generator().manual_seed(seed))
        most = max(1, _TABLE // len(cameras))  # a large place is looked at through fewer images
        self.probes = order[: min(probes, most)].sort().values.to(cameras.device)
        self._before: Tensor | None = None
        self.reference: float | None = None
        self._warned = False

    @torch.no_grad()
    def look(self, *, remember: bool = True, before: bool = False) -> tuple[dict[str, float], str]:
        """The numbers of `Progress` by name, `agreement` from the second look on; and a warning, empty where none is due.

        Args:
            remember: let the next look compare with this one.
            before: no neighbourhood acts yet: the estimate becomes the `reference` that later ones are held against.
        """
        found, nearest = measure(self.memory.slots, self.cameras, self.probes, threshold=self.threshold)
        values = asdict(found)
        if self._before is None:
            values.pop("agreement")
        else:
            earlier = self._before.to(nearest.device)
            values["agreement"] = _mean((nearest[:, :, None] == earlier[:, None, :]).any(2).double().mean(1))
        warning = "" if before or self._warned else self._fallen(found)
        if remember:
            self._before = nearest
            self.reference = found.estimate if before else self.reference
            self._warned = self._warned or bool(warning)
        return values, warning

    def _fallen(self, found: Progress) -> str:
        if self.reference is None or found.estimate >= _CLEARLY_BELOW * self.reference:
            return ""
        return (
            f"the label-free estimate fell from {self.reference:.3f}, before neighbours joined, to {found.estimate:.3f}: "
            f"{found.cycles:.0%} of cycles close, neighbourhoods hold {found.crowding:.1%} of their camera. The adaptation "
            "seems to do harm. If neighbourhoods are large, raise the threshold."
        )

    def state_dict(self) -> dict[str, Any]:
        """What the next look compares with."""
        return {"before": self._before, "reference": self.reference, "warned": self._warned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it."""
        self._before, self.reference, self._warned = state["before"], state["reference"], state["warned"]
