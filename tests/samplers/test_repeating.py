"""Batches out of full permutations."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.samplers.repeating import RepeatingSampler


def test_every_image_comes_in_every_epoch_and_the_last_batch_is_full():
    sampler = RepeatingSampler(10, 4)
    for epoch in range(3):
        batches = sampler.epoch(epoch)
        assert [len(batch) for batch in batches] == [4, 4, 4] and len(sampler) == 3
        assert {position for batch in batches for position in batch} == set(range(10))


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 5))
def test_images_come_equally_often_and_never_twice_in_a_batch(length: int, size: int, batches: int, seed: int, epoch: int):
    if length < size:
        return
    found = RepeatingSampler(length, size, batches, seed=seed).epoch(epoch)
    assert [len(batch) for batch in found] == [size] * batches
    assert all(len(set(batch)) == size for batch in found)
    counts = Counter(position for batch in found for position in batch)
    times = [counts[position] for position in range(length)]
    assert max(times) - min(times) <= 1 and min(times) == batches * size // length


def test_permutations_follow_each_other_whole():
    flat = [position for batch in RepeatingSampler(6, 4, 6).epoch(0) for position in batch]
    assert [sorted(flat[i : i + 6]) for i in range(0, 24, 6)] == [list(range(6))] * 4


def test_epochs_differ_and_follow_from_the_seed():
    sampler = RepeatingSampler(50, 10, seed=3)
    assert sampler.epoch(1) == RepeatingSampler(50, 10, seed=3).epoch(1)
    assert sampler.epoch(0) != sampler.epoch(1)
    assert sampler.epoch(0) != RepeatingSampler(50, 10, seed=4).epoch(0)


def test_processes_share_every_batch():
    whole = RepeatingSampler(20, 6, 5).epoch(2)
    parts = [RepeatingSampler(20, 6, 5, rank=rank, world=3).epoch(2) for rank in range(3)]
    assert whole == [[position for part in parts for position in part[i]] for i in range(5)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"length": 3, "batch_size": 4}, "3 images do not fill a batch of 4"),
        ({"length": 9, "batch_size": 0}, "batches of 0 images"),
        ({"length": 9, "batch_size": 3, "batches": 0}, "0 an epoch: both are 1 or more"),
        ({"length": 9, "batch_size": 3, "world": 2}, "cannot be shared by 2 processes"),
        ({"length": 9, "batch_size": 3, "seed": -1}, "seed is -1"),
        ({"length": 9, "batch_size": 4, "rank": 2, "world": 2}, "process 2 of 2"),
    ],
)
def test_bad_numbers_are_refused(arguments: dict, text: str):
    with pytest.raises(UsageError, match=text):
        RepeatingSampler(**arguments)
