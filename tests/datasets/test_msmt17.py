from passerby import datasets
from passerby.errors import DataError


def test_v1_is_read_by_its_lists(tree, short):
    data = datasets.read("MSMT17_V1", tree("msmt"))
    assert data.name == "msmt17"
    assert short(data.train) == [
        ("0000_000_01_0303morning_0015_0.jpg", 1, 0, 15),
        ("0001_001_15_0303noon_0020_1_ex.jpg", 2, 14, 20),
    ]
    assert short(data.val) == [("0000_002_04_0303afternoon_0100_0.jpg", 1, 3, 100)]
    assert [(pid, camid) for _, pid, camid, _ in short(data.query)] == [(1042, 1), (1043, 2)]
    assert [(pid, camid) for _, pid, camid, _ in short(data.gallery)] == [(1042, 11), (1043, 12)]


def test_train_and_val_join_on_demand(tree):
    data = datasets.read("msmt17-trainval", tree("msmt"))
    assert len(data.train) == 3
    assert not data.val
    assert [record.path.name[:4] for record in data.train] == ["0000", "0000", "0001"]


def test_v2_has_other_folders_and_is_found_by_them(tmp_path, tree):
    from_v1 = datasets.read("msmt17", tree("msmt"))
    import shutil

    root = tmp_path / "v2"
    shutil.copytree(tmp_path / "data", root)
    (root / "train").rename(root / "mask_train_v2")
    (root / "test").rename(root / "mask_test_v2")
    assert datasets.detect(root) == "msmt17-v2"
    data = datasets.read("msmt17_v2", root)
    assert [(r.pid, r.camid) for r in data.gallery] == [(r.pid, r.camid) for r in from_v1.gallery]
    assert len(datasets.read("msmt17-v2-trainval", root).train) == 3


def test_a_v2_folder_is_no_v1(tmp_path, tree, message):
    root = tree("msmt")
    (root / "train").rename(root / "mask_train_v2")
    (root / "test").rename(root / "mask_test_v2")
    text = message(DataError, lambda: datasets.read("msmt17", root))
    assert text.startswith(
        '"ROOT/data" holds MSMT17 V2, not MSMT17; its name here is "msmt17-v2". MSMT17 is read from a folder with'
    )


def test_missing_lists_are_named(tree, message):
    root = tree("msmt")
    (root / "list_val.txt").unlink()
    (root / "list_query.txt").unlink()
    assert message(DataError, lambda: datasets.read("msmt17", root)) == (
        'list_val.txt, list_query.txt missing from "ROOT/data": MSMT17 keeps its split in list_train.txt, list_val.txt, '
        "list_query.txt, list_gallery.txt. Some copies lack them; take them from the original archive."
    )


def test_it_is_recognised_without_any_list(tree):
    root = tree("msmt")
    for path in root.glob("list_*.txt"):
        path.unlink()
    assert datasets.detect(root) == "msmt17"


def test_a_list_that_names_an_absent_file(tree, message):
    root = tree("msmt")
    (root / "test/0001/0001_000_03_0303morning_0002_0.jpg").unlink()
    assert message(DataError, lambda: datasets.read("msmt17", root)) == (
        'list_query.txt names 1 of 2 files that are absent: "test/0001/0001_000_03_0303morning_0002_0.jpg". '
        "Unpack the data set again, or mend the list."
    )


def test_a_broken_line_a_repeated_line_and_a_wrong_camera(tree, draw, message):
    root = tree("msmt")
    path = root / "list_gallery.txt"
    good = path.read_text()
    path.write_text(good + "no pid here\n")
    assert message(DataError, lambda: datasets.read("msmt17", root)) == (
        'list_gallery.txt, line 3 "no pid here": a line of MSMT17 is a path, a blank and a number.'
    )
    path.write_text(good + good.splitlines()[0] + "\n")
    assert message(DataError, lambda: datasets.read("msmt17", root)) == (
        'list_gallery.txt lists "0000_001_12_0303noon_0003_0.jpg" more than once: one image, one record. '
        "Remove the repeated rows."
    )
    name = "0001/0001_001_16_0303noon_0004_0.jpg"
    draw(root / "test" / name)
    path.write_text(good + f"{name} 1\n")
    assert message(DataError, lambda: datasets.read("msmt17", root)) == (
        'camid 16 in "0001_001_16_0303noon_0004_0.jpg": MSMT17 has cameras 1-15. Is this another data set? '
        "Try: passerby data check ROOT/data"
    )


def test_clutter_in_a_list_and_blank_lines_are_skipped(tree):
    root = tree("msmt")
    before = datasets.read("msmt17", root)
    path = root / "list_train.txt"
    path.write_text("\n" + path.read_text() + "__MACOSX/0000/._0000_000_01_0303morning_0015_0.jpg 0\n\n")
    assert datasets.read("msmt17", root) == before
