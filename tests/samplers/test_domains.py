"""The domain-balanced sampler: equal shares, refills, processes, and what it refuses."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.samplers import DomainBalancedSampler


def a_city(people=(3, 9, 5), images=(6, 7, 2)) -> tuple[list[str], np.ndarray]:
    """Towns a, b, c of several people; each person has so many images."""
    rows = [("abc"[d], 100 * d + p) for d in range(len(people)) for p in range(people[d]) for _ in range(images[d])]
    return [domain for domain, _ in rows], np.array([label for _, label in rows])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.sampled_from([1, 2, 3]), st.integers(0, 5))
def test_every_batch_has_p_different_people_of_k_images_of_every_domain(seed, share, epoch):
    domains, labels = a_city()
    sampler = DomainBalancedSampler(domains, labels, 24, 4, seed=seed) if share == 1 else None
    sampler = sampler or DomainBalancedSampler(domains, labels, 12 * share, 4, seed=seed)
    batches = sampler.epoch(epoch)
    assert len(batches) == len(sampler) and sampler.domains == ("a", "b", "c")
    for batch in batches:
        counts = Counter((domains[position], int(labels[position])) for position in batch)
        assert set(counts.values()) == {4}
        assert Counter(domain for domain, _ in counts) == {"a": sampler.P, "b": sampler.P, "c": sampler.P}


def test_published_batches_have_their_published_shares():
    labels = np.arange(5 * 10).repeat(4)
    assert DomainBalancedSampler([f"set {label // 10}" for label in labels], labels, 80, 4).P == 4
    cameras = [("market1501", int(image) % 6) for image in range(600)]
    sampler = DomainBalancedSampler(cameras, np.arange(600) // 24, 96, 4)
    assert sampler.P == 4 and len(sampler.domains) == 6


def test_the_epoch_ends_with_the_domain_that_lasts_longest_and_others_begin_anew():
    domains, labels = a_city()  # groups of 4 by person, filled up: 3 x 2, 9 x 2, 5 x 1
    sampler = DomainBalancedSampler(domains, labels, 24, 4)
    shown = Counter(domains[position] for batch in sampler.epoch(0) for position in batch)
    assert len(sampler) == 9 and shown == {"a": 72, "b": 72, "c": 72}
    people = {int(labels[p]) for batch in sampler.epoch(0) for p in batch}
    assert len(people) == 17  # everybody


def test_epochs_differ_and_repeat_exactly():
    domains, labels = a_city()
    one, two = (DomainBalancedSampler(domains, labels, 24, 4, seed=3) for _ in range(2))
    assert one.epoch(4) == two.epoch(4) and one.epoch(4) != one.epoch(5)
    assert one.epoch(4) != DomainBalancedSampler(domains, labels, 24, 4, seed=4).epoch(4)


def test_processes_share_a_batch_and_each_share_is_balanced():
    domains, labels = a_city()
    whole = DomainBalancedSampler(domains, labels, 24, 4).epoch(1)
    shares = [DomainBalancedSampler(domains, labels, 24, 4, rank=rank, world=2).epoch(1) for rank in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(batch) == sorted(parts[0] + parts[1])
        assert all(Counter(domains[p] for p in part) == {"a": 4, "b": 4, "c": 4} for part in parts)


def test_cameras_are_pairs_in_numerical_order_whatever_their_number():
    cameras = [("msmt17", camera) for camera in (11, 1, 2) for _ in range(8)] + [("market", 1)] * 8
    labels = np.tile(np.arange(8) // 4, 4)
    sampler = DomainBalancedSampler(cameras, labels, 32, 4)
    assert sampler.domains == (("market", 1), ("msmt17", 1), ("msmt17", 2), ("msmt17", 11))
    assert all(Counter(cameras[p] for p in batch) == dict.fromkeys(sampler.domains, 8) for batch in sampler.epoch(0))


def refused(text, domains, labels, *arguments, **options):
    with pytest.raises(UsageError, match=re.escape(text)):
        DomainBalancedSampler(domains, labels, *arguments, **options)


def test_what_cannot_be_balanced_is_refused_before_any_work():
    domains, labels = a_city()
    refused(
        "batch_size 80 is no batch of 3 domains x P people x 4 images: it must be a multiple of 12, at least 24. "
        "Nearest: 72 or 84.",
        domains, labels, 80, 4,
    )  # fmt: skip
    refused("at least 24. Nearest: 24.", domains, labels, 12, 4)
    refused("x 4 images, shared by 2 processes: it must be a multiple of 24, at least 24.", domains, labels, 36, 4, world=2)
    refused("a batch takes 4 people of each domain; a has fewer.", domains, labels, 48, 4)
    refused("the training images come from 1 domain: two are the least", ["a"] * 8, np.arange(8) // 4, 8, 4)
    refused("1 images a person: 2 or more", domains, labels, 24, 1)
    refused("2 domains and 3 labels", ["a", "b"], [1, 2, 3], 24, 4)
    refused("seed is -1", domains, labels, 24, 4, seed=-1)
    refused("process 2 of 2", domains, labels, 24, 4, rank=2, world=2)
    cameras = [("duke", camera) for camera in (0, 1) for _ in range(8)]
    few = np.array([0] * 8 + [0] * 4 + [1] * 4)
    refused("camera 1 of duke has fewer", cameras, few, 16, 4)
