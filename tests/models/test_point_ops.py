"""Point operations: hand-worked cases, slow references on random clouds, and both ways of computing, loops and plain torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from passerby.errors import UsageError
from passerby.models import point_ops
from passerby.models.point_ops import ball_query, edge_sums, farthest_points, gather, k_nearest

LINE = torch.tensor([[[1.0, 0, 0], [2, 0, 0], [4, 0, 0], [7, 0, 0]]])


def clouds(seed: int, B: int = 2, N: int = 90, C: int = 3) -> Tensor:
    """Points of a coarse grid, many of them equal: all distances are exact, and ties abound."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 9, (B, N, C), generator=random).float() / 8


def slow_nearest(cloud: np.ndarray, k: int) -> list[list[int]]:
    rows = []
    for i, point in enumerate(cloud):
        order = sorted((j for j in range(len(cloud)) if j != i), key=lambda j: (((cloud[j] - point) ** 2).sum(), j))
        rows.append([i, *order[: k - 1]])
    return rows


def slow_farthest(cloud: np.ndarray, count: int) -> list[int]:
    allowed = [j for j in range(len(cloud)) if (cloud[j] ** 2).sum() > 1e-3]
    picks = [0]
    while len(picks) < count:
        away = {j: min(((cloud[j] - cloud[pick]) ** 2).sum() for pick in picks) for j in allowed}
        picks.append(max(away, key=lambda j: (away[j], -j)) if away else 0)
    return picks


def slow_ball(cloud: np.ndarray, centres: np.ndarray, radius: float, count: int) -> list[list[int]]:
    rows = []
    for centre in centres:
        inside = [j for j in range(len(cloud)) if ((cloud[j] - centre) ** 2).sum() < np.float32(radius) ** 2][:count]
        rows.append(inside + [inside[0] if inside else 0] * (count - len(inside)))
    return rows


def test_neighbours_of_four_points_on_a_line():
    assert k_nearest(LINE, 3).tolist() == [[[0, 1, 2], [1, 0, 2], [2, 1, 0], [3, 2, 1]]]
    assert k_nearest(LINE, 1).tolist() == [[[0], [1], [2], [3]]]


@pytest.mark.parametrize(("points", "channels", "k"), [(90, 3, 20), (200, 6, 7), (5, 1, 5), (70, 16, 2)])
def test_neighbours_equal_a_slow_search(points: int, channels: int, k: int):
    values = clouds(points, N=points, C=channels)
    assert k_nearest(values, k).tolist() == [slow_nearest(cloud.numpy(), k) for cloud in values]
    assert torch.equal(k_nearest(values.double(), k), k_nearest(values, k))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), N=st.integers(2, 150), C=st.sampled_from([2, 3, 17, 40]), k=st.integers(1, 12))
def test_both_ways_find_neighbours_at_the_same_distances(seed: int, N: int, C: int, k: int):
    values, k = clouds(seed, N=N, C=C), min(k, N)
    squares = torch.cdist(values.double(), values.double()).square()
    expected = squares.sort(-1).values[..., :k]
    for found in (k_nearest(values, k), point_ops._k_nearest_of(values, k)):
        assert torch.equal(found[..., 0], torch.arange(N).expand(2, N))  # the point itself, whoever lies exactly on it
        torch.testing.assert_close(squares.gather(2, found).sort(-1).values, expected, atol=1e-5, rtol=1e-5)
        assert all(len(set(row)) == k for row in found.flatten(0, 1).tolist())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_neighbours_move_with_the_order_of_the_points(seed: int):
    values = torch.rand(1, 60, 3, generator=torch.Generator().manual_seed(seed))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    there = order.argsort()
    assert torch.equal(k_nearest(values[:, order], 6), there[k_nearest(values, 6)][:, order])


def test_farthest_points_begin_at_point_0_and_spread():
    assert farthest_points(LINE, 4).tolist() == [[0, 3, 2, 1]]


def test_points_near_the_origin_are_never_picked_but_first():
    cloud = torch.tensor([[[0.0, 0, 0], [0.03, 0, 0], [0.032, 0, 0], [-1, 0, 0]]])
    assert farthest_points(cloud, 4).tolist() == [[0, 3, 2, 2]]  # 2 is 0.032 m from the origin; then nothing new is left
    assert farthest_points(torch.zeros(1, 3, 3), 2).tolist() == [[0, 0]]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), N=st.integers(1, 50), share=st.floats(0.05, 1))
def test_farthest_points_equal_a_slow_search(seed: int, N: int, share: float):
    values = clouds(seed, N=N)
    count = max(1, int(share * N))
    expected = [slow_farthest(cloud.numpy(), count) for cloud in values]
    assert farthest_points(values, count).tolist() == expected
    assert point_ops._farthest_points_of(values, count).tolist() == expected


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_sampling_the_sampled_points_gives_the_first_of_them(seed: int):
    values = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(seed))
    picked = gather(values, farthest_points(values, 80))
    assert farthest_points(picked, 40).tolist() == [list(range(40))] * 2


def test_a_ball_holds_the_first_points_strictly_inside_and_is_padded():
    centres = torch.tensor([[[1.0, 0, 0], [100, 0, 0]]])
    near, wide = ball_query(LINE, centres, (1.0, 5.0), (3, 2))
    assert near.tolist() == [[[0, 0, 0], [0, 0, 0]]]  # point 1 is exactly on the surface; the far ball is empty
    assert wide.tolist() == [[[0, 1], [0, 0]]]  # not the nearest two, the first two


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), N=st.integers(1, 600), S=st.integers(1, 9))
def test_balls_equal_a_slow_search(seed: int, N: int, S: int):
    values, centres = clouds(seed, N=N), clouds(seed + 1, N=S)
    radii, samples = (0.3, 0.75, 0.45), (8, 20, 3)
    found = ball_query(values, centres, radii, samples)
    for radius, count, index in zip(radii, samples, found, strict=True):
        expected = [
            slow_ball(cloud.numpy(), places.numpy(), radius, count) for cloud, places in zip(values, centres, strict=True)
        ]
        assert index.tolist() == expected
        assert point_ops._balls_of(values, centres, radius, count).tolist() == expected


def test_rows_are_gathered_by_cloud():
    values = torch.arange(12.0).view(2, 3, 2)
    index = torch.tensor([[[2, 0]], [[1, 1]]])
    assert gather(values, index).tolist() == [[[[4, 5], [0, 1]]], [[[8, 9], [8, 9]]]]


def test_edge_sums_are_those_of_the_gathered_rows():
    values, index = torch.randn(2, 30, 5), torch.randint(0, 30, (2, 30, 4))
    edges = gather(values, index)
    for found, expected in zip(edge_sums(values, index), (edges.amax(2), edges.sum(2), edges.square().sum(2)), strict=True):
        torch.testing.assert_close(found, expected)


def test_gradients_are_those_of_differences():
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2, 7, 3, dtype=torch.float64, generator=random).requires_grad_()
    index = torch.randint(0, 7, (2, 7, 4), generator=random)
    assert torch.autograd.gradcheck(lambda v: gather(v, index), values)
    assert torch.autograd.gradcheck(lambda v: edge_sums(v, index), values)


def test_the_result_does_not_depend_on_the_number_of_threads():
    values = clouds(3, B=3, N=130)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            v = values.clone().requires_grad_()
            index = k_nearest(v, 9)
            torch.stack(edge_sums(v, index)).sum().backward()
            found.append((index, farthest_points(v, 50), ball_query(v, v[:, :7], (0.4,), (5,))[0], v.grad))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    values = clouds(5, N=500)
    index = k_nearest(values, 1).expand(-1, -1, 4).contiguous()
    assert torch.equal(farthest_points(values, 200), farthest_points(values.cuda(), 200).cpu())
    for one, other in zip(
        ball_query(values, values, (0.3, 0.7), (4, 9)), ball_query(values.cuda(), values.cuda(), (0.3, 0.7), (4, 9)), strict=True
    ):
        assert torch.equal(one, other.cpu())
    for one, other in zip(edge_sums(values, index), edge_sums(values.cuda(), index.cuda()), strict=True):
        torch.testing.assert_close(one, other.cpu())


REFUSED = {
    "5 nearest neighbours of 4 points: k must be 1 to the number of points of a cloud. Lower k.": lambda: k_nearest(LINE, 5),
    "5 of 4 points cannot be sampled: give clouds of more points, or lower the number of samples.": lambda: farthest_points(
        LINE, 5
    ),
    "a cloud has coordinates that are not finite: no neighbour can be found. Read clouds with read_cloud.": lambda: (
        farthest_points(LINE * torch.nan, 2)
    ),
    "balls of radii [0.1] with [1, 2] samples: give one number of samples a radius, all above 0.": lambda: ball_query(
        LINE, LINE, (0.1,), (1, 2)
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text: str):
    with pytest.raises(UsageError) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
