"""The examples refuse wrong calls in one line before they compute, and measure what they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import passerby
from passerby.errors import DataError
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


def test_a_model_that_is_not_there_is_told_in_one_line(script, films: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(script, "films_of", lambda folder, library: [])
    pytest.importorskip("trackers")
    assert 'no model "hous": there is no such' in said(script, monkeypatch, films, "--model", "hous")


@pytest.mark.parametrize(("library", "module"), [("boxmot", "boxmot"), ("deep-sort-realtime", "deep_sort_realtime")])
def test_a_missing_tracker_is_told_before_a_film_is_read(
    script, films: Path, monkeypatch: pytest.MonkeyPatch, library: str, module: str
):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else found(name))
    assert said(script, monkeypatch, films, "--library", library) == f"{module} is not installed: pip install {library}"


def test_adapted_vectors_have_the_statistics_of_the_film(script):
    embedder, random = passerby.load(device="cpu"), np.random.default_rng(0)
    light = [Image.fromarray(random.integers(160, 255, (128, 64, 3), np.uint8)) for _ in range(20)]
    plain, ready = embedder(light), script.fitted(embedder, "gate", light)
    vectors = ready(light, "gate")
    assert vectors.shape == plain.shape and np.mean(vectors @ vectors.T) < np.mean(plain @ plain.T)  # what all share is gone
    with pytest.raises(DataError, match="camera gate has 3 images, its statistics need 16 or more"):
        script.fitted(embedder, "gate", light[:3])


def places_of(lines: list[str]) -> dict[str, set[float]]:
    """Where each track was, in steps of 10 px."""
    places: dict[str, set[float]] = {}
    for row in (line.split(",") for line in lines):
        places.setdefault(row[1], set()).add(round(float(row[2]), -1))
    return places


def test_without_appearance_overlap_decides_and_not_the_order_of_the_boxes(script):
    pytest.importorskip("deep_sort_realtime")
    pytest.importorskip("trackers")
    corners = np.array([[100, 50, 140, 150], [130, 50, 170, 150]], np.float32)
    frames = [(Boxes.of(corners[:: (-1) ** n], np.array([0.9, 0.9], np.float32)), np.zeros((2, 2))) for n in range(12)]
    for lines in (script.by_deepsort(frames, most=None, max_age=30), script.by_bytetrack(frames, fps=25.0, max_age=30)):
        assert sorted(map(len, places_of(lines).values())) == [1, 1] and len(lines) >= 18


def test_every_tracker_of_boxmot_follows_two_people_with_vectors_and_without(script):
    pytest.importorskip("boxmot")
    corners = np.array([[100, 50, 140, 150], [300, 50, 340, 150]], np.float32)
    frames = [(Boxes.of(corners, np.array([0.9, 0.9], np.float32)), np.eye(2, 8, dtype=np.float32)) for _ in range(12)]
    frames.insert(6, (Boxes.of(corners[:0], np.zeros(0, np.float32)), np.zeros((0, 8), np.float32)))
    for tracker in script.BOXMOT:
        for vectors in (True, False):
            lines = script.by_boxmot(frames, tracker, vectors=vectors, max_age=30)
            assert sorted(map(len, places_of(lines).values())) == [1, 1] and len(lines) >= 18, tracker
