"""Protocols as data: what they train on and measure, and the trials that they refuse."""

import math
from pathlib import Path

import numpy as np
import pytest

from passerby import datasets
from passerby.errors import DataError, UsageError
from passerby.metrics.generalization import PROTOCOLS, Target, average, check_trials, protocol, spread
from passerby.records import Record, Split, Trial


def test_every_protocol_names_data_sets_that_there_are_and_never_measures_on_a_source():
    assert set(PROTOCOLS) == {
        "p1", "p1-without-duke", "p2-m", "p2-ms", "p2-c3", "p3-m", "p3-ms", "p3-c3", "market1501->dukemtmc",
        "dukemtmc->market1501",
    }  # fmt: skip
    families = {"market1501": "M", "dukemtmc": "D", "msmt17": "MS", "cuhk03": "C3"}

    def family(name: str) -> str:
        return next((short for start, short in families.items() if name.startswith(start)), name)

    for found in PROTOCOLS.values():
        names = [*found.sources, *(target.dataset for target in found.targets)]
        assert [datasets.resolve(name) for name in names] == names
        assert not {family(name) for name in found.sources} & {family(target.dataset) for target in found.targets}
        assert datasets.resolve(found.training_data) == found.training_data
        assert all(set(row.targets) == {target.dataset for target in found.targets} for row in found.published)


def test_published_means_are_those_of_the_published_table():
    mobile, resnet = PROTOCOLS["p1"].published
    for row, expected in ((mobile, (64.69, 81.44, 86.86, 72.34)), (resnet, (65.96, 83.34, 87.30, 73.60))):
        means = [100 * sum(figures[i] for figures in row.targets.values()) / 4 for i in range(4)]
        assert means == pytest.approx(expected, abs=0.04)


def test_any_pair_can_be_written():
    found = protocol("market1501+cuhk02->viper,grid")
    assert found.sources == ("cuhk02", "market1501") and found.targets == (Target("viper", "a"), Target("grid"))
    with pytest.raises(UsageError, match=r'no protocol "p4". Did you mean "p1"\? .* Or write SOURCE\+SOURCE->TARGET,TARGET.'):
        protocol("p4")
    with pytest.raises(UsageError, match='protocol "grid->grid" trains on grid and measures on it: that is no unseen domain'):
        protocol("grid->grid")


def a_trial(name: str, *pids: int) -> Trial:
    split = Split(tuple(Record(Path(f"{pid}.png"), pid, 0, "x") for pid in pids))
    return Trial(name, split, split)


def test_trials_are_chosen_by_the_end_of_their_names():
    assert [t.name for t in Target("viper", "a").chosen([a_trial("1a", 1), a_trial("1b", 1), a_trial("10a", 1)])] == ["1a", "10a"]
    assert len(Target("grid").chosen([a_trial("1", 1)])) == 1


def test_trials_that_are_none_are_refused():
    check_trials("x", [a_trial("1", 1, 2), a_trial("2", 1, 3)])
    with pytest.raises(DataError, match='x: trials "1" and "2" hold the same images: one of them is no trial'):
        check_trials("x", [a_trial("1", 1, 2), a_trial("2", 2, 1)])
    with pytest.raises(DataError, match='x, trial "1": 0 queries, 0 gallery images'):
        check_trials("x", [a_trial("1")])
    with pytest.raises(DataError, match="x: none of its trials counts in this protocol"):
        check_trials("x", [])
    check_trials("x", [a_trial("1", 1, 2), a_trial("2", 1, 3)], count=2)
    with pytest.raises(DataError, match="x: 2 trials count in this protocol, which has 10"):
        check_trials("x", [a_trial("1", 1, 2), a_trial("2", 1, 3)], count=10)
    assert all(target.count == 10 for target in PROTOCOLS["p1"].targets)


def test_copies_of_a_split_in_another_folder_are_no_other_split():
    def split_folder(name: str) -> Trial:
        split = Split(tuple(Record(Path(f"split_{name}") / f"p{pid:03d}_c1_d000.png", pid, 0, "viper") for pid in (1, 2)))
        return Trial(name, split, split)

    with pytest.raises(DataError, match='viper: trials "1a" and "2a" hold the same images'):
        check_trials("viper", [split_folder("1a"), split_folder("2a")])


def test_spread_is_the_population_deviation_and_zero_is_refused():
    mean, std = spread("x", [{"map": 0.2, "n": math.nan}, {"map": 0.4, "n": math.nan}])
    assert mean["map"] == pytest.approx(0.3) and std["map"] == pytest.approx(0.1) and math.isnan(mean["n"])
    assert spread("x", [{"map": 0.2}]) == ({"map": 0.2}, {"map": 0.0})
    assert spread("x", [{"map": 1.0}, {"map": 1.0}])[0] == {"map": 1.0}  # the ceiling repeats honestly
    with pytest.raises(DataError, match="x: 2 trials gave exactly the same numbers, so they were one and the same"):
        spread("x", [{"map": 0.2}, {"map": 0.2}])
    assert np.std([0.3] * 10) > 0  # rounding alone
    with pytest.raises(DataError, match="x: 10 trials gave exactly the same numbers"):
        spread("x", [{"map": 0.3}] * 10)


def test_the_average_counts_every_target_once():
    assert average({"a": {"map": 0.2}, "b": {"map": 0.6}}) == {"map": pytest.approx(0.4)}
