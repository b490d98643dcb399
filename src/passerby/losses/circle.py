"""Circle loss over all pairs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.losses.precision import fp32

__all__ = ["circle"]


def circle(embeddings: Tensor, labels: Tensor, *, margin: float = 0.25, gamma: float = 32.0) -> Tensor:
    """Circle loss over the pairs i < j of a batch.

    With s the cosine similarity of a pair, P the pairs of one person and N the others,
    ``softplus(LSE_N(gamma a_n (s - m)) + LSE_P(-gamma a_p (s - 1 + m)))``, where a_p = [1 + m - s]+ and a_n = [s + m]+ carry
    no gradient.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        labels: (B,) int64.
        margin: m, published 0.25.
        gamma: scale, published 32.

    Returns:
        Scalar, at least 0. Without a positive or without a negative pair it is 0 with zero gradient.

    Source:
        Sun et al. 2020, equation 6, in the form of layumi/Person_reID_baseline_pytorch, which also divides it by B.
    """
    with fp32(embeddings) as values:
        f = F.normalize(values)
        s = f @ f.T
        pair = torch.ones_like(s, dtype=torch.bool).triu(1)
        same = labels[:, None] == labels[None, :]
        weight_p, weight_n = (1 + margin - s.detach()).clamp(min=0), (s.detach() + margin).clamp(min=0)
        pull, any_pull = _log_sum_exp(-gamma * weight_p * (s - 1 + margin), pair & same)
        push, any_push = _log_sum_exp(gamma * weight_n * (s - margin), pair & ~same)
        # The sum over an empty set is 0 and its logarithm -inf, so one empty side makes the whole loss 0.
        return torch.where(any_pull & any_push, F.softplus(pull + push), 0.0)


def _log_sum_exp(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """LSE over the chosen entries, and whether there are any; a finite 0 where there are none, because -inf breaks gradients."""
    some = chosen.any()
    inside = torch.where(some, values.masked_fill(~chosen, float("-inf")), torch.zeros_like(values))
    return torch.logsumexp(inside.flatten(), dim=0), some
