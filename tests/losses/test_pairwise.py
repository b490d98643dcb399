"""Contrastive and lifted losses against references that loop over pairs and anchors."""

import math

import pytest
import torch
from torch.nn import functional as F

from passerby.losses import contrastive, lifted


def pairs(labels, same):
    n = len(labels)
    return [(i, j) for i in range(n) for j in range(n) if i != j and (labels[i] == labels[j]) == same]


def slow_contrastive(vectors, labels, pos_margin=0.0, neg_margin=1.0):
    f = F.normalize(vectors)
    total = 0.0
    for same, cost in ((True, lambda d: d - pos_margin), (False, lambda d: neg_margin - d)):
        costs = [cost((f[i] - f[j]).norm()) for i, j in pairs(labels, same)]
        counted = [c for c in costs if c > 0]
        total = total + (sum(counted) / len(counted) if counted else 0.0)
    return total


def slow_lifted(vectors, labels, pos_margin=0.0, neg_margin=1.0):
    f = F.normalize(vectors)
    losses = []
    for a in range(len(f)):
        d = [(f[a] - f[i]).norm() if i != a else torch.zeros((), dtype=f.dtype) for i in range(len(f))]
        positives = [torch.exp(d[p] - pos_margin) for p in range(len(f)) if labels[p] == labels[a] and p != a]
        negatives = [torch.exp(neg_margin - d[n]) for n in range(len(f)) if labels[n] != labels[a]]
        total = (torch.log(sum(positives)) if positives else 0.0) + (torch.log(sum(negatives)) if negatives else 0.0)
        losses.append(torch.relu(total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("margins", [{}, {"pos_margin": 0.2, "neg_margin": 1.3}])
@pytest.mark.parametrize(("loss", "reference"), [(contrastive, slow_contrastive), (lifted, slow_lifted)])
def test_they_follow_their_formulas(batch, agree, loss, reference, margins):
    agree(lambda f, y: loss(f, y, **margins), lambda f, y: reference(f, y, **margins), *batch)


def test_contrastive_by_hand():
    """One person's two images at a right angle, another's like the first of them: sqrt 2, and 1 - 0 (1 - sqrt 2 counts not)."""
    vectors = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    assert float(contrastive(vectors, torch.tensor([0, 0, 1]))) == pytest.approx(math.sqrt(2) + 1, rel=1e-6)


def test_lifted_by_hand():
    """Opposite images of one person and one of another between them: 2 + (1 - sqrt 2), twice; and LSE of two 1 - sqrt 2."""
    vectors = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    lonely = math.log(2) + 1 - math.sqrt(2)
    assert float(lifted(vectors, torch.tensor([0, 0, 1]))) == pytest.approx((2 * (3 - math.sqrt(2)) + lonely) / 3, rel=1e-6)


def test_without_positives_contrastive_still_pushes_people_apart():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1]], requires_grad=True)
    contrastive(vectors, torch.tensor([0, 1])).backward()
    assert vectors.grad is not None
    assert vectors.grad.abs().max() > 0


@pytest.mark.parametrize("loss", [contrastive, lifted])
def test_one_image_gives_zero_and_zero_gradient(vanishes, loss):
    vanishes(loss, torch.randn(1, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([2]))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [4, 4, 4, 4], [0, 0, 1, 1]])
@pytest.mark.parametrize("loss", [contrastive, lifted])
def test_equal_vectors_have_a_finite_gradient(loss, labels):
    vectors = torch.ones(4, 3, requires_grad=True)
    loss(vectors, torch.tensor(labels)).backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


@pytest.mark.parametrize("loss", [contrastive, lifted])
def test_autocast_does_not_reach_inside(batch, loss):
    vectors, labels = batch[0].to(torch.bfloat16), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(vectors, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(vectors.float(), labels))
