"""`passerby link`: tracks become people."""

import json
from pathlib import Path

import numpy as np
import pytest

from passerby.cli import main
from passerby.gallery import Gallery, Model, NewSighting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=Model("m", "m", 4)) as gallery:
        gallery.add(
            [
                NewSighting(f"{who} {place}", np.eye(4)[who], camera, 1000.0 * who + (5 if who == 2 else 100) * place, f"t{who}")
                for who in range(3)
                for place, camera in enumerate(["lobby", "yard"])
            ]
        )
        gallery.set_transitions({("lobby", "yard"): 40})
    return path


def test_tracks_are_linked_by_looks_and_time(path: Path, tmp_path: Path, capsys):
    assert main(["link", str(path), "--similarity", "0.8", "--json", str(tmp_path / "l.json")]) == 0
    assert "4 of 6 tracks linked; 2 identities (2 new), 2 of them over several cameras" in capsys.readouterr().out
    assert json.loads((tmp_path / "l.json").read_text())["linked"] == 4
    main(["gallery", "undo", str(path)])
    assert main(["link", str(path), "--similarity", "0.8", "--no-time"]) == 0
    assert "6 of 6 tracks linked; 3 identities" in capsys.readouterr().out
    main(["gallery", "undo", str(path)])
    assert main(["link", str(path), "--similarity", "0.8", "--singles"]) == 0
    assert "4 of 6 tracks linked; 4 identities (4 new)" in capsys.readouterr().out


def test_without_thresholds_a_similarity_is_needed(path: Path, capsys):
    assert main(["link", str(path)]) == 2
    assert "has no thresholds, so from which similarity on are tracks one person? Give --similarity" in capsys.readouterr().err
    assert main(["link", str(path), "--similarity", "7"]) == 2
    assert "it is a cosine" in capsys.readouterr().err
