"""What travels from a loader to a step."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """One batch, all tensors on one device.

    Attributes:
        inputs: (B, 3, H, W) images, or (B, N, 6) coloured points.
        labels: (B,) int64 training classes, or pids where there are no classes.
        camids: (B,) int64 camera numbers inside their domain.
        domains: (B,) int64 domain numbers, in the order of the loader's `domains`.
        indices: (B,) int64 positions in the split, so that a row can be traced back to its file.
    """

    inputs: Tensor
    labels: Tensor
    camids: Tensor
    domains: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))
