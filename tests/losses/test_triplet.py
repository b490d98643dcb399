"""Batch-hard and mined triplet losses against references that loop over anchors."""

import pytest
import torch
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses import hardest_triplets, triplet, triplet_hard


def distance(x, y):
    return (x - y).square().sum().clamp(min=1e-12).sqrt()


def slow_mined(vectors, labels, margin=0.3, epsilon=0.1):
    f = F.normalize(vectors)
    losses = []
    for a in range(len(f)):
        positives = [p for p in range(len(f)) if labels[p] == labels[a] and p != a]
        negatives = [n for n in range(len(f)) if labels[n] != labels[a]]
        if not positives or not negatives:
            continue
        s = [float(f[a].detach() @ f[i].detach()) for i in range(len(f))]
        kept_p = [p for p in positives if s[p] < max(s[n] for n in negatives) + epsilon]
        kept_n = [n for n in negatives if s[n] > min(s[p] for p in positives) - epsilon]
        losses += [distance(f[a], f[p]) - distance(f[a], f[n]) + margin for p in kept_p for n in kept_n]
    counted = [loss for loss in losses if loss > 0]
    return sum(counted) / len(counted)


def slow_hard(vectors, labels, margin=0.3, normalise=True, self_positive=False):
    f = F.normalize(vectors) if normalise else vectors
    losses = []
    for a in range(len(f)):
        positives = [distance(f[a], f[p]) for p in range(len(f)) if labels[p] == labels[a] and (p != a or self_positive)]
        negatives = [distance(f[a], f[n]) for n in range(len(f)) if labels[n] != labels[a]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append(torch.log1p(gap.exp()) if margin == "soft" else torch.relu(gap + margin))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("margin", "epsilon"), [(0.3, 0.1), (0.1, 0.4)])
def test_mined_triplets_follow_the_formula(batch, agree, margin, epsilon):
    agree(
        lambda f, y: triplet(f, y, margin=margin, epsilon=epsilon),
        lambda f, y: slow_mined(f, y, margin, epsilon),
        *batch,
    )


@pytest.mark.parametrize("self_positive", [False, True])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("margin", [0.3, 0.0, "soft"])
def test_hardest_triplets_follow_the_formula(batch, agree, margin, normalise, self_positive):
    agree(
        lambda f, y: triplet_hard(f, y, margin=margin, normalise=normalise, self_positive=self_positive),
        lambda f, y: slow_hard(f, y, margin, normalise, self_positive),
        *batch,
    )


def test_hardest_triplets_by_hand():
    """On a line, person 1 at 0 and 3, person 2 at 4 and 5: gaps 3 - 4, 3 - 1, 1 - 1, 1 - 2, with a margin of 1: 0 3 1 0."""
    points = torch.tensor([[0.0], [3.0], [4.0], [5.0]])
    found = triplet_hard(points, torch.tensor([1, 1, 2, 2]), margin=1.0, normalise=False)
    assert float(found) == pytest.approx((0 + 3 + 1 + 0) / 4)


def test_positives_and_negatives_of_any_kind():
    """MetaBIN's shuffle loss: positives are images of other domains, negatives other people of the same domain."""
    distances = torch.tensor([[0.0, 2.0, 7.0], [2.0, 0.0, 1.0], [7.0, 1.0, 0.0]])
    domains, people = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])
    same_domain = domains[:, None] == domains
    found = hardest_triplets(distances, ~same_domain, same_domain & (people[:, None] != people), "soft")
    expected = (F.softplus(torch.tensor(7.0 - 2.0)) + F.softplus(torch.tensor(1.0 - 2.0))) / 2  # image 2 has no negative
    torch.testing.assert_close(found, expected)


def test_an_anchor_without_another_image_is_left_out_unless_it_may_be_its_own_positive():
    vectors, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    assert float(triplet_hard(vectors, labels, margin=2.0)) == 0
    assert float(triplet_hard(vectors, labels, margin=2.0, self_positive=True)) == pytest.approx(2 - 2**0.5, abs=1e-5)


@pytest.mark.parametrize("loss", [triplet, triplet_hard])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [4, 4, 4, 4], [1]], ids=["no positive", "no negative", "one image"])
def test_without_a_triplet_zero_and_zero_gradient(vanishes, loss, labels):
    vanishes(loss, torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(0)), torch.tensor(labels))


@pytest.mark.parametrize("loss", [triplet, triplet_hard])
def test_one_image_seen_twice_has_a_finite_gradient(loss):
    """P x K batches repeat images of people who have few."""
    vectors = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.1], [1.0, 2.1]], requires_grad=True)
    loss(vectors, torch.tensor([0, 0, 1, 1])).backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert vectors.grad.abs().max() > 0


@pytest.mark.parametrize("loss", [triplet, triplet_hard])
def test_autocast_does_not_reach_inside(batch, loss):
    vectors, labels = batch[0].to(torch.bfloat16), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(vectors, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(vectors.float(), labels))


def test_a_margin_that_is_another_word_is_refused(batch):
    with pytest.raises(UsageError) as error:
        triplet_hard(*batch, margin="hard")  # type: ignore[arg-type]
    assert str(error.value) == 'the margin of the triplet loss is "hard"; give a distance, or soft.'
