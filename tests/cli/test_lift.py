"""`passerby lift`: what it writes, what it says, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main


@pytest.fixture()
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    for name in ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000452_01.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((128, 64, 3), 90, np.uint8)).save(folder / name)
    return folder


def test_a_folder_is_lifted_and_what_failed_is_said(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (crops / "bounding_box_train" / "0003_c1s1_000451_03.jpg").write_bytes(b"x")
    out, report = tmp_path / "out", tmp_path / "report.json"
    words = ["lift", str(crops), "--out", str(out), "--dataset", "market-style", "--lifter", "template", "--height", "32"]
    assert main([*words, "--workers", "1", "--preview", "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: 2 clouds of 3 images" in said
    assert f"1 images (33.3%) became no cloud: 1 no image. Each is in {out / 'failures.csv'}." in said
    assert f"passerby train ognet --dataset clouds --data {out}" in said
    assert (out / "preview.jpg").is_file() and json.loads(report.read_text())["reasons"] == {"no image": 1}
    assert main([*words, "--workers", "1"]) == 0
    assert "2 clouds of 3 images (2 were there)" in capsys.readouterr().out


def test_where_nothing_can_be_lifted_it_fails(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("onnxruntime", reason="lifting by landmarks needs onnxruntime")
    words = ["lift", str(crops), "--out", str(tmp_path / "out"), "--dataset", "images", "--workers", "1"]
    assert main(words) == 1
    assert "none of the 2 images could be lifted: look at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lifter", "vertices"], 'a folder of vertices goes with the lifter "vertices", and only with it'),
        (["--workers", "-1"], "--workers is -1: give how many processes should work"),
        (["--height", "7"], "height is 7: a cloud has 16 to 512 rows"),
        (["--lifter", "smpl"], "smpl"),
    ],
)
def test_wrong_calls(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str):
    assert main(["lift", str(crops), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
