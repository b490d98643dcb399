"""Triplet losses: an anchor's own person must be nearer than everybody else."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses.precision import fp32

__all__ = ["euclidean", "hardest_triplets", "triplet", "triplet_hard"]


def triplet(embeddings: Tensor, labels: Tensor, *, margin: float = 0.3, epsilon: float = 0.1) -> Tensor:
    """Triplet loss over the triplets that a multi-similarity miner keeps.

    With cosine similarity s, the miner keeps of an anchor the positives with s < max s(negatives) + epsilon and the negatives
    with s > min s(positives) - epsilon. Every kept positive is paired with every kept negative of its anchor, and the loss is
    the mean of the non-zero values of [d(anchor, positive) - d(anchor, negative) + margin]+, d Euclidean on unit vectors.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        labels: (B,) int64.
        margin: published 0.3.
        epsilon: published 0.1.

    Returns:
        Scalar, at least 0; 0 with zero gradient without a triplet.

    Source:
        Wang et al. 2019, equations 7 and 8, for the miner; computed by pytorch-metric-learning's ``MultiSimilarityMiner`` and
        ``TripletMarginLoss``.
    """
    miner, loss = _mined(margin, epsilon)
    with fp32(embeddings) as values:
        return loss(values, labels, miner(values, labels))


@lru_cache(maxsize=8)
def _mined(margin: float, epsilon: float) -> tuple[nn.Module, nn.Module]:
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner

    return MultiSimilarityMiner(epsilon=epsilon), TripletMarginLoss(margin=margin)


def triplet_hard(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float | Literal["soft"] = 0.3,
    normalise: bool = True,
    self_positive: bool = False,
) -> Tensor:
    """Batch-hard triplet loss: each anchor with its farthest positive and its nearest negative.

    The mean over anchors of ``[d_p - d_n + margin]+``, or of ``ln(1 + exp(d_p - d_n))`` with ``margin="soft"``; d Euclidean.

    Args:
        embeddings: (B, D).
        labels: (B,) int64.
        margin: distance, published 0.3; or ``soft``.
        normalise: distances of unit vectors. False takes the vectors as they are, as Hermans et al. and the bag of tricks do;
            the soft margin was made for that, since distances of unit vectors differ by at most 2.
        self_positive: an anchor counts as a positive of itself, at distance 0, so that one without another image of its
            person still pushes its nearest negative away (fast-reid and MetaBIN). False leaves such anchors out.

    Returns:
        Scalar, at least 0; 0 with zero gradient without an anchor that has both a positive and a negative.

    Source:
        Hermans et al. 2017, equation 5, and the soft margin of its section 2.
    """
    with fp32(embeddings) as values:
        if normalise:
            values = F.normalize(values)
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        return hardest_triplets(euclidean(values), same if self_positive else same & ~itself, ~same, margin)


def hardest_triplets(distances: Tensor, positives: Tensor, negatives: Tensor, margin: float | Literal["soft"] = 0.3) -> Tensor:
    """The triplet loss of each row's farthest positive and nearest negative, averaged over the rows that have both.

    Args:
        distances: (A, B), small is near.
        positives: (A, B) bool.
        negatives: (A, B) bool; the two need not be each other's complement.
        margin: a distance, or ``soft``.

    Returns:
        Scalar, at least 0.

    Raises:
        UsageError: the margin is a word other than ``soft``.
    """
    if isinstance(margin, str) and margin != "soft":
        raise UsageError(f'the margin of the triplet loss is "{margin}"; give a distance, or soft.')
    usable = positives.any(dim=1) & negatives.any(dim=1)
    far = distances.masked_fill(~positives, float("-inf")).max(dim=1).values
    near = distances.masked_fill(~negatives, float("inf")).min(dim=1).values
    gap = torch.where(usable, far, 0.0) - torch.where(usable, near, 0.0)
    losses = F.softplus(gap) if margin == "soft" else (gap + margin).clamp(min=0)
    return torch.where(usable, losses, 0.0).sum() / usable.sum().clamp(min=1)


def euclidean(values: Tensor) -> Tensor:
    """(B, B) Euclidean distances of the (B, D) rows; that of equal rows is 1e-6."""
    squares = values.square().sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * values @ values.T
    # The root has no finite slope at 0, where rounding and every image with itself end.
    return squared.clamp(min=1e-12).sqrt()
