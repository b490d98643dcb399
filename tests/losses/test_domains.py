"""Shuffle and scatter on a batch worked by hand, and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from passerby.losses import domain_scatter, domain_shuffle

# Two domains on a line: people 0 and 1 in the first at 0 and 1, people 2 and 3 in the second at 4 and 7.
LINE = torch.tensor([[0.0], [1.0], [4.0], [7.0]], dtype=torch.float64)
PEOPLE, DOMAINS = torch.arange(4), torch.tensor([0, 0, 1, 1])


def test_shuffle_by_hand():
    gaps = [7 - 1, 6 - 1, 4 - 3, 7 - 3]  # farthest of the other domain less nearest other person of the own
    expected = sum(math.log(1 + math.exp(gap)) for gap in gaps) / 4
    assert float(domain_shuffle(LINE, PEOPLE, DOMAINS)) == pytest.approx(expected)
    assert float(domain_shuffle(LINE, PEOPLE, DOMAINS, margin=0.3)) == pytest.approx(sum(gaps) / 4 + 0.3)


def test_shuffle_takes_no_image_of_the_same_person_as_a_negative():
    people = torch.tensor([0, 0, 2, 3])  # the first domain shows one person: no negatives there
    expected = sum(math.log(1 + math.exp(gap)) for gap in (4 - 3, 7 - 3)) / 2
    assert float(domain_shuffle(LINE, people, DOMAINS)) == pytest.approx(expected)


def test_shuffle_with_one_domain_counts_the_anchor_as_its_own_positive():
    found = domain_shuffle(LINE, PEOPLE, torch.zeros(4, dtype=torch.int64))
    assert float(found) == pytest.approx(sum(math.log(1 + math.exp(-gap)) for gap in (1, 1, 3, 3)) / 4)


def test_shuffle_without_any_negative_is_zero_with_a_gradient():
    vectors = LINE.clone().requires_grad_()
    loss = domain_shuffle(vectors, torch.zeros(4, dtype=torch.int64), DOMAINS)
    loss.backward()
    assert float(loss.detach()) == 0 and vectors.grad is not None and not vectors.grad.any()


def test_scatter_by_hand():
    # Unit vectors at 0 and 90 degrees: the centroid is at 45; a domain of one image has similarity 1.
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0], [5.0, 5.0]])
    found = domain_scatter(vectors, torch.tensor([4, 4, 9]))
    assert float(found) == pytest.approx((math.cos(math.pi / 4) + 1) / 2)


def slow_scatter(vectors, domains):
    unit = F.normalize(vectors)
    means = []
    for domain in domains.unique():
        own = unit[domains == domain]
        means.append(torch.stack([F.cosine_similarity(row, own.mean(0), dim=0) for row in own]).mean())
    return torch.stack(means).mean()


def slow_shuffle(vectors, labels, domains):
    losses = []
    for a in range(len(vectors)):
        far = [(vectors[a] - vectors[j]).norm() for j in range(len(vectors)) if domains[j] != domains[a]]
        near = [
            (vectors[a] - vectors[j]).norm() for j in range(len(vectors)) if domains[j] == domains[a] and labels[j] != labels[a]
        ]
        if near:
            losses.append(torch.log1p((max(far) - min(near)).exp()))
    return torch.stack(losses).mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.integers(2, 4))
def test_both_are_the_loops_whatever_the_order(seed, domains):
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(12, 5, generator=random, dtype=torch.float64)
    places = torch.arange(12) % domains
    people = places * 10 + torch.randint(0, 3, (12,), generator=random)
    people[: domains * 2] = torch.arange(domains * 2) + 100  # every domain shows two people at least
    order = torch.randperm(12, generator=random)
    for found, expected in (
        (lambda i: domain_shuffle(vectors[i], people[i], places[i]), slow_shuffle(vectors, people, places)),
        (lambda i: domain_scatter(vectors[i], places[i]), slow_scatter(vectors, places)),
    ):
        assert float(found(slice(None))) == pytest.approx(float(expected))
        assert float(found(order)) == pytest.approx(float(expected))


def test_half_precision_vectors_are_computed_in_fp32():
    vectors = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).half()
    people, places = torch.arange(8), torch.arange(8) % 2
    assert domain_shuffle(vectors, people, places).dtype == torch.float32
    assert float(domain_scatter(vectors, places)) == pytest.approx(float(domain_scatter(vectors.float(), places)))
