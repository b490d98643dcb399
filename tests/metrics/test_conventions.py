"""Conventions are values that say what they mean."""

import re

import pytest

from passerby.errors import UsageError
from passerby.metrics import CONVENTIONS, CUHK03_CLASSIC, LAYUMI, MARKET1501, MARKET1501_MULTI_QUERY, Convention
from passerby.metrics.conventions import resolve, usual


def test_a_convention_says_what_its_numbers_mean():
    assert MARKET1501.in_words() == (
        "AP by the rank rule; cosine distance; junk (pid -1) dropped; own camera's matches dropped; queries without a match "
        "skipped; ties against the query"
    )
    assert LAYUMI.in_words() == (
        "AP by the trapezoid rule; cosine distance; junk (pid -1) dropped; own camera's matches dropped; queries without a match "
        "count as 0; ties against the query"
    )
    assert CUHK03_CLASSIC.in_words().endswith("one random image a person, 10 draws")
    assert MARKET1501_MULTI_QUERY.in_words().endswith("multi-query by mean")
    other = Convention("rank", "keep", "keep", "drop", "skip", "dot", "optimistic")
    assert other.in_words() == (
        "AP by the rank rule; dot product; junk (pid -1) kept as wrong answers; own camera's matches kept; distractors (pid 0) "
        "dropped; queries without a match skipped; ties for the query"
    )


def test_every_named_convention_differs_from_the_others():
    assert (
        len({convention.in_words() for convention in CONVENTIONS.values()}) == len(set(CONVENTIONS.values())) == len(CONVENTIONS)
    )


def test_a_name_finds_its_convention():
    assert resolve("layumi") is LAYUMI
    with pytest.raises(UsageError, match=re.escape('no convention "market". Did you mean "market1501"? Allowed: market1501, ')):
        resolve("market")


def test_values_outside_the_choices_are_refused():
    with pytest.raises(UsageError, match=re.escape("Convention ap is 'sum'. Allowed: rank, trapezoid.")):
        Convention(ap="sum")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=re.escape("Convention ties is 'pesimistic'. Did you mean \"pessimistic\"?")):
        Convention(ties="pesimistic")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=re.escape("Convention repeats is 0: a gallery must be drawn at least once.")):
        Convention(repeats=0)


def test_the_usual_convention_of_a_data_set():
    assert [usual(data) for data in ("cuhk03-classic-labeled", "cuhk03-np-labeled", "msmt17", "")] == [
        "cuhk03-classic", "market1501", "market1501", "market1501"
    ]  # fmt: skip
