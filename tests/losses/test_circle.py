"""Circle loss against its formula, pair by pair."""

import math

import pytest
import torch

from passerby.losses import circle


def slow_circle(vectors, labels, margin=0.25, gamma=32.0):
    pulls, pushes = [], []
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            s = torch.dot(vectors[i] / vectors[i].norm(), vectors[j] / vectors[j].norm())
            if labels[i] == labels[j]:
                weight = max(0.0, 1 + margin - float(s.detach()))
                pulls.append(torch.exp(-gamma * weight * (s - 1 + margin)))
            else:
                weight = max(0.0, float(s.detach()) + margin)
                pushes.append(torch.exp(gamma * weight * (s - margin)))
    return torch.log(1 + sum(pulls) * sum(pushes))


@pytest.mark.parametrize(("margin", "gamma"), [(0.25, 32.0), (0.4, 8.0)])
def test_circle_follows_its_formula(batch, agree, margin, gamma):
    agree(
        lambda f, y: circle(f, y, margin=margin, gamma=gamma),
        lambda f, y: slow_circle(f, y, margin, gamma),
        *batch,
    )


def test_circle_by_hand():
    """Two equal images of one person, at a right angle to another's: a_p = a_n = 0.25, s - 0.75 = 0.25, s - 0.25 = -0.25."""
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    expected = math.log(1 + 2 * math.exp(-32 * 0.25 * 0.25) * math.exp(-32 * 0.25 * 0.25))
    assert float(circle(vectors, torch.tensor([1, 1, 2]))) == pytest.approx(expected, rel=1e-5)


def test_order_and_length_of_vectors_do_not_count(batch):
    vectors, labels = batch
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(circle(3 * vectors[order], labels[order]), circle(vectors, labels))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [4, 4, 4, 4], [1]], ids=["no positive", "no negative", "one image"])
def test_one_empty_side_gives_zero_and_zero_gradient(vanishes, labels):
    vectors = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(0))
    vanishes(circle, vectors, torch.tensor(labels))


def test_autocast_does_not_reach_inside(batch):
    vectors, labels = batch[0].to(torch.bfloat16), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = circle(vectors, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, circle(vectors.float(), labels))
