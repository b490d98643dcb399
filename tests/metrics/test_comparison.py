"""Paired comparison of two runs, and numbers by condition."""

import re
from dataclasses import replace

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import LAYUMI, bootstrap, evaluate
from passerby.metrics.comparison import by_condition, compare


def runs(noise=(1.0, 1.0), seed=0, persons=60, each=3, dim=16):
    """Two models on the same images: hard people are hard for both."""
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, persons + 1), each)
    hard = random.uniform(0.3, 2.0, persons + 1)
    centres = random.standard_normal((persons + 1, dim))
    names = np.array([f"{row}.jpg" for row in range(len(pids))])
    shared = random.standard_normal((2, len(pids), dim))
    found = []
    for much in noise:
        sets = [
            Embeddings(
                centres[pids] + much * hard[pids, None] * (0.7 * part + 0.3 * random.standard_normal(part.shape)),
                pids,
                np.full(len(pids), camid),
                names,
            )
            for camid, part in enumerate(shared)
        ]
        found.append(evaluate(*sets))
    return found


def test_a_run_with_itself():
    a, _ = runs()
    for difference in compare(a, a).values():
        assert (difference.value, difference.interval, difference.better, difference.clear) == (0, (0, 0), 0.5, False)


@pytest.mark.parametrize("unit", ["query", "person"])
def test_a_better_run_is_clearly_better_and_the_other_way_round(unit):
    a, b = runs((1.3, 0.7))
    forth, back = compare(a, b, unit=unit), compare(b, a, unit=unit)
    for name, value in a.summary().items():
        assert forth[name].a == value and forth[name].value == pytest.approx(b.summary()[name] - value)
        assert forth[name].value == pytest.approx(-back[name].value)
    assert forth["map"].clear and forth["map"].better == 1 and back["map"].interval.high < 0


def test_pairs_are_narrower_than_two_intervals_apart():
    a, b = runs()
    paired = compare(a, b, unit="person")["map"].interval
    single = bootstrap(a, unit="person")["map"]
    assert paired.high - paired.low < 0.8 * (single.high - single.low)


def test_equal_models_are_rarely_told_apart():
    """Of thirty pairs of equally good models about one in twenty leaves out 0."""
    clear = [compare(*runs(seed=seed, persons=40), samples=300)["map"].clear for seed in range(30)]
    assert sum(clear) <= 5


def test_rows_are_paired_by_name():
    a, b = runs((1.2, 0.8))
    order = np.random.default_rng(0).permutation(b.num_queries)
    columns = ("ap", "inp", "first_rank", "num_matches", "pids", "camids", "names")
    shuffled = replace(b, **{name: getattr(b, name)[order] for name in columns})
    assert compare(a, shuffled) == compare(a, b)


def test_what_does_not_compare_is_refused():
    a, b = runs()
    fewer, _ = runs(persons=20)
    with pytest.raises(EmbeddingsError, match="run A has 180 queries, run B 60: only runs on the same queries compare"):
        compare(a, fewer)
    with pytest.raises(UsageError, match="the runs were scored by two conventions, A"):
        compare(a, replace(b, convention=LAYUMI))
    with pytest.raises(EmbeddingsError, match=re.escape("180 queries of run A are not in run B (0.jpg, 1.jpg")):
        compare(a, replace(b, names=np.char.add("x", b.names)))
    with pytest.raises(
        EmbeddingsError, match=re.escape("query 0.jpg has pid 1 in run A and 2 in run B (180 of 180 queries differ)")
    ):
        compare(a, replace(b, pids=b.pids + 1))
    with pytest.raises(EmbeddingsError, match=r"query 0\.jpg has right answers in the gallery 3 in run A and 4 in run B"):
        compare(a, replace(b, num_matches=b.num_matches + 1))
    with pytest.raises(UsageError, match="give both one max_rank"):
        compare(a, replace(b, cmc=b.cmc[:4]))
    with pytest.raises(UsageError, match="bootstrap of 0 samples"):
        compare(a, b, samples=0)


def test_conditions_by_value_and_by_range():
    a, _ = runs()
    poses = np.where(np.arange(180) % 2, "front", "back").tolist()
    poses[0] = ""
    back, front = by_condition(a, poses)
    assert (back.name, front.name, back.num_queries, front.num_queries) == ("back", "front", 89, 90)
    assert front.map == pytest.approx(a.ap[1::2].mean()) and front.rank1 == pytest.approx((a.first_rank[1::2] == 1).mean())
    assert front.map_interval.low < front.map < front.map_interval.high
    heights = list(range(180))
    small, middle, tall = by_condition(a, heights)
    assert (small.name, middle.name, tall.name) == ("0 to 59.7", "59.7 to 119", "119 to 179")
    assert small.num_queries == middle.num_queries == tall.num_queries == 60
    assert small.map == pytest.approx(a.ap[:60].mean())
    assert [found.name for found in by_condition(a, [10, 2] * 90)] == ["2", "10"]


def test_columns_that_do_not_fit():
    a, _ = runs()
    with pytest.raises(UsageError, match="a column of 3 values for 180 queries: one value a query is needed"):
        by_condition(a, [1, 2, 3])
    with pytest.raises(EmbeddingsError, match="no query that counts has a value in this column"):
        by_condition(a, [None] * 180)
