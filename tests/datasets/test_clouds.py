"""Trees of clouds, the street's clouds, and ModelNet40: who is where, what is a fault, and which layout is told from which."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from passerby import datasets
from passerby.datasets.registry import DATASETS, find_root, locate
from passerby.errors import DataError, MissingDependencyError

MARKET_TRAIN = ["0002_c1s1_000451_03.jpg", "0002_c2s1_000801_01.jpg", "0007_c3s3_077419_03.jpg", "0007_c6s1_000100_01.jpg"]
MARKET_QUERY = ["0001_c1s1_001051_00.jpg", "0003_c2s1_000101_00.jpg"]
MARKET_GALLERY = ["-1_c1s1_000401_03.jpg", "0000_c4s1_000151_01.jpg", "0001_c2s1_000301_00.jpg", "0003_c5s3_000901_02.jpg"]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("v 0 0 0 0 0 0\n")
    return path


def market_3d(root: Path, train: str = "train_all") -> Path:
    for folder, names in {train: MARKET_TRAIN, "query": MARKET_QUERY, "gallery": MARKET_GALLERY}.items():
        for name in names:
            touch(root / folder / name.split("_")[0] / f"{name}.obj")
    touch(root / "multi-query" / "0001" / "0001_c1s1_001099_00.jpg.obj")
    touch(root / "multi-query" / "0001" / "0001_c5s1_001099_00.jpg.obj")
    return root


def test_the_published_tree_of_market(tmp_path: Path):
    root = market_3d(tmp_path / "3DMarket+bg")
    data = datasets.read("market1501-3d", tmp_path)
    assert locate(root)[0].name == "market1501-3d" and data.name == "market1501-3d"
    assert [(record.pid, record.camid) for record in data.train] == [(2, 0), (2, 1), (7, 2), (7, 5)]
    assert sorted(set(data.gallery.pids)) == [-1, 0, 1, 3] and {record.domain for record in data.query} == {"market1501"}
    assert [record.path.name for record in data.multi_query] == ["0001_c1s1_001099_00.jpg.obj"]
    assert any("12,936" in note for note in data.notes)  # the counts of the release are known


def problems(root: Path, *, name: str = "clouds", quick: bool = False) -> dict[str, str]:
    """What a check says of the clouds themselves."""
    return {one.kind: one.text for one in datasets.check(root, name, quick=quick).findings if one.kind.endswith("-clouds")}


def test_a_check_reads_clouds_without_taking_them_for_images(tmp_path: Path):
    root = market_3d(tmp_path / "3DMarket+bg")
    report = datasets.check(root)
    assert report.dataset == "market1501-3d" and (report.decoded, report.clouds) == (0, 11)
    assert not [finding.text for finding in report.problems if 'image "' in finding.text] and problems(root) == {}
    assert datasets.check(root, quick=True).clouds == 0


def test_a_check_finds_clouds_at_which_training_would_stop(tmp_path: Path):
    """In every form, the first named with what is wrong and the others by name."""
    root = market_3d(tmp_path / "3DMarket+bg")
    nan, cut, grey = (next((root / "train_all").rglob(f"{name}*")) for name in ("0007_c3", "0007_c6", "0002_c1"))
    nan.write_text("v 0 nan 0 0 0 0\n")
    cut.with_suffix(".npz").write_bytes(b"PK\x03\x04")
    grey.write_text("v 0 0 0\n")
    found = problems(root)
    assert found["unreadable-clouds"] == (
        f'"{nan}" has 1 of 1 points that are not finite: make the file again. And 1 more: "{cut.with_suffix(".npz").name}".'
    )
    assert found["colourless-clouds"] == (
        '1 of 9 clouds have no colours ("0002_c1s1_000451_03.jpg.obj"): only a network with inputs xyz takes them.'
    )
    assert datasets.check(root).clouds == 9
    nan.write_bytes(b"")
    assert problems(root, quick=True) == {"unreadable-clouds": f'cloud "{nan}" has zero bytes. Copy or unpack it again.'}
    nan.unlink()
    nan.symlink_to("nowhere.obj")
    assert problems(root, quick=True)["unreadable-clouds"] == f'cloud "{nan}" cannot be read: No such file or directory.'


def test_a_check_compares_the_numbers_of_points(tmp_path: Path):
    root = market_3d(tmp_path / "3DMarket+bg")
    for path in root.rglob("*.obj"):
        path.write_text("v 0 0 0 0 0 0\n" * 3)
    (odd,) = (root / "query").rglob("0003_*")
    odd.write_text("v 0 0 0 0 0 0\n" * 2)
    report = datasets.check(root)
    assert [finding.text for finding in report.problems if finding.kind == "uneven-clouds"] == [
        '1 of 11 clouds do not have the 3 points of the others ("0003_c2s1_000101_00.jpg.obj" 2): the clouds of a batch need '
        "equal numbers. Make all from images of one size, or train on the first points of each alone (--first 2)."
    ]


def test_any_tree_of_that_form_and_its_quickest_files(tmp_path: Path):
    root = market_3d(tmp_path / "mine", train="train")
    touch(root / "val" / "0002" / "0002_c1s1_000001_03.jpg.ply")
    touch(root / "query" / "0001" / "0001_c1s1_001051_00.jpg.npz")
    data = datasets.read("clouds", root)
    assert locate(root)[0].name == "clouds" and len(data.train) == 4 and len(data.val) == 1 and len(data.query) == 2
    assert data.query[0].path.name == "0001_c1s1_001051_00.jpg.npz" and data.query[0].domain == "mine"


def test_people_of_msmt17_are_counted_from_1_and_test_people_behind_them(tmp_path: Path):
    for folder in ("train_all", "query", "gallery"):
        touch(
            tmp_path / "3DMSMT+bg" / folder / "0000" / f"0000_000_{5 if folder == 'query' else 7:02d}_0303morning_0015_0.jpg.obj"
        )
    data = datasets.read("msmt17-3d", tmp_path / "3DMSMT+bg")
    assert data.train[0].pid == 1 and data.query[0].pid == data.gallery[0].pid == 1_042
    assert data.query[0].camid == 4 and data.gallery[0].camid == 6
    (tmp_path / "3DMSMT+bg" / "lift.json").touch()  # of `passerby lift`, whose folders have the people's own numbers
    data = datasets.read("msmt17-3d", tmp_path / "3DMSMT+bg")
    assert data.train[0].pid == data.query[0].pid == 0


def test_the_counts_of_all_published_trees_are_those_of_their_images(tmp_path: Path):
    names = {"market1501-3d": "market1501", "dukemtmc-3d": "dukemtmc", "cuhk03-np-3d": "cuhk03-np-detected"}
    for name, images in {**names, "msmt17-3d": "msmt17-trainval"}.items():
        assert DATASETS[name].expected == DATASETS[images].expected and DATASETS[name].expected["train"].images > 7_000
    for folder in ("train_all", "query", "gallery"):
        touch(tmp_path / folder / "0001" / f"0001_c{len(folder) % 2 + 1}s1_000001_01.jpg.obj")
    for name, count in (("cuhk03-np-3d", "7,365"), ("msmt17-3d", "32,621")):
        assert any(f"(expected {count})" in note for note in datasets.read(name, tmp_path).notes)


def test_lifted_clouds_are_not_the_published_ones(tmp_path: Path):
    root = market_3d(tmp_path / "3DMarket+bg")
    note = (
        "the clouds were made by passerby lift (lift.json says how) and are not the published ones: published figures are of "
        "other clouds"
    )
    assert note not in datasets.read("market1501-3d", root).notes
    (root / "lift.json").write_text("{}")
    assert datasets.read("market1501-3d", root).notes.count(note) == 1 and note in datasets.check(root).notes
    assert note not in datasets.read("clouds", root).notes  # nothing is published on one's own tree


def test_training_and_validation_are_one_where_the_published_tree_has_them_so(tmp_path: Path):
    names = {"train": ["0000_000_01_0303morning_0015_0", "0000_001_02_0303noon_0020_0"], "val": ["0000_002_04_0303noon_0100_0"]}
    for folder, stems in names.items():
        for stem in stems:
            touch(tmp_path / folder / "0000" / f"{stem}.jpg.obj")
    touch(tmp_path / "val" / "0000" / "0000_001_02_0303noon_0020_0.jpg.npz")  # copied, not moved
    for folder in ("query", "gallery"):
        touch(tmp_path / folder / "0000" / f"0000_000_0{len(folder)}_0303morning_0015_0.jpg.obj")
    data = datasets.read("msmt17-3d", tmp_path)
    assert [record.path.name.removesuffix(".jpg.obj") for record in data.train] == [*names["train"], *names["val"]]
    assert data.train.pids.tolist() == [1, 1, 1] and not len(data.val)
    own = datasets.read("clouds", tmp_path)
    assert (len(own.train), len(own.val)) == (2, 2)


def test_a_tree_without_clouds_is_a_fault(tmp_path: Path):
    root = market_3d(tmp_path / "3DMarket+bg")
    for path in root.rglob("*.obj"):
        path.rename(path.with_suffix(".txt"))
    scan = DATASETS["market1501-3d"].scan(root)
    assert scan.faults[0].text.startswith('no clouds (.obj, .ply, .npz) in the folders of "') and not DATASETS[
        "clouds"
    ].recognise(root)
    with pytest.raises(DataError, match="in each one folder a person, one cloud"):
        find_root(DATASETS["market1501-3d"], root)


def test_the_clouds_of_the_street(tmp_path: Path):
    import hashlib

    lines = [
        json.dumps({"folder": folder, "name": f"000{pid}_c1_f1.jpg", "pid": pid, "camid": 0, "frame": 1})
        for folder, pid in (("bounding_box_train", 1), ("query", 2), ("bounding_box_test", 2))
    ]
    town = tmp_path / "campus"
    for line in map(json.loads, lines):
        touch(town / line["folder"] / line["name"])
        touch(town / "clouds" / line["folder"] / f"{line['name']}.{'npz' if line['pid'] == 1 else 'obj'}")
    (town / "manifest.jsonl").write_text("\n".join(lines))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    (town / "street.json").write_text(json.dumps({"format": "passerby street 1", "town": "campus", "list_sha256": digest}))
    data = datasets.read("street-3d", town)
    assert data.train[0].path == town / "clouds" / "bounding_box_train" / "0001_c1_f1.jpg.npz" and data.name == "street-3d"
    assert data.query[0].path.suffix == ".obj" and locate(town)[0].name == "street"
    data.query[0].path.unlink()
    with pytest.raises(DataError, match="the town's manifest names 1 of 3 files that are absent"):
        datasets.read("street-3d", town)


def test_meshes_of_modelnet40(tmp_path: Path):
    for kind in ("chair", "table"):
        for subset, count in (("train", 2), ("test", 1)):
            for number in range(count):
                touch(tmp_path / kind / subset / f"{kind}_{number}.off")
    data = datasets.read("modelnet40", tmp_path)
    assert locate(tmp_path)[0].name == "modelnet40"
    assert data.train.pids.tolist() == [1, 1, 2, 2] and data.val.pids.tolist() == [1, 2]
    assert data.notes[0] == "objects, not people: a class stands where a person stands"
    touch(tmp_path / "chair" / "train" / "chair_9.obj")
    report = datasets.check(tmp_path)
    assert [finding.text for finding in report.findings if finding.kind == "unopened-meshes"] == [
        "7 meshes were not opened: a damaged one stops the training that draws points of it."
    ]
    assert report.clouds is None and not report.problems
    for path in tmp_path.glob("*/test/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"no meshes \(.off, .obj\) in CLASS/test"):
        datasets.read("modelnet40", tmp_path)


def test_rows_of_modelnet40(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, labels in {"train0": [3, 0], "test0": [0]}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"], file["label"] = np.zeros((len(labels), 8, 3)), np.array(labels, np.uint8)[:, None]
    (tmp_path / "train_files.txt").write_text("data/modelnet40_ply_hdf5_2048/train0.h5\n")
    (tmp_path / "test_files.txt").write_text("data/modelnet40_ply_hdf5_2048/test0.h5\n")
    data = datasets.read("modelnet40", tmp_path)
    assert [(record.path, record.pid) for record in data.train] == [
        (tmp_path / "train0.h5" / "0", 4),
        (tmp_path / "train0.h5" / "1", 1),
    ]
    assert datasets.check(tmp_path).clouds == 3 and problems(tmp_path, name="modelnet40") == {}
    with h5py.File(tmp_path / "test1.h5", "w") as file:
        file["data"], file["label"] = np.full((2, 8, 3), np.nan), np.array([[0], [0]])
    (tmp_path / "test_files.txt").write_text("data/modelnet40_ply_hdf5_2048/test0.h5\ndata/modelnet40_ply_hdf5_2048/test1.h5\n")
    assert problems(tmp_path, name="modelnet40")["unreadable-clouds"] == (
        f'"{tmp_path / "test1.h5" / "0"}" has 8 of 8 points that are not finite: make the file again. And 1 more: "test1.h5/1".'
    )
    (tmp_path / "test_files.txt").write_text("data/modelnet40_ply_hdf5_2048/test0.h5\n")
    for labels in ([[0.5]], [[-5]], [[0, 1, 2]]):
        with h5py.File(tmp_path / "test0.h5", "w") as file:
            file["data"], file["label"] = np.zeros((1, 8, 3)), np.array(labels)
        with pytest.raises(DataError, match=r'test0\.h5" has labels that are not one whole number of 0 or more a cloud'):
            datasets.read("modelnet40", tmp_path)
    (tmp_path / "test_files.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r'test_files\.txt" cannot be read as a list of files'):
        datasets.read("modelnet40", tmp_path)
    (tmp_path / "test_files.txt").write_text("data/modelnet40_ply_hdf5_2048/test0.h5\n")
    (tmp_path / "test0.h5").write_bytes(b"damaged")
    with pytest.raises(DataError, match='cannot be read as HDF5 with an array "label"'):
        datasets.read("modelnet40", tmp_path)
    (tmp_path / "test0.h5").unlink()
    with pytest.raises(DataError, match=r"test_files.txt of .* names test0.h5, which is absent. Unpack it again."):
        datasets.read("modelnet40", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match="is read with h5py, which is not installed"):
        datasets.read("modelnet40", tmp_path)
