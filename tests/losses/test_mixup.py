"""Mixup: the virtual class, and the loss over it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from passerby.losses.mixup import mixed, mixing_share, mixup_cross_entropy, virtual_logit


def example():
    random = torch.Generator().manual_seed(0)
    logits, virtual = torch.randn(4, 3, generator=random).double(), torch.randn(4, generator=random).double()
    return logits, virtual, torch.tensor([0, 2, 1, 2])


def test_at_share_one_it_is_the_cross_entropy_of_the_labels_with_one_logit_more():
    logits, virtual, labels = example()
    expected = F.cross_entropy(torch.cat([logits, virtual[:, None]], 1), labels)
    assert torch.allclose(mixup_cross_entropy(logits, virtual, labels, 1.0), expected)


def test_in_between_it_weighs_both_classes():
    logits, virtual, labels = example()
    whole = torch.cat([logits, virtual[:, None]], 1)
    expected = 0.3 * F.cross_entropy(whole, labels) + 0.7 * F.cross_entropy(whole, torch.full((4,), 3))
    assert torch.allclose(mixup_cross_entropy(logits, virtual, labels, 0.3), expected)


def test_gradients_by_finite_differences():
    logits, virtual, labels = example()
    logits.requires_grad_()
    virtual.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, v: mixup_cross_entropy(x, v, labels, 0.4), (logits, virtual))


def test_the_virtual_logit_by_hand():
    vectors = torch.tensor([[2.0, 1.0], [0.0, 3.0]], requires_grad=True)
    exemplars = torch.tensor([[1.0, 0.0], [0.6, 0.8]], requires_grad=True)
    weights = torch.tensor([[3.0, 4.0], [0.0, 2.0]], requires_grad=True)
    found = virtual_logit(vectors, exemplars, weights, torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([2.0 * 5.0, 2.4 * 2.0])
    found.sum().backward()
    assert vectors.grad is not None and vectors.grad.flatten().tolist() == pytest.approx([5.0, 0.0, 1.2, 1.6])
    assert exemplars.grad is None and weights.grad is None  # neither the memory nor the classifier learns from it


def test_images_are_mixed_by_position():
    first, second = torch.full((2, 3, 1, 1), 10.0), torch.stack([torch.zeros(3, 1, 1), torch.full((3, 1, 1), 20.0)])
    assert mixed(first, second, 0.25)[:, 0, 0, 0].tolist() == pytest.approx([2.5, 17.5])
    assert torch.equal(mixed(first, second, 1.0), first)


def test_a_share_follows_from_its_seed_alone_and_from_beta():
    assert mixing_share(0.6, 1, 2, 3) == mixing_share(0.6, 1, 2, 3) != mixing_share(0.6, 1, 3, 3)
    drawn = np.array([mixing_share(0.6, 0, step) for step in range(4000)])
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)
    assert drawn.var() == pytest.approx(0.25 / 2.2, abs=0.01)  # of Beta(a, a): 1 / (4 (2a + 1))
