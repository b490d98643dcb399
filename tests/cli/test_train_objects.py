"""`passerby train ognet --task classify`: its result, `--eval-only`, published figures, and what cannot be measured."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerby import recipes
from passerby.artefact import read_description
from passerby.cli import main

SMALL = [
    "--surface", "64", "--first", "48", "--feature-dims", "8", "16", "--k", "4", "--init-points", "12", "--linear-dim", "8",
    "--batch-size", "4", "--epochs", "2", "--lr", "0.01",
]  # fmt: skip
PRESET = ["--preset", "modelnet40-ognet-small", "--device", "cpu", "--workers", "0"]
FACES = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]


def box(path: Path, size: tuple[float, ...]) -> None:
    corners = [[(n >> axis & 1) * size[axis] for axis in range(3)] for n in range(8)]
    lines = ["OFF", "8 6 0", *(" ".join(map(str, corner)) for corner in corners)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, *(f"4 {' '.join(map(str, face))}" for face in FACES)]) + "\n")


def objects(root: Path, kinds: tuple[str, ...] = ("bed", "lamp", "table")) -> Path:
    random = np.random.default_rng(0)
    for number, kind in enumerate(kinds):
        for subset, count in (("train", 4), ("test", 2 + number)):
            for n in range(count):
                size = np.array([0.4, 0.4, 0.4])
                size[number % 3] = 1.0
                box(root / kind / subset / f"{kind}_{n}.off", tuple(size * random.uniform(0.9, 1.1, 3)))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "ognet", *PRESET, *SMALL, "--data", str(data), "--out", str(out)]) == 0
    return out


def figures_of_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset's figures as if they were of these nine objects."""
    preset = recipes.load_preset("modelnet40-ognet-small")
    assert preset.published_accuracy is not None
    changed = replace(preset, published_accuracy=replace(preset.published_accuracy, objects=9, classes=3))
    monkeypatch.setattr(recipes, "load_preset", lambda name: changed)


def test_the_result_is_two_errors_and_no_convention(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scores = tmp_path / "scores.json"
    words = ["train", "ognet", *PRESET, *SMALL, "--data", str(data), "--out", str(tmp_path / "run"), "--json", str(scores)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "val. error" in said and "mean class error" in said
    assert "convention" not in said and "published" not in said  # nine objects are not ModelNet40's
    found = json.loads(scores.read_text())
    assert set(found["scores"]) == {"val_error", "val_class_error"} and "convention" not in found
    assert read_description(tmp_path / "run" / "artefact").classes == ("bed", "lamp", "table")


def test_eval_only_measures_the_same_errors_again(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    logged = json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    written = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for words in (PRESET, ["--device", "cpu"]):  # the run is named; the preset is only needed for its figures
        report = tmp_path / "again.json"
        assert main(["train", "ognet", *words, "--data", str(data), "--out", str(run), "--eval-only", "--json", str(report)]) == 0
        said = capsys.readouterr().out
        assert "modelnet40: 9 held-out objects of 3 classes" in said and "convention" not in said
        found = json.loads(report.read_text())["scores"]
        assert found == {name: logged[name] for name in ("val_error", "val_class_error")}
        assert f"{found['val_error']:.2%}" in said and f"{found['val_class_error']:.2%}" in said
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == written


def test_published_figures_stand_beside_those_of_the_same_objects(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    figures_of_nine(monkeypatch)
    words = ["train", "ognet", *PRESET, "--data", str(data)]
    for more in (["--eval-only", "--out", str(run)], [*SMALL, "--out", str(tmp_path / "run")]):
        assert main([*words, *more]) == 0
        said = capsys.readouterr().out
        assert "6.65%" in said and "9.45%" in said  # errors, as the run's own
        assert "published figures: 93.35% of 9 objects right, 90.55% in the mean over 3 classes (README of layumi/dgcnn" in said


def test_presets_show_published_accuracies(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "ognet", "--presets"]) == 0
    search, objects = capsys.readouterr().out.split("published classifiers (not measured here)")
    assert "modelnet40-ognet-small" not in search and "87.38%" in search
    assert "93.35%" in objects and "90.55%" in objects and "layumi/dgcnn" in objects
    assert main(["train", "baseline", "--presets"]) == 0
    assert "published classifiers" not in capsys.readouterr().out


def test_a_classifier_has_no_convention_and_is_not_searched_with(run: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    for words in (["--eval-only"], SMALL):
        convention = ["--convention", "layumi", "--out", str(run)]
        assert main(["train", "ognet", *PRESET, "--data", str(data), *words, *convention]) == 2
        assert (
            "--convention is layumi, but a classifier is measured by its errors alone. Leave it out." in capsys.readouterr().err
        )
    assert main(["evaluate", str(run / "artefact"), "--dataset", "modelnet40", "--data", str(data)]) == 1
    assert "This model is a classifier: passerby train ognet --eval-only --out RUN measures it." in capsys.readouterr().err


def test_objects_of_other_classes_are_refused(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def refused(root: Path) -> str:
        assert main(["train", "ognet", *PRESET, "--data", str(root), "--out", str(run), "--eval-only"]) == 1
        return capsys.readouterr().err

    more = objects(tmp_path / "more", ("bed", "lamp", "table", "vase"))
    assert "modelnet40 has held-out objects of vase, which are none of the classifier's 3 classes. Give the data" in refused(more)
    shifted = objects(tmp_path / "shifted", ("bed", "chair", "table"))
    assert "numbers its classes otherwise than the classifier's training did: chair (there lamp). Give the" in refused(shifted)
    people = tmp_path / "people" / "train_all" / "0001"
    people.mkdir(parents=True)
    np.savez(people / "0001_c1_0.npz", xyz=np.zeros((4, 3)), rgb=np.zeros((4, 3)))
    words = ["train", "ognet", "--data", str(tmp_path / "people"), "--dataset", "clouds", "--out", str(run), "--eval-only"]
    assert main(words) == 1
    assert (
        "has no held-out objects to measure a classifier on. Give the data set that it was trained for."
        in capsys.readouterr().err
    )


def test_a_run_of_an_older_version_gets_its_classifier_from_its_checkpoint(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    older = tmp_path / "older"
    shutil.copytree(run, older)
    (older / "artefact" / "classifier.safetensors").unlink()
    file = older / "artefact" / "passerby.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in content.items() if not key.startswith("class")}))
    words = ["train", "ognet", *PRESET, "--data", str(data), "--out", str(older)]
    assert main([*words, "--eval-only"]) == 1
    assert (
        "keeps no classifier: passerby " in (said := capsys.readouterr().err) and "Give --resume instead of --eval-only" in said
    )
    assert main([*words, *SMALL, "--resume"]) == 0
    assert main([*words, "--eval-only"]) == 0
    for name in ("classifier.safetensors", "model.safetensors"):
        assert (older / "artefact" / name).read_bytes() == (run / "artefact" / name).read_bytes()


def test_rows_of_hdf5_are_named_by_the_list_beside_them(tmp_path: Path):
    from passerby.datasets.modelnet import class_names
    from passerby.records import Record, Split

    rows = Split(tuple(Record(tmp_path / "train0.h5" / str(n), n + 1, 0, "modelnet40") for n in range(3)))
    numbers = {("modelnet40", n): str(n) for n in (1, 2, 3)}
    assert class_names(rows) == numbers
    (tmp_path / "shape_names.txt").write_text("airplane\nbathtub\n")
    assert class_names(rows) == numbers | {("modelnet40", 1): "airplane", ("modelnet40", 2): "bathtub"}
    people = Split((Record(tmp_path / "chair" / "train" / "a.off", 7, 0, "clouds"),))
    assert class_names(people) == {("clouds", 7): "7"}
