import pytest

from passerby import datasets
from passerby.datasets import DATASETS
from passerby.errors import DataError


def test_a_plain_tree_is_training_data(tmp_path, draw, short):
    root = tmp_path / "office"
    for name in ("anna/anna_c1_1.jpg", "anna/anna_c3_1.jpg", "Bo/bo_c2_1.jpg", "çelik/ç_c1_9.png"):
        draw(root / name)
    assert datasets.detect(root) == "folder"
    data = datasets.read("folder", root)
    assert short(data.train) == [
        ("bo_c2_1.jpg", 1, 1, None),
        ("anna_c1_1.jpg", 2, 0, None),
        ("anna_c3_1.jpg", 2, 2, None),
        ("ç_c1_9.png", 3, 0, None),
    ]
    assert {record.domain for record in data.train} == {"office"}
    assert not data.notes


def test_the_prepared_tree_of_older_tools(tmp_path, draw, short):
    root = tmp_path / "Market" / "pytorch"
    for name in (
        "train/0002/0002_c1s1_000451_03.jpg",
        "val/0002/0002_c2s1_000801_01.jpg",
        "train_all/0002/0002_c1s1_000451_03.jpg",
        "train_all/0002/0002_c2s1_000801_01.jpg",
        "query/0001/0001_c1s1_001051_00.jpg",
        "gallery/-1/-1_c1s1_000401_03.jpg",
        "gallery/0000/0000_c4s1_000151_01.jpg",
        "gallery/0001/0001_c2s1_000301_00.jpg",
        "multi-query/0001/0001_c1s1_001052_00.jpg",
    ):
        draw(root / name)
    data = datasets.read("folder", tmp_path / "Market")
    assert short(data.train) == [("0002_c1s1_000451_03.jpg", 2, 0, 451)]
    assert short(data.val) == [("0002_c2s1_000801_01.jpg", 2, 1, 801)]
    assert short(data.gallery) == [
        ("-1_c1s1_000401_03.jpg", -1, 0, 401),
        ("0000_c4s1_000151_01.jpg", 0, 3, 151),
        ("0001_c2s1_000301_00.jpg", 1, 1, 301),
    ]
    assert len(data.multi_query) == 1
    assert {record.domain for record in data.train} == {"Market"}
    assert data.notes == ('the folder "0000" is read as distractors (pid 0), which match nobody; rename it if it is one person',)


def test_train_all_stands_in_where_there_is_no_train(tmp_path, draw):
    draw(tmp_path / "train_all" / "7" / "a_c1.jpg")
    draw(tmp_path / "query" / "8" / "b_c1.jpg")
    assert [record.pid for record in datasets.read("folder", tmp_path).train] == [7]


def test_people_of_one_name_are_one_person_in_all_sub_trees(tmp_path, draw):
    for name in (
        "train/zoe/1_c1.jpg",
        "query/bert/1_c1.jpg",
        "gallery/bert/2_c2.jpg",
        "gallery/-1/3_c1.jpg",
        "gallery/0000/4_c2.jpg",
    ):
        draw(tmp_path / name)
    data = datasets.read("folder", tmp_path)
    assert [record.pid for record in data.train] == [2]
    assert [record.pid for record in data.query] == [1]
    assert [record.pid for record in data.gallery] == [-1, 0, 1]


def test_numbers_that_would_meet_are_numbered_anew(tmp_path, draw):
    draw(tmp_path / "1" / "a_c1.jpg")
    draw(tmp_path / "01" / "b_c1.jpg")
    assert [record.pid for record in datasets.read("folder", tmp_path).train] == [1, 2]


@pytest.mark.parametrize(
    ("names", "camids"),
    [
        (["x_c1_1.jpg", "x_c12_1.jpg"], [0, 11]),
        (["x_c0_1.jpg", "x_c2_1.jpg"], [0, 2]),
        (["0001_c001_00016450_0.jpg", "0001_c020_00016450_0.jpg"], [0, 19]),
        (["cam1_77.jpg", "cam2_12.jpg"], [0, 1]),
        (["x_camera03.jpg", "x_cam-4.jpg"], [2, 3]),
        (["0000_000_01_0303morning_0015_0.jpg", "0000_000_15_0303noon_0015_0.jpg"], [0, 14]),
        (["0002_c3s1_000451_03.jpg", "0002_c6s2_000451_03.jpg"], [2, 5]),
    ],
)
def test_how_cameras_are_found(tmp_path, draw, names, camids):
    for name in names:
        draw(tmp_path / "0001" / name)
    found = {record.path.name: record.camid for record in datasets.read("folder", tmp_path).train}
    assert [found[name] for name in names] == camids


def test_names_without_a_camera_are_one_camera_and_nothing_can_be_evaluated(tmp_path, draw, message):
    for name in ("query/1/c001.jpg", "gallery/1/c002.jpg", "train/2/c003.jpg"):
        draw(tmp_path / "data" / name)
    data = datasets.read("folder", tmp_path / "data")
    assert {record.camid for split in data.splits().values() for record in split} == {0}
    assert data.notes == ("no camera in the file names (_cN): all images count as one camera, so nothing can be evaluated",)
    assert message(DataError, lambda: datasets.check_evaluable(data)) == (
        "folder: all 2 query and gallery images are of one camera (camid 0), and images of the query's own camera never count, "
        "so nothing can be evaluated. Are cameras missing in the file names or the manifest? "
        "Data of one camera: --convention any-camera counts its own images."
    )


def test_some_names_without_a_camera(tmp_path, draw, message):
    draw(tmp_path / "1" / "a_c1.jpg")
    draw(tmp_path / "1" / "b.jpg")
    assert message(DataError, lambda: datasets.read("folder", tmp_path)) == (
        'no camera in the names "1/b.jpg" (1 of 2 images), '
        'while others name one, like "a_c1.jpg": write _cN into all names or into none.'
    )


def test_folders_that_hold_nothing(tmp_path, message):
    (tmp_path / "data" / "anna").mkdir(parents=True)
    (fault,) = DATASETS["folder"].scan(tmp_path / "data").faults
    assert fault.text == f'no images in the folders of "{tmp_path}/data". One folder a person, with its images, is needed.'


def test_images_outside_of_any_person(tmp_path, draw, message):
    root = tmp_path / "data"
    draw(root / "1" / "a_c1.jpg")
    draw(root / "loose_c1.jpg")
    assert message(DataError, lambda: datasets.read("folder", root)) == (
        '"loose_c1.jpg" in "ROOT/data" lie in no folder of a person. Move each into the folder of its person.'
    )


def test_folders_of_other_layouts_are_no_people(tree, message):
    text = message(DataError, lambda: datasets.read("folder", tree("market")))
    assert text.startswith(
        '"ROOT/data" holds Market-1501, not a folder of one folder an identity; its name here is "market1501".'
    )


def test_numbers_beyond_64_bits_are_names_like_any_other(tmp_path, draw):
    for person in (f"{10**20}", f"{10**20 + 1}"):
        for camera in (1, 2):
            draw(tmp_path / "shop" / person / f"a_c{camera}.jpg")
    data = datasets.read("folder", tmp_path / "shop")
    assert data.train.pids.tolist() == [1, 1, 2, 2] and data.train.camids.tolist() == [0, 1, 0, 1]
    draw(tmp_path / "other" / "1" / f"a_c{10**20}.jpg")
    assert datasets.read("folder", tmp_path / "other").notes == (
        "no camera in the file names (_cN): all images count as one camera, so nothing can be evaluated",
    )
