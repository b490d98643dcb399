"""Whether a network is being turned into a graph right now."""

from __future__ import annotations

import torch

__all__ = ["is_traced"]


def is_traced() -> bool:
    """Inside `torch.jit.trace` and `torch.onnx.export`: what happens now must be operations that a graph can hold."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
