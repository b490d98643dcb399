"""People with few images stand as often as people with many."""

from collections import Counter

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.samplers import BalancedSampler, ClassSampler

LABELS = [7] * 90 + [3] * 9 + [5]


def test_balanced_draws_show_every_class_equally_often():
    sampler = BalancedSampler(LABELS, 8, seed=1)
    shown = [position for epoch in range(40) for batch in sampler.epoch(epoch) for position in batch]
    assert len(sampler) == 12 == len(sampler.epoch(0)) and {len(batch) for batch in sampler.epoch(0)} == {8}
    shares = Counter(LABELS[position] for position in shown)
    assert all(abs(count / len(shown) - 1 / 3) < 0.03 for count in shares.values()) and set(shown) == set(range(100))


def test_passes_hold_the_same_number_of_each_class():
    sampler = ClassSampler(LABELS, 4, 6, seed=1)
    batches = sampler.epoch(0)
    assert len(sampler) == len(batches) == 9 * 2  # ceil(100 / 12) passes of 12 images
    for first in range(0, 18, 2):
        assert Counter(LABELS[position] for position in batches[first] + batches[first + 1]) == {7: 4, 3: 4, 5: 4}


def test_market1501_as_published():
    assert len(ClassSampler(np.arange(12_936) % 751, 3, 36)) == 372


@pytest.mark.parametrize("make", [lambda **o: BalancedSampler(LABELS, 12, **o), lambda **o: ClassSampler(LABELS, 8, 12, **o)])
def test_epochs_follow_from_the_seed_and_processes_share_a_batch(make):
    whole = make(seed=3)
    assert whole.epoch(2) == make(seed=3).epoch(2) != whole.epoch(3) and whole.epoch(2) != make(seed=4).epoch(2)
    shares = [make(seed=3, rank=rank, world=3).epoch(2) for rank in range(3)]
    assert [[*a, *b, *c] for a, b, c in zip(*shares, strict=True)] == whole.epoch(2)


REFUSED = {
    "batch_size 9 cannot be shared by 2 processes: it must be a multiple of 2. Nearest: 8 or 10.": lambda: BalancedSampler(
        LABELS, 9, world=2
    ),
    "100 training images do not fill a batch of 101. Lower batch_size.": lambda: BalancedSampler(LABELS, 101),
    "0 images a class in a pass: give 1 or more.": lambda: ClassSampler(LABELS, 0, 2),
    "a pass of 2 images of each of 3 classes does not fill a batch of 8. Lower batch_size, or take more images a class.": (
        lambda: ClassSampler(LABELS, 2, 8)
    ),
    "seed is -1: give 0 or more.": lambda: ClassSampler(LABELS, 2, 2, seed=-1),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text: str):
    with pytest.raises(UsageError) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
