"""What every model returns, in training and in evaluation alike."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Outputs"]


@dataclass(frozen=True)
class Outputs:
    """One forward pass.

    Attributes:
        feature: (B, F) pooled backbone output, before the neck.
        embedding: (B, D) what is searched, and what pair losses see.
        logits: one (B, classes) tensor a classifier head (six for PCB); empty where the model has no classifier.
    """

    feature: Tensor
    embedding: Tensor
    logits: tuple[Tensor, ...] = ()
