"""Pytorch-metric-learning's angular losses, safe at the ends of the cosine.

Apart from `proxy`, so that its import, which takes a second, is paid by those who use it.
"""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, SphereFaceLoss
from torch import Tensor

__all__ = ["ANGULAR", "BoundedCosine", "WholeAngleSphereFace"]

_LARGEST_COSINE = 1 - 1e-6


class BoundedCosine(CosineSimilarity):
    """Cosines of at most 1 - 1e-6: the angle's slope is infinite at 1, so an image on its class weight would give NaN."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """(B, C) cosines of unit vectors."""
        return super().compute_mat(query_emb, ref_emb).clamp(-_LARGEST_COSINE, _LARGEST_COSINE)


class WholeAngleSphereFace(SphereFaceLoss):
    """SphereFace with cos(m angle) taken from the angle.

    The library's power series for it calls SciPy in a way that NumPy warns of and will refuse.
    """

    def init_margin(self) -> None:
        """The margin is a whole number."""
        self.margin = int(self.margin)

    def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
        """Only the class weights have a type."""
        self.W.data = self.W.data.to(device, dtype)

    def modify_cosine_of_target_classes(self, cosine_of_target_classes: Tensor) -> Tensor:
        """(-1)^k cos(m angle) - 2 k, k = floor(m angle / pi)."""
        angles = torch.acos(cosine_of_target_classes)
        k = (angles.detach() * self.margin / math.pi).floor()
        return (1 - 2 * (k % 2)) * torch.cos(self.margin * angles) - 2 * k


ANGULAR = {"arcface": ArcFaceLoss, "cosface": CosFaceLoss, "sphere": WholeAngleSphereFace}
