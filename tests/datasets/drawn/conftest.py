from pathlib import Path

import pytest

from passerby.datasets.drawn import DrawnOptions, make_drawn
from passerby.records import ReidData

SMALL = DrawnOptions(train_people=3, test_people=2, cameras=2, images=2, distractors=2, junk=1, height_px=64)


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "people"
    make_drawn(folder, SMALL)
    return folder


@pytest.fixture(scope="session")
def drawn(drawn_folder: Path) -> ReidData:
    return make_drawn(drawn_folder, SMALL)
