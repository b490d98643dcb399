"""docs/extending.md, followed: its code becomes modules, its rows stand in the tables, and the recipe trains on the data set."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from passerby import datasets
from passerby.cli import main
from passerby.datasets import registry
from passerby.losses import LOSSES, LossKind, make_losses
from passerby.losses.terms import LossTerm
from passerby.models import backbones, bodies
from passerby.recipes import RECIPES

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
WHO = "# src/passerby/"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the page, with the rows that it names."""
    found: dict[str, ModuleType] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        place = block.splitlines()[0]
        assert place.startswith(WHO), place
        name = "passerby." + place.removeprefix(WHO).removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
        found[name.rsplit(".", 1)[1]] = module
    monkeypatch.setitem(LOSSES, "centres", LossKind(found["centres"].centres, needs_pairs=True, divided_by_batch=False))
    monkeypatch.setitem(bodies.OWN, "tiny", found["tiny"].Tiny)
    monkeypatch.setitem(backbones.BACKBONES, "tiny", "tiny")
    monkeypatch.setitem(RECIPES, "plain", "passerby.recipes.plain")
    monkeypatch.setitem(registry._BY_ALIAS, "office", "office")  # made from the table when the registry is imported
    before = dict(datasets.DATASETS)
    datasets.DATASETS.clear()
    datasets.DATASETS.update({"office": found["office"].OFFICE, **before})  # before the layouts that could be anything
    yield found
    datasets.DATASETS.clear()
    datasets.DATASETS.update(before)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """Eight people, four of them to train on, two images in each of two cameras."""
    random, root = np.random.default_rng(0), tmp_path / "office"
    for pid in range(1, 9):
        colour = random.integers(0, 255, 3)
        for camera in (1, 2):
            for frame in range(2):
                split = "train" if pid <= 4 else "query" if camera == 1 else "gallery"
                (root / split).mkdir(parents=True, exist_ok=True)
                noise = random.integers(0, 30, (32, 16, 3))
                Image.fromarray((colour // camera + noise).clip(0, 255).astype(np.uint8)).save(
                    root / split / f"person{pid}_cam{camera}_{frame:06d}.png"
                )
    return root


def test_the_page_has_every_kind(added: dict[str, ModuleType]):
    assert set(added) == {"office", "centres", "tiny", "plain"}


def test_the_data_set_is_known_and_its_faults_are_said(
    added: dict[str, ModuleType], office: Path, capsys: pytest.CaptureFixture[str]
):
    data = datasets.read(datasets.detect(office), office)
    assert data.name == "office" and {name: len(split) for name, split in data.splits().items()} == {
        "train": 16, "query": 8, "gallery": 8,
    }  # fmt: skip
    assert data.train.cameras == (("office", 0), ("office", 1))
    (office / "query" / "nobody.png").write_bytes((office / "query" / "person5_cam1_000000.png").read_bytes())
    assert main(["data", "check", str(office)]) == 1
    assert "OFFICE names its images like person12_cam3_000451.jpg" in " ".join(capsys.readouterr().out.split())


def test_the_loss_by_hand(added: dict[str, ModuleType]):
    losses = make_losses((LossTerm.parse("centres"),), num_classes=2, embedding_dim=2)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [2.0, 0.0]])
    # means (0.5, 0.5) and (1, 0): squared distances 0.5, 0.5, 0, 0; their cosine is 0.7071, 0.2071 above the margin
    found = losses(vectors, torch.tensor([0, 0, 1, 1]))["centres"]
    assert float(found) == pytest.approx(0.25 + 0.5**0.5 - 0.5, abs=1e-6)


def test_the_recipe_trains_on_it_and_everything_goes_on_from_there(
    added: dict[str, ModuleType], office: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run, page = tmp_path / "run", tmp_path / "report.html"
    small = ["--backbone", "tiny", "--height", "32", "--width", "16", "--batch-size", "8", "--images-per-identity", "2"]
    words = ["train", "plain", "--data", str(office), "--out", str(run), "--losses", "centres:0.5", "--epochs", "2", *small]
    assert main([*words, "--workers", "0", "--device", "cpu"]) == 0
    assert main(["report", str(run), "--data", str(office), "--out", str(page), "--bootstrap", "20"]) == 0
    assert "run: Rank-1" in capsys.readouterr().out and "the recipe plain" in page.read_text()
