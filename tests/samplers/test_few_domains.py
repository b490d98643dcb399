"""Batches of one domain or a few: whose people stand in them, that all are seen, processes, and what is refused."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.samplers import FewDomainsSampler, IdentitySampler


def a_country(people: list[int], images: int = 4) -> tuple[list[str], np.ndarray]:
    rows = [(f"town {town}", 100 * town + person) for town, many in enumerate(people) for person in range(many)]
    rows = [row for row in rows for _ in range(images)]
    return [town for town, _ in rows], np.array([label for _, label in rows])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(4, 9), min_size=3, max_size=6), st.sampled_from([1, 2]), st.integers(0, 50), st.integers(0, 3))
def test_a_batch_is_of_so_many_domains_with_equal_shares(people, count, seed, epoch):
    domains, labels = a_country(people)
    sampler = FewDomainsSampler(domains, labels, 4, 2, count, seed=seed)
    batches = sampler.epoch(epoch)
    assert len(batches) == len(sampler) > 0 and batches == sampler.epoch(epoch)
    for batch in batches:
        shown = Counter((domains[position], int(labels[position])) for position in batch)
        assert len(shown) == 4 and set(shown.values()) == {2} and len(set(batch)) == 8
        assert sorted(Counter(town for town, _ in shown).values()) == [4 // count] * count
        assert all(len(set(labels[batch[k : k + 2]])) == 1 for k in range(0, 8, 2))  # a person's images side by side
    seen = [position for batch in batches for position in batch]
    assert len(set(seen)) == len(seen)


def test_all_parts_are_shown_where_one_domain_makes_a_batch():
    domains, labels = a_country([6, 4, 8])
    sampler = FewDomainsSampler(domains, labels, 2, 2, 1)
    alone = [len(IdentitySampler(labels[[d == f"town {k}" for d in domains]], 2, 2)) for k in range(3)]
    assert len(sampler) == sum(alone)
    towns = Counter(domains[batch[0]] for batch in sampler.epoch(0))
    assert [towns[f"town {k}"] for k in range(3)] == alone
    assert sampler.epoch(0) != sampler.epoch(1)


@pytest.mark.parametrize(("count", "world"), [(1, 2), (2, 2), (2, 4), (1, 4)])
def test_the_shares_make_up_the_global_batch(count, world):
    domains, labels = a_country([8, 8, 9])
    whole = FewDomainsSampler(domains, labels, 4, 2, count, seed=3).epoch(1)
    shares = [FewDomainsSampler(domains, labels, 4, 2, count, seed=3, rank=r, world=world).epoch(1) for r in range(world)]
    assert whole == [[p for part in parts for p in part] for parts in zip(*shares, strict=True)]


@pytest.mark.parametrize(
    ("people", "P", "count", "more", "text"),
    [
        ([4, 4], 4, 3, {}, "3 domains a batch: training images come from 2; allowed is 1 to 2."),
        ([4, 4], 4, 0, {}, "0 domains a batch: training images come from 2; allowed is 1 to 2."),
        ([4, 4], 5, 2, {}, "5 people a batch are not shared by 2 domains, two of each at least. Nearest: 4 or 6."),
        (
            [4, 4],
            6,
            2,
            {"world": 4},
            "6 people a batch are not shared by 2 domains, shared by 4 processes, two",
        ),
        ([4, 2], 4, 1, {}, "a batch of 4 people of 1 domains: town 1 has 2 people, 4 are needed. Lower batch_size, or raise"),
        ([4, 4], 4, 1, {"seed": -1}, "seed is -1: give 0 or more."),
    ],
)
def test_what_it_refuses(people, P, count, more, text):
    domains, labels = a_country(people)
    with pytest.raises(UsageError) as error:
        FewDomainsSampler(domains, labels, P, 2, count, **more)
    assert str(error.value).startswith(text)


def test_domains_and_labels_go_together():
    with pytest.raises(UsageError, match="3 domains and 2 labels: give one of each an image"):
        FewDomainsSampler(["a", "a", "b"], [0, 1], 2, 2, 1)
