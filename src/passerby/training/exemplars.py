"""The exemplar memory: one slowly moving unit vector for each unlabelled training image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.training.distributed import gather, world

__all__ = ["ExemplarMemory"]

_START_STD = 0.001


class ExemplarMemory(nn.Module):
    """N unit vectors in fp32, outside every gradient. Stateful: put it into `fit`'s `state`.

    Read it for the losses of a step, and call `update` after the step's backward pass: losses see the vectors of before.

    Under several processes ``shared`` gathers the vectors of every step, so that all processes hold the same memory.
    ``local`` is what the published code does: a process updates only the slots of images that it has seen itself, and reads
    others as old as they are. All processes keep the copies of all, so that a checkpoint holds each of them.

    Args:
        length: N, unlabelled images.
        dim: D.
        scope: ``shared`` or ``local``.
        seed: of the start values, noise of standard deviation 0.001.

    Attributes:
        slots: (N, D) of this process.

    Raises:
        UsageError: an unknown scope, or nothing to hold.
    """

    def __init__(self, length: int, dim: int, *, scope: Literal["shared", "local"] = "shared", seed: int = 0) -> None:
        super().__init__()
        if scope not in ("shared", "local"):
            raise UsageError(f'memory is "{scope}"; allowed: shared, local.')
        if length < 1 or dim < 1:
            raise UsageError(f"an exemplar memory of {length} vectors of length {dim}: both are 1 or more.")
        self.scope = scope
        copies = world().size if scope == "local" else 1
        start = torch.randn(length, dim, generator=torch.Generator().manual_seed(seed)) * _START_STD
        self.copies: Tensor
        self.register_buffer("copies", start.expand(copies, length, dim).clone())

    @property
    def slots(self) -> Tensor:
        """(N, D) float32 of this process."""
        return self.copies[world().rank if self.scope == "local" else 0]

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, N) similarities of (B, D) vectors to all slots, in fp32; the gradient goes to `vectors` only."""
        with torch.autocast(vectors.device.type, enabled=False):
            return vectors.float() @ self.slots.T

    @torch.no_grad()
    def update(self, vectors: Tensor, indices: Tensor, momentum: float) -> None:
        """``slot <- normalise(momentum * slot + (1 - momentum) * vector)`` for the images of this step, of all processes.

        Args:
            vectors: (B, D) unit vectors of this process's images.
            indices: (B,) int64 slots of these images, none of them twice.
            momentum: 0 overwrites.
        """
        everything, where = gather(vectors.detach().float()), gather(indices)
        share = len(where) // len(self.copies)
        for copy, rows, slots in zip(self.copies, everything.split(share), where.split(share), strict=True):
            copy[slots] = F.normalize(torch.lerp(rows, copy[slots], momentum))
