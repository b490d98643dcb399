"""Losses over the distances of all pairs of a batch, as pytorch-metric-learning computes them."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor, nn

from passerby.losses.precision import fp32

__all__ = ["contrastive", "lifted"]


def contrastive(embeddings: Tensor, labels: Tensor, *, pos_margin: float = 0.0, neg_margin: float = 1.0) -> Tensor:
    """Contrastive loss: pairs of one person at most `pos_margin` apart, others at least `neg_margin`.

    The mean of the non-zero [d - pos_margin]+ over positive pairs plus the mean of the non-zero [neg_margin - d]+ over
    negative pairs, d Euclidean on unit vectors, so from 0 to 2.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        labels: (B,) int64.
        pos_margin: distance, published 0.
        neg_margin: distance, published 1.

    Returns:
        Scalar, at least 0. Without a positive pair only the negative term is left; without any pair it is 0.

    Source:
        Hadsell et al. 2006 (with d in place of its square); computed by pytorch-metric-learning's ``ContrastiveLoss``.
    """
    with fp32(embeddings) as values:
        return _contrastive(pos_margin, neg_margin)(values, labels)


def lifted(embeddings: Tensor, labels: Tensor, *, pos_margin: float = 0.0, neg_margin: float = 1.0) -> Tensor:
    """Lifted structure loss in its generalised form.

    The mean over anchors of ``[LSE_positives(d - pos_margin) + LSE_negatives(neg_margin - d)]+``, d Euclidean on unit vectors.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        labels: (B,) int64.
        pos_margin: distance, published 0.
        neg_margin: distance, published 1.

    Returns:
        Scalar, at least 0. A side that is empty for an anchor counts as 0 (not as -inf): an anchor without a positive still
        pushes its negatives away.

    Source:
        Hermans et al. 2017, equation 6; computed by pytorch-metric-learning's ``GeneralizedLiftedStructureLoss``.
    """
    with fp32(embeddings) as values:
        return _lifted(pos_margin, neg_margin)(values, labels)


@lru_cache(maxsize=8)
def _contrastive(pos_margin: float, neg_margin: float) -> nn.Module:
    from pytorch_metric_learning.losses import ContrastiveLoss

    return ContrastiveLoss(pos_margin, neg_margin)  # pyright: ignore[reportArgumentType]


@lru_cache(maxsize=8)
def _lifted(pos_margin: float, neg_margin: float) -> nn.Module:
    from pytorch_metric_learning.losses import GeneralizedLiftedStructureLoss

    return GeneralizedLiftedStructureLoss(neg_margin, pos_margin)  # pyright: ignore[reportArgumentType]
