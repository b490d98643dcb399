import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from passerby import datasets
from passerby.datasets import HoldOut, MotOptions
from passerby.errors import DataError, UsageError

HALVES = (
    "one video has one camera: the first and second half of each track's lifetime stand in for two cameras, "
    "so Rank-k and mAP are far higher than between real cameras"
)


def as_rows(data):
    return {
        subset: sorted((r.path.name, r.pid, r.camid, r.domain, r.frame) for r in split) for subset, split in data.splits().items()
    }


def snapshot(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_mot_boxes_become_crops_of_the_right_frame(mot, tmp_path, level, short):
    root, out = mot(), tmp_path / "out"
    report = datasets.prepare(root, out, held_out=HoldOut(test_share=0.5, queries=2))
    assert (report.made, report.kept, report.dataset, report.layout) == (48, 0, "mot", "manifest")
    assert report.images == {"train": 24, "query": 8, "gallery": 16}
    assert datasets.detect(out) == "mot"
    data = datasets.read("mot", out)
    assert {r.domain for r in data.train} == {"north", "south"}
    assert {r.pid for s in data.splits().values() for r in s} == {10_001, 10_002, 20_001, 20_002}
    for record in (*data.train, *data.query, *data.gallery):
        assert record.camid == (record.frame > 6)
        with Image.open(record.path) as image:
            assert image.size == (20, 45)
            assert np.abs(np.asarray(image).astype(int) - level(record.frame)).max() <= 4
    assert datasets.read("manifest", out) == data
    assert data.notes == (
        HALVES,
        "no official split: passerby held out 0.5 of the people, drawn with seed 0 for evaluation, "
        "with up to 2 queries a camera and person",
    )
    datasets.check_evaluable(data)


def test_a_sequence_as_the_test(mot, tmp_path):
    out = tmp_path / "out"
    datasets.prepare(mot(), out, held_out=HoldOut(test_domains=("south",)))
    data = datasets.read("mot", out)
    assert {r.domain for r in data.train} == {"north"}
    assert {r.domain for r in (*data.query, *data.gallery)} == {"south"}


def test_mot_in_market_layout_is_read_as_mot_too(mot, tmp_path):
    report = datasets.prepare(mot(), tmp_path / "out", to="market", held_out=HoldOut(test_share=0))
    assert report.layout == "market-style"
    assert list(datasets.read("mot", tmp_path / "out").splits()) == ["train"]
    datasets.prepare(tmp_path / "walks", tmp_path / "out2", to="market")
    data = datasets.read("mot", tmp_path / "out2")
    assert (data.name, list(data.splits())) == ("mot", ["train", "query", "gallery"])
    assert sorted({(r.pid, r.camid) for s in data.splits().values() for r in s}) == [
        (10_001, 0),
        (10_001, 1),
        (10_002, 0),
        (10_002, 1),
        (20_001, 2),
        (20_001, 3),
        (20_002, 2),
        (20_002, 3),
    ]
    assert data.notes[-1] == (
        "cameras were numbered through: c1 is camera 0 of north, c2 is camera 1 of north, c3 is camera 0 of south, "
        "c4 is camera 1 of south"
    )


def test_options_choose_the_boxes(mot, tmp_path):
    report = datasets.prepare(mot(), tmp_path / "out", mot=MotOptions(every=2, gap=4))
    assert report.left_out == {"between the chosen frames": 24, "in the gap between the halves": 8}
    assert sum(report.images.values()) == 16
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert card["facts"]["mot"]["every"] == 2
    assert card["facts"]["sequences"] == ["north", "south"]


def test_no_box_left_is_an_error_before_anything_is_made(mot, tmp_path, message):
    out = tmp_path / "out"
    assert message(DataError, lambda: datasets.prepare(mot(), out, mot=MotOptions(min_height_px=60))) == (
        'no box in "ROOT/walks" becomes a crop: 48 too small. Loosen the limits (passerby data prepare --help).'
    )
    assert not out.exists()


@pytest.mark.parametrize("name", ["market", "duke", "msmt", "veri"])
@pytest.mark.parametrize("files", ["copy", "hardlink", "refer"])
def test_any_layout_becomes_a_manifest_that_reads_the_same(tree, tmp_path, name, files):
    root, out = tree(name), tmp_path / "out"
    before = datasets.read(datasets.detect(root), root)
    report = datasets.prepare(root, out, files=files)
    after = datasets.read(report.dataset, out)
    assert as_rows(after) == as_rows(before)
    assert after.name == before.name
    assert report.made == (0 if files == "refer" else sum(map(len, before.splits().values())))
    source, target = before.train[0].path, after.train[0].path
    assert target.read_bytes() == source.read_bytes()
    assert source.samefile(target) == (files != "copy")
    assert (target == source) == (files == "refer")


@pytest.mark.parametrize("name", ["market", "duke", "msmt", "veri"])
def test_any_layout_becomes_market_layout_with_the_same_people_and_cameras(tree, tmp_path, name):
    root, out = tree(name), tmp_path / "out"
    before = datasets.read(datasets.detect(root), root)
    report = datasets.prepare(root, out, to="market")
    after = datasets.read(report.dataset, out)
    merged = sorted((r.pid, r.camid, r.frame) for split in (before.train, before.val) for r in split)
    assert sorted((r.pid, r.camid, r.frame) for r in after.train) == merged
    for subset in ("query", "gallery"):
        rows = [sorted((r.pid, r.camid, r.frame) for r in getattr(data, subset)) for data in (before, after)]
        assert rows[0] == rows[1]
    assert {path.name for path in out.iterdir()} == {"bounding_box_train", "query", "bounding_box_test", "dataset.json"}
    if name in ("market", "duke"):
        assert [r.path.name for r in after.train] == [r.path.name for r in before.train]
    if name == "msmt":
        assert "validation images were merged into the training images" in " ".join(after.notes)


def test_domains_with_the_same_pids_are_kept_apart_in_market_layout(tmp_path, draw):
    root = tmp_path / "both"
    rows = ["path,pid,camid,split,domain"]
    for domain in ("a", "b"):
        for camid, split in ((0, "query"), (1, "gallery")):
            draw(root / f"{domain}{camid}.jpg")
            rows.append(f"{domain}{camid}.jpg,5,{camid},{split},{domain}")
    draw(root / "t.jpg")
    rows.append("t.jpg,-1,0,gallery,a")
    draw(root / "u.jpg")
    rows.append("u.jpg,9,0,train,a")
    (root / "manifest.csv").write_text("\n".join(rows))
    datasets.prepare(root, tmp_path / "out", to="market")
    data = datasets.read("manifest", tmp_path / "out")
    assert sorted((r.pid, r.camid) for r in data.query) == [(1, 0), (3, 2)]
    assert sorted((r.pid, r.camid) for r in data.gallery) == [(-1, 0), (1, 1), (3, 3)]
    assert [r.path.name for r in data.query] == ["0001_c1s1_000000_01.jpg", "0003_c3s1_000000_01.jpg"]
    assert "persons were numbered through, because several domains used the same numbers" in data.notes


def test_files_of_one_name_outside_of_the_root_do_not_overwrite_each_other(tmp_path, draw):
    root = tmp_path / "table"
    root.mkdir()
    paths = [draw(tmp_path / folder / "x.jpg") for folder in ("one", "two")]
    rows = [f"{path},{pid},0,train" for pid, path in enumerate(paths, 1)]
    (root / "manifest.csv").write_text("\n".join(["path,pid,camid,split", *rows]))
    datasets.prepare(root, tmp_path / "out")
    data = datasets.read("manifest", tmp_path / "out")
    assert [r.path.read_bytes() for r in data.train] == [path.read_bytes() for path in paths]


def test_people_of_a_plain_folder_can_be_held_out(tmp_path, draw):
    for pid in range(1, 5):
        for camera in (1, 2):
            draw(tmp_path / "people" / str(pid) / f"{pid}_c{camera}.jpg")
    plain = datasets.prepare(tmp_path / "people", tmp_path / "plain")
    assert plain.images == {"train": 8}
    held = datasets.prepare(tmp_path / "people", tmp_path / "held", held_out=HoldOut(seed=3))
    assert held.images == {"train": 4, "query": 2, "gallery": 2}
    datasets.check_evaluable(datasets.read("folder", tmp_path / "held"))


def test_the_same_call_again_has_nothing_to_do(mot, tmp_path):
    root, out = mot(), tmp_path / "out"
    datasets.prepare(root, out)
    before = snapshot(out)
    report = datasets.prepare(root, out)
    assert (report.made, report.kept) == (0, 48)
    assert snapshot(out) == before


def test_a_stopped_call_goes_on_where_it_stopped(mot, tmp_path, message, monkeypatch):
    root, whole, out = mot(), tmp_path / "whole", tmp_path / "out"
    datasets.prepare(root, whole)
    save, count = Image.Image.save, 0

    def stops(self, *arguments, **options):
        nonlocal count
        count += 1
        if count > 17:
            raise KeyboardInterrupt
        return save(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", stops)
    with pytest.raises(KeyboardInterrupt):
        datasets.prepare(root, out)
    monkeypatch.undo()
    assert datasets.detect(out) == "mot"
    assert message(DataError, lambda: datasets.read("mot", out)) == (
        '"ROOT/out" is unfinished: its preparation was stopped. Give the same command again; it goes on from there.'
    )
    assert [finding.kind for finding in datasets.check(out).problems] == ["unfinished"]
    report = datasets.prepare(root, out)
    assert (report.made, report.kept) == (31, 17)
    assert snapshot(out) == snapshot(whole)


def test_a_killed_process_leaves_whole_files_and_is_finished_by_the_same_call(mot, tmp_path):
    root, whole, out = mot(count=80), tmp_path / "whole", tmp_path / "out"
    datasets.prepare(root, whole)
    script = f"from passerby import datasets; datasets.prepare({str(root)!r}, {str(out)!r})"
    process = subprocess.Popen([sys.executable, "-c", script])
    while process.poll() is None and sum(1 for _ in out.rglob("*.jpg")) < 40:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole_files = snapshot(whole)
    fragment = out / "images" / "north" / ".0001_c1_f000001.leftover.jpg"
    fragment.write_bytes(b"half")
    emptied = next(path for path in sorted(out.rglob("*.jpg")) if not path.name.startswith("."))
    names = {path: content for path, content in snapshot(out).items() if not path.name.startswith(".") and path.suffix == ".jpg"}
    assert names and all(whole_files[path] == content for path, content in names.items())
    emptied.write_bytes(b"")  # as a power cut leaves a file that was not flushed
    datasets.prepare(root, out)
    assert snapshot(out) == whole_files


def test_a_foreign_folder_is_left_alone(tree, tmp_path, message):
    root, out = tree("market"), tmp_path / "out"
    out.mkdir()
    for name in ("a", "b", "c", "d"):
        (out / name).write_text("mine")
    before = snapshot(out)
    assert message(DataError, lambda: datasets.prepare(root, out)) == (
        '"ROOT/out" is not empty ("a", "b", "c" and 1 more) and was not made by this command. Give a new folder.'
    )
    assert snapshot(out) == before
    (tmp_path / "file").write_text("mine")
    assert message(DataError, lambda: datasets.prepare(root, tmp_path / "file")) == '"ROOT/file" is a file; give a new folder.'


def test_a_folder_of_other_options_is_left_alone(mot, tmp_path, message):
    root, out = mot(), tmp_path / "out"
    datasets.prepare(root, out)
    before = snapshot(out)
    expected = '"ROOT/out" was prepared from another source or with other options. Give a new folder, or delete it.'
    assert message(DataError, lambda: datasets.prepare(root, out, mot=MotOptions(gap=2))) == expected
    assert message(DataError, lambda: datasets.prepare(root, out, held_out=HoldOut(seed=1))) == expected
    assert message(DataError, lambda: datasets.prepare(root, out, to="market")) == expected
    assert snapshot(out) == before


def test_a_faulty_source_is_refused_before_anything_is_made(tree, draw, tmp_path, message):
    root, out = tree("market"), tmp_path / "out"
    draw(root / "query" / "me.jpg")
    assert message(DataError, lambda: datasets.prepare(root, out)).startswith('misnamed in "ROOT/data/query": "me.jpg"')
    assert not out.exists()


def test_options_that_do_not_go_together(tree, mot, tmp_path, message):
    root, out = tree("market"), tmp_path / "out"
    calls = {
        "options for MOT boxes go with MOT sources only; this is Market-1501.": lambda: datasets.prepare(
            root, out, mot=MotOptions()
        ),
        "market1501 has its own query and gallery; nobody is to be held out of it (share, domains, queries, seed).": lambda: (
            datasets.prepare(root, out, held_out=HoldOut())
        ),
        "--files refer needs --to manifest: the layout of Market-1501 is made of files.": lambda: datasets.prepare(
            root, out, to="market", files="refer"
        ),
        'the new folder "ROOT/data/new" lies inside the data set; give one outside of "ROOT/data".': lambda: datasets.prepare(
            root, root / "new"
        ),
        'the new folder "ROOT/walks/new" lies inside the data set; give one outside of "ROOT/walks".': lambda: datasets.prepare(
            mot(), tmp_path / "walks" / "new"
        ),
        "--files hardlink does not go with MOT sources: crops are new files.": lambda: datasets.prepare(
            mot(), out, files="hardlink"
        ),
    }
    for expected, call in calls.items():
        assert message(UsageError, call) == expected
    assert not out.exists()


def test_files_that_cannot_be_linked(tree, tmp_path, message, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    text = message(DataError, lambda: datasets.prepare(tree("market"), tmp_path / "out", files="hardlink"))
    assert text.startswith('"ROOT/data/bounding_box_t')
    assert text.endswith(": Invalid cross-device link. Copy the files instead.")


def test_a_damaged_card(tree, tmp_path, message):
    out = tmp_path / "out"
    datasets.prepare(tree("market"), out)
    card = json.loads((out / "dataset.json").read_text())

    def written(content):
        (out / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return lambda: datasets.read("market", out)

    text = message(DataError, written("{"))
    assert text.startswith('"ROOT/out/dataset.json" cannot be read: ')
    assert message(DataError, written({**card, "version": 9})) == (
        '"ROOT/out/dataset.json" has version 9; this passerby reads 1. Update passerby.'
    )
    del card["notes"]
    assert message(DataError, written(card)) == "\"ROOT/out/dataset.json\" lacks the field 'notes'. Prepare the folder again."
    text = message(DataError, written({**card, "notes": [], "layout": "markets"}))
    assert text.startswith('"ROOT/out/dataset.json" names the layout "markets". Did you mean "market-style"? Allowed: ')


def test_a_dataset_json_of_another_program_is_none_of_ours(tree, tmp_path):
    root = tree("market")
    before = datasets.read("market", root)
    (root / "dataset.json").write_text('{"name": "x"}')
    assert datasets.read("market", root) == before
