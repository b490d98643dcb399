"""DGCNN with one graph for all layers, the baseline beside which OG-Net was published.

Source: Wang et al., Dynamic Graph CNN for Learning on Point Clouds, TOG 2019; the static graph is that of layumi/person-reid-3d.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.models.point_blocks import EdgeConv, pointwise
from passerby.models.point_ops import k_nearest

__all__ = ["DGCNN"]

_DIMS = (64, 128, 256, 512)
_JOINED = 512


class DGCNN(nn.Module):
    """Four edge convolutions on the neighbours in space, their features side by side, one linear layer.

    Args:
        in_dim: features of a point.
        k: neighbours of a point, itself included.
        norm: of the edges, see `EdgeConv`.
        mix: see `EdgeConv`.

    Attributes:
        num_features: D, channels of a point.
    """

    def __init__(self, in_dim: int = 3, *, k: int = 20, norm: str = "bn", mix: bool = False) -> None:
        super().__init__()
        self.k, self.num_features = k, _JOINED
        self.edges = nn.ModuleList(
            EdgeConv(a, b, k, norm=norm, mix=mix) for a, b in zip((in_dim, *_DIMS), _DIMS, strict=False)
        )  # fmt: skip
        self.join = pointwise(sum(_DIMS), _JOINED)

    def forward(self, xyz: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3) metres and (B, N, C) features -> the same positions and (B, N, D) features."""
        index = k_nearest(xyz, self.k)
        found = []
        for conv in self.edges:
            h = conv(h, None, index)
            found.append(h)
        return xyz, self.join(torch.cat(found, -1))
