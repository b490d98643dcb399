from pathlib import Path

import numpy as np
import pytest

from passerby.cli import main
from passerby.embeddings import Embeddings


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        vectors = random.normal(size=(40, 5)).astype(np.float32)
        names = np.array([f"{i}.png" for i in range(40)])
        found = Embeddings(vectors, np.arange(1, 9).repeat(5), np.zeros(40, dtype=int), names)
        found.save(tmp_path / f"{name}.npz")
        (tmp_path / name).mkdir()
        found[:20].save(tmp_path / name / "query.npz")
        found[20:].save(tmp_path / name / "gallery.npz")
    return [str(tmp_path / "a.npz"), str(tmp_path / "b")]


def test_both_kinds_of_files_and_folders(files: list[str], tmp_path: Path, capsys):
    out, found = tmp_path / "p.png", tmp_path / "p.json"
    words = ["plot", "domains", *files, "--out", str(out), "--json", str(found), "--dpi", "40"]
    assert main([*words, "--perplexity", "5"]) == 0 and out.is_file() and '"positions"' in found.read_text()
    assert main([*words, "--kind", "distances", "--names", "x", "y"]) == 0
    assert '"x"' in found.read_text() and "2 domains" in capsys.readouterr().out


def test_refusals(files: list[str], capsys):
    assert main(["plot", "domains", *files, "--names", "a"]) == 2
    assert "2 inputs are called a: give each a name of its own with --names." in capsys.readouterr().err
    assert main(["plot", "domains", *files, "--kind", "distances", "--people", "3"]) == 2
    assert "--people and --perplexity are of --kind tsne" in capsys.readouterr().err
    assert main(["plot", "domains", "nowhere.npz"]) == 1
    assert "nowhere.npz: no such file or folder" in capsys.readouterr().err
