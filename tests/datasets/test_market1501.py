import re

from passerby import datasets
from passerby.errors import DataError


def test_market_is_read_as_it_comes(tree, short):
    data = datasets.read("market1501", tree("market"))
    assert data.name == "market1501"
    assert short(data.train) == [
        ("0002_c1s1_000451_03.jpg", 2, 0, 451),
        ("0002_c2s1_000801_01.jpg", 2, 1, 801),
        ("0007_c3s3_077419_03.jpg", 7, 2, 77419),
        ("0007_c6s1_000100_01.jpg", 7, 5, 100),
    ]
    assert short(data.query) == [("0001_c1s1_001051_00.jpg", 1, 0, 1051), ("0003_c2s1_000101_00.jpg", 3, 1, 101)]
    assert [(pid, camid) for _, pid, camid, _ in short(data.gallery)] == [(-1, 0), (0, 3), (1, 1), (3, 4)]
    assert {record.domain for split in data.splits().values() for record in split} == {"market1501"}
    assert data.train.label_map() == {("market1501", 2): 0, ("market1501", 7): 1}


def test_the_multi_query_folder_gives_images_of_a_querys_person_and_camera(tree, draw):
    root = tree("market")
    for name in ("0001_c1s1_000011_00.jpg", "0001_c2s1_000012_00.jpg", "0002_c1s1_000013_00.jpg"):
        draw(root / "gt_bbox" / name)
    assert [record.path.name for record in datasets.read("M", root).multi_query] == ["0001_c1s1_000011_00.jpg"]


def test_the_500k_distractors_join_the_gallery_as_pid_0(tree, draw):
    root = tree("market")
    draw(root / "images" / "part" / "0000_c3s2_000001_00.jpg")
    data = datasets.read("market1501-500k", root)
    assert data.name == "market1501-500k"
    assert [record.pid for record in data.gallery] == [-1, 0, 1, 3, 0]
    assert len(datasets.read("market1501", root).gallery) == 4


def test_absent_500k_distractors_are_an_error(tree, message):
    root = tree("market")
    assert message(DataError, lambda: datasets.read("market500k", root)) == (
        'no images in images, distractors_500k, distractors of "ROOT/data": the 500,000 distractors are a download of their own. '
        "Put them there, or use the name market1501."
    )
    (root / "images").mkdir()
    assert message(DataError, lambda: datasets.read("market500k", root)).startswith("no images in images, ")


def test_clutter_and_other_files_are_skipped(tree):
    root = tree("market")
    before = datasets.read("market", root)
    for name in ("._0002_c1s1_000451_03.jpg", ".DS_Store", "Thumbs.db", "readme.txt"):
        (root / "bounding_box_train" / name).write_bytes(b"x")
    (root / "bounding_box_train" / "__MACOSX").mkdir()
    (root / "__MACOSX").mkdir()
    assert datasets.read("market", root) == before


def test_duke_is_told_from_market_by_its_names(tree, short):
    root = tree("duke")
    assert datasets.detect(root) == "dukemtmc"
    data = datasets.read("D", root)
    assert short(data.train) == [("0001_c2_f0046182.jpg", 1, 1, 46182), ("0001_c8_f0046302.jpg", 1, 7, 46302)]
    assert short(data.gallery)[0] == ("0005_c5_f0051341.jpg", 5, 4, 51341)


def test_one_wrong_camera_is_named_with_what_to_do(tree, draw, message):
    root = tree("market")
    draw(root / "bounding_box_train" / "0002_c7s1_000451_03.jpg")
    assert message(DataError, lambda: datasets.read("market", root)) == (
        'camid 7 in "0002_c7s1_000451_03.jpg": Market-1501 has cameras 1-6. Is this another data set? '
        "Try: passerby data check ROOT/data"
    )
    draw(root / "bounding_box_train" / "0002_c0s1_000451_03.jpg")
    assert 'camid 0 in "0002_c0s1_000451_03.jpg" and 1 more: ' in message(DataError, lambda: datasets.read("market", root))


def test_a_missing_folder_and_a_faulty_name_are_both_counted(tree, draw, message):
    root = tree("market")
    for path in (root / "query").iterdir():
        path.unlink()
    draw(root / "bounding_box_train" / "me.jpg")
    assert message(DataError, lambda: datasets.read("market", root)) == (
        'no images in query of "ROOT/data": Market-1501 has bounding_box_train, query, bounding_box_test. '
        "Unpack it again, or give the folder that holds these three. (1 more faults: passerby data check lists them)"
    )


def test_any_other_names_with_a_camera_are_market_style(tmp_path, draw, short):
    root = tmp_path / "my shop"
    draw(root / "bounding_box_train" / "12345_c12_7.png")
    draw(root / "query" / "3_c2.png")
    draw(root / "bounding_box_test" / "3_c11_f99.png")
    assert datasets.detect(root) == "market-style"
    data = datasets.read("market-style", root)
    assert short(data.train) == [("12345_c12_7.png", 12345, 11, 7)]
    assert short(data.query) == [("3_c2.png", 3, 1, None)]
    assert short(data.gallery) == [("3_c11_f99.png", 3, 10, 99)]
    assert data.train[0].domain == "my shop"


def test_market_style_counts_cameras_from_1(tmp_path, draw, message):
    root = tmp_path / "shop"
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        draw(root / folder / "1_c1_7.png")
    draw(root / "query" / "3_c0_1.png")
    assert message(DataError, lambda: datasets.read("market-style", root)) == (
        'camid 0 in "3_c0_1.png": a data set in Market-1501 layout has cameras from 1 on. '
        "Is this another data set? Try: passerby data check ROOT/shop"
    )


def test_a_camera_like_folder_above_is_never_taken_for_the_image(tree, tmp_path):
    """A published parser searched the whole path and read the camera of a parent folder."""
    root = tree("market", "0099_c3s1_000001_01/data")
    assert {record.camid for record in datasets.read("market", root).query} == {0, 1}


def test_counts_unlike_the_release_become_notes_with_a_likely_cause(tree):
    notes = datasets.read("market", tree("market")).notes
    assert notes[0] == (
        "train of Market-1501 has 4 images (expected 12,936), 2 ids (expected 751), 4 cameras (expected 6): "
        "people are missing: an incomplete copy, or a part chosen on purpose"
    )
    assert [re.match(r"\w+", note)[0] for note in notes] == ["train", "query", "gallery"]
