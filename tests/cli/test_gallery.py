"""The verbs that put a gallery in order."""

import json
from pathlib import Path

import numpy as np
import pytest

from passerby.artefact import load
from passerby.cli import main
from passerby.gallery import Gallery, Model, NewSighting, Thresholds

START = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three people in two cameras."""
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=Model("aaaaaaaaaaaa-1", "test model", 4)) as gallery:
        gallery.add(
            [
                NewSighting(
                    f"{who} {camera}", np.eye(4)[who] + 0.01 * place, camera, START + 1000 * who + 100 * place, f"t{who}",
                    thumbnail=None,
                )
                for who in range(3)
                for place, camera in enumerate(["lobby", "yard"])
            ]
        )  # fmt: skip
    return path


def run(*words: object) -> int:
    return main([str(word) for word in words])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_info_says_what_there_is(path: Path, tmp_path: Path, capsys):
    assert run("gallery", "info", path, "--json", tmp_path / "i.json") == 0
    text = said(capsys)
    assert "6 tracks, 6 crops, 0 identities" in text and "test model, 4 dimensions" in text and "thresholds: none" in text
    facts = json.loads((tmp_path / "i.json").read_text())
    assert facts["cameras"] == ["lobby", "yard"] and facts["crops"] == 6 and facts["span"] == [START, START + 2100]
    with Gallery.open(path) as gallery:
        gallery.set_thresholds(Thresholds(0.8, 0.5, 0.001))
        gallery.set_transitions({("lobby", "yard"): 40})
    run("gallery", "info", path)
    assert "same from 0.8000 on (0.1 % of pairs of different people pass), different below 0.5000" in (text := said(capsys))
    assert "ways between cameras: 1 known" in text


def test_people_are_named_put_together_and_apart(path: Path, tmp_path: Path, capsys):
    assert run("gallery", "name", path, "Ann", "--sightings", 1, 2) == 0
    assert 'identity 1 "Ann": 2 crops, 0 rejected' in said(capsys)
    assert run("gallery", "name", path, "Bob", "--sightings", 3) == 0
    assert run("gallery", "name", path, "Bob", "--sightings", 4, "--reject", 5, "--to", "Robert") == 0
    assert 'identity 2 "Robert": 2 crops, 1 rejected' in said(capsys)
    assert run("gallery", "merge", path, "Ann", 2) == 0
    assert "identity 1: 4 crops; 2 is gone" in said(capsys)
    assert run("gallery", "split", path, "Ann", "--sightings", 3, 4, "--name", "Carl") == 0
    assert "identity 1: 2 crops; identity 3: 2 crops" in said(capsys)
    assert run("gallery", "identities", path, "--json", tmp_path / "p.json") == 0
    assert [person["name"] for person in json.loads((tmp_path / "p.json").read_text())] == ["Ann", "Carl"]
    capsys.readouterr()
    assert run("gallery", "identities", path, "--of", "Carl") == 0
    assert "identity 3: 2 crops; 0 rejected" in (text := said(capsys)) and "2023-11-14 22:30:00" in text
    assert run("gallery", "undo", path) == 0
    assert 'taken back: split, 2 sightings of "Ann" as "Carl"' in said(capsys)
    assert run("gallery", "audit", path, "--limit", 2, "--json", tmp_path / "a.json") == 0
    assert [event["action"] for event in json.loads((tmp_path / "a.json").read_text())] == ["undo", "split"]
    assert "taken back" in said(capsys)
    for _ in range(9):
        run("gallery", "undo", path)
    assert "nothing to take back" in said(capsys)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["gallery", "name", "Ann"], '"Ann" is there already: give --sightings, --reject or --to'),
        (["gallery", "name", "Anne", "--to", "X"], 'no identity "Anne" in this gallery. Did you mean "Ann"'),
        (["gallery", "merge", "Ann", "9"], 'no identity "9" in this gallery'),
        (["gallery", "erase"], "0 things to erase are named: give one of --identity NAME"),
        (["gallery", "erase", "--older-than", "30"], '--older-than is "30": a span of time is written like 30d'),
        (["gallery", "set"], "nothing to set: give --model for thresholds, or --transitions"),
    ],
)
def test_what_does_not_fit_is_told(path: Path, capsys, words: list[str], text: str):
    with Gallery.open(path) as gallery:
        gallery.create_identity("Ann", [1])
    assert run(*words[:2], path, *words[2:]) == 2
    assert text in said(capsys)


def test_a_gallery_without_people_says_so(path: Path, capsys):
    assert run("gallery", "merge", path, "Ann", "Bob") == 2
    assert 'no identity "Ann" in this gallery. It has none yet.' in said(capsys)


@pytest.mark.parametrize(
    ("words", "count"), [(["--identity", "Ann"], 2), (["--sightings", "1", "3"], 2), (["--older-than", "52w"], 6)]
)
def test_erasing_is_announced_and_done(path: Path, capsys, words: list[str], count: int):
    with Gallery.open(path) as gallery:
        gallery.create_identity("Ann", [1, 2])
    assert run("gallery", "erase", path, *words) == 0
    assert f"{count} of 6 crops would be erased for good. Do it: add --yes" in said(capsys)
    assert run("gallery", "erase", path, *words, "--yes") == 0
    assert f"{count} crops erased, {6 - count} left; nothing of them is in its files" in said(capsys)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 6 - count


def test_a_copy_is_the_same(path: Path, tmp_path: Path, capsys):
    assert run("gallery", "copy", path, tmp_path / "other.gallery") == 0
    assert "6 crops, 0 identities" in said(capsys)
    assert run("gallery", "copy", path, tmp_path / "other.gallery") == 1
    assert "holds 6 sightings already" in said(capsys)


def test_ways_are_set_from_a_table(path: Path, tmp_path: Path, capsys):
    table = tmp_path / "ways.csv"
    table.write_text("from,to,seconds\nlobby,yard,40\nlobby,gate,10.5\n")
    assert run("gallery", "set", path, "--transitions", table) == 0
    assert 'note: no crop of camera "gate" is in this gallery yet ways between cameras: 2' in said(capsys)
    with Gallery.open(path) as gallery:
        assert gallery.transitions.least_s("gate", "lobby") == 10.5
    table.write_text("from,to\nlobby,yard\n")
    assert run("gallery", "set", path, "--transitions", table) == 1
    assert "is no list of ways (KeyError: 'seconds'): give a CSV with the columns from, to, seconds" in said(capsys)
    assert run("gallery", "set", path, "--transitions", tmp_path / "none.csv") == 1
    assert "No such file or directory" in said(capsys)


def test_thresholds_come_from_the_gallerys_own_model_in_its_own_form(tmp_path: Path, capsys):
    pytest.importorskip("onnxruntime", reason="the int8 form needs it")
    for form, other in (("house", "house-int8"), ("house-int8", "house")):
        path = tmp_path / form
        with Gallery.open(path, create=True, model=Model.of(load(form, device="cpu"))):
            pass
        assert run("gallery", "set", path, "--model", other) == 1
        assert "thresholds of one model mean nothing for another" in said(capsys)
        assert run("gallery", "set", path, "--model", form) == 0
        assert "thresholds: same from 0." in said(capsys)
    with Gallery.open(tmp_path / "half", create=True, model=Model.of(load("house", device="cpu", precision="bf16"))):
        pass
    assert run("gallery", "set", tmp_path / "half", "--model", "house") == 0


class Embedder:
    """Two dimensions, of a new model."""

    from passerby.embedder import EmbeddingRule

    facts, rule, precision, cameras, dim = {"artefact": "b" * 12}, EmbeddingRule(), "fp32", None, 2

    def for_any_camera(self):
        return self

    def __call__(self, images) -> np.ndarray:
        return np.array([[1.0, np.asarray(image).mean()] for image in images], np.float32)


def test_another_model_takes_over(path: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.artefact.load", lambda model, **how: Embedder())
    monkeypatch.setattr("passerby.export.fastest", lambda embedder, model: embedder)
    assert run("gallery", "re-embed", path, "--model", tmp_path) == 1
    assert "6 sightings have no thumbnail" in said(capsys)
    with Gallery.open(path) as gallery:
        gallery.erase_sightings([row.id for row in gallery.sightings(gallery.older_than(START * 2))])
    assert run("gallery", "re-embed", path, "--model", tmp_path) == 0
    assert "0 crops, now of bbbbbbbbbbbb (2 dimensions)" in said(capsys)


def test_an_index_is_built(path: Path, capsys):
    pytest.importorskip("faiss", reason="faiss is not installed")
    assert run("gallery", "accelerate", path) == 0
    assert "6 crops indexed; 100.0 % of the 50 nearest are found" in said(capsys)
