"""Wrong words are one line; help is tyro's."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from passerby.cli import VERBS, main
from passerby.cli.parsing import parse
from passerby.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Do it."""

    out: Path
    """new folder"""
    epochs: int = 3
    """how often"""


def test_words_become_options():
    assert parse(Options, "passerby do", ["--out", "x", "--epochs", "4"]) == Options(Path("x"), 4)
    assert parse(Options, "passerby do", [], Options(Path("y"))) == Options(Path("y"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x", "--epochs", "no"], "Error parsing --epochs: invalid literal for int() with base 10: 'no'"),
        (["--out", "x", "--epoch", "4"], "Unrecognized options: --epoch"),
        ([], "--out"),
    ],
)
def test_what_does_not_fit_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UsageError) as error:
        parse(Options, "passerby do", words)
    text = str(error.value)
    assert said in text and "\n" not in text and text.endswith("See: passerby do --help") and "│" not in text
    assert capsys.readouterr() == ("", "")


def test_help_is_printed_and_is_no_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        parse(Options, "passerby do", ["--help"])
    assert not stop.value.code and "how often" in capsys.readouterr().out


@dataclass(frozen=True)
class More(Options):
    """Do more."""

    where: str = ""
    """a place (default: what the variable says, else
    the working folder)"""
    names: tuple[str, ...] = ()
    """names of them"""
    report: Path | None = None
    """report to write"""


def test_help_says_a_default_only_where_it_is_a_value_and_breaks_no_lines_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    before = dict(More.__annotations__)
    with pytest.raises(SystemExit):
        parse(More, "passerby do", ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "a place (default: what the variable says, else the working folder) --names" in text
    assert "how often (default: 3)" in text and "new folder (required)" in text
    assert "default: )" not in text and "default: '')" not in text and "default: None)" not in text
    assert More.__annotations__ == before


def test_every_verbs_help_says_no_empty_default(capsys: pytest.CaptureFixture[str]):
    for name in VERBS:
        assert main([*name.split(), "--help"]) == 0
    for recipe in ("baseline", "metabin", "cail-mixup", "ognet", "camera-bn"):
        assert main(["train", recipe, "--help"]) == 0
    text = capsys.readouterr().out
    assert "(default: )" not in text and "(default: '')" not in text and "(default: None)" not in text
