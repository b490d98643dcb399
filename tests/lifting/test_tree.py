"""A data set becomes a tree of clouds that its readers know; a stopped run goes on; nothing wrong is hidden."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import passerby.lifting.tree as tree
from passerby.datasets import read
from passerby.errors import DataError, UsageError
from passerby.lifting import LifterOptions
from passerby.lifting.preview import turntable, write_sheet
from passerby.lifting.tree import LiftSettings, lift_folder, plan
from passerby.points import read_cloud

TEMPLATE = LiftSettings("template", height=32)
BALL = np.random.default_rng(0).normal(0, 0.4, (300, 3))
NAMES = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000452_01.jpg", "0007_c3s1_000001_01.jpg"],
    "query": ["0005_c1s1_000451_00.jpg"],
    "bounding_box_test": ["0005_c2s1_000500_00.jpg", "-1_c2s1_000501_00.jpg", "0000_c3s1_000502_00.jpg"],
}


@pytest.fixture()
def market(tmp_path: Path) -> Path:
    root = tmp_path / "Market-1501"
    random = np.random.default_rng(0)
    for folder, names in NAMES.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(random.integers(0, 255, (128, 64, 3)).astype(np.uint8)).save(root / folder / name)
    return root


def failures(out: Path) -> list[list[str]]:
    return list(csv.reader((out / "failures.csv").read_text().splitlines()))[1:]


def test_a_data_set_is_read_back_as_it_was(market: Path, tmp_path: Path):
    out = tmp_path / "3DMarket+bg"
    report = lift_folder(market, out, TEMPLATE, dataset="market-style")
    assert (report.images, report.made, report.kept, report.failures, report.dataset) == (7, 7, 0, (), "clouds")
    before, after = read("market-style", market), read("clouds", out)
    for subset, split in before.splits().items():
        found = after.splits()[subset]
        wanted = sorted((record.pid, record.camid, record.path.name) for record in split)
        assert sorted((record.pid, record.camid, record.path.name.removesuffix(".npz")) for record in found) == wanted
    cloud = read_cloud(after.query[0].path)
    assert cloud.shape == (32 * 16, 6)
    assert read("market1501-3d", out).train.pids.tolist() == [2, 2, 7]


def test_objects_are_what_the_published_reader_takes(market: Path, tmp_path: Path):
    settings = LiftSettings("template", height=32, form="obj", points="vertices")
    lift_folder(market / "query", tmp_path / "out", settings, dataset="images")
    text = (tmp_path / "out" / "0005_c1s1_000451_00.jpg.obj").read_text().splitlines()
    assert len(text) == 32 * 16 + 1 and text[0].startswith("v ") and text[-1] == "f 1 2 3"


def test_a_stopped_run_goes_on(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    saved = tree.save_npz

    def stop_at_the_third(cloud, path: Path) -> None:
        if len(list(out.rglob("*.npz"))) == 2:
            raise KeyboardInterrupt
        saved(cloud, path)

    monkeypatch.setattr(tree, "save_npz", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        lift_folder(market, out, TEMPLATE, dataset="market-style")
    monkeypatch.setattr(tree, "save_npz", saved)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    report = lift_folder(market, out, TEMPLATE, dataset="market-style")
    assert (report.made, report.kept) == (5, 2)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_several_processes_make_the_same(market: Path, tmp_path: Path):
    """Two batches; one image in them is none."""
    source, bodies = market / "query" / "0005_c1s1_000451_00.jpg", tmp_path / "bodies"
    bodies.mkdir()
    for number in range(19):
        shutil.copy(source, source.with_name(f"0005_c2s1_{number:06d}_01.jpg"))
        np.savez(bodies / f"0005_c2s1_{number:06d}_01.npz", vertices=BALL, camera=np.array([0.9, number / 100, 0]))
    source.write_bytes(b"no image")
    settings = LiftSettings("vertices", LifterOptions(vertices=bodies), points="vertices", height=32)
    alone = lift_folder(market / "query", tmp_path / "a", settings)
    apart = lift_folder(market / "query", tmp_path / "b", settings, workers=2)
    assert apart.failures == alone.failures and [row[:2] for row in apart.failures] == [(source.name, "no image")]
    assert apart.made == alone.made == 19
    for path in (tmp_path / "a").rglob("*.npz"):
        np.testing.assert_array_equal(read_cloud(path), read_cloud(tmp_path / "b" / path.name))


def test_what_fails_is_listed_with_its_reason_and_tried_again(market: Path, tmp_path: Path):
    bodies, out = tmp_path / "bodies", tmp_path / "out"
    bodies.mkdir()
    whole = {"vertices": BALL, "camera": np.array([0.9, 0, 0])}
    np.savez(bodies / "0002_c1s1_000451_03.npz", **whole)
    np.savez(bodies / "0002_c2s1_000452_01.npz", vertices=whole["vertices"])
    settings = LiftSettings("vertices", LifterOptions(vertices=bodies), points="vertices", height=32)
    report = lift_folder(market / "bounding_box_train", out, settings, dataset="images")
    assert report.made == 1 and report.reasons == {"wrong file": 1, "no vertices": 1}
    rows = failures(out)
    assert [row[:2] for row in rows] == [["0002_c2s1_000452_01.jpg", "wrong file"], ["0007_c3s1_000001_01.jpg", "no vertices"]]
    assert "a camera is needed" in rows[0][2]
    bent = (bodies / "0002_c1s1_000451_03.npz").read_bytes()
    (bodies / "0002_c2s1_000452_01.npz").write_bytes(bent[:40] + b"\xff" + bent[41:-30])
    np.save(bodies / "x.npy", BALL)
    (bodies / "x.npy").rename(bodies / "0007_c3s1_000001_01.npz")
    report = lift_folder(market / "bounding_box_train", out, settings, dataset="images")
    assert (report.kept, report.reasons) == (1, {"wrong file": 2})
    for name in ("0002_c2s1_000452_01", "0007_c3s1_000001_01"):
        np.savez(bodies / f"{name}.npz", **whole)
    report = lift_folder(market / "bounding_box_train", out, settings, dataset="images")
    assert (report.made, report.kept) == (2, 1) and failures(out) == []


def test_a_part_of_a_run_keeps_the_rows_of_what_it_does_not_try(market: Path, tmp_path: Path):
    """A row goes when its image is tried again and becomes a cloud, or has become one meanwhile."""
    train, out = market / "bounding_box_train", tmp_path / "out"
    sound = {path.name: path.read_bytes() for path in train.iterdir()}
    for name in sound:
        (train / name).write_bytes(b"x")
    first, second, third = sorted(sound)
    lift_folder(train, out, TEMPLATE, dataset="images")
    assert [row[0] for row in failures(out)] == [first, second, third]
    lift_folder(train, out, TEMPLATE, dataset="images", limit=1)
    assert [row[0] for row in failures(out)] == [first, second, third]
    (train / first).write_bytes(sound[first])
    report = lift_folder(train, out, TEMPLATE, dataset="images", limit=1)
    assert (report.made, report.failures) == (1, ()) and [row[0] for row in failures(out)] == [second, third]
    shutil.copy(out / f"{first}.npz", out / f"{third}.npz")
    lift_folder(train, out, TEMPLATE, dataset="images", limit=1)
    assert [row[0] for row in failures(out)] == [second]


def test_a_stopped_run_keeps_the_rows_of_what_it_did_not_reach(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train, out = market / "bounding_box_train", tmp_path / "out"
    for path in train.iterdir():
        path.write_bytes(b"x")
    lift_folder(train, out, TEMPLATE, dataset="images")
    before = failures(out)

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tree, "_lift_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        lift_folder(train, out, TEMPLATE, dataset="images")
    assert len(before) == 3 and failures(out) == before


@pytest.mark.parametrize("content", [b"", b"image,reason\n", b"image,reason,detail\na.jpg,no image\n", b"\xff\xfe"])
def test_a_list_of_failures_that_is_damaged_is_not_overwritten(market: Path, tmp_path: Path, content: bytes):
    out = tmp_path / "out"
    lift_folder(market / "query", out, TEMPLATE)
    (out / "failures.csv").write_bytes(content)
    with pytest.raises(DataError) as raised:
        lift_folder(market / "query", out, TEMPLATE)
    assert str(raised.value) == (
        f'"{out / "failures.csv"}" is no list of image, reason and detail any more: delete it; without --limit every image that '
        "has no cloud is tried and listed again."
    )
    assert (out / "failures.csv").read_bytes() == content


def test_all_training_images_of_msmt17_are_read_back(market: Path, tmp_path: Path):
    """Its lists keep some of them for validation; the published tree, and whoever trains on it, has them all."""
    root, out = tmp_path / "MSMT17_V1", tmp_path / "3DMSMT+bg"
    picture = next((market / "query").iterdir())
    lists = {
        "train": ["0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_001_15_0303noon_0020_1_ex.jpg"],
        "val": ["0000/0000_002_04_0303afternoon_0100_0.jpg", "0001/0001_002_15_0303noon_0020_2.jpg"],
        "query": ["0000/0000_000_02_0303morning_0001_0.jpg"],
        "gallery": ["0000/0000_001_12_0303noon_0003_0.jpg"],
    }
    for subset, names in lists.items():
        for name in names:
            path = root / ("train" if subset in ("train", "val") else "test") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, path)
        (root / f"list_{subset}.txt").write_text("".join(f"{name} {int(name[:4])}\n" for name in names))
    report = lift_folder(root, out, TEMPLATE)
    assert report.made == 6 and len(list(out.rglob("*.npz"))) == 6 and report.dataset == "msmt17-3d"
    wanted, found = read("msmt17-trainval", root), read(report.dataset, out)
    for subset in ("train", "val", "query", "gallery"):
        before, after = (sorted((r.pid, r.camid) for r in getattr(data, subset)) for data in (wanted, found))
        assert after == before
    assert any("other clouds" in note for note in found.notes) and any("(expected 32,621)" in note for note in found.notes)


def test_a_look_takes_images_from_all_over(market: Path, tmp_path: Path):
    report = lift_folder(market, tmp_path / "out", TEMPLATE, dataset="market-style", limit=3)
    assert report.images == 3
    assert {path.parent.parent.name for path in (tmp_path / "out").rglob("*.npz")} == {"gallery", "query", "train_all"}


def test_a_folder_takes_the_images_of_one_data_set(market: Path, tmp_path: Path):
    out = tmp_path / "out"
    lift_folder(market / "query", out, TEMPLATE, limit=1)
    with pytest.raises(DataError) as raised:
        lift_folder(market / "bounding_box_test", out, TEMPLATE)
    assert str(raised.value) == (
        f'"{out}" holds clouds of other images (images, 1 in all) than these (images, 3 in all): give a new folder, or the '
        "images that it was made of."
    )
    moved = shutil.copytree(market / "query", tmp_path / "elsewhere")
    assert lift_folder(moved, out, TEMPLATE).kept == 1
    mark = out / "lift.json"
    content = json.loads(mark.read_text())
    assert content["source"]["dataset"] == "images" and content["source"]["images"] == 1
    mark.write_text(json.dumps({key: value for key, value in content.items() if key != "source"}))
    assert lift_folder(market / "query", out, TEMPLATE).kept == 1  # made before the source was written


def test_a_limit_is_lifted_where_the_whole_follows(market: Path, tmp_path: Path):
    lift_folder(market, tmp_path / "out", TEMPLATE, dataset="market-style", limit=2)
    report = lift_folder(market, tmp_path / "out", TEMPLATE, dataset="market-style")
    assert (report.made, report.kept) == (5, 2)


def test_names_without_a_camera_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A frame of a video is named by its place in it; the reader knows the rest."""
    from passerby.records import Record, ReidData, Split

    records = [Record(tmp_path / f"cam{camid}" / f"{pid:04d}.jpg", pid, camid, "x") for pid in (3, 8) for camid in (0, 4)]
    monkeypatch.setattr(tree, "_located", lambda source, dataset: (tree.DATASETS["prid2011"], source))
    monkeypatch.setattr(tree, "read", lambda name, root: ReidData("x", train=Split(tuple(records))))
    _, tasks = plan(tmp_path)
    assert [(task.name, task.target) for task in tasks] == [
        ("cam0/0003.jpg", "train_all/0003/0003_c1s1_000000_01.jpg"),
        ("cam4/0003.jpg", "train_all/0003/0003_c5s1_000000_01.jpg"),
        ("cam0/0008.jpg", "train_all/0008/0008_c1s1_000000_01.jpg"),
        ("cam4/0008.jpg", "train_all/0008/0008_c5s1_000000_01.jpg"),
    ]


def test_a_data_set_of_several_splits_is_refused(tmp_path: Path):
    root = tmp_path / "VIPeR"
    for camera in ("cam_a", "cam_b"):
        (root / camera).mkdir(parents=True)
        for person in range(632):
            (root / camera / f"{person:03d}_{45 if camera == 'cam_a' else 90}.bmp").touch()
    with pytest.raises(DataError, match="has several splits and none is chosen: lift its images as they lie"):
        plan(root, "viper")


def test_a_folder_of_images_keeps_its_tree(market: Path):
    name, tasks = plan(market / "query")
    assert name == "" and [task.target for task in tasks] == NAMES["query"]
    _, tasks = plan(market, "images")
    assert [task.name for task in tasks] == sorted(f"{folder}/{name}" for folder, names in NAMES.items() for name in names)


def test_pictures_among_the_clouds_are_not_lifted(market: Path):
    """A sheet of a folder that lies within the images it is made of."""
    out = market / "clouds"
    lift_folder(market, out, TEMPLATE, dataset="images")
    shutil.copy(next((market / "query").iterdir()), out / "preview.jpg")
    report = lift_folder(market, out, TEMPLATE, dataset="images")
    assert (report.images, report.kept) == (7, 7)


def test_wrong_folders_are_named(market: Path, tmp_path: Path):
    out = tmp_path / "out"
    lift_folder(market / "query", out, TEMPLATE)
    other = LiftSettings("template", LifterOptions(tilt_deg=3), height=64)
    with pytest.raises(DataError, match=r"was lifted in another way \(options, height\): give the same options or a new folder"):
        lift_folder(market / "query", out, other)
    (out / "lift.json").write_text("{")
    with pytest.raises(DataError, match=r'lift\.json" is damaged'):
        lift_folder(market / "query", out, TEMPLATE)
    with pytest.raises(DataError, match=r"holds other things, no lift\.json"):
        lift_folder(market / "query", market, TEMPLATE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        plan(tmp_path / "empty", "images")
    with pytest.raises(DataError, match="is empty"):
        plan(tmp_path / "empty")
    (tmp_path / "mixed" / "x" / "y").mkdir(parents=True)
    shutil.copy(next((market / "query").iterdir()), tmp_path / "mixed" / "x" / "y" / "a.jpg")
    with pytest.raises(DataError, match="To lift all images below it as they lie, give --dataset images"):
        plan(tmp_path / "mixed")


def test_wrong_numbers_are_named(market: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="height is 15: a cloud has 16 to 512 rows of points, an even number"):
        LiftSettings(height=15)
    for given in ({"workers": 0}, {"limit": 0}):
        with pytest.raises(UsageError, match="both must be at least 1"):
            lift_folder(market, tmp_path / "out", TEMPLATE, **given)


def test_validation_images_have_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from passerby.records import Record, ReidData, Split

    splits = {
        name: Split((Record(tmp_path / f"{name}.jpg", pid, camid, "x"),))
        for name, pid, camid in (("train", 3, 0), ("val", 3, 1), ("query", 5, 0), ("gallery", -1, 1))
    }
    monkeypatch.setattr(tree, "_located", lambda source, dataset: (tree.DATASETS["clouds"], source))
    monkeypatch.setattr(tree, "read", lambda name, root: ReidData("x", **splits))
    _, tasks = plan(tmp_path)
    assert [task.target for task in tasks] == [
        "gallery/-1/-1_c2s1_000000_01.jpg",
        "query/0005/0005_c1s1_000000_01.jpg",
        "train/0003/0003_c1s1_000000_01.jpg",
        "val/0003/0003_c2s1_000000_01.jpg",
    ]


def test_a_turntable_shows_each_side():
    """A board: broad from the front, a line from the side, red in front of green."""
    y, x = np.mgrid[-0.8:0.8:60j, -0.3:0.3:30j].reshape(2, -1)
    front = np.stack([x, y, 0 * x - 0.05, 1 + 0 * x, 0 * x, 0 * x], 1)
    back = front + np.array([0, 0, 0.1, -1, 1, 0])
    strip = turntable(np.concatenate([back, front]), width=60, height=80)
    assert strip.shape == (80, 9 * 60, 3)
    views = np.split(strip, 9, axis=1)
    red = [int(((view[..., 0] == 255) & (view[..., 1] == 0)).sum()) for view in views]
    green = [int(((view[..., 1] == 255) & (view[..., 0] == 0)).sum()) for view in views]
    assert red[1] > 1000 > green[1] and green[5] > 1000 > red[5]
    assert red[3] + green[3] < red[1] / 3


def test_a_sheet_has_a_row_a_cloud(market: Path, tmp_path: Path):
    lift_folder(market, tmp_path / "out", TEMPLATE, dataset="market-style")
    clouds = sorted((tmp_path / "out").rglob("*.npz"))
    with Image.open(write_sheet(clouds, tmp_path / "sheet.jpg", rows=4)) as sheet:
        assert sheet.size == (9 * 72, 4 * 128)


def test_the_settings_are_written_beside_the_clouds(market: Path, tmp_path: Path):
    lift_folder(market / "query", tmp_path / "out", TEMPLATE)
    content = json.loads((tmp_path / "out" / "lift.json").read_text())
    assert content["lifter"] == "template" and content["height"] == 32 and content["options"]["tilt_deg"] == 15
