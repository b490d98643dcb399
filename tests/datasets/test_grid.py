from pathlib import Path

import numpy as np
import pytest

from passerby import datasets
from passerby.errors import DataError

scipy_io = pytest.importorskip("scipy.io")

NAME = "{:04d}_{}_25004_107_32_106_221.jpeg"


def draw_all(folder: Path, names: list[str]) -> None:
    """Empty files: reading a data set looks at names only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def tree(root: Path, partitions=((1, 2), (3, 4))) -> Path:
    draw_all(root / "probe", [NAME.format(person, 1) for person in (1, 2, 3, 4)])
    draw_all(root / "gallery", [NAME.format(person, 5) for person in (1, 2, 3, 4)] + [NAME.format(0, 7), NAME.format(0, 8)])
    cells = np.empty((1, len(partitions)), dtype=object)
    for i, people in enumerate(partitions):
        struct = np.zeros((1, 1), dtype=[("idx_probe", object), ("idx_gallery", object), ("idx_person", object)])
        struct[0, 0] = (np.array([[9]]), np.array([[9]]), np.array([people]))
        cells[0, i] = struct
    scipy_io.savemat(root / "features_and_partitions.mat", {"trainIdxAll": cells})
    return root


def test_partitions_are_the_official_ones(tmp_path: Path):
    data = datasets.read("grid", tree(tmp_path / "GRID"))
    assert [trial.name for trial in data.trials] == ["1", "2"] and not len(data.query)
    first, second = data.trials
    assert first.query.pids.tolist() == [3, 4] and first.query.camids.tolist() == [0, 0]
    assert sorted(first.gallery.pids.tolist()) == [0, 0, 3, 4] and sorted(first.gallery.camids.tolist()) == [4, 4, 6, 7]
    assert sorted(first.train.pids.tolist()) == [1, 1, 2, 2] and second.query.pids.tolist() == [1, 2]
    assert datasets.detect(tmp_path / "GRID") == "grid"


def test_without_its_partition_file_it_is_refused_with_the_reason(tmp_path: Path):
    root = tree(tmp_path / "GRID")
    (root / "features_and_partitions.mat").rename(tmp_path / "elsewhere.mat")
    with pytest.raises(
        DataError, match=r"features_and_partitions.mat missing from .*GRID.: it holds the ten official partitions"
    ):
        datasets.read("grid", root)
    assert datasets.detect(root) == "grid"


def test_other_faults(tmp_path: Path):
    root = tree(tmp_path / "GRID", ((1, 2, 99),))
    with pytest.raises(
        DataError, match=r"partition 1 of features_and_partitions.mat names 1 of 3 people whom .* twice: 99. Is the copy"
    ):
        datasets.read("grid", root)
    scipy_io.savemat(root / "features_and_partitions.mat", {"other": 1})
    with pytest.raises(DataError, match="lacks the variable 'trainIdxAll'; it is not a file of GRID"):
        datasets.read("grid", root)
    scipy_io.savemat(root / "features_and_partitions.mat", {"trainIdxAll": np.ones((1, 2))})
    with pytest.raises(DataError, match="cannot be read as a file of GRID"):
        datasets.read("grid", root)
    (root / "gallery").rename(root / "galery")
    (root / "galery" / "nobody.jpeg").touch()
    with pytest.raises(
        DataError, match=r'no images in gallery of ".*GRID", which has "galery", "gallery", "probe": GRID has probe, gallery'
    ):
        datasets.read("grid", tree_without_gallery(root))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_partition_file_that_was_cut_short_is_named(tmp_path: Path, share: float):
    root = tree(tmp_path / "GRID")
    path = root / "features_and_partitions.mat"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"features_and_partitions.mat. cannot be read as a file of GRID: .*Is the copy whole"):
        datasets.read("grid", root)


def test_images_of_another_suffix_are_read(tmp_path: Path):
    root = tree(tmp_path / "GRID")
    for path in [*(root / "probe").iterdir(), *(root / "gallery").iterdir()]:
        path.rename(path.with_suffix(".png"))
    assert len(datasets.read("grid", root).trials) == 2


def tree_without_gallery(root: Path) -> Path:
    """Recognised by its partition file and an empty folder."""
    (root / "gallery").mkdir()
    return root
