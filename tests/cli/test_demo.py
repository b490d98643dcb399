"""The demo goes the whole way; here with few people and one epoch."""

import json
from pathlib import Path

import pytest

from passerby.cli import main
from passerby.cli.demo import Options, _config

NOTE = "rendered people: town market, 9 + 4 people, seed 0; no part of Street-v1"
SMALL = ["--town", "market", "--train-people", "9", "--test-people", "4", "--views", "4", "--workers", "1"]


def test_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, found = tmp_path / "demo", tmp_path / "demo.json"
    assert main(["demo", "--out", str(out), *SMALL, "--epochs", "1", "--json", str(found)]) == 0
    said = capsys.readouterr().out
    assert [f"[{stage}/8]" in said for stage in range(1, 9)] == [True] * 8
    for words in (
        "convention: AP by the rank rule",
        NOTE,
        "colour histogram",
        "house model",
        f"Open {out / 'report.html'} first.",
    ):
        assert words in said
    made = ("report.html", "ranking.png", "curves.png", "run/artefact/passerby.json", "data/preview.jpg", "embeddings/query.npz")
    made += ("search.png", "street.gallery")
    assert all((out / name).is_file() for name in made)
    scores = json.loads(found.read_text())
    assert scores["notes"][0] == NOTE and "trained on other people of this town" in scores["notes"][1]
    assert scores["house"]["map"] > scores["network"]["map"]  # one epoch on nine people
    assert "house model" in (out / "report.html").read_text(encoding="utf-8")
    assert 0 <= scores["network"]["map"] <= 1
    assert scores["network"]["num_valid"] == scores["histogram"]["num_valid"] == scores["house"]["num_valid"] == 8
    assert main(["demo", "--out", str(out), *SMALL, "--epochs", "1", "--json", str(found)]) == 0  # shown again, not trained again
    assert json.loads(found.read_text())["network"] == scores["network"]


def test_without_imagenet_weights_it_trains_from_scratch(monkeypatch: pytest.MonkeyPatch):
    from passerby.models import weights

    monkeypatch.setattr(weights, "find_installed_weights", lambda _: Path("weights.pt"))
    config = _config(Options(epochs=3))
    assert (config.backbone, config.weights, config.epochs) == ("mobilenet_v2", "auto", 3)
    monkeypatch.setattr(weights, "find_installed_weights", lambda _: None)
    config = _config(Options(epochs=2))
    assert (config.backbone, config.weights, config.epochs) == ("osnet_x0_25", "scratch", 2)


def test_no_epochs_only_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--out", str(tmp_path), *SMALL, "--epochs", "0"]) == 0
    assert f"rendered: {tmp_path / 'data'}" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--epochs", "-1"), "--epochs is -1: 0 only renders the people, 1 or more trains."),
        (("--train-people", "1"), "--train-people is 1, --test-people 40: each needs 2 or more to tell apart."),
        (("--test-people", "0"), "--train-people is 64, --test-people 0: each needs 2 or more to tell apart."),
        (("--town", "harbor"), 'no town "harbor". Did you mean "harbour"? Allowed: arcade, campus, harbour, market, station'),
        (("--views", "1"), "views is 1: each person needs 2 to 100 crops, seen by at least two cameras."),
        (("--workers", "-1"), "workers is -1: at least one process must draw."),
    ],
)  # fmt: skip
def test_wrong_calls_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], text: str):
    assert main(["demo", "--out", str(tmp_path / "demo"), *words]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
