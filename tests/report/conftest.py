"""Two run folders of one data set: six people on a circle, seen by three cameras; nothing is trained."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from passerby.artefact import Artefact, save_artefact
from passerby.configs import plain, write_yaml
from passerby.embedder import EmbeddingRule
from passerby.embeddings import Embeddings
from passerby.recipes import baseline
from passerby.report import Run, read_run, write_report
from passerby.transforms import Preprocess

NOTE = "rendered people: town nowhere"


def on_circle(degrees: list[float], pids: list[int], camids: list[int], names: list[str], artefact: str, data: str) -> Embeddings:
    angle = np.deg2rad(degrees)
    meta = {"data": data, "recipe": "baseline", "artefact": artefact, "notes": [NOTE]}
    return Embeddings(np.stack([np.cos(angle), np.sin(angle)], axis=1), pids, camids, names, meta)


def write_run(folder: Path, *, seed: int = 0, noise: float = 0.0, data: str = "street", epochs: int = 12) -> Path:
    """A run as training leaves it, with embeddings; `noise` in degrees turns the queries."""
    folder.mkdir(parents=True)
    lines = []
    for epoch in range(1, epochs + 1):
        measured = {"loss": 3.0 / epoch, "accuracy": epoch / (epochs + 1), "ce": 3.0 / epoch}
        lines.append({"kind": "epoch", "step": 10 * epoch, "epoch": epoch, **measured, "seconds": 1.0, "images_per_s": 9.0})
    lines.append({"kind": "evaluation", "step": 10 * epochs, "epoch": epochs, "rank1": 0.5, "map": 0.25})
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = plain(baseline.Config(epochs=epochs, seed=seed, weights="scratch"))
    write_yaml(folder / "config.yaml", {"dataset": data, **config})
    facts = Artefact(
        recipe="baseline", config=config, model={"backbone": "resnet50", "norm": "batch"}, preprocess=Preprocess(size=(32, 16)),
        rule=EmbeddingRule(), embedding_dim=2, seed=seed, notes=(NOTE,),
        data=({"name": data, "train_images": 90, "train_identities": 9, "train_cameras": 3},),
    )  # fmt: skip
    written = save_artefact(folder / "artefact", nn.Linear(2, 2), facts)
    random = np.random.default_rng(seed)
    people, cameras = [1, 2, 3, 4, 5, 6], [0, 1, 2]
    rows = [(60.0 * pid, pid, camid) for pid in people for camid in cameras]
    angles = [angle + noise * random.standard_normal() for angle, _, _ in rows]
    pids, camids = [pid for _, pid, _ in rows], [camid for _, _, camid in rows]
    for subset, turned in (("query", angles), ("gallery", [angle + 2.0 * camid for angle, _, camid in rows])):
        names = [f"{subset}/{pid:04d}_c{camid}{'<b>' if pid == 1 else ''}.png" for pid, camid in zip(pids, camids, strict=True)]
        on_circle(turned, pids, camids, names, written.short_id, data).save(folder / "embeddings" / f"{subset}.npz")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of all rows; those of camera 2 are dark and small."""
    root = tmp_path_factory.mktemp("images")
    for subset in ("query", "gallery"):
        (root / subset).mkdir()
        for pid in range(1, 7):
            for camid in range(3):
                name = f"{pid:04d}_c{camid}{'<b>' if pid == 1 else ''}.png"
                size, light = ((8, 16), 40) if camid == 2 else ((16, 32), 200)
                Image.new("RGB", size, (light, light // 2, 20 * pid)).save(root / subset / name)
    return root


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {"good": write_run(root / "good"), "noisy": write_run(root / "noisy", seed=1, noise=40.0)}


@pytest.fixture
def run_of(folders: dict[str, Path], images: Path) -> Callable[[str], Run]:
    return lambda name: read_run(folders[name], name=name, images=images)


class Reader(HTMLParser):
    """Names of the elements, their attributes and all text, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def reader() -> Callable[[str], Reader]:
    return Reader


@pytest.fixture
def text_of() -> Callable[[str], str]:
    """All that a page says, between single spaces."""
    return lambda page: " ".join(" ".join(Reader(re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)).texts).split())


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write a page and read it; its plots are left out, for they are looked at in one test and take most of the time."""
    for module in ("page", "people"):
        monkeypatch.setattr(f"passerby.report.{module}.drawn", lambda draw: "data:,")

    def write(*runs: Run, **options: object) -> str:
        write_report(runs, tmp_path / "report.html", samples=50, **options)  # type: ignore[arg-type]
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def whole_page(folders: dict[str, Path], images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about both runs, with everything on it."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report([read_run(folders[name], name=name, images=images) for name in ("noisy", "good")], path, samples=50)
    return path
