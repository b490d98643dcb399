import re
from pathlib import Path

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics import CUHK03_CLASSIC, evaluate
from passerby.plots import plot_camera_pairs


def test_every_pair_with_queries_has_its_numbers(query: Embeddings, gallery: Embeddings, tmp_path: Path):
    scores = evaluate(query, gallery)
    pairs = plot_camera_pairs(scores, tmp_path / "cameras.svg", title="angles on circle")
    assert pairs is scores.camera_pairs
    text = " ".join(re.findall(r"<!-- (.*?) -->", (tmp_path / "cameras.svg").read_text(), flags=re.DOTALL))
    # from camera 0 to 1: persons 1, 2, 3, of whom only the first is found at once; to camera 2: person 1
    assert pairs.num_queries.tolist() == [[0, 3, 1]] and pairs.rank1[0, 1:].tolist() == pytest.approx([1 / 3, 1])
    assert "angles on circle" in text and "query camera" in text and "nobody is real" in text
    assert text.split().count("33") == 1 and text.split().count("100") >= 1 and " 3 " in text


def test_many_cameras_are_drawn_without_numbers(tmp_path: Path):
    cameras = np.arange(20)
    people = Embeddings(np.eye(20), cameras, cameras)
    found = Embeddings(np.concatenate([np.eye(20)] * 2), np.tile(cameras, 2), np.concatenate([cameras + 1, cameras + 2]) % 20)
    plot_camera_pairs(evaluate(people, found), tmp_path / "many.svg")
    assert "c19" in (tmp_path / "many.svg").read_text() and "n 1" not in (tmp_path / "many.svg").read_text()


def test_single_shots_have_no_pairs(query: Embeddings, gallery: Embeddings, tmp_path: Path):
    with pytest.raises(UsageError, match="no camera pairs"):
        plot_camera_pairs(evaluate(query, gallery, CUHK03_CLASSIC), tmp_path / "x.png")
