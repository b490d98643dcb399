"""The model that comes with passerby: whole, small, calibrated, and used where none is named."""

import hashlib
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import passerby
from passerby import artefact, datasets
from passerby.cli import main
from passerby.cli.evaluate_real import imagenet_start
from passerby.embedder import embed
from passerby.errors import ArtefactError
from passerby.export.thresholds import read_thresholds
from passerby.metrics import evaluate
from passerby.metrics.calibration_store import find_calibration, read_calibration
from passerby.models.weights import find_installed_weights
from passerby.street.populations import HELD_OUT, population

HOUSE, SCRATCH = artefact.default_model(), artefact.named_model("house-scratch")
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A small town that the model never saw."""
    from passerby.street.folder import Order
    from passerby.street.output import render_set

    out = tmp_path_factory.mktemp("small") / "winter"
    render_set(Order("winter", 0, 14, 4, seed=5), out, renderer="numba")
    return out


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


def test_the_one_from_scratch_may_say_that_it_never_saw_a_real_person():
    facts = artefact.read_description(SCRATCH)
    assert facts.config["weights"] == "scratch" and facts.seed == 0
    assert "start_weights" not in json.loads((SCRATCH / "passerby.json").read_text(encoding="utf-8"))
    assert facts.licence == "Apache-2.0" and "never saw a real one" in facts.notes[0] and "ImageNet" not in facts.notes[0]
    assert [entry["notes"] for entry in facts.data] == [["rendered people: passerby street render --population house"]]
    card = " ".join((SCRATCH / "README.md").read_text(encoding="utf-8").split())
    assert "It never saw a real person" in card and "Not for:" in card


@pytest.mark.parametrize(("model", "folder"), [("house model", HOUSE), ("house-scratch", SCRATCH)])
def test_the_card_is_of_these_weights_and_tells_what_was_measured(model: str, folder: Path):
    """One file of results; card and page may not tell other figures."""
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    told = [(folder / "README.md").read_text(encoding="utf-8"), (DOCS / "house.md").read_text(encoding="utf-8")]
    digest, adapted = figures["weights_sha256"][model], f"{model}, adapted"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == digest
    assert artefact.read_description(folder).weights_sha256 == digest
    for page in told:
        plain = page.replace("**", "")
        assert digest in page
        for name, row in figures["real"].items():
            shares = [(row["map"], row["map_interval"]), (row["rank1"], row["rank1_interval"])]
            shares += [(row[key]["share"], row[key]["interval"]) for key in ("named_within", "named_over_all")]
            assert f"| {name} | " + " | ".join(map(_percent, shares)) + " |" in plain
        for town, name in product(HELD_OUT, (model, adapted)):
            row = figures["towns"][town][name]
            low, high = row["map_interval"]
            assert f"{row['map']:.3f} ({low:.3f} to {high:.3f}) / {row['rank1']:.3f}" in plain
        moved = figures["real"][model]["threshold"]
        low, high = moved["far_interval"]
        assert f"{100 * moved['far']:.2f} % of pairs of different people pass" in plain.replace("\n", " ")
        assert f"{100 * low:.2f} to {100 * high:.1f}" in plain and f"{100 * moved['frr']:.0f} % of pairs of one person" in plain
        for measured in (figures["real"], figures["towns"]["harbour"]):
            there = measured[adapted]["threshold"]
            low, high = (f"{100 * end:.{2 if 100 * end > 0.01 else 3}f}" for end in there["far_interval"])
            assert f"{100 * there['far']:.2f} %" in plain and f"({low} to {high}" in plain
            assert f"{100 * there['frr']:.0f} %" in plain
        for name in (model, adapted):
            for rival, gain in figures["real"][name]["against"].items():
                assert all(_gain(gain[key]) in plain for key in ("map", "rank1")), (name, rival)


def _percent(shown: tuple[float, list[float]]) -> str:
    value, (low, high) = shown
    return f"{100 * value:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def _gain(apart: dict) -> str:
    low, high = apart["interval"]
    return f"{100 * (apart['b'] - apart['a']):+.1f} ({100 * low:.1f} to {100 * high:.1f})"


def test_int8_stays_within_its_budget_and_the_card_says_how_far_it_is():
    figures = json.loads((HOUSE / "figures.json").read_text(encoding="utf-8"))
    report = json.loads((HOUSE / "model.int8.onnx.json").read_text(encoding="utf-8"))
    assert abs(report["comparison"]["map_drift"]) < 0.01 and report["bytes"] == (HOUSE / "model.int8.onnx").stat().st_size
    drifts = [abs(row["map_int8"] - row["map"]) for row in figures["int8"].values()]
    least = min(row["cosine_least"] for row in figures["int8"].values())
    card = (HOUSE / "README.md").read_text(encoding="utf-8")
    assert max(drifts) < 0.01 and f"the largest drift, {max(drifts):.4f}" in card
    assert f"least cosine of the two of one image {least:.3f}" in card


def test_it_finds_rendered_people_whom_its_start_does_not(town):
    data = datasets.read("street", town)
    if find_installed_weights("mobilenet_v2") is None:
        pytest.skip("the ImageNet start is not installed")
    house, start = (
        evaluate(embed(by, data.query), embed(by, data.gallery)).map for by in (passerby.load(), imagenet_start("cpu"))
    )
    assert house > start + 0.15  # the margin; an untrained network is below its start


def test_it_is_calibrated_in_a_town_that_it_never_saw():
    own, adapted = read_calibration(HOUSE), find_calibration(HOUSE, by_camera=True)
    assert adapted is not None and any("with camera statistics of the training images" in note for note in adapted.notes)
    for calibration in (own, adapted):
        assert calibration.far == pytest.approx(0.001, rel=0.1) and calibration.num_people == 140
        assert any(town in note for note in calibration.notes for town in HELD_OUT)
        assert -1 < calibration.reject_threshold < calibration.threshold < 1
    assert own.reject_threshold > 0 > adapted.reject_threshold and own.threshold > adapted.threshold


def test_load_without_a_path_gives_it(crops):
    embedder = passerby.load()
    vectors = embedder(sorted(crops.glob("*/*.jpg"))[:3])
    assert vectors.shape == (3, 1280) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_embed_and_match_take_it(crops, tmp_path, capsys):
    out = tmp_path / "vectors.npz"
    assert main(["embed", "--images", str(crops / "query"), "--out", str(out), "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["artefact"] == artefact.read_description(HOUSE).short_id
    pair = [str(path) for path in sorted((crops / "query").glob("*.jpg"))[:2]]
    capsys.readouterr()
    assert main(["match", *pair]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].split(":")[0] in ("same", "different", "unsure")
    assert "note: " in said and "rendered people" in said  # whose rates these are


def test_the_int8_form_is_of_these_weights(crops):
    pytest.importorskip("onnxruntime")
    paths = sorted(crops.glob("*/*.jpg"))[:4]
    exact, quick = passerby.load()(paths), passerby.load(HOUSE / "model.int8.onnx")(paths)
    assert artefact.read_description(HOUSE / "model.int8.onnx").short_id == artefact.read_description(HOUSE).short_id
    assert (exact * quick).sum(axis=1).min() > 0.95


def test_it_is_known_by_name(crops, monkeypatch, tmp_path: Path, capsys):
    pytest.importorskip("onnxruntime")
    assert artefact.named_model() == artefact.named_model("house") == HOUSE
    assert artefact.named_model("house-int8") == HOUSE / "model.int8.onnx"
    pair = [str(path) for path in sorted((crops / "query").glob("*.jpg"))[:2]]
    assert main(["match", *pair, "--model", "house-int8"]) == 0
    own = read_thresholds(HOUSE / "model.int8.onnx")
    assert f"the threshold {own.threshold:.4f} lets" in capsys.readouterr().out and own.num_people == 140
    assert own.threshold != read_calibration(HOUSE).threshold
    for name, meant in (("hous", "house"), ("House", "house"), ("house-int4", "house-int8")):
        assert main(["match", *pair, "--model", name]) == 1
        assert f'no model "{name}": there is no such folder or file. Did you mean "{meant}"?' in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    Path("house").mkdir()
    assert artefact.named_model("house") == Path("house")  # what is there goes first


def test_an_installation_without_it_says_so(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(artefact, "_PACKAGE", tmp_path)
    for name in (None, "house-int8", "house-scratch"):
        with pytest.raises(ArtefactError, match=f"this installation has no {name or 'house'} model: name another"):
            passerby.load(name)
