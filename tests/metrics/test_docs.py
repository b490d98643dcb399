"""docs/conventions.md lists every convention, and its examples give what they say."""

import doctest
from pathlib import Path

from passerby.metrics import CONVENTIONS

PAGE = Path(__file__).parents[2] / "docs" / "conventions.md"


def test_the_examples_of_the_page_hold():
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert failed == 0 and attempted == 12


def test_the_page_lists_every_convention():
    rows = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows == list(CONVENTIONS)
