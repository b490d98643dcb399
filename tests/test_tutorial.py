"""docs/tutorial.md, followed from rendering to the report: its commands as they stand there, with few people and one epoch."""

import re
import shlex
from pathlib import Path

import pytest

from passerby.cli import main
from passerby.models.weights import find_installed_weights

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
SMALLER = {
    "--ids 120": "--ids 12",
    "--views 8": "--views 4 --size 64x128",
    "--epochs 12": "--epochs 1 --batch-size 8",
    "--height 128 --width 64": "--height 96 --width 64",
}
SMALLER_BATCHES = {"--batch-size 32": "--batch-size 8"}


def commands() -> list[str]:
    """Those in blocks and those in the list at the end, in their order; the demo has a test of its own."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [line for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    last = re.findall(r"`(passerby (?:adapt|plot heatmap) [^`]*)`", text)
    return [line for line in [*blocks, *last] if line.startswith("passerby ")]


def test_the_tutorial_from_rendering_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for line in commands():
        shorter = line
        for full, small in (SMALLER if "batches" not in line else SMALLER_BATCHES).items():
            shorter = shorter.replace(full, small)
        if line.startswith("passerby train"):
            shorter += " --device cpu --workers 0" + ("" if find_installed_weights("mobilenet_v2") else " --weights scratch")
        if line.startswith("passerby adapt"):
            shorter += " --min-images 2"
        if line.startswith("passerby street render"):
            shorter += " --workers 1"
        assert main(shlex.split(shorter)[1:]) == 0, f"{shorter}\n{capsys.readouterr().err}"
    made = ("harbour.png", "curves.png", "shown.png", "batches.png", "ranking.png", "report.html", "heatmap.png")
    assert all((tmp_path / name).is_file() for name in made)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 runs: plain, erasing" in page and "paired bootstrap" in page and "rendered people" in page
