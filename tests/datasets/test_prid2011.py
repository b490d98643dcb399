from pathlib import Path

import pytest

from passerby import datasets
from passerby.datasets.small_trials import trial_list
from passerby.errors import DataError

SEEN_BY_A, SEEN_BY_B = 385, 749


def tree(root: Path, suffix: str = "png") -> Path:
    """Empty files: reading a data set looks at names only."""
    for folder, people in (("cam_a", SEEN_BY_A), ("cam_b", SEEN_BY_B)):
        (root / "single_shot" / folder).mkdir(parents=True)
        for person in range(1, people + 1):
            (root / "single_shot" / folder / f"person_{person:04d}.{suffix}").touch()
    return root


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_trials_have_their_published_sizes(tmp_path: Path, suffix: str):
    data = datasets.read("prid", tree(tmp_path / "prid_2011", suffix))
    assert len(data.trials) == 10
    for trial, test in zip(data.trials, trial_list("prid2011"), strict=True):
        assert (len(trial.query), len(trial.gallery), len(trial.train)) == (100, 649, 200)
        assert trial.query.pids.tolist() == sorted(test) and set(trial.query.camids) == {0} and set(trial.gallery.camids) == {1}
        assert set(trial.train.pids) | set(test) == set(range(1, 201)) and not set(trial.train.pids) & set(test)
        assert min(trial.gallery.pids[100:]) == 2201  # seen by the second camera alone: nobody of the first is called so
    assert datasets.detect(tmp_path / "prid_2011") == "prid2011"


def test_faults(tmp_path: Path):
    root = tree(tmp_path / "prid")
    (root / "single_shot" / "cam_b" / "person_0007.png").unlink()
    with pytest.raises(
        DataError, match=r"the list of PRID-2011 names 1 of 200 people whom the images do not show twice: 7\. Is the copy"
    ):
        datasets.read("prid2011", root)
    (root / "single_shot" / "cam_a" / "notes.png").touch()
    with pytest.raises(DataError, match=r"misnamed in .*cam_a.: notes.png: PRID-2011 names its images like person_0001.png"):
        datasets.read("prid2011", root)
    (root / "single_shot" / "cam_b").rename(root / "single_shot" / "camera_b")
    with pytest.raises(DataError, match="holds no PRID-2011"):
        datasets.read("prid2011", root)
