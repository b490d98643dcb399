"""Operations on clouds of points: neighbours, farthest points, balls, gathering, and sums over the edges of a graph.

Indices carry no gradient and are exact in their rules; the rest is differentiable. Everything runs on any device: in plain torch,
a part of the batch at a time, and on CPUs in loops of machine code, which never hold a matrix of distances or the (B, N, k, D)
tensor of all edges. While a network is traced for export, `point_traced` computes the same in a form that a graph can hold.

Source: the rules are those of PointNet++ (Qi et al. 2017) and OG-Net (Zheng et al. 2022): sampling begins at point 0 and never
takes a point within 0.0316 m of the origin; a ball holds the first points in index order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from passerby.errors import UsageError
from passerby.machine import in_threads
from passerby.models import point_traced
from passerby.models.tracing import is_traced

__all__ = ["NEAR_ORIGIN", "ball_query", "edge_sums", "farthest_points", "gather", "k_nearest"]

NEAR_ORIGIN = 1e-3
"""Points whose squared distance from the origin is at most this are never sampled."""

_FEW_CHANNELS = 16  # up to here loops beat a matrix product and a partial sort
_BUDGET = 1 << 26  # elements of one intermediate tensor: 256 MB


def k_nearest(points: Tensor, k: int) -> Tensor:
    """The k nearest points of each point of the same cloud.

    Args:
        points: (B, N, C) coordinates or features; the distance is Euclidean.
        k: neighbours, the point itself included; 1 to N.

    Returns:
        (B, N, k) int64, the point itself first, then by distance. Distances of up to 16 channels are rounded alike on every
            device, and on CPUs equal ones go by index.

    Raises:
        UsageError: k is below 1, or a cloud has fewer points; or, on CPUs with up to 16 channels, values that are not finite.
            More channels are features of a network: where training made NaN of them, the loss says so.
    """
    B, N, C = points.shape
    if not 1 <= k <= N:
        raise UsageError(f"{k} nearest neighbours of {N} points: k must be 1 to the number of points of a cloud. Lower k.")
    points = points.detach()
    if is_traced():
        return point_traced.nearest(points, k, _FEW_CHANNELS)
    if _in_loops(points) and C <= _FEW_CHANNELS:
        from passerby.models.point_kernels import CHUNK, nearest

        coordinates, out, starts = _by_coordinate(points), np.empty((B * N, k), np.int64), np.arange(0, N, CHUNK)
        boxes = [each.reduceat(coordinates, starts, axis=2) for each in (np.minimum, np.maximum)]
        _shared_out(B * N, lambda first, last: nearest(coordinates, *boxes, out, first, last))
        return torch.from_numpy(out.reshape(B, N, k))
    # A product in half precision has three digits, too few to tell a plane's neighbours apart.
    with torch.autocast(points.device.type, enabled=False):
        return torch.cat([_k_nearest_of(part, k) for part in points.float().split(max(1, _BUDGET // (N * N)))])


def _k_nearest_of(points: Tensor, k: int) -> Tensor:
    if points.shape[2] <= _FEW_CHANNELS:
        return point_traced.nearest(points, k, _FEW_CHANNELS)
    centred = points - points.mean(1, keepdim=True)  # the products lose fewer digits
    squares = centred.square().sum(-1)
    distances = torch.baddbmm(
        squares[:, None], centred, centred.mT, alpha=-2
    )  # less the query's own square: the order is the same
    distances.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    return distances.topk(k, dim=-1, largest=False).indices


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling: each pick is the point that is farthest from its nearest pick.

    The first pick is point 0. Points within `NEAR_ORIGIN` of the origin are never picked afterwards; among equals the first wins;
    when nothing is left, point 0 or the first that may be picked is repeated. Sampling m of the n picked points in their order
    gives the first m of them again.

    Args:
        points: (B, N, 3) metres.
        count: 1 to N.

    Returns:
        (B, count) int64 in the order of picking.

    Raises:
        UsageError: more points than a cloud has, or none; or, on CPUs, coordinates that are not finite.
    """
    B, N, _ = points.shape
    if not 1 <= count <= N:
        raise UsageError(f"{count} of {N} points cannot be sampled: give clouds of more points, or lower the number of samples.")
    points = points.detach()
    if is_traced():
        return point_traced.farthest(points, count, NEAR_ORIGIN)
    if _in_loops(points):
        from passerby.models.point_kernels import farthest

        coordinates, out = _by_coordinate(points), np.empty((B, count), np.int64)
        near = coordinates.dtype.type(NEAR_ORIGIN)
        _shared_out(B, lambda first, last: farthest(coordinates, near, out, first, last))
        return torch.from_numpy(out)
    return _farthest_points_of(points.float(), count)


def _farthest_points_of(points: Tensor, count: int) -> Tensor:
    B, N, _ = points.shape
    picks = torch.zeros(B, count, dtype=torch.int64, device=points.device)
    left = torch.full((B, N), 1e10, device=points.device).masked_fill(points.square().sum(-1) <= NEAR_ORIGIN, -1.0)
    for s in range(count - 1):
        place = points.gather(1, picks[:, s, None, None].expand(-1, 1, 3))
        left = torch.minimum(left, point_traced.squares(points, place))
        best = left.amax(1, keepdim=True)
        first = (left == best).to(torch.uint8).argmax(1)  # argmax over the distances may give any of several equal ones
        picks[:, s + 1] = torch.where(best[:, 0] > -1, first, 0)
    return picks


def ball_query(points: Tensor, centres: Tensor, radii: Sequence[float], samples: Sequence[int]) -> list[Tensor]:
    """The points in balls around centres, for several radii at once.

    A ball holds the first points in index order, not the nearest, whose distance is strictly below the radius. A ball with fewer
    points is padded with its first; an empty one with point 0.

    Args:
        points: (B, N, 3) metres.
        centres: (B, S, 3) metres.
        radii: metres, one or more.
        samples: points of each ball, one number a radius.

    Returns:
        One (B, S, samples) int64 tensor a radius.

    Raises:
        UsageError: unequal numbers of radii and samples, or one that is not positive; or, on CPUs, coordinates that are not
            finite.
    """
    if len(radii) != len(samples) or not radii or min(radii) <= 0 or min(samples) < 1:
        raise UsageError(
            f"balls of radii {list(radii)} with {list(samples)} samples: give one number of samples a radius, all above 0."
        )
    points, centres = points.detach(), centres.detach()
    if is_traced():
        return point_traced.balls(points, centres, radii, samples)
    (B, S, _), total = centres.shape, sum(samples)
    if not _in_loops(points):
        return [_balls_of(points.float(), centres.float(), radius, count) for radius, count in zip(radii, samples, strict=True)]
    from passerby.models.point_kernels import balls

    coordinates, places = _by_coordinate(points), _by_coordinate(centres)
    squares = np.square(np.array(radii, coordinates.dtype))
    counts, out = np.array(samples, np.int64), np.empty((B * S, total), np.int64)
    _shared_out(B * S, lambda first, last: balls(coordinates, places, squares, counts, out, first, last))
    return list(torch.from_numpy(out.reshape(B, S, total)).split(list(samples), dim=-1))


def _balls_of(points: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    B, N, _ = points.shape
    S = centres.shape[1]
    order = torch.arange(N, device=points.device)
    found = []
    for cloud, places in zip(points, centres, strict=True):
        for part in places.split(max(1, _BUDGET // (4 * N))):
            squares = point_traced.squares(part[:, None], cloud[None])
            first = torch.where(squares < torch.tensor(radius, device=points.device).square(), order, N)  # pyright: ignore
            first = first.topk(min(count, N), dim=-1, largest=False, sorted=True).values
            first = torch.cat([first, first.new_full((len(part), count - first.shape[1]), N)], 1)
            head = first[:, :1].masked_fill(first[:, :1] == N, 0)
            found.append(torch.where(first == N, head, first))
    return torch.cat(found).view(B, S, count)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each cloud by their numbers.

    Args:
        values: (B, N, D).
        index: (B, ...) int64 from 0 to N - 1.

    Returns:
        (B, ..., D).
    """
    if is_traced():
        return point_traced.rows_of(values, index.flatten(1)).view(*index.shape, values.shape[2])
    flat = index.reshape(len(index), -1)
    return _Gather.apply(values, flat).view(*index.shape, values.shape[-1])  # pyright: ignore


def edge_sums(values: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The maximum, the sum and the sum of squares over each point's neighbours, channel by channel.

    Args:
        values: (B, N, D).
        index: (B, N, k) int64 neighbours of each point.

    Returns:
        Three (B, N, D) tensors. The gradient of a maximum goes to the first neighbour that has it.
    """
    if is_traced():
        return point_traced.edge_reductions(values, index)
    return _EdgeSums.apply(values, index)  # pyright: ignore


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(index)
        ctx.points = values.shape[1]
        return values.reshape(-1, values.shape[-1])[_rows(index, values.shape[1])]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (index,) = ctx.saved_tensors
        given = gradient.dtype  # sums over many neighbours are taken in fp32 at the least, and NumPy has no bfloat16
        wide = torch.promote_types(given, torch.float32)
        gradient = gradient.reshape(*index.shape, -1).to(wide).contiguous()
        total = gradient.new_zeros(len(index), ctx.points, gradient.shape[-1])
        if _in_loops(gradient):
            from passerby.models.point_kernels import add_rows

            arrays = [tensor.numpy() for tensor in (gradient, index, total)]
            _shared_out(len(index), lambda first, last: add_rows(*arrays, first, last))
        else:
            total.view(-1, total.shape[-1]).index_add_(0, _rows(index, ctx.points), gradient.view(-1, gradient.shape[-1]))
        return total.to(given), None


class _EdgeSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, index = values.contiguous(), index.contiguous()
        top, total, squares = (torch.empty_like(values) for _ in range(3))
        which = torch.empty(values.shape, dtype=torch.int32, device=values.device)
        if _in_loops(values):
            from passerby.models.point_kernels import reduce_edges

            arrays = [tensor.detach().numpy() for tensor in (values, index, top, which, total, squares)]
            _shared_out(values.shape[0] * values.shape[1], lambda first, last: reduce_edges(*arrays, first, last))
        else:
            for part in _parts(values, index):
                edges = gather(values[part], index[part])
                top[part], which[part] = edges.max(2)
                total[part], squares[part] = edges.sum(2), edges.square().sum(2)
        ctx.save_for_backward(values, index, which)
        return top, total, squares

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, index, which = ctx.saved_tensors
        gradients = tuple(gradient.to(values.dtype).contiguous() for gradient in gradients)
        found = torch.zeros_like(values)
        if _in_loops(values):
            from passerby.models.point_kernels import add_edges

            arrays = [tensor.detach().numpy() for tensor in (values, index, which, *gradients, found)]
            _shared_out(len(values), lambda first, last: add_edges(*arrays, first, last))
            return found, None
        for part in _parts(values, index):
            top, total, squares = (gradient[part] for gradient in gradients)
            rows, D = _rows(index[part].flatten(1), values.shape[1]), values.shape[-1]
            edges = gather(values[part], index[part]).mul_(2 * squares[:, :, None]).add_(total[:, :, None])
            edges.scatter_add_(2, which[part][:, :, None].long(), top[:, :, None])
            found[part].view(-1, D).index_add_(0, rows, edges.view(-1, D))
        return found, None


def _in_loops(values: Tensor) -> bool:
    """CPUs have loops of machine code; every other device computes in plain torch."""
    return values.device.type == "cpu"


def _parts(values: Tensor, index: Tensor) -> list[slice]:
    """Clouds that are looked at together, so that their edges fit into memory."""
    step = max(1, _BUDGET // (values.shape[2] * index.shape[1] * index.shape[2]))
    return [slice(start, start + step) for start in range(0, len(values), step)]


def _rows(index: Tensor, points: int) -> Tensor:
    """Numbers of rows of the whole batch, from (B, M) numbers inside each cloud."""
    return (index + points * torch.arange(len(index), device=index.device)[:, None]).flatten()


def _by_coordinate(points: Tensor) -> np.ndarray:
    """(B, C, N). The loops compare numbers without regard to NaN, so that there may be none, nor a distance that overflows."""
    points = points.to(torch.promote_types(points.dtype, torch.float32))  # NumPy has no bfloat16
    largest = math.sqrt(torch.finfo(points.dtype).max / max(1, points.shape[-1])) / 4
    if not (points.abs() <= largest).all():  # NaN is not below it either
        raise UsageError(
            f"a cloud has coordinates that are not finite, or above {largest:.0e}: no neighbour can be found. Read clouds with "
            "read_cloud."
        )
    return points.mT.contiguous().numpy()


def _shared_out(count: int, work: Callable[[int, int], object]) -> None:
    """Run `work(first, last)` over parts of `count` in as many threads as torch computes with."""
    in_threads(work, count, torch.get_num_threads())
