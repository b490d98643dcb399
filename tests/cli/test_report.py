"""`passerby report`, as it is typed."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.artefact import Artefact, save_artefact
from passerby.cli import main
from passerby.configs import plain
from passerby.embedder import EmbeddingRule
from passerby.models import ModelConfig, build_model
from passerby.transforms import Preprocess


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model that was not trained, and a data set of four people in two cameras; nothing is embedded yet."""
    root = tmp_path_factory.mktemp("report")
    (root / "data").mkdir()
    random = np.random.default_rng(0)
    with (root / "data" / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "pid", "camid", "split"])
        for pid in range(1, 5):
            colour = random.integers(0, 255, 3)
            for camid, split in ((0, "query"), (1, "gallery")):
                name = f"{split}_{pid}.png"
                Image.fromarray(np.full((16, 8, 3), colour // (1 + camid), dtype=np.uint8)).save(root / "data" / name)
                table.writerow([name, pid, camid, split])
    run = root / "run"
    run.mkdir()
    line = {"kind": "epoch", "step": 4, "epoch": 1, "loss": 1.0, "accuracy": 0.5}
    (run / "history.jsonl").write_text(json.dumps(line) + "\n")
    (run / "config.yaml").write_text("dataset: mine\nepochs: 1\n")
    config = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), head="bnneck")
    model = build_model(config)
    facts = Artefact("baseline", {}, plain(config), Preprocess(size=(64, 32)), EmbeddingRule(), model.embedding_dim)
    save_artefact(run / "artefact", model, facts)
    return root


def test_a_run_is_embedded_shown_and_found_again(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(made, tmp_path / "demo")
    run, data, out, found = tmp_path / "demo" / "run", tmp_path / "demo" / "data", tmp_path / "r.html", tmp_path / "r.json"
    words = ["report", "--out", str(out), "--bootstrap", "20", "--json", str(found)]
    assert main([*words, str(run)]) == 0 and "run: no embeddings" in capsys.readouterr().out
    assert main([*words, str(run), "--data", str(data)]) == 0
    told = capsys.readouterr().out
    assert "run: Rank-1" in told and (run / "embeddings" / "query.npz").is_file() and "image/jpeg" in out.read_text()
    (run / "embeddings").rename(tmp_path / "demo" / "embeddings")
    assert main([*words, str(tmp_path / "demo"), "--names", "shown"]) == 0  # the folder of a demo
    again = capsys.readouterr().out
    assert "shown: Rank-1" in again and "image/jpeg" in out.read_text()
    assert json.loads(found.read_text())["runs"]["shown"]["num_queries"] == 4
    assert again.split("Rank-1")[1] == told.split("Rank-1")[1]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ([], 2, "no run to report"),
        (["nowhere"], 1, "no history.jsonl in nowhere"),
        (["RUN", "--names", "a", "b"], 2, "2 names for 1 runs: give one name a run, or none."),
        (["RUN", "--embeddings", "a", "b"], 2, "2 folders of embeddings for 1 runs"),
        (["RUN", "--dataset", "street"], 2, "--dataset is street, but it acts only with --data"),
        (["RUN", "--out", "report.txt"], 2, "is a web page: give a name that ends in .html"),
        (["RUN", "--convention", "markt1501"], 2, 'no convention "markt1501"'),
        (["RUN", "--top", "0"], 2, "top is 0: give 1 or more."),
    ],
)
def test_wrong_calls_are_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str], status: int, text: str,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["report", *(str(made / "run") if word == "RUN" else word for word in words)]) == status
    error = capsys.readouterr().err
    assert text in error and len(error.splitlines()) == 1 and not list(tmp_path.iterdir())
