"""Batch norm over the batch of all processes, on CPUs too (torch's own SyncBatchNorm runs on GPUs only)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.training.distributed import gather, world

__all__ = ["SynchronisedBatchNorm", "synchronise_norms"]


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose training statistics are those of the global batch; alone, or in evaluation, plain batch norm.

    Takes (B, C), (B, C, L) or (B, C, H, W). Parameters and buffers have the names of torch's batch norm.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (B, C, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...) with the mean and variance over all processes, batch and space."""
        if not self.training or world().size == 1:
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        wide = input.float()
        own_var, own_mean = torch.var_mean(wide, dim=axes, correction=0)
        # Shares are equally long (gather checks it), so the global mean is the mean of means, and the global variance is the mean
        # of the variances plus the variance of the means: no difference of large squares.
        statistics = gather(torch.stack([own_mean, own_var])[None])
        means, variances = statistics[:, 0], statistics[:, 1]
        mean = means.mean(0)
        var = variances.mean(0) + (means - mean).square().mean(0)
        self._remember(mean, var, input.numel() // input.shape[1] * world().size)
        shape = (1, -1, *(1 for _ in axes[1:]))
        scale = torch.rsqrt(var + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (wide * scale.view(shape) + shift.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_((var * count / max(count - 1, 1)).to(self.running_var.dtype), weight)


def synchronise_norms(model: nn.Module) -> nn.Module:
    """Make plain batch norms of `model` see the global batch, in place; camera-wise and mixing norms are left as they are.

    Call it after moving the model and before making the optimizer. On CUDA torch's own SyncBatchNorm is used.

    Returns:
        The model, or the new norm where `model` is itself a batch norm.
    """
    if type(model) in (nn.BatchNorm1d, nn.BatchNorm2d):
        on_cuda = model.running_mean is not None and model.running_mean.is_cuda  # pyright: ignore
        return nn.SyncBatchNorm.convert_sync_batchnorm(model) if on_cuda else _converted(model)  # pyright: ignore
    for name, child in model.named_children():
        setattr(model, name, synchronise_norms(child))
    return model


def _converted(norm: nn.modules.batchnorm._BatchNorm) -> SynchronisedBatchNorm:
    new = SynchronisedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new.training = norm.training
    new._parameters = norm._parameters
    new._buffers = norm._buffers
    return new
