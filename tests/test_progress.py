"""Progress says nothing about short work, and counts right about long work."""

import pytest

from passerby import progress


def test_short_work_is_silent(capsys: pytest.CaptureFixture[str]):
    assert list(progress.track([1, 2, 3], "reading")) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_long_work_gets_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(progress.track(range(6), "reading", unit="files")) == list(range(6))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading: 1/6 files, ")
    assert lines[-1].startswith("reading: 6/6 files, ")
    assert len(lines) < 6  # one line in ten seconds, not one an item


def test_a_meter_closes_when_the_work_fails():
    with pytest.raises(ZeroDivisionError), progress.meter("dividing", 2) as shown:
        shown.advance()
        _ = 1 / 0
    assert shown.done == 1
