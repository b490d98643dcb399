"""OG-Net: edge convolutions on coloured points, and between them fewer and fewer points that see balls of three sizes.

Source: Zheng, Wang, Zheng and Yang, Parameter-Efficient Person Re-identification in the 3D Space, TNNLS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from passerby.errors import UsageError, nearest
from passerby.models.point_blocks import EDGE_NORMS, SLOPE, EdgeConv, GroupedMlp, grouped
from passerby.models.point_ops import farthest_points, gather, k_nearest

__all__ = ["CLUSTERS", "OGNet", "OGNetOptions"]

CLUSTERS = ("xyz", "xyzrgb", "allxyzrgb")
_RADII, _SAMPLES = (0.1, 0.2, 0.4), (8, 16, 32)


@dataclass(frozen=True)
class OGNetOptions:
    """What makes an OG-Net; the defaults are those of its published runs.

    Attributes:
        feature_dims: width of each layer; the points become fewer wherever the width changes.
        k: neighbours of a point, itself included.
        num_conv: edge convolutions a layer.
        init_points: points that the first reduction leaves.
        stride: the next reduction leaves 1 / stride of them.
        cluster: what neighbours are near in: ``xyz``; ``xyzrgb``: the last layer adds the features to the position;
            ``allxyzrgb``: all layers do.
        norm: of the edges, see `EdgeConv`.
        mix: maximum and mean of the edges, see `EdgeConv`; the source's "GeM".
        gating: context gating of what the edges give and of what is pooled.
        id_skip: residual connection round a layer: 0 none, 1 inside the reduction of points, 2 round it.
        res_scale: weight of the layer beside the shortcut.
        drop_connect: probability that a layer is left out for a cloud in training, 0 to 1; acts with `id_skip`.
        ball_gates: squeeze-and-excitation gates in the balls.
        ball_xyz: the balls see where in them a point is.

    Raises:
        UsageError: a value that cannot be.
    """

    feature_dims: tuple[int, ...] = (64, 128, 256, 512)
    k: int = 20
    num_conv: int = 1
    init_points: int = 768
    stride: int = 2
    cluster: str = "xyzrgb"
    norm: str = "bn2"
    mix: bool = True
    gating: bool = False
    id_skip: int = 0
    res_scale: float = 1.0
    drop_connect: float = 0.0
    ball_gates: bool = True
    ball_xyz: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "feature_dims", tuple(self.feature_dims))
        for name in ("k", "num_conv", "init_points", "stride"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: it is 1 or more.")
        if not self.feature_dims or min(self.feature_dims) < 2:
            raise UsageError(f"feature_dims are {list(self.feature_dims)}: give one width of 2 or more a layer.")
        if self.cluster not in CLUSTERS:
            raise UsageError(f'no cluster "{self.cluster}". {nearest(self.cluster, CLUSTERS)}')
        if self.norm not in EDGE_NORMS:
            raise UsageError(f'no norm "{self.norm}" of edges. {nearest(self.norm, EDGE_NORMS)}')
        if self.id_skip not in (0, 1, 2):
            raise UsageError(
                f"id_skip is {self.id_skip}: 0 is no shortcut, 1 one inside the reduction of points, 2 one round it."
            )
        if not math.isfinite(self.res_scale):
            raise UsageError(f"res_scale is {self.res_scale}: it is a number.")
        if not 0 <= self.drop_connect < 1:
            raise UsageError(f"drop_connect is {self.drop_connect}: it is a probability, at least 0 and below 1.")
        if not self.id_skip and (self.drop_connect or self.res_scale != 1):
            raise UsageError(
                f"res_scale is {self.res_scale:g} and drop_connect {self.drop_connect:g}, but they act only with id_skip 1 or 2."
            )
        if self.points_left < 1:
            raise UsageError(f"init_points {self.init_points} divided by {self.stride} at every reduction leaves no point.")

    def check_neighbours(self) -> None:
        """Refuse reductions that leave the last layer fewer points than each of them has neighbours; no other layer sees fewer.

        Raises:
            UsageError: naming the least `init_points`.
        """
        reductions = self._reductions(len(self.feature_dims) - 1)
        if not reductions:  # it sees whole clouds, which are not known here
            return
        seen, least = self.init_points // self.stride ** (reductions - 1), self.k * self.stride ** (reductions - 1)
        if seen < self.k:
            raise UsageError(
                f"init_points {self.init_points} and stride {self.stride} leave the last layer {seen} points, of which each "
                f"needs k {self.k} neighbours. Give --init-points {least} or more"
                + (f", or --k {seen} or less." if seen else ".")
            )

    def _reductions(self, layers: int) -> int:
        """How many of the first `layers` layers reduce the points."""
        return sum(a != b for a, b in zip((0, *self.feature_dims), self.feature_dims[:layers], strict=False))

    @property
    def points_left(self) -> int:
        """Points behind the last layer."""
        return self.init_points // self.stride ** (self._reductions(len(self.feature_dims)) - 1)


class OGNet(nn.Module):
    """Coloured points to the features of fewer points.

    Args:
        in_dim: features of a point (3: its colour).
        options: what to build.

    Attributes:
        num_features: D, channels of the last layer.

    Raises:
        UsageError: a layer that would see fewer points than k.
    """

    def __init__(self, in_dim: int = 3, options: OGNetOptions = OGNetOptions()) -> None:
        super().__init__()
        options.check_neighbours()
        self.num_features = options.feature_dims[-1]
        layers, left, before = [], options.init_points, 0
        for number, (a, b) in enumerate(zip((in_dim, *options.feature_dims), options.feature_dims, strict=False)):
            reduces, last = b != before, number == len(options.feature_dims) - 1
            joined = options.cluster == "allxyzrgb" or (options.cluster == "xyzrgb" and last)
            layers.append(_Layer(a, b, left if reduces else 0, options, joined=joined))
            left, before = left // options.stride if reduces else left, b
        self.layers = nn.ModuleList(layers)

    def forward(self, xyz: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and features of the points that are left.

        Args:
            xyz: (B, N, 3) metres.
            h: (B, N, C) features.

        Returns:
            (B, n, 3) and (B, n, D).

        Raises:
            UsageError: fewer points than k, or than the first reduction leaves.
        """
        sampled = False
        for layer in self.layers:
            xyz, h = layer(xyz, h, sampled)
            sampled = sampled or layer.points > 0  # pyright: ignore[reportOperatorIssue]
        return xyz, h


class _Layer(nn.Module):
    """Edge convolutions, a reduction of points where the width changes, and a residual connection."""

    def __init__(self, in_dim: int, out_dim: int, points: int, options: OGNetOptions, *, joined: bool) -> None:
        super().__init__()
        self.points, self.joined, self.k = points, joined, options.k
        self.skip, self.res_scale, self.drop = options.id_skip, options.res_scale, options.drop_connect
        widths: Sequence[int] = [in_dim, *([out_dim] * options.num_conv)]
        self.edges = nn.ModuleList(
            EdgeConv(a, out_dim, options.k, norm=options.norm, mix=options.mix, gating=options.gating) for a in widths[:-1]
        )
        self.scales = nn.ModuleList(
            GroupedMlp(
                out_dim,
                (out_dim // 2, out_dim),
                radius=radius,
                samples=samples,
                gating=options.ball_gates,
                with_xyz=options.ball_xyz,
            )
            for radius, samples in zip(_RADII, _SAMPLES, strict=True)
            if points
        )
        if self.skip:
            self.shortcut: nn.Module = nn.Identity()
            if in_dim != out_dim:
                linear = nn.Linear(in_dim, out_dim)
                nn.init.kaiming_normal_(linear.weight, mode="fan_out")
                self.shortcut = nn.Sequential(linear, nn.LeakyReLU(SLOPE))
            self.share = nn.Parameter(torch.zeros(()))

    def forward(self, xyz: Tensor, h: Tensor, sampled: bool) -> tuple[Tensor, Tensor]:
        start = h
        index = None if self.joined else k_nearest(xyz, self.k)  # the same for all convolutions of the layer
        for conv in self.edges:
            h = conv(h, torch.cat([xyz, h], -1), None) if self.joined else conv(h, None, index)
        if self.skip == 1:
            h = self._joined(start, h)
        if self.points:
            # Points that were sampled once stand in the order of sampling, and sampling them anew gives the first of them.
            picks = (
                torch.arange(self.points, device=xyz.device).expand(xyz.shape[0], -1)
                if sampled
                else farthest_points(xyz, self.points)
            )
            centres = gather(xyz, picks)
            balls = grouped(list(self.scales), xyz, centres)  # pyright: ignore[reportArgumentType]
            h = torch.stack([scale(xyz, h, centres, ball) for scale, ball in zip(self.scales, balls, strict=True)]).sum(0)
            xyz, start = centres, gather(start, picks) if self.skip == 2 else start
        return xyz, self._joined(start, h) if self.skip == 2 else h

    def _joined(self, start: Tensor, h: Tensor) -> Tensor:
        if self.drop and self.training:
            kept = torch.rand(len(h), 1, 1, device=h.device) >= self.drop
            h = h * kept / (1 - self.drop)
        return torch.lerp(self.res_scale * h, self.shortcut(start), torch.sigmoid(self.share))
