"""The dispatcher: help, unknown verbs, exit states, errors on one line."""

import importlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from passerby import cli
from passerby.errors import DataError, UsageError


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = cli.main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_without_a_word_it_lists_the_verbs(capsys: pytest.CaptureFixture[str]):
    status, out, _ = answer([], capsys)
    assert status == 0
    assert all(name in out and verb.summary in out for name, verb in cli.VERBS.items())


def test_a_group_lists_its_verbs(capsys: pytest.CaptureFixture[str]):
    status, out, _ = answer(["data"], capsys)
    assert status == 0 and "data check" in out and "data prepare" in out and "evaluate" not in out.split("Everywhere")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evalute"], 'passerby: no verb "evalute". Did you mean "evaluate"?'),
        (["data", "chek"], 'passerby: no verb "data chek". Did you mean "data check"?'),
    ],
)
def test_a_misspelt_verb_names_the_nearest(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    status, _, err = answer(words, capsys)
    assert status == 2 and err.startswith(said)


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]):
    status, out, _ = answer([*name.split(), "--help"], capsys)
    assert status == 0 and "usage:" in out and "passerby" in out


def test_an_unknown_flag_is_wrong_usage(capsys: pytest.CaptureFixture[str]):
    status, _, err = answer(["data", "check", "somewhere", "--quik"], capsys)
    assert status == 2 and "--quik" in err and "--quick" in err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UsageError("--k is 0."), 2, "passerby: --k is 0.\n"),
        (DataError("empty."), 1, "passerby: empty.\n"),
        (FileNotFoundError(2, "No such file or directory", "x.jpg"), 1, "passerby: No such file or directory: x.jpg\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, "passerby: Broken pipe\n"),  # not of the output: a process of ours has gone
        (KeyboardInterrupt(), 130, "passerby: interrupted; what was finished is kept\n"),
    ],
)
def test_errors_are_one_line(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fails(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(main=fails))
    assert answer(["train"], capsys)[::2] == (status, said)
    assert "Traceback" in answer(["train", "--debug"], capsys)[2]


def test_a_reader_who_has_enough_is_no_error():
    """`passerby --help | head -1`."""
    script = "import sys; from passerby.cli import main; sys.exit(main(['--help']))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # before anything is written
        assert process.wait() == 141 and process.stderr.read() == b""


def test_help_does_not_import_torch():
    script = "import sys; from passerby.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
