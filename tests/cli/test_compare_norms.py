"""`passerby compare norms` prints all rows of the paper's tables for a source and a target."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main

ROWS = {
    "BN / BN", "IBN / IBN", "BN / AdaBN", "BN / CBN", "CBN / CBN", "BN, camera statistics in first norm",
    *(f"BN, camera statistics in {part}/4 of the backbone" for part in range(1, 5)),
}  # fmt: skip


def place(root: Path, seed: int) -> Path:
    """Four people and two cameras in Market's layout; half of the people are for training."""
    random = np.random.default_rng(seed)
    for folder, people in {"bounding_box_train": (1, 2), "query": (3, 4), "bounding_box_test": (3, 4)}.items():
        for pid in people:
            for camera in (1, 2):
                for shot in range(4):
                    tint = np.array([60 * camera, 40 * (pid % 2), 30 * seed])
                    pixels = np.clip(random.normal(60, 30, (32, 16, 3)) + tint, 0, 255).astype(np.uint8)
                    path = root / folder / f"{pid:04d}_c{camera}s1_{shot:06d}_{int(folder == 'query')}0.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
    return root


SMALL = [
    "--backbone", "osnet_x0_25", "--weights", "scratch", "--ibn-backbone", "osnet_x0_25", "--ibn-weights", "scratch",
    "--height", "32", "--width", "16", "--last-stride", "2", "--pad-px", "0", "--batch-size", "8", "--epochs", "1",
    "--workers", "0", "--device", "cpu",
]  # fmt: skip


def test_the_table_of_a_source_and_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home, away, out = place(tmp_path / "home", 1), place(tmp_path / "away", 2), tmp_path / "runs"
    words = ["compare", "norms", "--source", str(home), "--target", str(away), "--out", str(out), *SMALL]
    assert main([*words, "--json", str(tmp_path / "a.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "72.7 / 43.0" in shown and "CBN / CBN" in shown
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert set(rows) == ROWS
    assert all(0 <= rows[row][where][what] <= 1 for row in rows for where in ("home", "away") for what in ("rank1", "map"))
    trained = (out / "cbn" / "artefact" / "model.safetensors").stat().st_mtime_ns
    assert main([*words, "--json", str(tmp_path / "b.json")]) == 0  # trains nothing again
    assert (out / "cbn" / "artefact" / "model.safetensors").stat().st_mtime_ns == trained
    assert json.loads((tmp_path / "b.json").read_text())["rows"] == rows


def test_what_the_table_sets_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["compare", "norms", "--source", "a", "--target", "b", "--out", str(tmp_path / "out"), "--norm", "batch"]
    assert main(words) == 2
    assert "--norm and --then: this table sets the norms itself" in capsys.readouterr().err
    assert main(["compare", "norms", "--help"]) == 0
    assert "tables 6 and 9" in " ".join(capsys.readouterr().out.split())
