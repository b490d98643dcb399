from pathlib import Path

import numpy as np
import pytest

from passerby import datasets
from passerby.datasets.small_trials import HASHES, matlab_permutations, trial_list, two_images
from passerby.errors import DataError


def release(root: Path, suffix: str = "bmp", people: int = 632) -> Path:
    for folder, angle in (("cam_a", 45), ("cam_b", 90)):
        (root / "VIPeR" / folder).mkdir(parents=True)
        for person in range(people):
            (root / "VIPeR" / folder / f"{person:03d}_{angle}.{suffix}").touch()
    return root


@pytest.mark.parametrize("suffix", ["bmp", "png"])
def test_forty_splits_are_made_from_the_release(tmp_path: Path, suffix: str):
    data = datasets.read("viper", release(tmp_path / "viper", suffix))
    assert [trial.name for trial in data.trials] == [f"{n}{letter}" for n in range(1, 11) for letter in "abcd"]
    a, b, c, d = data.trials[:4]
    assert all(len(t.query) == len(t.gallery) == 316 and len(t.train) == 632 for t in data.trials)
    assert set(a.query.camids) == {0} and set(a.gallery.camids) == {1} and set(c.query.camids) == {1}
    assert set(a.query.pids) == set(c.query.pids) == set(b.train.pids) == set(d.train.pids)
    assert set(b.query.pids) == set(a.train.pids) and not set(a.query.pids) & set(b.query.pids)
    second_half = [number + 1 for number in matlab_permutations(632, 1)[0][316:]]
    assert a.query.pids.tolist() == sorted(second_half)
    assert datasets.detect(tmp_path / "viper") == "viper"


def test_split_folders_of_others_are_read_as_they_are(tmp_path: Path):
    root = tmp_path / "viper"
    for split in ("split_1a", "split_10d", "split_2a"):
        for part, names in {
            "train": ["p003_c1_d045.png"],
            "query": ["p000_c1_d000.png"],
            "gallery": ["p000_c2_d090.png"],
        }.items():
            (root / split / part).mkdir(parents=True)
            for name in names:
                (root / split / part / name).touch()
    data = datasets.read("viper", root)
    assert [trial.name for trial in data.trials] == ["1a", "2a", "10d"]
    assert data.trials[0].query.pids.tolist() == [1] and data.trials[0].gallery.camids.tolist() == [1]
    (root / "split_2a" / "query" / "p005_c1_d000.png").touch()
    with pytest.raises(DataError, match=r"query of split_2a names 1 of 2 people whom the images do not show twice: 6"):
        datasets.read("viper", root)
    (root / "split_2a" / "query" / "5.png").touch()
    with pytest.raises(DataError, match=r"misnamed: split_2a/query/5.png: split folders hold names like p001_c1_d045.png"):
        datasets.read("viper", root)


def test_faults(tmp_path: Path):
    with pytest.raises(DataError, match="shows 600 people, VIPeR has 632: the splits are made for these"):
        datasets.read("viper", release(tmp_path / "one", people=600))
    root = release(tmp_path / "two")
    (root / "VIPeR" / "cam_b" / "007_90.bmp").unlink()
    with pytest.raises(DataError, match="the release of VIPeR names 1 of 632 people whom the images do not show twice: 7"):
        datasets.read("viper", root)
    (root / "VIPeR" / "cam_b" / "readme.bmp").touch()
    with pytest.raises(DataError, match=r"misnamed in .*cam_b.: readme.bmp: VIPeR names its images like 001_45.bmp"):
        datasets.read("viper", root)


def test_a_folder_of_another_name_is_told_with_what_is_looked_for(tmp_path: Path):
    root = tmp_path / "VIPeR"
    for folder in ("cam_a", "cam_B2"):
        (root / folder).mkdir(parents=True)
        (root / folder / "001_45.bmp").touch()
    with pytest.raises(DataError, match=r"not VIPeR; .*VIPeR is read from a folder with cam_a and cam_b, or split_1a, split_1b"):
        datasets.read("viper", root)


def test_shipped_trials_are_whole_and_differ():
    assert trial_list("viper") == matlab_permutations(632, 10)
    for name in HASHES:
        trials = trial_list(name)
        assert len(trials) == 10 and len({str(trial) for trial in trials}) == 10
    assert all(len(set(trial)) == 100 and set(trial) <= set(range(1, 201)) for trial in trial_list("prid2011"))
    assert all(len({row[0] for row in trial}) == 60 and max(row[0] for row in trial) < 119 for trial in trial_list("ilids"))


def test_matlab_gives_the_order_of_its_documentation():
    # As documented, freshly started: rand gives 0.8147 0.9058 0.1270 0.9134 0.6324 0.0975, and randperm(6) 6 3 5 1 2 4.
    assert np.argsort([0.8147, 0.9058, 0.1270, 0.9134, 0.6324, 0.0975]).tolist() == [5, 2, 4, 0, 1, 3]
    assert matlab_permutations(6, 1) == [[5, 2, 4, 0, 1, 3]]


def test_a_changed_list_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(HASHES, "ilids", "0" * 64)
    with pytest.raises(
        DataError, match=r"the trials of ilids have hash [0-9a-f]{12}, expected 000000000000: install passerby again"
    ):
        trial_list("ilids")


def test_two_images_are_two():
    for images in range(2, 9):
        pairs = {two_images(images, a, b) for a in range(20) for b in range(20)}
        assert len(pairs) == images * (images - 1) and all(0 <= one != other < images for one, other in pairs)
    with pytest.raises(DataError, match="a person with 1 images cannot be both query and gallery"):
        two_images(1, 0, 0)
