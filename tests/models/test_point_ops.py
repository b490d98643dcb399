"""Point operations: hand-worked cases, slow references on random clouds, and both ways of computing, loops and plain torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from passerby.errors import UsageError
from passerby.models import point_ops, point_traced
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


def check_gradients() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2, 7, 3, dtype=torch.float64, generator=random).requires_grad_()
    index = torch.randint(0, 7, (2, 7, 4), generator=random)
    assert torch.autograd.gradcheck(lambda v: gather(v, index), values)
    assert torch.autograd.gradcheck(lambda v: edge_sums(v, index), values)


def test_gradients_are_those_of_differences():
    check_gradients()


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


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels", [3, 40])
def test_half_precision_finds_the_same_neighbours(precision: torch.dtype, channels: int):
    """A regular plane of thousands of points, which three digits cannot tell apart."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 30), torch.linspace(-0.5, 0.5, 15), indexing="ij")
    plane = torch.stack([x, y, torch.full_like(x, 0.2)], -1).view(1, -1, 3)
    values = torch.cat([plane, torch.rand(1, 450, channels - 3, generator=torch.Generator().manual_seed(0))], -1)
    expected = k_nearest(values, 20)
    with torch.autocast("cpu", precision):
        assert torch.equal(k_nearest(values, 20), expected)
    assert k_nearest(values.to(precision), 20).shape == expected.shape  # NumPy has no bfloat16


def test_features_that_are_not_finite_are_left_to_the_loss():
    found = k_nearest(torch.full((1, 5, 17), torch.nan), 3)
    assert found[0, :, 0].tolist() == list(range(5)) and found.min() >= 0 and found.max() < 5


def test_a_traced_ball_has_the_loops_surface():
    """0.12, 0.16 is 0.2 away: in fp32 just inside, where the radius is squared in fp32, and outside of a square in doubles."""
    cloud, centre = torch.tensor([[[1.0, 0, 0], [0.12, 0.16, 0]]]), torch.zeros(1, 1, 3)
    for radius in (0.1, 0.2, 0.4):
        edge = torch.cat([cloud, cloud * radius / 0.2], 1)
        assert torch.equal(ball_query(edge, centre, (radius,), (3,))[0], point_traced.balls(edge, centre, (radius,), (3,))[0])
    assert point_traced.balls(cloud, centre, (0.2,), (1,))[0].item() == 1
    assert point_traced.balls(cloud.double(), centre.double(), (0.2,), (1,))[0].item() == 1


@pytest.fixture()
def without_loops(monkeypatch: pytest.MonkeyPatch):
    """CPU tensors take the ways of other devices."""
    monkeypatch.setattr(point_ops, "_in_loops", lambda values: False)


@pytest.mark.usefixtures("without_loops")
@pytest.mark.parametrize("budget", [1 << 26, 1])  # all clouds in one part, and one by one
def test_the_ways_of_other_devices_find_the_same(monkeypatch: pytest.MonkeyPatch, budget: int):
    values, centres = clouds(5, B=3, N=120), clouds(6, B=3, N=11)
    weights = torch.randn(3, 3, 120, 3, generator=torch.Generator().manual_seed(0))

    def found() -> list[Tensor]:
        v = values.clone().requires_grad_()
        index = k_nearest(v, 9)
        sums = edge_sums(v, expected_index)
        (torch.stack(sums) * weights).sum().backward()
        g = values.clone().requires_grad_()
        (gather(g, expected_index[:, :40]) * weights[0, :, :40, None]).sum().backward()
        balls = ball_query(v, centres, (0.3, 0.7), (4, 200))
        assert v.grad is not None and g.grad is not None
        return [farthest_points(v, 50), *balls, *sums, v.grad, g.grad, _distances(values, index)]

    with monkeypatch.context() as loops:
        loops.setattr(point_ops, "_in_loops", lambda tensor: True)
        expected_index = k_nearest(values, 9)
        expected = found()
    monkeypatch.setattr(point_ops, "_BUDGET", budget)
    for one, other in zip(found(), expected, strict=True):
        torch.testing.assert_close(one, other)


def _distances(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, k) sorted squared distances: of equally far neighbours either may be taken."""
    return (gather(values, index) - values[:, :, None]).square().sum(-1).sort(-1).values


@pytest.mark.usefixtures("without_loops")
def test_the_gradients_of_other_devices_are_those_of_differences():
    check_gradients()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    values = clouds(5, N=500)
    index = k_nearest(values, 12)
    for points in (values, torch.cat([values, clouds(6, N=500, C=30)], -1)):
        here, there = k_nearest(points, 12), k_nearest(points.cuda(), 12).cpu()
        assert torch.equal(there[..., 0], here[..., 0])
        loose = {"atol": 1e-5, "rtol": 1e-5} if points.shape[2] > 16 else {"atol": 0, "rtol": 0}  # coordinates are exact
        torch.testing.assert_close(_distances(points, there), _distances(points, here), **loose)
        with torch.autocast("cuda", torch.bfloat16):
            assert torch.equal(k_nearest(points.cuda(), 12).cpu(), there)
    gradients = []
    for device in ("cpu", "cuda"):
        v = values.to(device).requires_grad_()
        torch.stack(edge_sums(v, index.to(device))).square().sum().backward()
        assert v.grad is not None
        gradients.append(v.grad.cpu())
    torch.testing.assert_close(*gradients)
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
    "a cloud has coordinates that are not finite, or above 3e+18: no neighbour can be found. Read clouds with read_cloud.": (
        lambda: farthest_points(LINE * torch.nan, 2)
    ),
    "balls of radii [0.1] with [1, 2] samples: give one number of samples a radius, all above 0.": lambda: ball_query(
        LINE, LINE, (0.1,), (1, 2)
    ),
}


def test_distances_that_overflow_are_refused():
    """Beyond it every distance is infinite, and none is nearest."""
    cloud = torch.zeros(1, 8, 3)
    for reach, refused in ((1e18, False), (3e19, True), (-3e19, True)):
        cloud[0, 3, 0] = reach
        if refused:
            with pytest.raises(UsageError, match="not finite, or above"):
                k_nearest(cloud, 4)
        else:
            assert set(k_nearest(cloud, 4).flatten().tolist()) <= set(range(8))


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text: str):
    with pytest.raises(UsageError) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
