"""Fixtures: a batch of vectors and people, and the comparison of a loss with a reference written from its formula."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(params=range(4), ids="seed{}".format)
def batch(request) -> tuple[Tensor, Tensor]:
    """(12, 6) fp64 vectors of unequal length that wander round their person's own, and (12,) labels; person 9 has one image."""
    generator = torch.Generator().manual_seed(request.param)
    labels = torch.tensor([3, 0, 3, 9, 5, 0, 5, 3, 0, 7, 7, 5])
    centres = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    vectors = centres[labels] + 0.7 * torch.randn(12, 6, generator=generator, dtype=torch.float64)
    return vectors * (0.5 + torch.rand(12, 1, generator=generator, dtype=torch.float64)), labels


def _value_and_slope(loss: Loss, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = vectors.clone().requires_grad_()
    value = loss(leaf, labels)
    assert value.shape == ()
    (slope,) = torch.autograd.grad(value, leaf)
    return value.detach(), slope


@pytest.fixture
def agree() -> Callable[[Loss, Loss, Tensor, Tensor], None]:
    """Asserts that two losses have the same value and the same gradient in double precision, and that both are not 0."""

    def check(loss: Loss, reference: Loss, vectors: Tensor, labels: Tensor) -> None:
        value, slope = _value_and_slope(loss, vectors, labels)
        expected, expected_slope = _value_and_slope(reference, vectors, labels)
        assert value > 0
        assert slope.abs().max() > 0
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(slope, expected_slope, rtol=1e-7, atol=1e-9)

    return check


@pytest.fixture
def vanishes() -> Callable[[Loss, Tensor, Tensor], None]:
    """Asserts a loss of exactly 0 whose gradient is 0 everywhere."""

    def check(loss: Loss, vectors: Tensor, labels: Tensor) -> None:
        value, slope = _value_and_slope(loss, vectors, labels)
        assert value == 0
        assert torch.equal(slope, torch.zeros_like(slope))

    return check
