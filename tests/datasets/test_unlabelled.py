"""Places without labels: folders of crops, and data sets whose labels are left out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from passerby.datasets.registry import part_of
from passerby.datasets.unlabelled import read_target, read_unlabelled, without_labels
from passerby.errors import DataError, ImageError, UsageError
from passerby.records import Split


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(path)
    return root


def test_a_folder_without_cameras_is_one(tmp_path: Path):
    split = read_unlabelled(write(tmp_path, "b.png", "a/x.png"), "here")
    assert [(r.path.name, r.pid, r.camid, r.domain) for r in split] == [("x.png", -1, 0, "here"), ("b.png", -1, 0, "here")]


@pytest.mark.parametrize(
    ("names", "cameras"),
    [
        (("0002_c1s1_000451_03.jpg", "0007_c3s1_000001_00.jpg"), [0, 2]),
        (("c1_000451.png", "c12s2_000001.png"), [0, 11]),
        (("cam0_1.png", "cam3_2.png"), [0, 3]),
        (("0000_000_01_0303morning_0015_0.jpg", "0000_001_15_0303noon_0015_0.jpg"), [0, 14]),
        (("cam1/a.png", "cam2/b.png"), [0, 1]),
        (("c4/a.png", "c2/b.png"), [3, 1]),
        (("cam1/2024-05-01/a.png", "cam2/night/late/b.png"), [0, 1]),  # any folder above it, not only the nearest
        (("site3/c4/0001/a.png", "c9/c2/0007/b.png"), [3, 1]),  # the nearest that says one
    ],
)
def test_cameras_stand_in_names_or_folders(names: tuple[str, str], cameras: list[int], tmp_path: Path):
    split = read_unlabelled(write(tmp_path, *names), "here", cameras="needed")
    found = {record.path.relative_to(tmp_path).as_posix(): record.camid for record in split}
    assert [found[name] for name in names] == cameras
    assert {record.pid for record in split} == {-1}


def test_folders_of_persons_are_no_cameras(tmp_path: Path):
    with pytest.raises(DataError, match=r'no camera is known of "0001/a\.png", "0002/b\.png" \(2 of 2 images'):
        read_unlabelled(write(tmp_path, "0001/a.png", "0002/b.png"), "here", cameras="needed")


def test_a_missing_camera_names_the_image(tmp_path: Path):
    with pytest.raises(DataError, match=r'no camera is known of "b\.png" \(1 of 2 images .* a folder a camera \(cam1, cam2'):
        read_unlabelled(write(tmp_path, "c1_a.png", "b.png"), "here", cameras="needed")


def test_no_image_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no image"):
        read_unlabelled(tmp_path, "here", cameras="needed")


def test_cameras_are_taken_where_all_images_have_one_and_else_ignored(tmp_path: Path):
    named = read_unlabelled(write(tmp_path / "all", "c1_a.png", "c2_b.png"), "here", cameras="known")
    assert [record.camid for record in named] == [0, 1]
    for number, names in enumerate((("c1_a.png", "b.png"), ("0001/a.png", "0002/b.png"), ("c3/a.png", "b.png"))):
        split = read_unlabelled(write(tmp_path / str(number), *names), "here", cameras="known")
        assert [record.camid for record in split] == [0, 0]


NAMES = {  # the same four images under other names; of two, all but the person is the same
    "as it is": ("0001_c1_7.png", "0002_c1_7.png", "0001_c2_5.png", "0003_c2_9.png"),
    "other people": ("0009_c1_7.png", "0004_c1_7.png", "0007_c2_5.png", "0001_c2_9.png"),
    "a letter before the number": ("p12_c1_7.png", "p2_c1_7.png", "p12_c2_5.png", "p7_c2_9.png"),
    "folders of people": ("0002/0002_c1_7.png", "0001/0001_c1_7.png", "0002/0002_c2_5.png", "0003/0003_c2_9.png"),
    "nobody": ("x/c1_4.png", "a/c1_5.png", "a/c2_1.png", "x/c2_2.png"),
}


@pytest.mark.parametrize("cameras", ["known", "needed"])
def test_the_order_does_not_follow_from_who_is_shown(tmp_path: Path, cameras):
    orders = {}
    for key, names in NAMES.items():
        write(tmp_path / key, *names)
        for number, name in enumerate(names):
            Image.new("RGB", (4, 8), (50 * number, 0, 0)).save(tmp_path / key / name)
        split = read_unlabelled(tmp_path / key, "here", cameras=cameras)
        orders[key] = [(Image.open(record.path).getpixel((0, 0)), record.camid) for record in split]
        labelled = Split(tuple(replace(record, pid=number) for number, record in enumerate(split)))
        assert without_labels(Split(labelled.records[::-1])) == split
    assert len(orders["as it is"]) == 4 and all(order == orders["as it is"] for order in orders.values())


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path):
    write(tmp_path, "c1_a.png", "c2_b.png")
    (tmp_path / "c2_gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match=r'image ".*c2_gone\.png" cannot be read: No such file or directory'):
        read_unlabelled(tmp_path, "here", cameras="needed")


@pytest.fixture
def market(tmp_path: Path) -> Path:
    names = {"bounding_box_train": "0001_c1_000001.jpg", "query": "0002_c1_000001.jpg"}
    write(tmp_path / "market", *(f"{folder}/{name}" for folder, name in names.items()))
    return write(tmp_path / "market", "bounding_box_train/0001_c2_000002.jpg", "bounding_box_test/0002_c2_000001.jpg")


def test_a_data_set_lends_its_training_images_without_labels_and_its_test_for_the_log(market: Path, monkeypatch):
    by_folder = read_target(str(market))
    assert [(record.pid, record.camid) for record in by_folder.images] == [(-1, 0), (-1, 1)]
    assert by_folder.query[0].pid == 2 and len(by_folder.gallery) == 1
    assert by_folder.name == "market-style in market"  # a folder is named beside what it is
    by_name = read_target("market-style", market)
    assert by_name == replace(by_folder, name="market-style")
    monkeypatch.setenv("PASSERBY_DATA", str(market))
    assert read_target("market-style") == by_name


def test_a_folder_of_crops_is_read_whole_even_in_folders_of_persons(tmp_path: Path):
    target = read_target(str(write(tmp_path / "site", "0001/0001_c1_1.png", "0002/0002_c2_1.png")))
    assert target.name == "site" and len(target.images) == 2 and not len(target.query)
    assert {record.pid for record in target.images} == {-1}


@pytest.mark.parametrize(
    "names",
    [
        ("0000001.jpg", "0000002.jpg", "0000003.jpg"),
        ("images/0000100.jpg", "images/0000200.jpg"),
        ("0001000.jpg", "0002000.jpg"),
        ("P1/cam1/20240501_120000.jpg", "P1/cam2/20240501_120001.jpg"),
        ("P1/cam1/0.jpg", "P1/cam2/1.jpg"),
    ],
)
def test_crops_are_not_taken_for_a_public_data_set(names: tuple[str, ...], tmp_path: Path):
    """Numbered frames look like i-LIDS, and a place P1 like the first pair of CUHK02."""
    assert len(read_target(str(write(tmp_path / "site", *names)), cameras="known").images) == len(names)


def test_a_stray_name_does_not_hide_the_folders_of_cameras(tmp_path: Path):
    names = ("cam1/a.png", "cam1/front_c7_x.png", "cam2/b.png")
    split = read_unlabelled(write(tmp_path, *names), "here", cameras="needed")
    assert {record.path.name: record.camid for record in split} == {"a.png": 0, "front_c7_x.png": 0, "b.png": 1}


def test_a_name_goes_before_a_folder_where_it_is_said_in_what_to_look(market: Path, tmp_path: Path, monkeypatch):
    """A folder called market in the working folder is not what `--target market-style --target-data DIR` means."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market-style").mkdir()
    assert read_target("market-style", market).name == "market-style"


def test_a_folder_needs_no_place_to_look_for_it(tmp_path: Path):
    with pytest.raises(UsageError, match=r'target_data is .*: it holds a data set .* but ".*site" is a folder\. Leave it out'):
        read_target(str(write(tmp_path / "site", "c1_a.png")), tmp_path)


def test_a_data_set_without_training_images_is_refused(tmp_path: Path):
    root = write(tmp_path / "m", "query/0002_c1_000001.jpg", "bounding_box_test/0002_c2_000001.jpg")
    with pytest.raises(DataError, match="has no training images to learn from without labels"):
        read_target(str(root))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("somewhere/else", 'target "somewhere/else" is no folder, and no name of a data set'),
        ("crops.zip", 'target "crops.zip" is no folder'),
        ("marke1501", 'no data set "marke1501". Did you mean "market1501"?'),
    ],
)
def test_what_is_neither_folder_nor_data_set_is_refused(text: str, message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        read_target(text)


def street(root: Path, *towns: str) -> Path:
    for town in towns:
        folder = root / "street-v1" / town
        folder.mkdir(parents=True)
        (folder / "street.json").write_text("{}")
    return root


def test_a_part_of_a_data_set_is_a_folder_of_it(tmp_path: Path):
    root = street(tmp_path, "campus", "market")
    assert part_of("street:campus", root) == ("street", root / "street-v1" / "campus")
    assert part_of("street:campus", root / "street-v1" / "campus") == ("street", root / "street-v1" / "campus")
    assert part_of("market", root) == ("market1501", root) and part_of("market", None) == ("market1501", None)
    with pytest.raises(UsageError, match=r'has no part "campsu"\. Did you mean "campus"\? Allowed: campus, market'):
        part_of("street:campsu", root)
