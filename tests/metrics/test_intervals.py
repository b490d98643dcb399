"""Bootstrap intervals: they follow the seed, hold the number, and are as wide as they should be."""

import re

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.metrics import CUHK03_CLASSIC, LAYUMI, MARKET1501, bootstrap, evaluate_distances
from passerby.metrics.intervals import Interval


def scores(Q=200, seed=0, convention=MARKET1501, persons=40):
    rng = np.random.default_rng(seed)
    query, gallery = rng.integers(1, persons + 1, Q), np.arange(1, persons)  # person `persons` is not there
    return evaluate_distances(
        rng.normal(size=(Q, len(gallery))) - 2 * (query[:, None] == gallery),
        query,
        gallery,
        [0] * Q,
        [1] * len(gallery),
        convention,
    )


@pytest.mark.parametrize("convention", [MARKET1501, LAYUMI, CUHK03_CLASSIC])
@pytest.mark.parametrize("unit", ["query", "person"])
def test_intervals_hold_the_number_and_follow_the_seed(convention, unit):
    given = scores(convention=convention)
    intervals = bootstrap(given, samples=300, unit=unit, seed=5)
    assert list(intervals) == ["rank1", "rank5", "rank10", "map", "minp"]
    for name, value in given.summary().items():
        assert intervals[name].low < value < intervals[name].high
    assert intervals == bootstrap(given, samples=300, unit=unit, seed=5) != bootstrap(given, samples=300, unit=unit, seed=6)


def test_the_width_is_that_of_a_share():
    """Rank-1 of N independent queries has the standard error sqrt(p (1 - p) / N)."""
    given = scores(Q=1000)
    p, N = given.rank(1), given.num_valid
    low, high = bootstrap(given, samples=4000)["rank1"]
    assert (high - low) / (2 * 1.96 * np.sqrt(p * (1 - p) / N)) == pytest.approx(1, abs=0.08)


def test_equals_a_loop_over_redrawn_queries():
    given = scores(Q=60)
    rng, N = np.random.default_rng(3), given.num_valid
    drawn = [given.ap[given.valid][rng.integers(0, N, (1, N))[0]].mean() for _ in range(500)]
    looped = Interval(*np.quantile(drawn, [0.05, 0.95]))
    # one draw at a time, or all draws of a matrix at once, take the same numbers from the generator
    assert bootstrap(given, samples=500, level=0.9, seed=3)["map"] == pytest.approx(looped, rel=1e-12)


def test_many_samples_are_drawn_in_parts(monkeypatch):
    given = scores()
    whole = bootstrap(given, samples=50)
    monkeypatch.setattr("passerby.metrics.intervals._CELLS", 1000)
    assert bootstrap(given, samples=50) == {name: pytest.approx(interval) for name, interval in whole.items()}


def test_persons_with_many_like_queries_widen_the_interval():
    """Ten copies of every query say nothing new: drawing persons sees it, drawing queries does not."""
    rng = np.random.default_rng(0)
    distances = rng.normal(size=(100, 99)) - 2 * np.eye(100, 99)
    labels = np.arange(1, 101), np.arange(1, 100), [0] * 100, [1] * 99
    one = evaluate_distances(distances, *labels)
    ten = evaluate_distances(np.repeat(distances, 10, 0), np.repeat(labels[0], 10), labels[1], [0] * 1000, labels[3])
    width = {name: np.diff(bootstrap(given, unit=unit)["map"])[0] for name, given, unit in (
        ("one", one, "query"), ("ten by query", ten, "query"), ("ten by person", ten, "person"))}  # fmt: skip
    assert width["ten by person"] == pytest.approx(width["one"], rel=0.1)
    assert width["ten by query"] < 0.4 * width["one"]


@pytest.mark.parametrize("bad", [{"samples": 0}, {"level": 1.0}, {"level": 0.0}, {"unit": "camera"}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(UsageError, match=re.escape("1 to 1,000,000 samples, 0 < level < 1, query or person.")):
        bootstrap(scores(), **bad)
