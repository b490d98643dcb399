"""Mixed precision: the forward pass in fp16 or bf16, the losses and the update in fp32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from passerby.errors import UsageError, nearest

__all__ = ["PRECISIONS", "Precision"]

PRECISIONS: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast for the forward pass and, for fp16, a gradient scaler. Stateful: put it into `fit`'s `state`.

    Run only the model inside `forward()`; the losses come after it and take fp32 copies, because pair losses in fp16 overflow.

    Args:
        name: ``fp32``, ``bf16`` or ``fp16``.
        device: where the model runs.

    Raises:
        UsageError: an unknown precision.
    """

    def __init__(self, name: str = "fp32", device: torch.device | str = "cpu") -> None:
        if name not in PRECISIONS:
            raise UsageError(f'no precision "{name}". {nearest(name, PRECISIONS)}')
        self.name, self.device = name, torch.device(device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=name == "fp16")

    def forward(self) -> AbstractContextManager[Any]:
        """The context of the forward pass."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.name])

    def update(self, loss: Tensor, *optimizers: Optimizer, max_norm: float | None = None) -> None:
        """Backward, then one step of each optimizer; gradients are cleared first.

        A step whose fp16 gradients overflow is left out and the scale lowered, by the scaler's rule.

        Args:
            loss: fp32 scalar.
            optimizers: who steps.
            max_norm: clip the norm of all their gradients together to this.
        """
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if max_norm is not None:
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
            owned = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(owned, max_norm)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()

    def lower_scale(self) -> None:
        """Lower the scale of fp16 gradients by the scaler's factor: for gradients that overflowed outside `update`."""
        if self.scaler.is_enabled():
            self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())

    def state_dict(self) -> dict[str, Any]:
        """The scaler's state; empty without fp16."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the scaler."""
        if state or self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
