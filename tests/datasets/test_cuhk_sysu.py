from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby import datasets
from passerby.datasets.cuhk_sysu import boxes_of, cropped
from passerby.errors import DataError

scipy_io = pytest.importorskip("scipy.io")

SCENES = {"p1": [("s2.jpg", (3, 2, 4, 6), 0), ("s7.jpg", (1, 1, 5, 8), 1)], "p12": [("s2.jpg", (10, 5, 30, 30), 0)]}


def draw_all(folder: Path, names: list[str]) -> None:
    """Empty files: reading a data set looks at names only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def release(root: Path, scenes=SCENES) -> Path:
    """The true structure: Person is a struct array whose field `scene` is a struct array again."""
    people = np.zeros((1, len(scenes)), dtype=[("idname", object), ("nAppear", object), ("scene", object)])
    for i, (name, appearances) in enumerate(scenes.items()):
        scene = np.zeros((1, len(appearances)), dtype=[("imname", object), ("idlocate", object), ("ishard", object)])
        for j, (picture, box, hard) in enumerate(appearances):
            scene[0, j] = (picture, np.array([box], dtype=float), float(hard))
        people[0, i] = (name, len(appearances), scene)
    (root / "annotation").mkdir(parents=True)
    scipy_io.savemat(root / "annotation" / "Person.mat", {"Person": people})
    pixels = np.arange(20 * 16 * 3, dtype=np.uint8).reshape(20, 16, 3)
    (root / "Image" / "SSM").mkdir(parents=True)
    for picture in ("s2.jpg", "s7.jpg"):
        Image.fromarray(pixels).save(root / "Image" / "SSM" / picture, quality=100)
    return root


def test_people_are_cut_out_of_the_pictures_as_the_annotation_says(tmp_path: Path):
    root = release(tmp_path / "CUHK-SYSU")
    assert next(iter(boxes_of(root))) == (1, 1, "s2.jpg", (2, 1, 7, 8), False)  # x 3 to 7 and y 2 to 8, both ends included
    data = datasets.read("CS", root)
    names = [record.path.name for record in data.train]
    assert names == ["p00001_n01_s00002_hard0.png", "p00001_n02_s00007_hard1.png", "p00012_n01_s00002_hard0.png"]
    assert [(r.pid, r.camid, r.domain) for r in data.train] == [(1, 2, "cuhk-sysu"), (1, 7, "cuhk-sysu"), (12, 2, "cuhk-sysu")]
    with Image.open(root / "Image" / "SSM" / "s2.jpg") as picture, Image.open(data.train[0].path) as crop:
        assert crop.size == (5, 7) and np.array_equal(np.asarray(crop), np.asarray(picture)[1:8, 2:7])
    with Image.open(data.train[2].path) as crop:
        assert crop.size == (7, 16)  # cut off where the picture ends
    (root / "annotation" / "Person.mat").unlink()  # what was cut is read again without the annotation
    assert datasets.detect(root) == "cuhk-sysu" and len(datasets.read("cuhk-sysu", root).train) == 3


def test_crops_go_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = release(tmp_path / "data")
    monkeypatch.setenv("PASSERBY_CACHE", str(tmp_path / "cache"))
    folder = cropped(root)
    assert folder == cropped(root) and folder.parent.parent == tmp_path / "cache" and folder.name == "cropped_image"
    assert not (root / "cropped_image").exists()
    other = cropped(release(tmp_path / "other", {"p3": [("s2.jpg", (1, 1, 2, 2), 0)]}))
    assert other != folder and len(list(other.iterdir())) == 1  # another copy of the release has crops of its own


def test_faults(tmp_path: Path):
    root = release(tmp_path / "one", {**SCENES, "p3": [("s9.jpg", (1, 1, 2, 2), 0)]})
    with pytest.raises(
        DataError, match=r'Person.mat names 1 pictures that ".*SSM" does not hold: s9.jpg. Unpack the release again'
    ):
        datasets.read("cuhk-sysu", root)
    assert not list(root.glob("*cropped*")) and not list(root.glob(".cropped*"))
    root = release(tmp_path / "two", {"p3": [("s2.jpg", (90, 1, 2, 2), 0)]})
    with pytest.raises(DataError, match=r"has a box outside s2.jpg \(16x20 px\): \(89, 0, 92, 3\)"):
        datasets.read("cuhk-sysu", root)
    (root / "Image" / "SSM").rename(root / "Image" / "SMM")
    with pytest.raises(
        DataError, match=r'"Image/SSM" missing from ".*two": the pictures that annotation/Person.mat cuts people out of'
    ):
        datasets.read("cuhk-sysu", root)
    (root / "annotation" / "Person.mat").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"Person.mat. cannot be read as an annotation"):
        list(boxes_of(root))
    whole = (release(tmp_path / "whole") / "annotation" / "Person.mat").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (root / "annotation" / "Person.mat").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"Person.mat. cannot be read as an annotation of CUHK-SYSU: .*Is the copy whole"):
            list(boxes_of(root))
    scipy_io.savemat(root / "annotation" / "Person.mat", {"Persons": 1})
    with pytest.raises(DataError, match=r"lacks the variable 'Person'; it is not an annotation of CUHK-SYSU"):
        list(boxes_of(root))
    draw_all(tmp_path / "three" / "cropped_image", ["p00001_n01_s00002_hard0.png", "p1.png"])
    with pytest.raises(DataError, match=r"misnamed in cropped_image: p1.png: crops are named like p00001_n01_s00123_hard0.png"):
        datasets.read("cuhk-sysu", tmp_path / "three")
