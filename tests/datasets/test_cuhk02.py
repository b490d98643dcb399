from pathlib import Path

import pytest

from passerby import datasets
from passerby.errors import DataError


def draw_all(folder: Path, names: list[str]) -> None:
    """Empty files: reading a data set looks at names only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def tree(root: Path, suffix: str = "png") -> Path:
    for pair in range(1, 6):
        for camera in (1, 2):
            draw_all(
                root / f"P{pair}" / f"cam{camera}",
                [f"{person:03d}_{camera}0{shot}.{suffix}" for person in (1, 2) for shot in (1, 2)],
            )
    return root


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_people_of_each_pair_are_their_own(tmp_path: Path, suffix: str):
    data = datasets.read("C2", tree(tmp_path / "cuhk02", suffix))
    assert len(data.train) == 40 and len(data.train.identities) == 10 and len(data.train.cameras) == 10
    assert data.train.identities[:3] == (("cuhk02", 10_001), ("cuhk02", 10_002), ("cuhk02", 20_001))
    assert {record.camid for record in data.train if record.pid == 30_002} == {4, 5}
    assert datasets.detect(tmp_path / "cuhk02") == "cuhk02"
    assert not len(data.query) and "40 images (expected 7,264)" in data.notes[0]


def test_faults_say_what_is_there(tmp_path: Path):
    root = tree(tmp_path / "cuhk02")
    (root / "P3" / "cam1").rename(root / "P3" / "camera1")
    with pytest.raises(
        DataError, match=r'no images in P3/cam1 of ".*cuhk02", which has "P1", .*: CUHK02 has P1/cam1, .*Unpack it again'
    ):
        datasets.read("cuhk02", root)
    (root / "P3" / "camera1").rename(root / "P3" / "cam1")
    draw_all(root / "P1" / "cam2", ["somebody.png"])
    with pytest.raises(DataError, match=r"misnamed in .*P1/cam2/somebody.png: CUHK02 names its images like P1/cam1/001_0012.png"):
        datasets.read("cuhk02", root)
