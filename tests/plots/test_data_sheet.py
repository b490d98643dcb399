from pathlib import Path

import pytest
from PIL import Image

from passerby.errors import DataError, UsageError
from passerby.plots import plot_data
from passerby.plots.data_sheet import choose_people
from passerby.records import Record, ReidData, Split


def some(folder: Path, rows: list[tuple[int, int]]) -> Split:
    records = []
    for number, (pid, camid) in enumerate(rows):
        path = folder / f"{pid}_{camid}_{number}.png"
        Image.new("RGB", (8, 16), (20 * number, 90, 90)).save(path)
        records.append(Record(path, pid, camid, "here"))
    return Split(tuple(records))


def test_it_shows_those_whom_most_cameras_see_and_says_the_sizes(tmp_path: Path):
    data = ReidData(
        "mine", train=some(tmp_path, [(1, 0), (1, 1), (2, 0), (-1, 2)]), query=some(tmp_path, [(3, 0)]),
        gallery=some(tmp_path, [(3, 1), (3, 2), (0, 1)]), notes=("nobody is real",),
    )  # fmt: skip
    assert plot_data(data, tmp_path / "sheet.svg", people=2) == [("here", 3), ("here", 1)]
    drawn = (tmp_path / "sheet.svg").read_text()
    for said in (
        "mine: people across its cameras",
        "train: 4 images, 3 people",
        "gallery: 3 images",
        "camera 2",
        "nobody is real",
    ):
        assert said in drawn
    assert drawn.count("<image") == 5  # person 3 in three cameras, person 1 in two


def test_ties_go_by_images_then_by_number(tmp_path: Path):
    records = list(some(tmp_path, [(5, 0), (4, 0), (6, 0), (6, 0), (7, 0), (7, 1)]))
    assert [pid for _, pid in choose_people(records, 3)] == [7, 6, 4]


def test_wrong_calls(tmp_path: Path):
    with pytest.raises(UsageError, match="people is 0: give 1 to 20"):
        plot_data(ReidData("x"), tmp_path / "x.png", people=0)
    with pytest.raises(DataError, match="x shows nobody with a number"):
        plot_data(ReidData("x", train=some(tmp_path, [(-1, 0), (0, 1)])), tmp_path / "x.png")
