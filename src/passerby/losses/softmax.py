"""Losses on logits: cross-entropy with label smoothing, and the agreement of two predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses.precision import fp32

__all__ = ["cross_entropy", "symmetric_kl"]


def cross_entropy(
    logits: Tensor | Sequence[Tensor],
    labels: Tensor,
    *,
    smoothing: float = 0.0,
    spread: Literal["all", "others"] = "all",
) -> Tensor:
    """Cross-entropy, averaged over images and summed over classifier heads.

    With C classes and smoothing e, the target of the true class is 1 - e + e/C and that of each other class e/C
    (``spread="all"``), or 1 - e and e/(C - 1) (``spread="others"``).

    Args:
        logits: (B, C), or one such tensor a head (six for PCB: their losses are summed, not averaged).
        labels: (B,) int64 in [0, C).
        smoothing: e in [0, 1).
        spread: over which classes e is spread.

    Returns:
        Scalar, at least 0.

    Raises:
        UsageError: smoothing outside [0, 1), no logits, or an unknown spread.

    Source:
        Szegedy et al. 2016, section 7 (``all``); fast-reid and MetaBIN (``others``).

    >>> float(cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])))
    1.3862943649291992
    """
    if not 0 <= smoothing < 1:
        raise UsageError(f"label smoothing is {smoothing}: it must be at least 0 and below 1.")
    if spread not in ("all", "others"):
        raise UsageError(f'label smoothing is spread over "{spread}"; allowed: all, others.')
    heads = [logits] if isinstance(logits, Tensor) else list(logits)
    if not heads:
        raise UsageError("cross-entropy needs logits: this model has no classifier.")
    total = [_one_head(head, labels, smoothing, spread) for head in heads]
    return torch.stack(total).sum()


def _one_head(logits: Tensor, labels: Tensor, smoothing: float, spread: str) -> Tensor:
    with fp32(logits) as values:
        if smoothing == 0:
            return F.cross_entropy(values, labels)
        classes = values.shape[1]
        log_probabilities = F.log_softmax(values, dim=1)
        true = log_probabilities.gather(1, labels[:, None]).squeeze(1)
        everything = log_probabilities.sum(dim=1)
        if spread == "all":
            return -((1 - smoothing) * true + smoothing / classes * everything).mean()
        return -((1 - smoothing) * true + smoothing / max(1, classes - 1) * (everything - true)).mean()


def symmetric_kl(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """How far a student's prediction is from its teacher's: (KL(p || t) + KL(t || p)) / 2, averaged over images.

    No gradient flows into the teacher. The published weight beside the cross-entropy is 0.1.

    Args:
        logits: (B, C) of the network that learns.
        teacher_logits: (B, C) of the averaged network, of another augmentation of the same images.

    Returns:
        Scalar, at least 0; 0 where both predict the same probabilities.

    Source:
        layumi/Person_reID_baseline_pytorch, option ``DG``: training with generated, unlabelled images.
    """
    with fp32(logits) as values:
        student = F.log_softmax(values, dim=1)
        teacher = F.log_softmax(teacher_logits.detach().to(student.dtype), dim=1)
        forward = F.kl_div(teacher, student, reduction="batchmean", log_target=True)
        backward = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
        return (forward + backward) / 2
