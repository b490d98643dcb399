"""The demo goes the whole way; here with few people and one epoch."""

import json
from pathlib import Path

import pytest

from passerby.cli import main
from passerby.datasets.drawn import NOTE

SMALL = ["--train-people", "9", "--test-people", "4", "--cameras", "2"]


def test_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, found = tmp_path / "demo", tmp_path / "demo.json"
    assert main(["demo", "--out", str(out), *SMALL, "--epochs", "1", "--json", str(found)]) == 0
    said = capsys.readouterr().out
    assert [f"[{stage}/6]" in said for stage in range(1, 7)] == [True] * 6
    for words in ("convention: AP by the rank rule", NOTE, "colour histogram", f"Open {out / 'ranking.png'} first."):
        assert words in said
    made = ("ranking.png", "curves.png", "run/artefact/passerby.json", "data/dataset.json", "embeddings/query.npz")
    assert all((out / name).is_file() for name in made)
    scores = json.loads(found.read_text())
    assert scores["notes"] == [NOTE] and 0 <= scores["network"]["map"] <= 1
    assert scores["network"]["num_valid"] == scores["histogram"]["num_valid"] == 8
    assert main(["demo", "--out", str(out), *SMALL, "--epochs", "1", "--json", str(found)]) == 0  # shown again, not trained again
    assert json.loads(found.read_text())["network"] == scores["network"]


def test_no_epochs_only_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--out", str(tmp_path), *SMALL, "--epochs", "0"]) == 0
    assert f"drawn: {tmp_path / 'data'}" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_epochs_below_0(capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--epochs", "-1"]) == 2
    assert "--epochs is -1: 0 only draws the people, 1 or more trains." in capsys.readouterr().err
