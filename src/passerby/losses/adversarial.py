"""Adversarial queries: images changed by a few grey levels until their feature points the other way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses.precision import fp32
from passerby.transforms import Preprocess

__all__ = ["evaluating", "odfa"]


def odfa(embed: Callable[[Tensor], Tensor], images: Tensor, preprocess: Preprocess, *, rate: int = 16) -> Tensor:
    """Opposite-direction feature attack: move each feature towards its own negative.

    round(min(1.25 rate, rate + 4)) times, the sign of the gradient of ``MSE(f(x)/|f(x)|, -f(x0)/|f(x0)|)`` is added to a sum
    that is clipped to +-rate; x is x0 minus this sum in grey levels, clipped to valid pixels. A grey level is
    1 / (255 mean(std)) in normalised space (1 / (0.226 * 255) for ImageNet).

    The training term is the cross-entropy of the network in training mode on the result, with the true labels, every few
    steps (published: every 10).

    The first gradient is zero but for rounding, because x0 is the farthest point from -f(x0): the first step is a random one,
    and a network whose rounding is exactly zero never leaves x0.

    Args:
        embed: normalised images -> (B, D), with the network in evaluation mode: see `evaluating`. Parameters get no gradient.
        images: (B, 3, H, W) float, normalised; of any size.
        preprocess: how they were normalised.
        rate: largest change of a pixel, in grey levels of 0 to 255.

    Returns:
        (B, 3, H, W) like `images`, without a graph.

    Raises:
        UsageError: a rate below 1.

    Source:
        Zheng et al. 2018, "Query attack via opposite-direction feature", with the steps and rates of
        layumi/Person_reID_baseline_pytorch.
    """
    if rate < 1:
        raise UsageError(f"rate is {rate}: the attack changes pixels by at least 1 grey level.")
    mean, std = (torch.tensor(v, dtype=images.dtype, device=images.device) for v in (preprocess.mean, preprocess.std))
    lowest, highest = (-mean / std)[:, None, None], ((1 - mean) / std)[:, None, None]
    level = 1 / (255 * float(std.mean()))
    start = images.detach()
    with torch.enable_grad():
        opposite = -_unit(embed(start)).detach()
        moved, adversarial = torch.zeros_like(start), start
        for _ in range(round(min(1.25 * rate, rate + 4))):
            adversarial = adversarial.detach().requires_grad_()
            (slope,) = torch.autograd.grad(F.mse_loss(_unit(embed(adversarial)), opposite), adversarial)
            moved = (moved + slope.sign()).clamp(-rate, rate)
            adversarial = (start - level * moved).clamp(lowest, highest)
    return adversarial.detach()


def _unit(features: Tensor) -> Tensor:
    with fp32(features) as values:
        return F.normalize(values)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode inside the block, and every submodule as it was before afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode
