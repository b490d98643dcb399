"""Camera-wise batch norm: a batch of several cameras in one forward pass, each camera normalised with its own statistics.

    y = gamma * (x - mean of its camera) / sqrt(variance of its camera + eps) + beta

All cameras share gamma and beta. Which camera an image comes from is no input of a network, and nothing is written into the
norms: the call is made inside one of

    normalised_by_camera(cameras)      the statistics of each camera's images in this batch: training
    fed(statistics, cameras)           statistics that were estimated before: use
    observed(observations)             the statistics of this batch, which stands for one camera, written down: estimation
    blended()                          the running buffers, a blend over all cameras of the training: wrong, but asked for

These hold for the calling thread only. Source: Zhuang et al., Rethinking the Distribution Gap of Person Re-identification with
Camera-based Batch Normalization, ECCV 2020. The paper makes a forward pass a camera; the results are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.models.norms.statistics import CameraStatistics, Observations

__all__ = [
    "CameraBatchNorm",
    "CameraGroups",
    "blended",
    "fed",
    "fed_statistics",
    "normalised_by_camera",
    "observed",
    "survivors",
]


class _Source(Protocol):
    """Where a norm has its statistics from."""

    def normalise(self, norm: CameraBatchNorm, x: Tensor) -> Tensor: ...


_SOURCE: ContextVar[_Source | None] = ContextVar("source of camera statistics", default=None)


class CameraBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over (B, C) or (B, C, H, W) that takes its statistics from the context; see the module.

    Parameters and buffers have the names of torch's batch norm. In training mode `normalised_by_camera` moves the running buffers
    as separate forward passes of the cameras, in ascending order, would.

    Args:
        num_features, eps, momentum, affine, track_running_stats: as in torch.
        camera_trained: whether the running buffers are a blend over cameras, which must not be used alone. False for norms of
            a network that was trained with plain batch norm: without a context it evaluates as it always did.

    Attributes:
        layer: name of the norm in its network, under which `CameraStatistics` holds its numbers.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        camera_trained: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.camera_trained, self.layer = camera_trained, ""
        self.drop: nn.Module = nn.Identity()  # these two are part of timm's norms
        self.act: nn.Module = nn.Identity()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W).

        Raises:
            UsageError: no statistics are given, and those of the training cannot stand for them.
        """
        source = _SOURCE.get()
        if source is None:
            if self.training:
                raise UsageError(
                    "a network with camera-wise batch norm was called in training mode without cameras: "
                    "call it inside normalised_by_camera(cameras)."
                )
            if self.camera_trained:
                raise UsageError(
                    "this network was trained with camera-wise batch norm and is used without the statistics of a camera, which "
                    "costs 10 points and more. Make them: passerby adapt MODEL --camera NAME --images DIR"
                )
            source = _BLENDED
        return self.act(self.drop(source.normalise(self, input)))


@dataclass(frozen=True)
class CameraGroups:
    """The images of a batch by camera.

    Attributes:
        lengths: images of each camera, cameras in ascending order.
        order: (B,) positions that bring the cameras together; None where they stand together already.
        back: (B,) positions that undo `order`.
    """

    lengths: tuple[int, ...]
    order: Tensor | None = None
    back: Tensor | None = None

    @classmethod
    def of(cls, cameras: Tensor | Sequence[int]) -> CameraGroups:
        """Group the rows of a batch.

        Args:
            cameras: (B,) integers, one number a camera. Camera numbers of several data sets must have been made different.

        Raises:
            UsageError: a camera with a single image, which has no statistics: see `survivors`.
        """
        cameras = torch.as_tensor(cameras)
        numbers, counts = cameras.unique(return_counts=True)
        if len(alone := numbers[counts == 1]):
            raise UsageError(
                f"camera {int(alone[0])} has a single image among the {len(cameras)} of the batch, and one image has no "
                "statistics: leave it out, survivors(cameras) says which images stay."
            )
        lengths = tuple(counts.tolist())
        if bool((cameras[1:] >= cameras[:-1]).all()):
            return cls(lengths)
        order = cameras.argsort(stable=True)
        return cls(lengths, order, order.argsort())


def survivors(cameras: Tensor) -> Tensor:
    """Positions of the images whose camera has two or more in the batch, cameras in ascending order, each in the batch's order.

    Args:
        cameras: (B,) integers.

    >>> survivors(torch.tensor([2, 0, 1, 2, 0])).tolist()
    [1, 4, 0, 3]
    """
    _, numbers, counts = cameras.unique(return_inverse=True, return_counts=True)
    order = numbers.argsort(stable=True)
    return order[counts[numbers[order]] > 1]


@contextmanager
def _from(source: _Source) -> Iterator[None]:
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)


def normalised_by_camera(cameras: Tensor | Sequence[int]) -> Any:
    """Context in which each camera's images are normalised with their own mean and biased variance.

    Args:
        cameras: (B,) integers of the batch that is passed through the network; see `CameraGroups.of`.

    Raises:
        UsageError: a camera with a single image.
    """
    return _from(_ByCamera(CameraGroups.of(cameras)))


def fed(statistics: CameraStatistics, cameras: Tensor | Sequence[int]) -> Any:
    """Context in which image i is normalised with the statistics in row `cameras[i]`.

    Args:
        statistics: of all layers, on the network's device.
        cameras: (B,) rows of `statistics`.
    """
    return _from(_Fed(statistics, torch.as_tensor(cameras)))


def fed_statistics() -> tuple[CameraStatistics, Tensor] | None:
    """What `fed` gives here and now: the statistics and the row of each image; None outside of it. For networks without norms of
    their own, such as exported ones."""
    source = _SOURCE.get()
    return (source.statistics, source.cameras) if isinstance(source, _Fed) else None


def observed(observations: Observations, given: CameraStatistics | None = None, cameras: Tensor | Sequence[int] = ()) -> Any:
    """Context in which the whole batch stands for one camera; its statistics normalise it and are added to `observations`.

    Args:
        observations: where they go.
        given: statistics of some of the layers, which are fed to these by row instead.
        cameras: (B,) rows of `given`.
    """
    return _from(_Observed(observations, None if given is None else _Fed(given, torch.as_tensor(cameras))))


def blended() -> Any:
    """Context in which the running buffers are used, whatever the network was trained with."""
    return _from(_BLENDED)


@dataclass(frozen=True)
class _ByCamera:
    groups: CameraGroups

    def normalise(self, norm: CameraBatchNorm, x: Tensor) -> Tensor:
        groups = self.groups
        if sum(groups.lengths) != len(x):
            raise UsageError(f"cameras are given for {sum(groups.lengths)} images, the batch holds {len(x)}.")
        buffers: tuple[Tensor, Tensor] | None = None
        factors = [0.0] * len(groups.lengths)
        if norm.training and norm.running_mean is not None and norm.running_var is not None:
            buffers = norm.running_mean, norm.running_var
            assert norm.num_batches_tracked is not None
            seen = int(norm.num_batches_tracked) if norm.momentum is None else 0
            factors = [1 / (seen + i) if norm.momentum is None else norm.momentum for i in range(1, len(factors) + 1)]
            norm.num_batches_tracked.add_(len(groups.lengths))
        return _Grouped.apply(x, norm.weight, norm.bias, buffers, factors, norm.eps, groups)  # pyright: ignore[reportReturnType]


class _Grouped(torch.autograd.Function):
    """torch's own batch norm, camera after camera, each from its rows and into its rows of one tensor."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        buffers: tuple[Tensor, Tensor] | None,
        factors: Sequence[float],
        eps: float,
        groups: CameraGroups,
    ) -> Tensor:
        x, lengths = _taken(x.contiguous(memory_format=_layout(x)), groups.order), groups.lengths
        made = torch.empty_like(x)
        means, inverse = (torch.empty(len(lengths), x.shape[1], dtype=_wide(x), device=x.device) for _ in range(2))
        running_mean, running_var = buffers or (None, None)
        for part, out, mean, invstd, factor in zip(x.split(lengths), made.split(lengths), means, inverse, factors, strict=True):
            torch.ops.aten.native_batch_norm.out(
                part, weight, bias, running_mean, running_var, True, factor, eps, out=out, save_mean=mean, save_invstd=invstd
            )
        ctx.save_for_backward(x, weight, means, inverse)
        ctx.eps, ctx.groups = eps, groups
        return _taken(made, groups.back)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight, means, inverse = ctx.saved_tensors
        gradient = _taken(gradient.contiguous(memory_format=_layout(x)), ctx.groups.order)
        wanted = list(ctx.needs_input_grad[:3])
        lengths = ctx.groups.lengths
        found = [
            torch.ops.aten.native_batch_norm_backward(of_part, part, weight, None, None, mean, invstd, True, ctx.eps, wanted)
            for of_part, part, mean, invstd in zip(gradient.split(lengths), x.split(lengths), means, inverse, strict=True)
        ]
        of_x, of_weight, of_bias = zip(*found, strict=True)
        return (
            _taken(torch.cat(of_x), ctx.groups.back) if wanted[0] else None,
            torch.stack(of_weight).sum(0) if wanted[1] else None,
            torch.stack(of_bias).sum(0) if wanted[2] else None,
            None, None, None, None,
        )  # fmt: skip


def _taken(x: Tensor, positions: Tensor | None) -> Tensor:
    """Rows in another order. Unlike `index_select`, indexing keeps the memory format."""
    return x if positions is None else x[positions]


def _wide(x: Tensor) -> torch.dtype:
    """Of statistics: float32, also for images of half precision."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _layout(x: Tensor) -> torch.memory_format:
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


@dataclass(frozen=True)
class _Fed:
    statistics: CameraStatistics
    cameras: Tensor

    def normalise(self, norm: CameraBatchNorm, x: Tensor) -> Tensor:
        if len(self.cameras) != len(x):
            raise UsageError(f"cameras are given for {len(self.cameras)} images, the batch holds {len(x)}.")
        means, variances = (values.to(_wide(x)) for values in self.statistics.of_layer(norm.layer))
        first = int(self.cameras[0]) if len(x) else 0
        if bool((self.cameras == first).all()):
            return F.batch_norm(x, means[first], variances[first], norm.weight, norm.bias, False, 0.0, norm.eps)
        rows = self.cameras.to(means.device)
        scale = torch.rsqrt(variances + norm.eps) * (1 if norm.weight is None else norm.weight)
        shift = (0 if norm.bias is None else norm.bias) - means * scale
        shape = (len(x), -1, *(1 for _ in x.shape[2:]))
        return torch.addcmul(shift[rows].view(shape), x.to(_wide(x)), scale[rows].view(shape)).to(x.dtype)


@dataclass(frozen=True)
class _Observed:
    observations: Observations
    given: _Fed | None

    def normalise(self, norm: CameraBatchNorm, x: Tensor) -> Tensor:
        if self.given is not None and norm.layer in self.given.statistics.means:
            return self.given.normalise(norm, x)
        mean, var = (torch.zeros(norm.num_features, dtype=_wide(x), device=x.device) for _ in range(2))
        # A factor of 1 leaves in the buffers exactly what this batch showed: its mean, and its unbiased variance.
        found = F.batch_norm(x, mean, var, norm.weight, norm.bias, True, 1.0, norm.eps)
        self.observations.add(norm.layer, x.numel() // x.shape[1], mean, var)
        return found


class _Blended:
    def normalise(self, norm: CameraBatchNorm, x: Tensor) -> Tensor:
        use_batch = norm.running_mean is None
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, use_batch, 0.0, norm.eps)


_BLENDED = _Blended()
