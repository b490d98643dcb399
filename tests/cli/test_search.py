"""`passerby search`: by images, by stored crops, by identity; a table, a picture, JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.embedder import EmbeddingRule
from passerby.gallery import Gallery, Model, NewSighting, Thresholds

START = 1_700_000_000.0
COLOURS = {"red": (250, 5, 5), "green": (5, 250, 5), "blue": (5, 5, 250)}


class Embedder:
    """The mean colour."""

    facts, rule, precision, cameras, dim = {"artefact": "a" * 12}, EmbeddingRule(), "fp32", None, 3
    camera_agnostic = False

    def for_any_camera(self) -> Embedder:
        return self

    def __call__(self, images, camera=None) -> np.ndarray:
        return np.array([np.asarray(image).reshape(-1, 3).mean(axis=0) for image in images], np.float32)


def jpeg(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 80), COLOURS[colour]).save(made, "JPEG")
    return made.getvalue()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("passerby.artefact.load", lambda model=None, **how: Embedder())
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=Model.of(Embedder())) as gallery:
        gallery.add(
            [
                NewSighting(
                    f"{colour} {place} {crop}", np.array(COLOURS[colour]) + crop, camera, START + 500 * place + crop,
                    f"{colour} [bold]", thumbnail=jpeg(colour) if crop else None,
                )
                for colour in COLOURS
                for place, camera in enumerate(["lobby", "yard"])
                for crop in range(2)
            ]
        )  # fmt: skip
    for colour in COLOURS:
        (tmp_path / f"{colour}.jpg").write_bytes(jpeg(colour))
    return path


def hits(path: Path, *words: object) -> list[dict]:
    assert main(["search", *map(str, words), "--gallery", str(path), "--json", "hits.json"]) == 0
    return json.loads(Path("hits.json").read_text())["hits"]


def test_an_image_finds_its_person(path: Path, capsys):
    found = hits(path, "green.jpg", "-k", 3)
    assert [hit["track"] for hit in found][:2] == ["green [bold]"] * 2 and len(found) == 3 and found[0]["similarity"] > 0.99
    out = capsys.readouterr().out
    assert "3 of 12 crops (cosine, exact)" in out and "[bold]" in out and "no words: the gallery has no thresholds" in out
    with Image.open("search.png") as picture:
        assert picture.width > 500


def test_nobody_behind_the_filters_is_said_and_not_drawn(path: Path, capsys):
    assert hits(path, "red.jpg", "--since", "2040-01-01") == []
    assert "nobody found: no other of the 12 crops passes" in capsys.readouterr().out and not Path("search.png").exists()


def test_a_track_finds_what_its_crops_find_together(path: Path):
    with Gallery.open(path) as gallery:
        own = gallery.add([NewSighting(f"own {n}", np.array([200, n, 9]), "lobby", START + n, "own") for n in range(3)])
    found = hits(path, "--track", "own", "-k", 2)
    assert found == hits(path, "--like", *own, "-k", 2) and {hit["track"] for hit in found} == {"red [bold]"}


def test_filters_grouping_and_order(path: Path):
    assert {hit["camera"] for hit in hits(path, "red.jpg", "--camera", "yard")} == {"yard"}
    assert {hit["camera"] for hit in hits(path, "red.jpg", "--not-camera", "yard")} == {"lobby"}
    assert len(hits(path, "red.jpg", "--rows")) == 12 and len(hits(path, "red.jpg")) == 6
    assert {hit["camera"] for hit in hits(path, "red.jpg", "--since", "2023-11-14T22:15:00")} == {"yard"}
    assert {hit["camera"] for hit in hits(path, "red.jpg", "--until", "2023-11-14T22:15:00+00:00")} == {"lobby"}
    assert {hit["track"] for hit in hits(path, "red.jpg", "--rerank", "--approximate")[:2]} == {"red [bold]"}
    both = hits(path, "red.jpg", "green.jpg", "-k", 4, "--out", "None")
    assert {hit["track"] for hit in both} == {"red [bold]", "green [bold]"}


def test_stored_crops_and_identities_are_searched_with(path: Path):
    assert hits(path, "--like", 1, 2)[0]["track"] == "red [bold]"
    with Gallery.open(path) as gallery:
        gallery.create_identity("Ann", [5, 6])
        gallery.set_thresholds(Thresholds(0.9, 0.5))
        gallery.set_transitions({("lobby", "yard"): 900})
    (first, *_) = hits(path, "--identity", "Ann", "--out", "sheet.jpg")
    assert (first["track"], first["camera"], first["word"]) == ("green [bold]", "yard", "same")
    assert first["note"].endswith("the way takes 900 s") and Path("sheet.jpg").is_file()


def test_a_gallery_that_is_not_named_is_told(path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    path.rename("people.gallery")
    assert main(["search", "red.jpg", "--json", "hits.json"]) == 0
    assert "gallery people.gallery in this folder; --gallery or PASSERBY_GALLERY names another" in capsys.readouterr().out
    assert json.loads(Path("hits.json").read_text())["gallery"] == "people.gallery"
    Path("people.gallery").rename("other.gallery")
    monkeypatch.setenv("PASSERBY_GALLERY", "other.gallery")
    assert main(["search", "red.jpg"]) == 0
    assert "gallery other.gallery, as PASSERBY_GALLERY says" in capsys.readouterr().out
    for verb in ("info", "identities", "audit"):
        assert main(["gallery", verb]) == 0
        assert "gallery other.gallery, as PASSERBY_GALLERY says" in capsys.readouterr().out


def test_where_somebody_was_is_told(path: Path, capsys):
    found = hits(path, "red.jpg", "--seen", "lobby@2023-11-14T22:21:41")
    assert next(hit["note"] for hit in found if hit["camera"] == "yard") == "at lobby at the same time"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            ["red.jpg"],
            2,
            "no gallery is named, and people.gallery is not in this folder: make it with passerby index FILM, or give",
        ),
        (["--gallery", "town.gallery"], 2, "searched for is nothing: give images of one person, or --like NUMBERS"),
        (["--track", "none", "--gallery", "town.gallery"], 2, 'track "none" is not in this gallery: search with the numbers'),
        (["--track", "red [bold]", "--gallery", "town.gallery"], 2, 'track "red [bold]" is in several cameras (lobby, yard)'),
        (["red.jpg", "--like", "1", "--gallery", "town.gallery"], 2, "searched for is images and like"),
        (["none.jpg", "--gallery", "town.gallery"], 1, "none.jpg: no such image"),
        (["red.jpg", "--gallery", "none"], 1, "none does not exist"),
        (
            ["red.jpg", "--gallery", "town.gallery", "--camera", "loby"],
            2,
            'no camera "loby" in this gallery. Did you mean "lobby"',
        ),
        (["red.jpg", "--gallery", "town.gallery", "--since", "noon"], 2, '--since is "noon"'),
        (["red.jpg", "--gallery", "town.gallery", "--seen", "lobby"], 2, '--seen is "lobby": give CAMERA@TIME'),
        (["red.jpg", "--gallery", "town.gallery", "--out", "hits.gif"], 2, 'has the suffix ".gif"'),
        (["--identity", "Bob", "--gallery", "town.gallery"], 2, 'no identity "Bob" in this gallery'),
        (["red.jpg", "--gallery", "town.gallery", "-k", "0"], 2, "k is 0"),
    ],
)
def test_what_cannot_be_searched_is_told(path: Path, capsys, words: list[str], code: int, text: str):
    assert main(["search", *words]) == code
    said = capsys.readouterr().err
    assert text in said and said.count("\n") == 1


def test_an_empty_identity_and_another_model(path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    with Gallery.open(path) as gallery:
        gallery.create_identity("Nobody")
    assert main(["search", "--identity", "Nobody", "--gallery", str(path)]) == 2
    assert "has no sightings: there is nothing to search with" in capsys.readouterr().err
    monkeypatch.setattr(Embedder, "facts", {"artefact": "b" * 12})
    assert main(["search", "red.jpg", "--gallery", str(path)]) == 1
    assert "they cannot be compared" in capsys.readouterr().err
