"""The point operations in a form that a graph can hold: plain tensor operations of any batch size and number of points.

`point_ops` takes these while a network is traced for export. They are slower and need more memory, and their results are those of
the loops but for the order of neighbours that are exactly as far.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["balls", "edge_reductions", "farthest", "nearest", "rows_of", "squares"]

_FAR = 1e10


def nearest(points: Tensor, k: int, few_channels: int) -> Tensor:
    """(B, N, C) -> (B, N, k) int64, the point itself first.

    Of up to `few_channels` the distances are sums of squared differences, as in the loops: a plane has many neighbours that are
    almost as far, and which of them is taken must not depend on how it is computed.
    """
    if points.shape[2] <= few_channels:
        distances = squares(points[:, :, None], points[:, None])
    else:
        centred = points - points.mean(1, keepdim=True)
        own = centred.square().sum(-1)
        distances = own[:, None] + own[:, :, None] - 2 * centred @ centred.transpose(1, 2)
    order = torch.arange(points.shape[1], device=points.device)
    itself = (order[:, None] == order)[None]
    return distances.masked_fill(itself, -_FAR).topk(k, dim=-1, largest=False, sorted=True).indices


def squares(one: Tensor, other: Tensor) -> Tensor:
    """Squared distances, summed over coordinates in the loops' order, so that rounding is theirs too."""
    found = (one[..., 0] - other[..., 0]).square()
    for c in range(1, one.shape[-1]):
        found = found + (one[..., c] - other[..., c]).square()
    return found


def farthest(points: Tensor, count: int, near_origin: float) -> Tensor:
    """(B, N, 3) -> (B, count) int64 in the order of picking."""
    return _farthest(points, count, near_origin)


@torch.jit.script_if_tracing
def _farthest(points: Tensor, count: int, near_origin: float) -> Tensor:
    hidden = points.square().sum(-1) <= near_origin
    left = torch.full_like(points[:, :, 0], 1e10).masked_fill(hidden, -1.0)
    pick = torch.zeros_like(left[:, :1], dtype=torch.int64)
    picks = pick
    for _ in range(count - 1):
        place = points.gather(1, pick[:, :, None].expand(-1, 1, 3))
        left = torch.minimum(left, squares(points, place))
        best, first = left.max(1, keepdim=True)
        pick = torch.where(best > -1.0, first, torch.zeros_like(first))
        picks = torch.cat([picks, pick], 1)
    return picks


def balls(points: Tensor, centres: Tensor, radii: Sequence[float], samples: Sequence[int]) -> list[Tensor]:
    """(B, N, 3) points, (B, S, 3) centres -> one (B, S, samples) int64 tensor a radius."""
    distances = squares(centres[:, :, None], points[:, None])
    order = torch.arange(points.shape[1], device=points.device)
    beyond = torch.zeros_like(order).sum() + points.shape[1]
    found = []
    real = np.float64 if points.dtype == torch.float64 else np.float32
    for radius, count in zip(radii, samples, strict=True):
        # The radius is squared as the loops square it: one rounding more decides who is strictly inside.
        inside = torch.where(distances < float(np.square(real(radius))), order, beyond)
        # A ball may want more points than there are.
        inside = torch.cat([inside, beyond.expand(inside.shape[0], inside.shape[1], count)], -1)
        first = inside.topk(count, dim=-1, largest=False, sorted=True).values
        head = first[:, :, :1]
        head = torch.where(head == beyond, torch.zeros_like(head), head)
        found.append(torch.where(first == beyond, head, first))
    return found


def rows_of(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, D) values, (B, M) int64 -> (B, M, D)."""
    start = torch.arange(values.shape[0], device=values.device)[:, None] * values.shape[1]
    return values.reshape(-1, values.shape[2])[(index + start).reshape(-1)].view(values.shape[0], -1, values.shape[2])


def edge_reductions(values: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, N, D) values, (B, N, k) int64 -> maximum, sum and sum of squares over the neighbours."""
    edges = rows_of(values, index.flatten(1)).unflatten(1, (-1, index.shape[2]))
    return edges.amax(2), edges.sum(2), edges.square().sum(2)
