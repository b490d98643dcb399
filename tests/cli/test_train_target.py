"""`passerby train cail-mixup`: from a part of one data set to a folder of unlabelled crops."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.artefact import read_description
from passerby.cli import main

FAST = [
    "--backbone", "osnet_x0_25", "--weights", "scratch", "--height", "64", "--width", "32", "--pad-px", "2", "--workers", "0",
    "--batch-size", "8", "--epochs", "1", "--last-stride", "2",
]  # fmt: skip


def picture(path: Path, *seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


TOWN = {"bounding_box_train": (1, 2), "query": (3,), "bounding_box_test": (3, 4)}


def town(folder: Path, name: str, people: dict[str, tuple[int, ...]] = TOWN, test_cameras: tuple[int, ...] = (0, 1)) -> None:
    """A rendered town, without rendering."""
    lines = []
    for subset, those in people.items():
        (folder / name / subset).mkdir(parents=True)
        for pid in those:
            for camid in test_cameras if subset != "bounding_box_train" else (0, 1):
                file = f"{pid:04d}_c{camid + 1}s1_{len(lines):06d}_00.jpg"
                picture(folder / name / subset / file, len(lines), *name.encode())
                lines.append(json.dumps({"folder": subset, "name": file, "pid": pid, "camid": camid, "frame": len(lines)}))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    header = {"format": "passerby street 1", "town": name, "train_ids": 2, "test_ids": 2, "seed": 5, "list_sha256": digest}
    (folder / name / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    (folder / name / "street.json").write_text(json.dumps(header))


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("street-v1")
    for name in ("campus", "market"):
        town(root, name)
    town(root, "harbour", {"bounding_box_train": (1, 2), "query": (), "bounding_box_test": ()})
    town(root, "arcade", TOWN, test_cameras=(0,))
    return root


def test_a_town_is_the_source_and_a_folder_without_labels_the_target(towns: Path, tmp_path: Path, capsys, monkeypatch):
    for number in range(6):
        picture(tmp_path / "crops" / f"c{1 + number % 2}_{number}.png", 100 + number)
    monkeypatch.setenv("PASSERBY_DATA", str(towns))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cail-mixup", "--source", "street:campus", "--target", "crops", *FAST, "--json", "found.json"]) == 0
    said = capsys.readouterr().out
    assert "note: rendered people: town campus" in said and "market" not in said
    assert "note: adapted without labels to crops: 6 images, 2 cameras" in said and "Rank-1" not in said
    facts = read_description(Path("runs/cail-mixup-street-campus/artefact"))
    assert len(facts.label_map) == 2 and facts.data[0]["name"] == "street:campus"
    found = json.loads(Path("found.json").read_text())
    assert found["dataset"] == "street:campus to crops" and found["scores"] == {}


def test_a_target_with_test_images_is_measured_and_named(towns: Path, tmp_path: Path, capsys):
    words = ["--source", "street:campus", "--data", str(towns), "--target", "street:market"]
    assert main(["train", "cail-mixup", *words, *FAST, "--batch-size", "4", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "street:campus to street:market after 1 epochs" in said and "Rank-1" in said
    assert "adapted without labels to street:market: 4 images, 2 cameras" in said
    assert main(["train", "cail-mixup", *words, "--eval-only", "--out", str(tmp_path / "run")]) == 0
    assert "Rank-1" in capsys.readouterr().out


def test_wrong_words_are_one_line(towns: Path, tmp_path: Path, capsys):
    for words, text in (
        (["--source", "street:campsu", "--data", str(towns)], 'has no part "campsu". Did you mean "campus"?'),
        (["--source", "street:campus", "--data", str(towns)], "adapt to what? Give --target, a folder of unlabelled crops"),
        (
            ["--source", "street:campus", "--data", str(towns), "--target", str(towns / "campus")],
            "are training images of the source",
        ),
    ):
        assert main(["train", "cail-mixup", *words, *FAST, "--batch-size", "4", "--out", str(tmp_path / "run")]) in (1, 2)
        said = capsys.readouterr().err.strip()
        assert text in said and "\n" not in said
        assert not (tmp_path / "run").exists()


def test_a_preset_on_other_data_counts_as_published_and_shows_no_published_figures(towns: Path, tmp_path: Path, capsys):
    words = ["--source", "street:campus", "--data", str(towns), "--target", "street:market", *FAST, "--precision", "fp32"]
    for preset, here in (("duke2market", []), ("duke2msmt", ["--epochs", "2", "--mix-start", "0"])):
        run = ["--preset", preset, "--out", str(tmp_path / preset), "--batch-size", "4", *here]
        assert main(["train", "cail-mixup", *words, *run]) == 0
        said = capsys.readouterr()
        assert "Rank-1" in said.out and "trapezoid" in said.out and "published" not in said.out and "88.06%" not in said.out
        assert "target: 4 images, 2 cameras" in said.err and "never joined" in said.err and "never joined" in said.out


def test_a_run_in_a_target_that_is_named_is_refused(towns: Path, capsys):
    words = ["--source", "street:campus", "--data", str(towns), "--target", "street:market", *FAST, "--batch-size", "4"]
    assert main(["train", "cail-mixup", *words, "--out", str(towns / "market" / "run")]) == 2
    assert "lies in the data set" in capsys.readouterr().err and not (towns / "market" / "run").exists()


def crops_of(folder: Path) -> Path:
    for number in range(6):
        picture(folder / f"c{1 + number % 2}_{number}.png", 200 + number)
    return folder


def test_a_target_folder_is_measured_again(towns: Path, tmp_path: Path, capsys):
    words = ["--source", "street:campus", "--data", str(towns), "--target", str(towns / "market"), "--out", str(tmp_path / "run")]
    assert main(["train", "cail-mixup", *words, *FAST, "--batch-size", "4"]) == 0
    said = capsys.readouterr().out
    assert "adapted without labels to street in market: 4 images, 2 cameras" in said
    assert main(["train", "cail-mixup", *words, "--eval-only", "--json", str(tmp_path / "by-run.json")]) == 0
    named = ["--dataset", "street", "--data", str(towns / "market"), "--json", str(tmp_path / "by-hand.json")]
    assert main(["evaluate", str(tmp_path / "run" / "artefact"), *named]) == 0
    found, expected = (json.loads((tmp_path / name).read_text()) for name in ("by-run.json", "by-hand.json"))
    assert found == expected
    capsys.readouterr()

    crops = crops_of(tmp_path / "crops")
    words = ["--target", str(crops), "--eval-only", "--out", str(tmp_path / "run")]
    assert main(["train", "cail-mixup", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert f'the target "{crops}" is a folder of crops, with no query and gallery to measure on' in said and "\n" not in said


def test_what_is_measured_is_the_target(towns: Path, tmp_path: Path, capsys):
    """The source's own test images do not matter: it may have none, or those of one camera."""
    fast, out = [*FAST, "--batch-size", "4"], ["--data", str(towns), "--out", str(tmp_path / "run")]
    for source in ("harbour", "arcade"):
        words = ["--source", f"street:{source}", "--target", "street:market", "--convention", "cail-mixup"]
        assert main(["train", "cail-mixup", *words, *fast, *out[:-1], str(tmp_path / source)]) == 0
        said = capsys.readouterr().out
        assert "Rank-1" in said and "trapezoid" in said
    for target, further, text in (
        ("street:harbour", ["--convention", "layumi"], "--convention is layumi, but street:harbour has no queries to evaluate."),
        (str(crops_of(tmp_path / "c")), ["--convention", "layumi"], "--convention is layumi, but c has no queries to evaluate."),
        ("street:arcade", [], "street:arcade: "),
        (str(towns / "arcade"), [], "street in arcade: "),
    ):
        assert main(["train", "cail-mixup", "--source", "street:campus", "--target", target, *further, *fast, *out]) in (1, 2)
        said = capsys.readouterr().err.strip()
        assert text in said and "\n" not in said and not (tmp_path / "run").exists()


def test_presets_without_checked_figures_print_none(capsys):
    assert main(["train", "cail-mixup", "--presets"]) == 0
    said = capsys.readouterr().out
    assert "88.06%" in said and "71.50%" in said and "duke2msmt" in said
