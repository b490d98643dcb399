from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerby import datasets
from passerby.datasets.drawn import NOTE, DrawnOptions, make_drawn
from passerby.errors import DataError, UsageError
from passerby.records import ReidData

SMALL = DrawnOptions(train_people=3, test_people=2, cameras=2, images=2, distractors=2, junk=1, height_px=64)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_counts_are_those_of_the_options(drawn: ReidData):
    assert len(drawn.train) == 3 * 2 * 2 and len(drawn.query) == 2 * 2 and len(drawn.gallery) == 2 * 2 + 2 + 1
    assert sorted(drawn.gallery.pids.tolist()) == [-1, 0, 0, 4, 4, 5, 5]
    assert set(drawn.train.pids.tolist()) == {1, 2, 3} and set(drawn.query.pids.tolist()) == {4, 5}
    assert set(drawn.train.camids.tolist()) == {0, 1}


def test_every_query_can_be_found_and_nothing_is_wrong_with_the_folder(drawn_folder: Path, drawn: ReidData):
    datasets.check_evaluable(drawn)
    report = datasets.check(drawn_folder)
    assert report.dataset == "market-style" and not report.problems


def test_the_ordinary_reader_says_that_the_people_are_drawn(drawn_folder: Path):
    data = datasets.read(datasets.detect(drawn_folder), drawn_folder)
    assert data.name == "drawn" and data.notes == (NOTE,)


def test_market1501s_own_reader_reads_the_folder(drawn_folder: Path, drawn: ReidData):
    data = datasets.read("market1501", drawn_folder)
    assert data.query.pids.tolist() == drawn.query.pids.tolist()
    assert data.gallery.camids.tolist() == drawn.gallery.camids.tolist()


def test_images_have_the_size_that_was_asked_for(drawn: ReidData):
    assert datasets.read_image(drawn.query[0].path).size == (32, 64)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(drawn_folder: Path, tmp_path: Path):
    make_drawn(tmp_path / "again", SMALL)
    assert contents(tmp_path / "again") == contents(drawn_folder)
    make_drawn(tmp_path / "other", replace(SMALL, seed=1))
    other = contents(tmp_path / "other")
    assert other.keys() == contents(drawn_folder).keys()
    assert all(other[name] != content for name, content in contents(drawn_folder).items())


def test_more_people_leave_those_that_were_there_unchanged(drawn_folder: Path, tmp_path: Path):
    make_drawn(tmp_path / "more", replace(SMALL, train_people=4))
    name = "bounding_box_train/0001_c1s1_000100_00.jpg"
    assert contents(tmp_path / "more")[name] == contents(drawn_folder)[name]


def test_a_second_call_draws_nothing_anew(drawn_folder: Path):
    before = {path: path.stat().st_mtime_ns for path in drawn_folder.rglob("*.jpg")}
    make_drawn(drawn_folder, SMALL)
    assert {path: path.stat().st_mtime_ns for path in drawn_folder.rglob("*.jpg")} == before


@pytest.mark.parametrize("filled", [True, False])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, filled: bool):
    target = tmp_path / "mine"
    if filled:
        target.mkdir()
        (target / "letter.txt").write_text("dear")
    else:
        target.write_text("a file")
    with pytest.raises(
        DataError, match="exists and holds something other than these drawn people: choose another folder, or remove"
    ):
        make_drawn(target, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_other_options_are_something_else(drawn_folder: Path):
    with pytest.raises(DataError, match="something other than these drawn people"):
        make_drawn(drawn_folder, replace(SMALL, junk=3))


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("passerby.datasets.drawn.write_card", fail)
    with pytest.raises(OSError, match="No space left"):
        make_drawn(tmp_path / "people", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"cameras": 7}, "cameras is 7: it is a whole number from 2 to 6."),
        ({"images": 1}, "images is 1: it is a whole number from 2 to 99."),
        ({"train_people": 0}, "train_people is 0: it is a whole number from 1 to 4000."),
        ({"seed": -1}, "seed is -1: it is a whole number from 0 to"),
    ],
)
def test_numbers_out_of_range(wrong: dict[str, int], text: str):
    with pytest.raises(UsageError) as caught:
        DrawnOptions(**wrong)
    assert text in str(caught.value)


def test_cameras_see_one_person_differently(drawn: ReidData):
    """Or the data set would be no test of search across cameras."""
    means = {}
    for record in drawn.train:
        means.setdefault(record.camid, []).append(np.asarray(datasets.read_image(record.path)).mean(axis=(0, 1)))
    first, second = (np.mean(means[camera], axis=0) for camera in (0, 1))
    assert np.abs(first - second).max() > 15
