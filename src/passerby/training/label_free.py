"""How an adaptation without labels is doing, measured without labels: from the exemplars and the cameras that they come from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from passerby.losses.neighbour import camera_neighbours, neighbours
from passerby.training.exemplars import ExemplarMemory

__all__ = ["LabelFreeProgress", "Look", "Progress", "measure"]

_KEPT = 10  # nearest exemplars whose change from epoch to epoch is followed
_TABLE = 30_000_000  # similarities that are looked at together, 120 MB
_HOLDS = 0.9  # of the best estimate so far: below it the adaptation has clearly fallen
_LOW_LOOKS = 2  # in a row, then the run warns: single ones dip and recover
_ACROSS = ("neighbours_inter", "cross_camera", "cycles", "estimate")  # mean nothing where there is one camera


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


class Look(NamedTuple):
    """What `LabelFreeProgress.look` found.

    Attributes:
        values: the numbers of `Progress` by name; without ``agreement`` at the first look, and with one camera without those
            that need two.
        holds: whether the estimate is near its best so far; of looks that do not count, and with one camera, it never is.
        warning: a sentence, empty where none is due.
    """

    values: dict[str, float]
    holds: bool
    warning: str


class LabelFreeProgress:
    """Looks at a memory at the end of every epoch, and says whether the estimate holds. Stateful: put it into `fit`'s `state`.

    Args:
        memory: exemplars.
        cameras: (N,) int64, camera of each exemplar.
        threshold: of neighbours.
        probes: images that are looked at, at most; always the same ones.
        seed: of their choice.

    Attributes:
        reference: the estimate of the last look that counted before neighbourhoods acted; None without any.
        best: the highest estimate of looks that counted; None before any.
        held: the estimate of the latest look that held; None before any.
        last: the estimate of the last look; None before any, and with one camera.
    """

    def __init__(self, memory: ExemplarMemory, cameras: Tensor, *, threshold: float, probes: int = 1000, seed: int = 0) -> None:
        self.memory, self.cameras, self.threshold = memory, cameras, threshold
        order = torch.randperm(len(cameras), generator=torch.Generator().manual_seed(seed))
        most = max(1, _TABLE // len(cameras))  # a large place is looked at through fewer images
        self.probes = order[: min(probes, most)].sort().values.to(cameras.device)
        self.one_camera = len(cameras.unique()) < 2
        self.reference: float | None = None
        self.best: float | None = None
        self.held: float | None = None
        self.last: float | None = None
        self._before: Tensor | None = None
        self._low, self._warned = 0, False

    @torch.no_grad()
    def look(self, *, remember: bool = True, counts: bool = True, before: bool = False) -> Look:
        """Look at the exemplars as they are now.

        Args:
            remember: let later looks compare with this one.
            counts: its estimate is held against earlier ones, and later ones against it.
            before: no neighbourhood acts yet: the estimate becomes the `reference`, if it counts.
        """
        found, nearest = measure(self.memory.slots, self.cameras, self.probes, threshold=self.threshold)
        values = asdict(found)
        if self._before is None:
            values.pop("agreement")
        else:
            earlier = self._before.to(nearest.device)
            values["agreement"] = _mean((nearest[:, :, None] == earlier[:, None, :]).any(2).double().mean(1))
        for name in _ACROSS if self.one_camera else ():
            values.pop(name)
        counts = counts and not self.one_camera
        best = max(found.estimate, self.best or 0.0)
        holds = counts and found.estimate >= _HOLDS * best
        low = self._low + 1 if counts and not holds else 0
        warning = self._fallen(found, best) if low >= _LOW_LOOKS and not self._warned else ""
        if remember:
            self._before, self._low, self._warned = nearest, low, self._warned or bool(warning)
            self.best = best if counts else self.best
            self.held = found.estimate if holds else self.held
            self.last = None if self.one_camera else found.estimate
            self.reference = found.estimate if before and counts else self.reference
        return Look(values, holds, warning)

    def _fallen(self, found: Progress, best: float) -> str:
        return (
            f"the label-free estimate fell from {best:.3f} to {found.estimate:.3f}: {found.cycles:.0%} of cycles close, "
            f"neighbourhoods hold {found.crowding:.1%} of their camera. The adaptation seems to do harm. If neighbourhoods are "
            "large, raise the threshold."
        )

    def state_dict(self) -> dict[str, Any]:
        """What later looks compare with, and what is said of them at the end."""
        return {
            "before": self._before, "reference": self.reference, "best": self.best, "held": self.held, "last": self.last,
            "low": self._low, "warned": self._warned,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it."""
        self._before, self.reference, self.best = state["before"], state["reference"], state["best"]
        self.held, self.last, self._low, self._warned = state["held"], state["last"], state["low"], state["warned"]
