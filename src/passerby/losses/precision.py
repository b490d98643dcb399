"""Losses are computed in fp32 whatever the forward pass was computed in: distances of fp16 vectors lose most of their digits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["fp32"]


@contextmanager
def fp32(values: Tensor) -> Iterator[Tensor]:
    """Leave autocast, and take `values` with at least 32 bits.

    Args:
        values: any shape; fp16 and bf16 become fp32, fp64 stays.
    """
    with torch.autocast(values.device.type, enabled=False):
        yield values if values.dtype == torch.float64 else values.float()
