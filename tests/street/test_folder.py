import json
import shutil

import pytest

from passerby.errors import DataError, UsageError
from passerby.street.folder import Order, header, list_hash, manifest_lines, open_folder, read_header, read_manifest, write_lists
from passerby.street.plan import make_plan

ORDER = Order("market", 1, 2, 4, 0)
PLAN = make_plan("market", 1, 2, 4, 0)


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "set"
    assert open_folder(out, ORDER, PLAN, "numba") == set()
    write_lists(out, ORDER, PLAN, "numba")
    return out


def error(call, *arguments):
    with pytest.raises((DataError, UsageError)) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_manifest_comes_back_as_it_was_planned(folder):
    assert tuple(read_manifest(folder)) == PLAN.crops
    assert read_header(folder) == json.loads(json.dumps(header(ORDER, PLAN, "numba")))


def test_what_is_finished_is_known_again_and_temporary_files_do_not_count(folder):
    (folder / "query").mkdir()
    (folder / "query" / PLAN.crops[0].name).write_bytes(b"x")
    (folder / "query" / ".0001.tmp.jpg").write_bytes(b"x")
    assert open_folder(folder, ORDER, PLAN, "numba") == {f"query/{PLAN.crops[0].name}"}


def test_a_run_that_died_before_its_manifest_goes_on(folder):
    (folder / "manifest.jsonl").unlink()
    assert open_folder(folder, ORDER, PLAN, "numba") == set()
    assert "is missing: the run was stopped early" in error(read_manifest, folder)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    assert error(open_folder, tmp_path / "x", ORDER, PLAN, "gl").endswith(
        "is a file: --out takes a folder that is new, empty or from an earlier run."
    )


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    assert "is not empty and has no street.json: it belongs to something else" in error(open_folder, tmp_path, ORDER, PLAN, "gl")


def test_another_towns_folder_is_left_alone(folder):
    plan = make_plan("campus", 1, 2, 4, 0)
    text = error(open_folder, folder, Order("campus", 1, 2, 4, 0), plan, "numba")
    assert text.endswith('holds the town "market", not "campus". Give --out another folder.')


def test_other_settings_are_named(folder):
    plan = make_plan("market", 1, 2, 4, 9)
    text = error(open_folder, folder, Order("market", 1, 2, 4, 9), plan, "gl")
    assert "other settings: seed 0 there, 9 asked, renderer numba there, gl asked." in text


def test_another_version_of_the_street_is_named(folder):
    content = read_header(folder)
    (folder / "street.json").write_text(json.dumps({**content, "list_sha256": "0" * 64}))
    assert "was rendered by another version of the street" in error(open_folder, folder, ORDER, PLAN, "numba")


def test_a_corrupted_manifest_is_one_line(folder):
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    (folder / "manifest.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][: len(lines[-1]) // 2])
    for call in (lambda: read_manifest(folder), lambda: open_folder(folder, ORDER, PLAN, "numba")):
        assert "manifest.jsonl" in (text := error(call)) and "is corrupted: its 12 lines are not the list" in text


def test_a_damaged_header_is_one_line(folder):
    (folder / "street.json").write_text('{"format": "pass')
    assert "is damaged (Unterminated string" in error(read_header, folder)
    (folder / "street.json").write_text('{"format": "other"}')
    assert 'has format "other": this version reads "passerby street 1"' in error(read_header, folder)
    (folder / "street.json").write_text("[1]")
    assert 'has format "list"' in error(read_header, folder)


def test_a_folder_without_header_is_none_of_ours(tmp_path):
    assert "has no street.json: it is not a folder that `passerby street render` made" in error(read_header, tmp_path)


def test_a_folder_that_cannot_be_written_says_why():
    text = error(open_folder, __import__("pathlib").Path("/proc/street"), ORDER, PLAN, "numba")
    assert text.startswith('"/proc/street" cannot be written (') and text.endswith("Give --out a folder of your own.")


def test_a_full_disk_is_found_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 5 * 10**6, 5 * 10**6))
    text = error(open_folder, tmp_path / "new", ORDER, PLAN, "numba")
    assert "has 5 MB of free disk space and 12 crops need about 20 MB. Make room, or render fewer --ids or --views." in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train_ids": 0, "test_ids": 0}, "ids is 0 + 0: there must be at least one person to render."),
        ({"train_ids": -1}, "ids is -1 + 2: there must be at least one person to render."),
        ({"views": 1}, "views is 1: each person needs 2 to 100 crops, seen by at least two cameras."),
        ({"width": 4}, "size is 4x256: crops may have 16x32 to 2048x4096 pixels."),
        ({"clouds": "ply"}, 'clouds is "ply": allowed are none, obj, npz, both.'),
        ({"cloud_height": 8}, "cloud-height is 8: a point cloud has 16 to 512 rows of points."),
    ],
)
def test_orders_that_make_no_sense_are_refused(changes, text):
    values = {"town": "market", "train_ids": 1, "test_ids": 2, "views": 4, "seed": 0, **changes}
    assert error(lambda: Order(**values)) == text


def test_the_hash_is_the_sha256_of_the_lines_joined():
    import hashlib

    lines = manifest_lines(PLAN)
    assert list_hash(lines) == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert list_hash(lines) != list_hash(lines[::-1])
