"""Parts of networks on points: edge convolutions on a graph of neighbours, small networks on balls of points, gates.

Points come as (B, N, C), so that a 1x1 convolution is a linear layer. A linear layer on rows that are gathered afterwards costs a
k-th of one on gathered rows: e_ij = W1 (h_j - h_i) + W2 h_i = W1 h_j + (W2 - W1) h_i, and the convolution acts on points, not on
edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError, nearest
from passerby.models.point_ops import ball_query, edge_sums, gather, k_nearest

__all__ = ["EDGE_NORMS", "SLOPE", "EdgeConv", "Gate", "GroupedMlp", "batch_norm", "grouped", "pointwise"]

SLOPE = 0.2
"""Of every LeakyReLU of the trunks."""

EDGE_NORMS = ("bn", "bn2", "ln", "ibn", "ibn2")
_NORM_STD = 0.02


def pointwise(in_dim: int, out_dim: int, *, bias: bool = True) -> nn.Linear:
    """A 1x1 convolution with its published start weights: Kaiming normal, fan in."""
    layer = nn.Linear(in_dim, out_dim, bias=bias)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in")
    return layer


def batch_norm(channels: int) -> nn.BatchNorm1d:
    """A batch norm with its published start weights: weight N(1, 0.02), bias 0."""
    norm = nn.BatchNorm1d(channels)
    nn.init.normal_(norm.weight, 1.0, _NORM_STD)
    return norm


class Gate(nn.Module):
    """Multiply each channel of each point by a number from 0 to 1 that follows from all its channels; nothing is pooled.

    Args:
        channels: C.
        ratio: the layer between is this much narrower, one channel at the least.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        narrow = max(1, channels // ratio)
        self.squeeze, self.expand = pointwise(channels, narrow), pointwise(narrow, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return x * torch.sigmoid(self.expand(F.silu(self.squeeze(x))))


class EdgeConv(nn.Module):
    """Convolution over the edges to the k nearest points, aggregated by their maximum: [h_j - h_i, h_i] -> D.

    Args:
        in_dim: C.
        out_dim: D.
        k: neighbours, the point itself included.
        norm: ``bn`` (batch), ``ln`` (layer) and ``ibn`` (half instance, half batch) act after the aggregation; ``bn2`` and
            ``ibn2`` before it, on all edges.
        mix: aggregate by s * maximum + (1 - s) * mean with s = sigmoid(p) and one learned p, at first 0. The source calls it GeM;
            it is no generalised mean.
        gating: gate the aggregate too (see `Gate`, ratio 16).

    Raises:
        UsageError: an unknown norm.

    Source: Wang et al. 2019 (DGCNN); OG-Net's variants.
    """

    def __init__(self, in_dim: int, out_dim: int, k: int, *, norm: str = "bn", mix: bool = False, gating: bool = False) -> None:
        super().__init__()
        if norm not in EDGE_NORMS:
            raise UsageError(f'no norm "{norm}" of edges. {nearest(norm, EDGE_NORMS)}')
        self.k, self.before = k, norm.endswith("2")
        self.conv = pointwise(2 * in_dim, out_dim)
        self.norm: nn.Module = nn.LayerNorm(out_dim) if norm == "ln" else batch_norm(out_dim - self._instances(norm, out_dim))
        self.instance_norm = nn.InstanceNorm1d(out_dim // 2, affine=True) if norm.startswith("ibn") else None
        for each in (self.norm, self.instance_norm):
            if each is not None:
                nn.init.normal_(each.weight, 1.0, _NORM_STD)  # pyright: ignore[reportArgumentType]
        self.mix = nn.Parameter(torch.zeros(())) if mix else None
        self.gate = Gate(out_dim, 16) if gating else nn.Identity()

    @staticmethod
    def _instances(norm: str, channels: int) -> int:
        return channels // 2 if norm.startswith("ibn") else 0

    def forward(self, h: Tensor, where: Tensor | None = None, index: Tensor | None = None) -> Tensor:
        """(B, N, C) -> (B, N, D).

        Args:
            h: (B, N, C) features.
            where: (B, N, ...) what the distance of two points is measured on.
            index: (B, N, k) neighbours that are known already.

        Raises:
            UsageError: fewer points than k.
        """
        if index is None:
            index = k_nearest(h if where is None else where, self.k)
        to_other, to_own = self.conv.weight.chunk(2, dim=1)
        theirs, own = F.linear(h, to_other).float(), F.linear(h, to_own - to_other, self.conv.bias).float()
        aggregate = self._normed_edges(theirs, own, index) if self.before else self._normed(self._aggregate(theirs, own, index))
        return F.leaky_relu(self.gate(aggregate), SLOPE)

    def _aggregate(self, theirs: Tensor, own: Tensor, index: Tensor) -> Tensor:
        top, total, _ = edge_sums(theirs, index)
        return self._mixed(top + own, total / self.k + own)

    def _mixed(self, maximum: Tensor, mean: Tensor) -> Tensor:
        return maximum if self.mix is None else mean.lerp(maximum, torch.sigmoid(self.mix))

    def _normed(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, nn.LayerNorm):
            return self.norm(x)
        if self.instance_norm is None:
            return self.norm(x.flatten(0, 1)).view_as(x)
        half = self.instance_norm.num_features
        instances = self.instance_norm(x[..., :half].transpose(1, 2)).transpose(1, 2)  # ONNX knows no mT
        return torch.cat([instances, self.norm(x[..., half:].flatten(0, 1)).view(*x.shape[:2], -1)], -1)

    def _normed_edges(self, theirs: Tensor, own: Tensor, index: Tensor) -> Tensor:
        """Normalise all edges e_ij = theirs_j + own_i and aggregate them, from sums over each point's edges alone.

        Norms do not see a shift, so both terms are centred first: squares of large numbers would cost digits. A channel with a
        negative weight needs the minimum; it is turned round, so that the maximum serves all.
        """
        weight, bias = (torch.cat(both) for both in self._affine())
        sign = torch.where(weight.detach() < 0, -1.0, 1.0)
        centre = theirs.detach().mean((0, 1)), own.detach().mean((0, 1))
        theirs, own = sign * (theirs - centre[0]), sign * (own - centre[1])
        top, total, squares = edge_sums(theirs, index)
        mean, var = self._moments(total + self.k * own, squares + own * (2 * total + self.k * own), sign, centre[0] + centre[1])
        scale = weight.abs() * torch.rsqrt(var + self.norm.eps)  # pyright: ignore[reportOperatorIssue]
        return self._mixed((top + own - mean) * scale + bias, (total / self.k + own - mean) * scale + bias)

    def _affine(self) -> list[tuple[Tensor, ...]]:
        norms = (self.norm,) if self.instance_norm is None else (self.instance_norm, self.norm)
        return list(zip(*((norm.weight, norm.bias) for norm in norms), strict=True))  # pyright: ignore

    def _moments(self, total: Tensor, squares: Tensor, sign: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the edges: of each cloud for instance norms, of the batch or the running ones for batch norms."""
        half = 0 if self.instance_norm is None else self.instance_norm.num_features
        found = []
        if half:
            count = total.shape[1] * self.k
            mean = total[..., :half].sum(1, keepdim=True) / count
            found.append((mean, squares[..., :half].sum(1, keepdim=True) / count - mean.square()))
        norm, sign, centre = self.norm, sign[half:], centre[half:]
        assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None and norm.running_var is not None
        if norm.training:
            count = total.shape[0] * total.shape[1] * self.k
            mean = total[..., half:].sum((0, 1)) / count
            var = (squares[..., half:].sum((0, 1)) / count - mean.square()).clamp(min=0)
            _follow(norm, (sign * mean + centre).detach(), var.detach() * (count / max(1, count - 1)))
        else:
            mean, var = sign * (norm.running_mean - centre), norm.running_var
        found.append((mean.expand(total.shape[0], 1, -1), var.expand(total.shape[0], 1, -1)))
        return torch.cat([mean for mean, _ in found], -1), torch.cat([var for _, var in found], -1).clamp(min=0)


@torch.no_grad()
def _follow(norm: nn.BatchNorm1d, mean: Tensor, var: Tensor) -> None:
    """What a batch norm does to its running statistics in training."""
    assert norm.num_batches_tracked is not None and norm.running_mean is not None and norm.running_var is not None
    norm.num_batches_tracked += 1
    momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean), momentum)
    norm.running_var.lerp_(var.to(norm.running_var), momentum)


class GroupedMlp(nn.Module):
    """A small network on each point of a ball, and the maximum over the ball: one scale of PointNet++.

    Each layer is a 1x1 convolution and a batch norm; only behind the last one stands a ReLU, as published.

    Args:
        in_dim: C.
        dims: widths of the layers.
        radius: of the ball in metres; None puts all points of a cloud into one group around the origin.
        samples: points of a ball.
        gating: a `Gate` (ratio 24) behind every layer but the last: squeeze and excitation without its pooling.
        with_xyz: let the network see where in the ball a point is.

    Source: Qi et al. 2017 (PointNet++); OG-Net's version of it (two layers, with gates).
    """

    def __init__(
        self,
        in_dim: int,
        dims: Sequence[int],
        *,
        radius: float | None,
        samples: int = 0,
        gating: bool = False,
        with_xyz: bool = True,
    ) -> None:
        super().__init__()
        self.radius, self.samples, self.with_xyz = radius, samples, with_xyz
        widths = [in_dim + 3 * with_xyz, *dims]
        self.convs = nn.ModuleList(pointwise(a, b, bias=False) for a, b in zip(widths[:-1], dims, strict=True))
        self.norms = nn.ModuleList(batch_norm(dim) for dim in dims)
        self.gates = nn.ModuleList(Gate(dim, 24) if gating else nn.Identity() for dim in dims[:-1])

    def forward(self, xyz: Tensor, h: Tensor, centres: Tensor, index: Tensor) -> Tensor:
        """(B, N, C) -> (B, S, D).

        Args:
            xyz: (B, N, 3) metres.
            h: (B, N, C) features.
            centres: (B, S, 3) metres.
            index: (B, S, samples) who is in which ball.
        """
        x = self._first(xyz, h, centres, index)
        for number, norm in enumerate(self.norms):
            x = norm(x.flatten(0, -2)).view_as(x)
            if number < len(self.gates):
                x = self.convs[number + 1](self.gates[number](x))
        # The maximum of what a ReLU leaves is the same. Unlike amax, max hands a gradient to one of several equal ones.
        return F.relu(x.max(2).values)

    def _first(self, xyz: Tensor, h: Tensor, centres: Tensor, index: Tensor) -> Tensor:
        """The first layer on [xyz_j - centre, h_j]: linear, so it comes before the gathering."""
        weight = self.convs[0].weight
        if not self.with_xyz:
            return gather(F.linear(h, weight), index)  # pyright: ignore[reportArgumentType]
        to_xyz, to_h = weight.split([3, weight.shape[1] - 3], dim=1)  # pyright: ignore
        return gather(F.linear(h, to_h) + F.linear(xyz, to_xyz), index) - F.linear(centres, to_xyz)[:, :, None]


def grouped(scales: Sequence[GroupedMlp], xyz: Tensor, centres: Tensor) -> list[Tensor]:
    """The members of the balls of several scales around the same centres, (B, S, samples) each."""
    radii = [scale.radius for scale in scales if scale.radius is not None]
    if not radii:
        everybody = torch.arange(xyz.shape[1], device=xyz.device).expand(xyz.shape[0], 1, -1)
        return [everybody.contiguous() for _ in scales]
    return ball_query(xyz, centres, radii, [scale.samples for scale in scales])
