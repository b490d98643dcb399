"""One of the repeated splits, with the notes that belong to it."""

import pytest

from passerby.datasets import one_trial, without_trials
from passerby.errors import UsageError
from passerby.records import Record, ReidData, Split, Trial


def of(name: str) -> Split:
    return Split((Record(name, 1, 0, "viper"),))  # type: ignore[arg-type]


TRIALS = tuple(Trial(f"split {n}", of(f"q{n}"), of(f"g{n}"), of(f"t{n}"), f"this is {n}") for n in (1, 2, 12))
DATA = ReidData("viper", of("t1"), of("q1"), of("g1"), TRIALS, val=of("v"), notes=("general", "this is 1", "further"))


@pytest.mark.parametrize("name", ["split 2", "2"])
def test_a_trial_is_named_whole_or_by_its_number(name):
    found = one_trial(DATA, name)
    assert (found.train, found.query, found.gallery, found.val) == (of("t2"), of("q2"), of("g2"), of("v"))
    assert found.notes == ("general", "further", "this is 2") and found.trials == TRIALS


def test_no_name_leaves_what_the_reader_chose():
    assert one_trial(DATA, "") is DATA
    assert without_trials(DATA.notes, DATA) == ("general", "further")


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (DATA, "3", 'viper has no trial "3": split 1, split 2, split 12.'),
        (ReidData("viper", of("t"), of("q"), of("g")), "3", "viper has one fixed split, no trials: leave out --trial."),
        (
            ReidData("viper", trials=TRIALS),
            "",
            "viper has 3 repeated splits: choose one with --trial: split 1, split 2, split 12.",
        ),
    ],
)
def test_a_trial_that_there_is_not(data, name, text):
    with pytest.raises(UsageError) as refused:
        one_trial(data, name)
    assert str(refused.value) == text
