"""`passerby train metabin` on several data sets, and the protocol that such a model may enter."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main


def a_set(root: Path, name: str, colour: int) -> None:
    random = np.random.default_rng(colour)
    for folder, people in (("bounding_box_train", (1, 2, 3)), ("query", (5, 6)), ("bounding_box_test", (5, 6))):
        (root / folder).mkdir(parents=True)
        for person in people:
            for camera in (1, 2):
                for shot in range(2):
                    pixels = random.integers(0, 256, (16, 8, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(root / folder / name.format(person=person, camera=camera, shot=shot))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    a_set(tmp_path / "market1501", "{person:04d}_c{camera}s1_00000{shot}_00.png", 1)
    a_set(tmp_path / "dukemtmc", "{person:04d}_c{camera}_f000{shot}.png", 2)
    a_set(tmp_path / "msmt", "{person:04d}_c{camera}_{shot}.png", 3)
    return tmp_path


def test_several_sources_by_flag_and_their_protocol(data: Path, tmp_path: Path, capsys):
    words = ["train", "metabin", "--dataset", "M+D", "--data", str(data), "--out", str(tmp_path / "run"), "--workers", "0"]
    small = [
        "--backbone", "osnet_x0_25", "--weights", "scratch", "--last-stride", "2", "--height", "64", "--width", "32",
        "--pad-px", "0", "--device", "cpu",
        "--batch-size", "8", "--meta-batch-size", "8", "--images-per-identity", "2", "--meta-train-domains", "1", "--epochs", "1",
        "--first-base-updates", "1", "--warmup-epochs", "0",
    ]  # fmt: skip
    assert main([*words, *small]) == 0
    described = json.loads((tmp_path / "run" / "artefact" / "passerby.json").read_text())
    assert described["data"][0]["name"] == "dukemtmc+market1501"
    assert (tmp_path / "run" / "optimizers.txt").read_text().count("\n") > 100
    capsys.readouterr()
    model = str(tmp_path / "run" / "artefact")
    assert main(["evaluate", model, "--protocol", "M->grid", "--data", str(data)]) == 2
    assert "was trained on dukemtmc, market1501; protocol" in capsys.readouterr().err
    assert main(["evaluate", model, "--protocol", "M+D->GRID", "--data", str(data)]) == 1  # the right sources, by their aliases
    assert "GRID is read from a folder with probe, gallery" in capsys.readouterr().err
    preset = ["train", "metabin", "--preset", "dg-resnet", "--eval-only", "--out", str(tmp_path / "run"), "--data", str(data)]
    assert main(preset) == 2  # it asks by the preset's own protocol
    assert 'was trained on dukemtmc, market1501; protocol "p1"' in capsys.readouterr().err
    assert main([*preset, "--convention", "layumi"]) == 2
    assert "protocol p1 of the preset says both" in capsys.readouterr().err
    assert main(["train", "metabin", "--dataset", "M+nobody", "--data", str(data)]) == 2
    assert 'no data set "nobody"' in capsys.readouterr().err


def test_numbers_of_held_out_people_are_called_so_and_stand_beside_no_published_ones(data: Path, tmp_path: Path, capsys):
    words = ["train", "metabin", "--preset", "m-resnet", "--data", str(data), "--out", str(tmp_path / "run"), "--workers", "0"]
    small = [
        "--backbone", "osnet_x0_25", "--weights", "scratch", "--last-stride", "2", "--height", "64", "--width", "32",
        "--pad-px", "0", "--device", "cpu", "--batch-size", "4", "--images-per-identity", "2", "--epochs", "1",
        "--meta-batch-size", "8",
        "--meta-train-domains", "1", "--first-base-updates", "1",
    ]  # fmt: skip
    assert main([*words, *small, "--validation", "0.34"]) == 0
    said = capsys.readouterr().out
    assert "held-out training people of market1501 after 1 epochs" in said and "published" not in said
    assert "1 source people were held out for validation" in said
