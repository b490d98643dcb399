"""Four queries and twelve gallery images on a circle: every ranking can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.embeddings import Embeddings


def on_circle(degrees: list[float], pids: list[int], camids: list[int], names: list[str]) -> Embeddings:
    angle = np.deg2rad(degrees)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Embeddings(vectors, pids, camids, names, {"data": "circle", "recipe": "angles", "notes": ["nobody is real"]})


@pytest.fixture
def query() -> Embeddings:
    return on_circle([0, 60, 120, 180], [1, 2, 3, 4], [0, 0, 0, 0], [f"query/{pid:04d}.png" for pid in (1, 2, 3, 4)])


@pytest.fixture
def gallery() -> Embeddings:
    rows = [  # angle, pid, camera
        (1, 1, 0), (2, 1, 1), (3, -1, 1), (4, 9, 1), (5, 1, 2),
        (61, 8, 1), (62, 2, 1), (121, 8, 1), (122, 0, 1), (123, 7, 1), (124, 3, 1), (181, 7, 2),
    ]  # fmt: skip
    angles, pids, camids = (list(column) for column in zip(*rows, strict=True))
    return on_circle(angles, pids, camids, [f"gallery/{row:02d}.png" for row in range(len(rows))])


@pytest.fixture
def images(tmp_path: Path, query: Embeddings, gallery: Embeddings) -> Path:
    root = tmp_path / "images"
    for number, name in enumerate([*query.names, *gallery.names]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 32), (15 * number, 100, 200 - 10 * number)).save(root / name)
    return root
