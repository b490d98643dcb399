"""Losses that own one weight vector a class: ArcFace, CosFace, SphereFace.

Their class weights are parameters: they must be given to an optimizer, or the loss pulls images towards random directions.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses.precision import fp32

__all__ = ["ArcFace", "CosFace", "SphereFace"]


class _ClassWeightLoss(nn.Module):
    """Softmax over cosines to one weight vector a class, the true class's angle enlarged by a margin.

    Attributes:
        weights: (D, classes), normal(0, 1) at the start.
    """

    def __init__(self, num_classes: int, embedding_dim: int, loss: str, margin: float, scale: float) -> None:
        super().__init__()
        if num_classes < 1 or embedding_dim < 1:
            raise UsageError(f"class weights for {num_classes} classes of {embedding_dim} dimensions: both must be 1 or more.")
        if not (math.isfinite(margin) and math.isfinite(scale) and margin >= 0 and scale > 0):
            raise UsageError(f"margin is {margin} and scale is {scale}: the margin must be 0 or more, the scale above 0.")
        from passerby.losses.angular import ANGULAR, BoundedCosine

        self.loss = ANGULAR[loss](num_classes, embedding_dim, margin=margin, scale=scale, distance=BoundedCosine())

    @property
    def weights(self) -> nn.Parameter:
        """(D, classes) class weights; only their directions count."""
        return self.loss.W

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean over images.

        Args:
            embeddings: (B, D), of any length; they are normalised here.
            labels: (B,) int64 in [0, classes).

        Returns:
            Scalar, at least 0.
        """
        with fp32(embeddings) as values:
            return self.loss(F.normalize(values), labels)


class ArcFace(_ClassWeightLoss):
    """Cross-entropy of ``scale cos(angle + margin)`` for the true class and ``scale cos(angle)`` for the others.

    Where angle + margin exceeds 180 degrees, cos(angle) - margin sin(margin) (margin in radians) keeps the loss rising.

    Args:
        num_classes: training identities.
        embedding_dim: D.
        margin_deg: degrees, published 28.6 (0.4992 rad).
        scale: published 64.

    Source:
        Deng et al. 2019, equation 3; computed by pytorch-metric-learning. The baseline also divides it by B.
    """

    def __init__(self, num_classes: int, embedding_dim: int, *, margin_deg: float = 28.6, scale: float = 64.0) -> None:
        super().__init__(num_classes, embedding_dim, "arcface", margin_deg, scale)


class CosFace(_ClassWeightLoss):
    """Cross-entropy of ``scale (cos(angle) - margin)`` for the true class and ``scale cos(angle)`` for the others.

    Args:
        num_classes: training identities.
        embedding_dim: D.
        margin: published 0.35.
        scale: published 64.

    Source:
        Wang et al. 2018, equation 4; computed by pytorch-metric-learning. The baseline also divides it by B.
    """

    def __init__(self, num_classes: int, embedding_dim: int, *, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__(num_classes, embedding_dim, "cosface", margin, scale)


class SphereFace(_ClassWeightLoss):
    """Cross-entropy of ``scale ((-1)^k cos(margin angle) - 2 k)``, k = floor(margin angle / 180 degrees), for the true class.

    Differs from the paper: embeddings are unit vectors, as in the baseline, so their length scales nothing.

    Args:
        num_classes: training identities.
        embedding_dim: D.
        margin: a whole number, published 4.
        scale: published 1.

    Raises:
        UsageError: a margin that is not a whole number of at least 1.

    Source:
        Liu et al. 2017, equation 7; computed by pytorch-metric-learning. The baseline also divides it by B.
    """

    def __init__(self, num_classes: int, embedding_dim: int, *, margin: int = 4, scale: float = 1.0) -> None:
        if margin != int(margin) or margin < 1:
            raise UsageError(f"the margin of SphereFace multiplies the angle: {margin} is not a whole number of 1 or more.")
        super().__init__(num_classes, embedding_dim, "sphere", int(margin), scale)
