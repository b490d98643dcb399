"""docs/search.md may not lag: its commands run, in their order, on a small gallery."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.embedder import EmbeddingRule
from passerby.gallery import Gallery, Model, NewSighting
from passerby.gallery.ingest import make_thumbnail

PAGE = Path(__file__).parents[2] / "docs" / "search.md"
NINE = 1795251600.0  # 2026-11-21T09:00:00 UTC


class Embedder:
    facts, rule, precision, cameras, dim = {"artefact": "a" * 12}, EmbeddingRule(), "fp32", None, 3
    camera_agnostic = False

    def for_any_camera(self) -> "Embedder":
        return self

    def __call__(self, images, camera=None) -> np.ndarray:
        images = [images] if isinstance(images, str) else list(images)
        return np.array([[1.0, 2.0, 3.0] for _ in images], np.float32)


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("passerby.artefact.load", lambda model=None, **how: Embedder())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSERBY_GALLERY", raising=False)
    for name in ("somebody", "front", "back"):
        Image.new("RGB", (40, 80)).save(f"{name}.jpg")
    Path("ways.csv").write_text("from,to,seconds\nlobby,yard,40\n")
    random = np.random.default_rng(0)
    with Gallery.open("town.gallery", create=True, model=Model.of(Embedder())) as gallery:
        gallery.add(
            [
                NewSighting(
                    f"k{n}", random.standard_normal(3) + 2, ("lobby", "yard")[n % 2], NINE + 60 * n, f"t{n // 2}",
                    thumbnail=make_thumbnail(Image.new("RGB", (40, 80))),
                )
                for n in range(12)
            ]
        )  # fmt: skip
    shutil.copy("town.gallery", "people.gallery")  # the default, which the page's first command searches
    text = PAGE.read_text(encoding="utf-8")
    blocks = [block for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if not language]
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line.split(" #")[0] for line in lines if line.startswith("passerby ") and "milvus" not in line]
    assert len(commands) > 18
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
    said = capsys.readouterr().out
    assert "taken back: split" in said and "crops erased" in said and Path("found.png").is_file()


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("passerby.load", lambda model=None, **how: Embedder())  # first: the package keeps what it hands out once
    monkeypatch.setattr("passerby.artefact.load", lambda model=None, **how: Embedder())
    monkeypatch.chdir(tmp_path)
    with Gallery.open("town.gallery", create=True, model=Model.of(Embedder())) as gallery:
        gallery.add([NewSighting("a", np.array([1, 2, 3]), "yard", NINE), NewSighting("b", np.array([1, 2, 3]), "lobby")])
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == f"('yard', {NINE}, 1.0, None, None)\n"
