"""The exception tree and the two ways in which messages name things."""

import re

import pytest

from passerby import errors


def tree() -> list[type[errors.PasserbyError]]:
    found = [getattr(errors, name) for name in errors.__all__]
    return [each for each in found if isinstance(each, type)]


def test_everything_raised_on_purpose_has_one_root():
    assert all(issubclass(each, errors.PasserbyError) for each in tree())


def test_the_drawing_in_the_docstring_is_the_tree():
    assert errors.__doc__ is not None
    drawn = re.findall(r"\b(\w+Error)\b", errors.__doc__)
    assert set(drawn) == {each.__name__ for each in tree()}


def test_only_wrong_usage_exits_with_two():
    assert {each.__name__: each.exit_code for each in tree() if each.exit_code != 1} == {"UsageError": 2}


@pytest.mark.parametrize(
    ("items", "said"), [([], ""), ([1], "1"), ("abcde", "a, b, c, d, e"), ("abcdefg", "a, b, c, d, e and 2 more")]
)
def test_a_listing_names_five_and_counts_the_rest(items, said: str):
    assert errors.listing(items) == said


def test_a_name_that_is_near_none_gets_no_guess():
    assert errors.nearest("zzz", ["market1501", "msmt17"]) == "Allowed: market1501, msmt17."
