from passerby import datasets
from passerby.errors import DataError


def test_cameras_have_three_digits(tree, short):
    """Reading one digit gives camera 0 for all, and every number becomes 0."""
    data = datasets.read("veri", tree("veri"))
    assert short(data.train) == [("0001_c001_00016450_0.jpg", 1, 0, 16450), ("0001_c020_00016460_0.jpg", 1, 19, 16460)]
    assert [record.camid for record in data.gallery] == [1, 12]
    datasets.check_evaluable(data)


def test_the_list_chooses_where_there_is_one(tree, message):
    root = tree("veri")
    (root / "name_test.txt").write_text("0002_c013_00030610_0.jpg\n")
    assert [record.path.name for record in datasets.read("veri776", root).gallery] == ["0002_c013_00030610_0.jpg"]
    (root / "name_test.txt").write_text("0002_c013_00030610_0.jpg\n0002_c014_00030610_0.jpg\n")
    assert message(DataError, lambda: datasets.read("veri776", root)) == (
        'name_test.txt names 1 of 2 files that are absent: "image_test/0002_c014_00030610_0.jpg". '
        "Unpack the data set again, or mend the list."
    )
    (root / "name_test.txt").write_text("0002_c013_00030610_0.jpg\n" * 2)
    assert message(DataError, lambda: datasets.read("veri776", root)) == (
        'name_test.txt lists "0002_c013_00030610_0.jpg" more than once: one image, one record. Remove the repeated rows.'
    )


def test_an_empty_folder_is_named(tree, message):
    root = tree("veri")
    (root / "image_query" / "0002_c002_00030600_0.jpg").unlink()
    assert message(DataError, lambda: datasets.read("veri", root)) == (
        'no images in image_query of "ROOT/data": VeRi-776 has image_train, image_query, image_test. Unpack it again.'
    )
