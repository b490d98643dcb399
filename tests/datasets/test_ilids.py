from pathlib import Path

import pytest

from passerby import datasets
from passerby.errors import DataError


def tree(root: Path, people: int = 119) -> Path:
    (root / "images").mkdir(parents=True)
    for person in range(1, people + 1):
        for image in range(1, 3 + person % 5):
            (root / "images" / f"{person:04d}{image:03d}.jpg").touch()
    return root


def test_every_trial_has_sixty_people_with_one_image_each_way(tmp_path: Path):
    data = datasets.read("ilids", tree(tmp_path / "QMUL-iLIDS"))
    assert len(data.trials) == 10 and len({tuple(trial.query.pids) for trial in data.trials}) == 10
    everything = len(list((tmp_path / "QMUL-iLIDS" / "images").iterdir()))
    for trial in data.trials:
        assert len(trial.query) == len(trial.gallery) == 60 and trial.query.pids.tolist() == trial.gallery.pids.tolist()
        assert not {r.path for r in trial.query} & {r.path for r in trial.gallery}
        assert all(q.camid != g.camid for q, g in zip(trial.query, trial.gallery, strict=True))  # images, not cameras
        shown = sum(2 + pid % 5 for pid in trial.query.pids.tolist())
        assert len(trial.train) == everything - shown and not set(trial.train.pids) & set(trial.query.pids)
    assert datasets.detect(tmp_path / "QMUL-iLIDS") == "ilids"


def test_images_of_another_suffix_and_in_other_folders(tmp_path: Path):
    root = tree(tmp_path / "QMUL-iLIDS")
    names = [record.path.stem for trial in datasets.read("ilids", root).trials for record in trial.query]
    for path in (root / "images").iterdir():
        path.rename(path.with_suffix(".bmp"))
    assert [record.path.stem for trial in datasets.read("ilids", root).trials for record in trial.query] == names
    (root / "images").rename(root / "pictures")
    with pytest.raises(DataError, match=r"not QMUL i-LIDS.*images named PPPPNNN.jpg, in it or in images\. Ask"):
        datasets.read("ilids", root)


def test_faults(tmp_path: Path):
    root = tree(tmp_path / "few", 118)
    with pytest.raises(DataError, match=r'few" shows 118 people: the trials are made for 119 people of two images'):
        datasets.read("ilids", root)
    (root / "images" / "0119001.jpg").touch()
    with pytest.raises(DataError, match=r"shows 119 people, 1 of them with one image \(119\)"):
        datasets.read("ilids", root)
    root = tree(tmp_path / "named")
    for n in range(30):
        (root / "images" / f"x{n}.jpg").touch()
    with pytest.raises(DataError, match=r"misnamed in .*images.: x0.jpg, .* i-LIDS names its images like 0001002.jpg"):
        datasets.read("ilids", root)
