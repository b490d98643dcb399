"""A handful of people of one colour each, seen by two cameras of different brightness: easy to tell apart, tiny to train on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.records import Record, ReidData, Split

PEOPLE, SHOTS = 6, 4
HUES = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 220], [210, 200, 40], [200, 60, 200], [60, 200, 200]])


def write_people(root: Path, first_pid: int = 1, shots: int = SHOTS, seed: int = 0) -> Split:
    random = np.random.default_rng(seed)
    records = []
    for person in range(PEOPLE):
        for camera in range(2):
            for shot in range(shots):
                colour = HUES[person] * (0.6 + 0.4 * camera)
                pixels = np.clip(colour + random.normal(0, 12, (32, 16, 3)), 0, 255).astype(np.uint8)
                path = root / f"{first_pid + person:04d}_c{camera + 1}_{shot}.png"
                Image.fromarray(pixels).save(path)
                records.append(Record(path, first_pid + person, camera, "colours"))
    return Split(tuple(records))


@pytest.fixture(scope="session")
def people_writer() -> Callable[..., Split]:
    return write_people


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> ReidData:
    train = write_people(tmp_path_factory.mktemp("train"))
    test = write_people(tmp_path_factory.mktemp("test"), first_pid=101, shots=2, seed=1)
    query = test.where(lambda record: record.path.name.endswith("_0.png"))
    gallery = test.where(lambda record: record.path.name.endswith("_1.png"))
    return ReidData("colours", train=train, query=query, gallery=gallery, notes=("people of one colour",))
