from pathlib import Path

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.plots import plot_batches
from passerby.records import Record, Split
from passerby.samplers import IdentitySampler


def some(people: int, cameras: int, domain: str = "here") -> list[Record]:
    return [Record(Path(f"{domain}{p}{c}.jpg"), p, c, domain) for p in range(1, people + 1) for c in range(cameras)]


def test_counts_by_hand(tmp_path: Path):
    split = Split(tuple(some(3, 2)))  # positions 0 1 | 2 3 | 4 5: persons 1, 2, 3 in cameras 0 and 1
    found = plot_batches(split, [[0, 1, 2, 4], [1, 3, 5, 5]], tmp_path / "batches.svg", title="by hand")
    assert found.tolist() == [[3, 1], [0, 4]]
    drawn = (tmp_path / "batches.svg").read_text()
    # three people in each batch, of whom one in both cameras in the first and none in the second
    assert "by hand" in drawn and "In the mean 3.0 people a batch, 17% of them in two cameras or more." in drawn
    assert "camera 0" in drawn and "camera 1" in drawn


def test_cameras_of_several_domains_are_told_apart(tmp_path: Path):
    split = Split(tuple(some(4, 2) + some(4, 2, "there")))
    labels = np.repeat(np.arange(8), 2)
    batches = IdentitySampler(labels, 4, 2, seed=0).epoch(0)
    found = plot_batches(split, batches, tmp_path / "batches.svg")
    assert found.shape == (2, 4) and found.sum() == 16
    assert "here c0" in (tmp_path / "batches.svg").read_text() and "there c1" in (tmp_path / "batches.svg").read_text()


def test_wrong_batches(tmp_path: Path):
    split = Split(tuple(some(2, 2)))
    for batches, text in (([], "0 batches"), ([[0], []], "2 batches, of which some"), ([[0, 4]], "position 4, the split has 4")):
        with pytest.raises(UsageError, match=text):
            plot_batches(split, batches, tmp_path / "x.png")
