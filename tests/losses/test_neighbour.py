"""Neighbourhood losses against a slow reference written from the formulas, in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.losses.neighbour import camera_agnostic, camera_aware, camera_neighbours, neighbours

SIX = torch.tensor([
    [1.0, 0.9, 0.5, 0.6, 0.50, 0.1],
    [0.9, 1.0, 0.75, 0.2, 0.3, -0.1],
])  # fmt: skip
CAMERAS = torch.tensor([0, 0, 0, 1, 1, 1])
OWN = torch.tensor([0, 1])


def test_neighbours_of_six_images_in_two_cameras():
    found = camera_neighbours(SIX, OWN, CAMERAS[OWN], CAMERAS, threshold=0.8)
    # row 0: the best of its camera is 0.9, so above 0.72: image 1; the best elsewhere 0.6, so above 0.48: images 3 and 4
    # row 1: the best of its camera is 0.9, so above 0.72: images 0 and 2; the best elsewhere 0.3, so above 0.24: image 4
    assert found.intra.tolist() == [[False, True, False, False, False, False], [True, False, True, False, False, False]]
    assert found.inter.tolist() == [[False, False, False, True, True, False], [False, False, False, False, True, False]]


def test_the_threshold_is_strict_and_relative():
    rows = torch.tensor([[0.5, 0.25, 0.26]])
    assert neighbours(rows, torch.ones(1, 3, dtype=torch.bool), 0.5).tolist() == [[True, False, True]]


def test_nobody_is_a_neighbour_where_the_best_is_below_zero():
    rows = torch.tensor([[-0.5, -0.2, 0.0]])
    assert not neighbours(rows, torch.ones(1, 3, dtype=torch.bool), 0.8).any()


def slow(s: torch.Tensor, own: list[int], cameras: list[int], threshold: float, scale: float, floor: float):
    """Row by row and exemplar by exemplar, from the formulas."""
    intra, inter = [], []
    for i, me in enumerate(own):
        values = s.detach()[i].tolist()
        A = [j for j in range(s.shape[1]) if cameras[j] == cameras[me]]
        B = [j for j in range(s.shape[1]) if cameras[j] != cameras[me]]

        def log_p(j: int, among: list[int], i: int = i):
            total = sum(torch.exp(scale * s[i, k]) for k in among)
            return torch.log(torch.clamp(torch.exp(scale * s[i, j]) / total, min=floor))

        def chosen(among: list[int], values: list[float] = values):
            best = max((values[j] for j in among), default=-1.0)
            return [j for j in among if values[j] > threshold * best]

        P, Q = chosen([j for j in A if j != me]), chosen(B)
        drawn = sum((log_p(j, A) for j in P), torch.zeros((), dtype=s.dtype)) / max(1, len(P))
        intra.append(-drawn - log_p(me, A))
        inter.append(-sum((log_p(j, B) for j in Q), torch.zeros((), dtype=s.dtype)) / max(1, len(Q)))
    return torch.stack(intra).mean(), torch.stack(inter).mean()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([0.0, 0.5, 0.8, 0.95]), st.sampled_from([2.0, 10.0, 30.0]))
def test_values_and_gradients_equal_the_formulas(seed: int, cameras: int, threshold: float, scale: float):
    random = torch.Generator().manual_seed(seed)
    N, B = 9, 4
    of = torch.randint(cameras, (N,), generator=random)
    own = torch.randperm(N, generator=random)[:B]
    s = (2 * torch.rand(B, N, generator=random, dtype=torch.float64) - 1).requires_grad_()
    found = camera_aware(s, own, of[own], of, threshold=threshold, scale=scale, floor=1e-5)
    expected = slow(s, own.tolist(), of.tolist(), threshold, scale, 1e-5)
    for one, other in zip(found[:2], expected, strict=True):
        assert torch.isfinite(one) and torch.allclose(one, other, rtol=1e-10, atol=1e-12)
        (mine,) = torch.autograd.grad(one, s, retain_graph=True)
        theirs = torch.autograd.grad(other, s, retain_graph=True)[0] if other.requires_grad else torch.zeros_like(s)
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_gradients_by_finite_differences():
    s = (2 * torch.rand(3, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 1).requires_grad_()
    own, of = torch.tensor([0, 3, 5]), torch.tensor([0, 1, 0, 1, 0, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda x: camera_aware(x, own, of[own], of, scale=2.0)[:2], s)
    assert torch.autograd.gradcheck(lambda x: camera_agnostic(x, own, scale=2.0)[0], s)


def test_without_cameras_it_is_one_softmax():
    s = torch.rand(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    own = torch.tensor([4, 1])
    loss, chosen = camera_agnostic(s, own, threshold=0.7, scale=5.0)
    rows = []
    for i, me in enumerate(own.tolist()):
        log_p = 5.0 * s[i] - torch.log(torch.exp(5.0 * s[i]).sum())
        others = {j: value for j, value in enumerate(s[i].tolist()) if j != me}
        near = [j for j, value in others.items() if value > 0.7 * max(others.values())]
        assert near == chosen[i].nonzero().flatten().tolist()
        rows.append(-sum(log_p[j] for j in near) / len(near) - log_p[me])
    expected = torch.stack(rows).mean()
    assert torch.allclose(loss, expected)
    (mine,), (theirs,) = torch.autograd.grad(loss, s, retain_graph=True), torch.autograd.grad(expected, s)
    assert torch.allclose(mine, theirs)


def test_a_single_camera_gives_no_loss_across_cameras_and_no_nan():
    s = torch.rand(2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    zeros = torch.zeros(4, dtype=torch.int64)
    found = camera_aware(s, torch.tensor([0, 1]), zeros[:2], zeros)
    assert float(found.inter.detach()) == 0.0
    (found.intra + found.inter).backward()
    assert s.grad is not None and torch.isfinite(s.grad).all()


def test_an_image_alone_in_its_camera_keeps_only_its_own_term():
    s = torch.tensor([[1.0, 0.5, 0.4]])
    found = camera_aware(s, torch.tensor([0]), torch.tensor([0]), torch.tensor([0, 1, 1]))
    assert float(found.intra) == pytest.approx(0.0, abs=1e-6)  # a softmax over itself alone
    # both of the other camera are above 0.8 * 0.5? 0.4 is not (strictly)
    assert float(found.inter) == pytest.approx(math.log(1 + math.exp(-1.0)), rel=1e-5)


def test_below_the_floor_there_is_no_gradient():
    s = torch.tensor([[-1.0, 0.99, 0.9, 0.9]], requires_grad=True)  # the image has left its own exemplar
    zeros = torch.zeros(4, dtype=torch.int64)
    found = camera_aware(s, torch.tensor([0]), zeros[:1], zeros, scale=30.0, floor=1e-5)
    within = 30.0 * s.detach()[0]
    log_p = within - within.logsumexp(0)
    assert float(found.intra.detach()) == pytest.approx(-float(log_p[1:].mean()) - math.log(1e-5), rel=1e-5)
    found.intra.backward()
    assert s.grad is not None and float(s.grad[0, 0].abs()) < 1e-10


def test_half_precision_is_computed_in_fp32():
    s = torch.rand(2, 6, generator=torch.Generator().manual_seed(0)).half()
    found = camera_aware(s, OWN, CAMERAS[OWN], CAMERAS)
    whole = camera_aware(s.float(), OWN, CAMERAS[OWN], CAMERAS)
    assert found.intra.dtype == torch.float32 and torch.equal(found.intra, whole.intra)


def test_without_a_neighbour_the_image_itself_is_left_and_no_nan():
    """Where the best similarity is negative, none is above the threshold's share of it."""
    s = (-0.1 - torch.rand(2, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    own = torch.tensor([0, 1])
    loss, chosen = camera_agnostic(s, own)
    assert not chosen.any()
    assert torch.allclose(loss, -torch.log_softmax(10 * s, 1)[range(2), own].mean())
    loss.backward()
    assert s.grad is not None and torch.isfinite(s.grad).all()
