"""The model that comes with passerby: whole, small, calibrated, and used where none is named."""

import json
from pathlib import Path

import numpy as np
import pytest

import passerby
from passerby import artefact
from passerby.cli import main
from passerby.errors import ArtefactError
from passerby.metrics.calibration_store import read_calibration
from passerby.street.populations import HELD_OUT, population

HOUSE = artefact.default_model()


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Two people in a town that the model never saw, from several cameras."""
    from passerby.street.folder import Order
    from passerby.street.output import render_set

    out = tmp_path_factory.mktemp("town") / "harbour"
    render_set(Order("harbour", 0, 2, 4, seed=5), out, renderer="numba")
    return out


def test_it_ships_small_and_says_what_it_is():
    assert sum(path.stat().st_size for path in HOUSE.iterdir()) <= 12_000_000
    facts = artefact.read_description(HOUSE)
    assert "rendered people only" in facts.notes[0] and "ImageNet" in facts.licence
    people = sum(order.ids for order in population("house"))
    assert [entry["train_identities"] for entry in facts.data] == [people]
    card = (HOUSE / "README.md").read_text(encoding="utf-8")
    assert "must not be said never to have seen a real person" in card and "Not for:" in card


def test_it_is_calibrated_in_a_town_that_it_never_saw():
    calibration = read_calibration(HOUSE)
    assert calibration.far == pytest.approx(0.001, rel=0.1) and calibration.num_people == 140
    assert any(town in note for note in calibration.notes for town in HELD_OUT)
    assert 0 < calibration.reject_threshold < calibration.threshold < 1


def test_load_without_a_path_gives_it(crops):
    embedder = passerby.load()
    vectors = embedder(sorted(crops.glob("*/*.jpg"))[:3])
    assert vectors.shape == (3, 1280) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_embed_and_match_take_it(crops, tmp_path, capsys):
    out = tmp_path / "vectors.npz"
    assert main(["embed", "--images", str(crops / "query"), "--out", str(out), "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["artefact"] == artefact.read_description(HOUSE).short_id
    pair = [str(path) for path in sorted((crops / "query").glob("*.jpg"))[:2]]
    assert main(["match", *pair]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split(":")[0] in ("same", "different", "unsure")


def test_the_int8_form_is_of_these_weights(crops):
    pytest.importorskip("onnxruntime")
    paths = sorted(crops.glob("*/*.jpg"))[:4]
    exact, quick = passerby.load()(paths), passerby.load(HOUSE / "model.int8.onnx")(paths)
    assert artefact.read_description(HOUSE / "model.int8.onnx").short_id == artefact.read_description(HOUSE).short_id
    assert (exact * quick).sum(axis=1).min() > 0.8


def test_an_installation_without_it_says_so(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(artefact, "_HOUSE", tmp_path)
    with pytest.raises(ArtefactError, match="this installation has no house model: name a model"):
        passerby.load()
