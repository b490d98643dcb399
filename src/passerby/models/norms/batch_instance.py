"""Batch-instance normalization: a learnt balance, channel by channel, between batch norm and instance norm.

Batch norm keeps what tells styles apart and over-fits the training places; instance norm removes style and with it some of what
tells people apart. The gate rho says, for every channel of every layer, how much of each: 1 is batch norm, 0 instance norm.

Source: Nam and Kim, Batch-Instance Normalization, NeurIPS 2018 (one affine pair); Choi et al., Meta Batch-Instance Normalization,
CVPR 2021 (an affine pair each).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError, listing
from passerby.models.tracing import is_traced

__all__ = ["BatchInstanceNorm2d", "GateInit", "InstanceNorm2d", "StatisticsMode", "clamp_gates", "gates", "running_statistics"]

GateInit = Literal["one", "zero", "half", "random"]
"""Where gates start: 1 (batch norm), 0 (instance norm), 0.5, or uniform between 0 and 1."""

StatisticsMode = Literal["general", "hold", "eval"]
"""Of batch norms: general takes the batch's statistics and updates the running ones; hold takes the batch's and leaves the
running ones; eval takes the running ones and leaves them."""

_FORMS = ("separate", "shared")
_INITS = ("one", "zero", "half", "random")
_MODES = ("general", "hold", "eval")


class BatchInstanceNorm2d(nn.Module):
    """``rho BN(x) + (1 - rho) IN(x)`` with one rho a channel.

    The two norms are one scale and one shift for every image and channel, made from the moments of single images: the batch's
    mean is the mean of theirs, its variance the mean of theirs plus the variance of the means. So nothing but the input is kept
    for the backward pass, as with plain batch norm.

    Args:
        channels: C.
        form: ``separate`` gives batch and instance norm an affine pair each (MetaBIN); ``shared`` gives them one pair (BIN).
        init: where the gates start.
        eps: added to variances.
        momentum: of the running statistics.
        generator: of ``random`` gates; None takes torch's own.

    Attributes:
        gate: (C,) rho. Nothing here keeps it in [0, 1]; see `clamp_gates`.
        batch: the batch norm's affine pair, its running statistics and its modes.

    Raises:
        UsageError: an unknown form or init.
    """

    gate: Tensor

    def __init__(
        self,
        channels: int,
        *,
        form: Literal["separate", "shared"] = "separate",
        init: GateInit = "one",
        eps: float = 1e-5,
        momentum: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if form not in _FORMS:
            raise UsageError(f'the form of batch-instance norm is "{form}"; allowed: {listing(_FORMS)}.')
        if init not in _INITS:
            raise UsageError(f'gates start at "{init}"; allowed: {listing(_INITS)}.')
        self.form = form
        start = {"one": torch.ones, "zero": torch.zeros, "half": lambda n: torch.full((n,), 0.5)}
        self.gate = nn.Parameter(torch.rand(channels, generator=generator) if init == "random" else start[init](channels))
        self.batch = nn.BatchNorm2d(channels, eps, momentum, affine=form == "separate")
        self.instance = nn.InstanceNorm2d(channels, eps, affine=form == "separate")
        if form == "shared":
            self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and type; statistics are computed in fp32 or more."""
        if type(self.batch) is not nn.BatchNorm2d:  # one that sees the batches of all processes
            return self._of_parts(x)
        wide = x if x.dtype == torch.float64 else x.float()
        own_mean, own_var = _moments(wide)
        mean, var = self._batch_moments(own_mean, own_var, x.shape[2] * x.shape[3])
        batch_scale, batch_shift = _affine(mean, var, self.batch.eps, self.batch.weight, self.batch.bias)
        own_scale, own_shift = _affine(own_mean, own_var, self.batch.eps, self.instance.weight, self.instance.bias)
        scale = self.gate * batch_scale + (1 - self.gate) * own_scale
        shift = self.gate * batch_shift + (1 - self.gate) * own_shift
        if self.form == "shared":
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return torch.addcmul(shift[:, :, None, None], wide, scale[:, :, None, None]).to(x.dtype)

    def _batch_moments(self, own_mean: Tensor, own_var: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
        batch = self.batch
        assert batch.running_mean is not None and batch.running_var is not None
        if not batch.training:
            return batch.running_mean, batch.running_var
        mean = own_mean.mean(0)
        var = own_var.mean(0) + own_mean.var(0, correction=0)
        if batch.track_running_stats:
            assert batch.num_batches_tracked is not None and batch.momentum is not None
            values = len(own_mean) * pixels
            with torch.no_grad():
                batch.num_batches_tracked.add_(1)
                batch.running_mean.lerp_(mean.to(batch.running_mean.dtype), batch.momentum)
                unbiased = var * (values / max(values - 1, 1))
                batch.running_var.lerp_(unbiased.to(batch.running_var.dtype), batch.momentum)
        return mean, var

    def _of_parts(self, x: Tensor) -> Tensor:
        gate = self.gate[:, None, None]
        own = F.instance_norm(x, weight=self.instance.weight, bias=self.instance.bias, eps=self.batch.eps)
        mixed = gate * self.batch(x) + (1 - gate) * own
        if self.form == "shared":
            mixed = mixed * self.weight[:, None, None] + self.bias[:, None, None]
        return mixed.to(x.dtype)

    def extra_repr(self) -> str:
        """What `print` adds."""
        return f"form={self.form}"


class InstanceNorm2d(nn.InstanceNorm2d):
    """torch's instance norm, several times as fast on CPUs where channels come last; same names, no running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and type."""
        wide = input if input.dtype == torch.float64 else input.float()
        scale, shift = _affine(*_moments(wide), self.eps, self.weight, self.bias)
        return torch.addcmul(shift[:, :, None, None], wide, scale[:, :, None, None]).to(input.dtype)


class _Moments(torch.autograd.Function):
    """Mean and variance of every image and channel. torch's own `var_mean` over the pixels takes ten times as long on CPUs, and
    its backward pass keeps and makes more. Differentiable twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        mean, var = _plain_moments(x)
        ctx.save_for_backward(x, mean)
        return mean, var

    @staticmethod
    def backward(ctx: Any, to_mean: Tensor, to_var: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, mean = ctx.saved_tensors
        pixels = x.shape[2] * x.shape[3]
        slope = to_var * (2 / pixels)
        level = to_mean / pixels - slope * mean
        return torch.addcmul(level[:, :, None, None], x, slope[:, :, None, None])


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every image and channel; a graph that is traced for export cannot hold a `Function`."""
    return _plain_moments(x) if is_traced() else _Moments.apply(x)  # pyright: ignore


def _plain_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean((2, 3))
    return mean, (x - mean[:, :, None, None]).square_().mean((2, 3))


def _affine(mean: Tensor, var: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Normalising and the affine pair after it as one scale and one shift."""
    scale = torch.rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    return scale, -mean * scale if bias is None else bias - mean * scale


def gates(module: nn.Module) -> dict[str, nn.Parameter]:
    """The gates of all batch-instance norms in `module`, by parameter name, in the order of the layers.

    Found by the kind of their layer: a network may call other things a gate.
    """
    return {
        f"{name}.gate" if name else "gate": layer.gate
        for name, layer in module.named_modules()
        if isinstance(layer, BatchInstanceNorm2d) and isinstance(layer.gate, nn.Parameter)
    }


@torch.no_grad()
def clamp_gates(module: nn.Module) -> None:
    """Bring all gates of `module` back into [0, 1], in place; to be called after every step of an optimizer that owns them."""
    for gate in gates(module).values():
        gate.clamp_(0, 1)


@contextmanager
def running_statistics(module: nn.Module, mode: StatisticsMode) -> Iterator[None]:
    """Let every batch norm in `module`, that of a head too, treat its running statistics in one way for a while.

    Where the module is in evaluation mode, batch norms stay in it whatever `mode` says.

    Args:
        module: holds the norms.
        mode: see `StatisticsMode`.

    Raises:
        UsageError: an unknown mode.
    """
    if mode not in _MODES:
        raise UsageError(f'running statistics are treated as "{mode}"; allowed: {listing(_MODES)}.')
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    before = [(layer.training, layer.track_running_stats) for layer in norms]
    try:
        for layer in norms if mode != "general" else []:
            if mode == "hold":
                layer.track_running_stats = layer.track_running_stats and not layer.training
            else:
                layer.training = False
        yield
    finally:
        for layer, (training, tracked) in zip(norms, before, strict=True):
            layer.training, layer.track_running_stats = training, tracked
