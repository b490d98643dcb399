"""PointNet++ with one scale (SSG) or three (MSG), a baseline beside which OG-Net was published.

Source: Qi et al., PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space, NeurIPS 2017. As in the
published baseline, the layers of a scale have no ReLU between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from passerby.models.point_blocks import GroupedMlp, grouped
from passerby.models.point_ops import farthest_points, gather

__all__ = ["PointNet2"]

_Scale = tuple[float, int, tuple[int, ...]]  # radius in metres, samples, widths
_STAGES: dict[str, tuple[tuple[int, tuple[_Scale, ...]], ...]] = {
    "ssg": ((512, ((0.2, 64, (64, 64, 128)),)), (128, ((0.4, 64, (128, 128, 256)),))),
    "msg": (
        (512, ((0.1, 16, (32, 32, 64)), (0.2, 32, (64, 64, 128)), (0.4, 128, (64, 96, 128)))),
        (128, ((0.2, 32, (64, 64, 128)), (0.4, 64, (128, 128, 256)), (0.8, 128, (128, 128, 256)))),
    ),
}
_WHOLE = (256, 512, 1024)


class PointNet2(nn.Module):
    """Two reductions to fewer points, and one vector of all that are left.

    Args:
        in_dim: features of a point.
        scales: ``ssg`` or ``msg``.

    Attributes:
        num_features: D, length of the vector.
    """

    def __init__(self, in_dim: int = 3, scales: str = "ssg") -> None:
        super().__init__()
        self.points = [points for points, _ in _STAGES[scales]]
        self.stages = nn.ModuleList()
        for _, stage in _STAGES[scales]:
            self.stages.append(
                nn.ModuleList(GroupedMlp(in_dim, dims, radius=radius, samples=samples) for radius, samples, dims in stage)
            )
            in_dim = sum(dims[-1] for _, _, dims in stage)
        self.whole, self.num_features = GroupedMlp(in_dim, _WHOLE, radius=None), _WHOLE[-1]

    def forward(self, xyz: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3) metres and (B, N, C) features -> the origin (B, 1, 3) and one vector (B, 1, D)."""
        for number, (points, stage) in enumerate(zip(self.points, self.stages, strict=True)):
            first = torch.arange(points, device=xyz.device).expand(xyz.shape[0], -1)
            picks = farthest_points(xyz, points) if number == 0 else first
            centres = gather(xyz, picks)
            xyz, h = centres, self._seen(stage, xyz, h, centres)  # pyright: ignore[reportArgumentType]
        origin = torch.zeros(xyz.shape[0], 1, 3, dtype=xyz.dtype, device=xyz.device)
        return origin, self._seen([self.whole], xyz, h, origin)

    @staticmethod
    def _seen(scales: Sequence[GroupedMlp], xyz: Tensor, h: Tensor, centres: Tensor) -> Tensor:
        balls = grouped(list(scales), xyz, centres)
        return torch.cat([scale(xyz, h, centres, ball) for scale, ball in zip(scales, balls, strict=True)], -1)
