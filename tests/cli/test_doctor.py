"""The doctor says what is there, tries the main parts, and fails where one does not work."""

import json
from pathlib import Path

import pytest

import passerby
from passerby.cli import doctor_checks, main


def test_it_names_copy_versions_devices_and_extras(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--no-self-test", "--json", str(tmp_path / "told.json")]) == 0
    said = capsys.readouterr().out
    assert f"imported from {Path(passerby.__file__).parent}" in said
    assert "libraries: " in said and "device: cpu, " in said and "extra video" in said
    told = json.loads((tmp_path / "told.json").read_text())
    assert {"torch", "timm", "numba"} <= set(told["libraries"]) and told["trials"] == []
    named = {extra for _, extra in doctor_checks._requirements() if extra}
    assert set(told["extras"]) == named - {"all"} and {"video", "parquet"} <= named


def test_the_parts_are_tried(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    chosen = {name: check for name, check in doctor_checks._CHECKS.items() if name != "render"}  # that one has tests of its own
    monkeypatch.setattr(doctor_checks, "_CHECKS", chosen)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "ok      evaluator: hand-worked query, mAP 0.500 (0.500), Rank-1 0 (0), Rank-2 1 (1)" in said
    assert "ok      training and artefact: loss" in said and "BROKEN" not in said


def test_a_part_that_breaks_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def broken(folder: Path) -> tuple[bool, str]:
        raise RuntimeError("no such kernel\nand more")

    checks = {"evaluator": broken, "counting": lambda folder: (False, "2 is not 1"), "extra": lambda folder: (None, "not there")}
    monkeypatch.setattr(doctor_checks, "_CHECKS", checks)
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "BROKEN  evaluator: RuntimeError: no such kernel\n" in captured.out
    assert "BROKEN  counting: 2 is not 1" in captured.out and "skipped extra: not there" in captured.out
    assert "evaluator, counting does not work here: install passerby anew" in captured.err


def test_states_of_libraries(monkeypatch: pytest.MonkeyPatch):
    assert doctor_checks._state("numpy")[0].isdigit()
    assert doctor_checks._state("no-such-distribution-anywhere") == "missing"
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert doctor_checks._state("PyYAML").startswith("broken: ")


def test_a_second_copy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "passerby").mkdir()
    (tmp_path / "passerby" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    (warning,) = [each for each in doctor_checks.package()["warnings"] if "further copies" in each]
    assert str(tmp_path / "passerby") in warning
