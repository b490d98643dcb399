"""`passerby adapt` and the verbs that use what it makes, through the command line."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.artefact import Artefact, default_model, load, read_artefact, read_cameras, save_artefact
from passerby.cli import main
from passerby.configs import plain
from passerby.embedder import EmbeddingRule
from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError
from passerby.gallery import Gallery, Model, NewSighting
from passerby.metrics.calibration_store import find_calibration, read_calibration
from passerby.models import ModelConfig, build_model
from passerby.transforms import Preprocess

SIZE = (32, 16)


def made(path: Path, norm: str) -> Path:
    torch.manual_seed(0)
    config = ModelConfig("osnet_x0_25", image_size=SIZE, head="bnneck", norm=norm)
    model = build_model(config)
    facts = Artefact("camera-bn", {}, plain(config), Preprocess(size=SIZE), EmbeddingRule(), model.embedding_dim)
    save_artefact(path, model, facts)
    return path


def write_people(data: Path, train: Sequence[int], test: Sequence[int]) -> None:
    random = np.random.default_rng(0)
    for folder, people in {"bounding_box_train": train, "query": test, "bounding_box_test": test}.items():
        for pid in people:
            for camera in (1, 2):
                for shot in range(9):
                    tint = np.array([60 * camera, 20 * pid, 30])
                    pixels = np.clip(random.normal(80, 30, (*SIZE, 3)) + tint, 0, 255).astype(np.uint8)
                    path = data / folder / f"{pid:04d}_c{camera}s1_{shot:06d}_{'0' if folder == 'query' else '1'}0.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """People enough for a calibration, in Market's layout."""
    root = tmp_path_factory.mktemp("town")
    write_people(root, (1, 2), range(3, 9))
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Models trained by camera and plainly, and a data set of two cameras, in Market's layout."""
    root = tmp_path_factory.mktemp("place")
    made(root / "by-camera", "camera")
    made(root / "plain", "batch")
    write_people(root / "data", (1, 2), (3, 4))
    for camera in (1, 2):
        folder = root / "cameras" / f"c{camera}"
        folder.mkdir(parents=True)
        for path in (root / "data" / "bounding_box_test").glob(f"*_c{camera}s*"):
            shutil.copy(path, folder)
    (root / "cameras" / "list.csv").write_text("camera,images\nlobby,c1\ngate,c2\n")
    return root


def run(*words: object) -> int:
    return main([str(word) for word in words])


def refused(capsys, *words: object) -> str:
    assert run(*words) in (1, 2)
    text = capsys.readouterr().err.strip()
    assert text.startswith("passerby: ") and "\n" not in text
    return text


def test_adapt_one_camera_then_another_and_embed(place: Path, tmp_path: Path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    images = place / "cameras"
    assert (
        run(
            "adapt",
            place / "by-camera",
            "--camera",
            "lobby",
            "--images",
            images / "c1",
            "--out",
            one,
            "--json",
            tmp_path / "a.json",
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert "lobby" in shown and "between halves" in shown and "artefact: " in shown and "plain batch norm" not in shown
    (row,) = json.loads((tmp_path / "a.json").read_text())["cameras"]
    assert row["name"] == "lobby" and row["images"] == 18 and row["shift"] > row["between_halves"] > 0
    assert row["gain"] == [{"batches": 1, "images": 18, "share": 1.0}]
    assert row["how"]["estimator"] == "cumulative" and row["how"]["batch_size"] == 64

    assert run("adapt", one, "--camera", "gate", "--images", images / "c2", "--out", two) == 0
    assert [camera["name"] for camera in read_artefact(two)[0].cameras] == ["lobby", "gate"]
    assert torch.equal(read_cameras(two).of_camera("lobby")["head.norm"][0], read_cameras(one).of_camera("lobby")["head.norm"][0])
    assert read_artefact(two)[0].weights_sha256 == read_artefact(place / "by-camera")[0].weights_sha256

    embedder = load(two)
    paths = sorted((images / "c1").iterdir())
    lobby, gate = embedder(paths, camera="lobby"), embedder(paths, camera="gate")
    assert np.abs(lobby - gate).max() > 0.01
    assert run("embed", two, "--images", images / "c1", "--camera", "lobby", "--out", tmp_path / "lobby.npz") == 0
    found = Embeddings.load(tmp_path / "lobby.npz")
    np.testing.assert_allclose(found.vectors, lobby, atol=1e-6)
    assert found.meta["camera_statistics"] == read_artefact(two)[0].cameras_sha256[:12]
    text = refused(capsys, "embed", two, "--images", images / "c1", "--camera", "loby", "--out", tmp_path / "x.npz")
    assert 'no statistics of camera "loby". Did you mean "lobby"?' in text
    text = refused(capsys, "embed", two, "--images", images / "c1", "--out", tmp_path / "x.npz")
    assert "whose camera's images are these? This model has statistics of lobby, gate: give --camera NAME" in text
    text = refused(
        capsys, "embed", two, "--images", images / "c1", "--camera", "x", "--camera-agnostic", "--out", tmp_path / "x.npz"
    )
    assert "camera-agnostic use needs the statistics of a whole set" in text


def test_adapt_many_cameras_of_a_manifest_and_the_whole_set(place: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    words = [
        "--manifest",
        place / "cameras" / "list.csv",
        "--camera-agnostic",
        "--batch-size",
        4,
        "--estimator",
        "pooled",
        "--no-flip",
    ]
    assert (
        run(
            "adapt",
            place / "by-camera",
            *words,
            "--seed",
            3,
            "--batches",
            3,
            "--min-images",
            2,
            "--out",
            out,
            "--json",
            tmp_path / "m.json",
        )
        == 0
    )
    rows = json.loads((tmp_path / "m.json").read_text())["cameras"]
    assert [row["name"] for row in rows] == ["gate", "lobby", "*"]
    assert [gain["batches"] for gain in rows[0]["gain"]] == [1, 2, 3]
    assert rows[0]["gain"][-1]["share"] == 1 and rows[0]["how"] == {
        "estimator": "pooled", "batches": 3, "batch_size": 4, "flip": False, "min_images": 2, "seed": 3,
    }  # fmt: skip
    words = ["embed", out, "--images", place / "cameras" / "c1", "--camera-agnostic", "--out", tmp_path / "any.npz"]
    assert run(*words) == 0
    paths = sorted((place / "cameras" / "c1").iterdir())
    np.testing.assert_allclose(
        Embeddings.load(tmp_path / "any.npz").vectors, load(out, camera_agnostic=True)(paths, camera="attic"), atol=1e-6
    )
    assert "* " in capsys.readouterr().out


def test_adapt_to_the_cameras_of_a_data_set_and_evaluate(place: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert run("adapt", place / "by-camera", "--data", place / "data", "--subset", "gallery", "--out", out) == 0
    assert read_cameras(out).cameras == ("market1501/1", "market1501/2")
    assert run("evaluate", out, "--data", place / "data", "--bootstrap", 0, "--json", tmp_path / "saved.json") == 0
    assert run("embed", out, "--data", place / "data", "--out", tmp_path / "sets") == 0
    assert run("evaluate", tmp_path / "sets", "--bootstrap", 0, "--json", tmp_path / "files.json") == 0
    saved, files = (json.loads((tmp_path / name).read_text()) for name in ("saved.json", "files.json"))
    assert saved["map"] == pytest.approx(files["map"], abs=1e-6)
    capsys.readouterr()


@pytest.mark.parametrize("source", ["own", "pooled", "train", "whole-set", "none"])
def test_every_source_of_statistics_by_evaluate_and_by_embed(source: str, place: Path, tmp_path: Path, capsys):
    words = ["--data", place / "data", "--camera-statistics", source]
    assert run("evaluate", place / "by-camera", *words, "--bootstrap", 0, "--json", tmp_path / "a.json") == 0
    assert run("embed", place / "by-camera", *words, "--out", tmp_path / "sets") == 0
    assert run("evaluate", tmp_path / "sets", "--bootstrap", 0, "--json", tmp_path / "b.json") == 0
    one, other = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert one["map"] == pytest.approx(other["map"], abs=1e-3)  # other batches: near ties may swap
    forced = any("used without camera statistics" in note for note in other["notes"])
    assert forced == (source == "none")
    capsys.readouterr()


def test_a_model_trained_by_camera_is_not_used_without_statistics(place: Path, tmp_path: Path, capsys):
    for words in (["evaluate", place / "by-camera"], ["embed", place / "by-camera", "--out", tmp_path / "sets"]):
        text = refused(capsys, *words, "--data", place / "data")
        assert "trained by camera and needs statistics of the cameras of these images: --camera-statistics own" in text
    text = refused(capsys, "embed", place / "by-camera", "--images", place / "cameras", "--out", tmp_path / "x.npz")
    assert "used without the statistics of a camera, which costs 10 points and more" in text
    words = ["--images", place / "cameras", "--camera-statistics", "none", "--out", tmp_path / "x.npz"]
    assert run("embed", place / "by-camera", *words) == 0


def test_a_plainly_trained_model_is_adapted_with_the_published_loss_beside_it(place: Path, tmp_path: Path, capsys):
    words = ["--camera", "lobby", "--images", place / "cameras" / "c1"]
    assert run("adapt", place / "plain", *words, "--out", tmp_path / "out") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "trained with plain batch norm: published 80.2 Rank-1 / 63.7 mAP instead of 81.5 / 66.6 in the place of the training"
        in said
    )
    facts, _ = read_artefact(tmp_path / "out")
    assert facts.model["norm"] == "batch" and "published 80.2" in facts.notes[0]
    paths = sorted((place / "cameras" / "c1").iterdir())
    adapted = load(tmp_path / "out")(paths, camera="lobby")
    np.testing.assert_array_equal(load(tmp_path / "out", without_statistics=True)(paths), load(place / "plain")(paths))
    assert np.abs(adapted - load(place / "plain")(paths)).max() > 0.01


@pytest.fixture
def people(place: Path, tmp_path: Path) -> Path:
    """A gallery of the plain model: lobby and gate with 18 crops each, and three crops of the attic."""
    path, embedder = tmp_path / "people.gallery", load(place / "plain")
    with Gallery.open(path, create=True, model=Model.of(embedder)) as gallery:
        for camera, folder, count in (("lobby", "c1", 18), ("gate", "c2", 18), ("attic", "c2", 3)):
            crops = sorted((place / "cameras" / folder).iterdir())[:count]
            vectors = embedder(crops)
            gallery.add(
                [
                    NewSighting(f"{camera} {crop.name}", vector, camera, source=str(crop), thumbnail=crop.read_bytes())
                    for crop, vector in zip(crops, vectors, strict=True)
                ]
            )
    return path


def test_a_gallery_is_adapted_to_its_own_cameras_and_searched(place: Path, town: Path, people: Path, tmp_path: Path, capsys):
    model, images = tmp_path / "model", place / "cameras"
    shutil.copytree(place / "plain", model)
    words = ["--data", town, "--far", "0.1", "--bootstrap", "5"]
    assert run("calibrate", model, *words) == 0
    assert "passerby match uses it" in capsys.readouterr().out
    assert run("calibrate", model, *words, "--camera-statistics", "train") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "passerby adapt hands it to the models that it makes of this one" in told
    assert "note: with camera statistics of the training images of the same cameras" in told
    assert run("adapt", model, "--gallery", people, "--out", tmp_path / "here") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "camera attic: 3 crops, statistics of all together stand in" in told
    assert "thresholds: same from" in told and "as found for 6 people elsewhere" in told
    assert f"now: passerby gallery re-embed {people} --model {tmp_path / 'here'}" in told
    cameras = read_cameras(tmp_path / "here")
    assert sorted(cameras.cameras) == ["*", "attic", "gate", "lobby"]
    assert run("adapt", model, "--camera", "lobby", "--images", images / "c1", "--out", tmp_path / "lobby") == 0
    for layer, (mean, variance) in read_cameras(tmp_path / "lobby").of_camera("lobby").items():
        torch.testing.assert_close(cameras.of_camera("lobby")[layer][0], mean)
        torch.testing.assert_close(cameras.of_camera("lobby")[layer][1], variance)
        torch.testing.assert_close(cameras.of_camera("attic")[layer][0], cameras.of_camera("*")[layer][0])
    by_camera = find_calibration(model, by_camera=True)
    assert by_camera is not None and read_calibration(tmp_path / "here") == by_camera != read_calibration(model)

    assert run("gallery", "re-embed", people, "--model", tmp_path / "here") == 0
    paths, embedder = sorted((images / "c1").iterdir()), load(tmp_path / "here")
    with Gallery.open(people, read_only=True) as gallery:
        rows = gallery.ids_of([f"lobby {path.name}" for path in paths])
        found = gallery.vectors([rows[f"lobby {path.name}"] for path in paths])
        np.testing.assert_allclose(found, embedder(paths, camera="lobby"), atol=1e-5)
        assert gallery.thresholds is not None and gallery.thresholds.same == by_camera.threshold
    words = ["search", paths[0], "--gallery", people, "--model", tmp_path / "here", "--out", tmp_path / "x.png"]
    assert run(*words, "--query-camera", "lobby", "--json", tmp_path / "own.json") == 0
    assert run(*words, "--json", tmp_path / "any.json") == 0  # a picture of no camera in particular
    own, anywhere = (json.loads((tmp_path / name).read_text())["hits"][0] for name in ("own.json", "any.json"))
    assert "embedded with the statistics of all cameras together" in capsys.readouterr().out
    assert own["similarity"] == pytest.approx(1, abs=1e-4) and own["similarity"] - anywhere["similarity"] > 1e-3
    assert run("match", paths[0], paths[0], "--model", tmp_path / "here") == 0
    told = capsys.readouterr().out
    assert "similarity 1.0000" in told and "note: no --cameras: both are embedded with the statistics of all" in told


def test_a_camera_that_came_later_has_the_statistics_of_all_until_the_model_is_made_anew(
    place: Path, people: Path, tmp_path: Path, capsys
):
    here, more = tmp_path / "here", place / "cameras" / "c2"
    assert run("adapt", place / "plain", "--gallery", people, "--out", here) == 0
    assert "thresholds: none, its vectors are new ones: passerby calibrate" in capsys.readouterr().out
    assert run("gallery", "re-embed", people, "--model", here) == 0
    words = ["index", more, "--dataset", "images", "--camera", "roof", "--gallery", people, "--model", here]
    assert run(*words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "note: the model has no statistics of camera roof: those of all its cameras together stand in" in told
    paths, embedder = sorted(more.iterdir()), load(here, camera_agnostic=True)
    with Gallery.open(people, read_only=True) as gallery:
        rows = [row.id for row in gallery.listed(camera="roof")]
        np.testing.assert_allclose(gallery.vectors(rows), embedder(paths, camera="roof"), atol=1e-5)
    text = refused(capsys, "adapt", here, "--gallery", people, "--out", tmp_path / "anew")
    assert "has statistics of camera" in text and "give --replace" in text
    assert run("adapt", place / "plain", "--gallery", people, "--out", tmp_path / "anew") == 0
    assert run("gallery", "re-embed", people, "--model", tmp_path / "anew") == 0
    assert "no statistics of camera" not in capsys.readouterr().out


def test_one_camera_alone_is_all_of_them(place: Path, people: Path, tmp_path: Path, capsys):
    with Gallery.open(people) as gallery:
        gallery.erase_sightings([row.id for camera in ("attic", "gate") for row in gallery.listed(camera=camera)])
    assert run("adapt", place / "plain", "--gallery", people, "--out", tmp_path / "here") == 0
    cameras = read_cameras(tmp_path / "here")
    assert sorted(cameras.cameras) == ["*", "lobby"]
    for layer, (mean, _) in cameras.of_camera("lobby").items():
        assert torch.equal(mean, cameras.of_camera("*")[layer][0])


def test_the_statistics_of_all_cameras_are_replaced_only_when_asked(place: Path, people: Path, tmp_path: Path, capsys):
    words = ["--images", place / "cameras" / "c1", "--camera-agnostic"]
    assert run("adapt", place / "plain", *words, "--out", tmp_path / "one") == 0
    assert "has statistics of camera * already" in refused(
        capsys, "adapt", tmp_path / "one", "--gallery", people, "--out", tmp_path / "two"
    )


def test_galleries_and_models_that_cannot_be_adapted(place: Path, people: Path, tmp_path: Path, capsys):
    text = refused(capsys, "adapt", place / "plain", "--gallery", tmp_path / "none.gallery", "--out", tmp_path / "out")
    assert "none.gallery" in text
    empty = tmp_path / "empty.gallery"
    Gallery.open(empty, create=True, model=Model("aaaaaaaaaaaa-1", "test model", 4)).close()
    text = refused(capsys, "adapt", place / "plain", "--gallery", empty, "--out", tmp_path / "out")
    assert "holds 0 crops, statistics of its cameras need 16 or more: passerby index FILM brings more." in text
    with Gallery.open(empty) as gallery:
        gallery.add([NewSighting(f"{k}", np.eye(4)[k % 4], "lobby") for k in range(20)])
    text = refused(capsys, "adapt", place / "plain", "--gallery", empty, "--out", tmp_path / "out")
    assert "has no thumbnail: name the image files of its camera instead." in text
    text = refused(capsys, "adapt", place / "plain", "--gallery", people, "--camera", "a", "--out", tmp_path / "out")
    assert "--camera a goes with --images; --gallery names its cameras itself." in text
    text = refused(capsys, "adapt", "house", "--gallery", people, "--out", default_model())
    assert "is part of the installed package, which stays as it is" in text
    assert not (tmp_path / "out").exists()


def test_thresholds_go_with_the_vectors_they_are_of(place: Path, town: Path, tmp_path: Path, capsys):
    """The weights are the same; with and without camera statistics the vectors are not."""
    plain, adapted = tmp_path / "plain", tmp_path / "adapted"
    shutil.copytree(place / "plain", plain)
    assert run("adapt", plain, "--data", town, "--out", adapted) == 0
    for model in (plain, adapted):
        assert run("embed", model, "--data", town, "--out", tmp_path / f"{model.name}-sets") == 0
    assert run("embed", plain, "--data", town, "--camera-statistics", "own", "--out", tmp_path / "own-sets") == 0
    capsys.readouterr()
    how = ["--far", "0.1", "--bootstrap", "5"]
    text = refused(capsys, "calibrate", tmp_path / "plain-sets", "--store", adapted, *how)
    assert "the vectors were made with no camera statistics" in text
    text = refused(capsys, "calibrate", tmp_path / "own-sets", "--store", adapted, *how)
    assert "the vectors were made with other camera statistics" in text
    text = refused(capsys, "calibrate", adapted, "--data", town, "--camera-statistics", "own", *how)
    assert "has statistics of its own cameras, which it is calibrated with: leave --camera-statistics out." in text
    text = refused(capsys, "calibrate", tmp_path / "plain-sets", "--other", tmp_path / "own-sets", *how)
    assert "one was embedded with camera statistics and one without" in text
    mixed = [tmp_path / "plain-sets" / "query.npz", tmp_path / "own-sets" / "gallery.npz"]
    for verb in (["calibrate", *how], ["evaluate"]):
        text = refused(capsys, verb[0], *mixed, *verb[1:])
        assert "queries were embedded without camera statistics, the gallery with: their vectors differ" in text
    assert run("calibrate", tmp_path / "own-sets", "--store", plain, *how) == 0
    assert "passerby adapt hands it to the models that it makes" in " ".join(capsys.readouterr().out.split())
    assert find_calibration(plain) is None and find_calibration(plain, by_camera=True) is not None
    assert run("calibrate", tmp_path / "adapted-sets", "--store", adapted, *how) == 0
    assert "passerby match uses it" in capsys.readouterr().out and find_calibration(adapted) is not None


def test_a_damaged_or_missing_statistics_file(place: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert run("adapt", place / "by-camera", "--camera", "a", "--images", place / "cameras" / "c1", "--out", out) == 0
    file = out / "cameras.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(ArtefactError, match=r"cameras\.safetensors has SHA-256 .* damaged or belongs to another artefact"):
        load(out)
    file.unlink()
    with pytest.raises(ArtefactError, match=r"lacks cameras\.safetensors: the artefact is incomplete"):
        load(out)
    assert read_cameras(place / "by-camera") is None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "nothing says whose images they are: give --camera NAME --images DIR"),
        (["--images", "c1", "--manifest", "list.csv"], "--images, --manifest says whose images they are"),
        (["--images", "c1"], "--images without --camera NAME: name the camera"),
        (["--manifest", "list.csv", "--camera", "a"], "--camera a goes with --images; --manifest names its cameras itself."),
        (["--images", "none", "--camera", "a"], "none does not exist."),
        (["--images", "empty", "--camera", "a"], "empty holds no image"),
        (["--images", "c1/one", "--camera", "a"], "camera a has 1 image, its statistics need 16 or more"),
        (["--manifest", "none.csv"], "none.csv: no such file. A manifest is CSV"),
        (["--manifest", "columns.csv"], "lacks the column camera: a manifest is CSV"),
        (["--manifest", "gap.csv"], "line 2: camera is '', images 'c1'; both are needed."),
        (["--manifest", "head.csv"], "names no camera"),
        (["--manifest", "twice.csv"], "is listed for camera a and for camera b: it can be of one only."),
        (["--images", "c1", "--camera", "a", "--batches", "0"], "batches of camera statistics is 0"),
        (["--data", "../data", "--dataset", "market1501", "--subset", "train", "--camera", "x"], "--camera x goes with --images"),
    ],
)
def test_wrong_usage(words: list[str], text: str, place: Path, tmp_path: Path, monkeypatch, capsys):
    work = tmp_path / "work"
    shutil.copytree(place / "cameras", work)
    (work / "empty").mkdir()
    (work / "c1" / "one").mkdir()
    shutil.copy(next((work / "c2").iterdir()), work / "c1" / "one")
    for name, content in {"columns": "cam,images\n", "gap": "camera,images\n,c1\n", "head": "camera,images\n",
                          "twice": "camera,images\na,c1\nb,c1\n"}.items():  # fmt: skip
        (work / f"{name}.csv").write_text(content)
    monkeypatch.chdir(work)
    assert text in refused(capsys, "adapt", place / "by-camera", "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_known_camera_is_replaced_only_when_asked(place: Path, tmp_path: Path, capsys):
    words = ["--camera", "a", "--images", place / "cameras" / "c1"]
    assert run("adapt", place / "by-camera", *words, "--out", tmp_path / "one") == 0
    text = refused(capsys, "adapt", tmp_path / "one", *words, "--out", tmp_path / "two")
    assert "has statistics of camera a already: give --replace, or another name" in text
    words[-1] = place / "cameras" / "c2"
    assert run("adapt", tmp_path / "one", *words, "--replace", "--out", tmp_path / "one") == 0
    assert len(read_artefact(tmp_path / "one")[0].cameras) == 1


def test_flags_that_do_not_go_together(place: Path, tmp_path: Path, capsys):
    images = ["--images", place / "cameras" / "c1", "--out", tmp_path / "x.npz"]
    text = refused(capsys, "embed", place / "by-camera", *images, "--camera-statistics", "own")
    assert "--camera-statistics own needs a data set; for --images run passerby adapt first." in text
    text = refused(capsys, "embed", place / "by-camera", "--data", place / "data", "--camera", "a", "--out", tmp_path / "sets")
    assert "--camera a goes with --images" in text
    text = refused(capsys, "embed", place / "plain", *images, "--camera", "a")
    assert 'camera "a" is named, but this model has no camera statistics' in text


def test_the_help_teaches(capsys):
    assert run("adapt", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "without training" in shown and "--manifest" in shown and "unlabelled" in shown
