import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from passerby import datasets
from passerby.datasets import street
from passerby.errors import DataError

CROPS = [
    ("bounding_box_train", 1, 0, 100),
    ("bounding_box_train", 1, 11, 200),
    ("query", 2, 0, 300),
    ("bounding_box_test", 2, 11, 400),
    ("bounding_box_test", 3, 0, 500),
]


def make_town(folder, town="campus", **changes):
    """A rendered folder, without rendering."""
    lines = []
    for number, (subset, pid, camid, frame) in enumerate(CROPS):
        name = f"{pid:04d}_c{camid + 1}s1_{frame:06d}_00.jpg"
        (folder / subset).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng([number, *town.encode()]).integers(0, 255, (32, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / subset / name)
        lines.append(
            json.dumps(
                {
                    "folder": subset,
                    "name": name,
                    "pid": pid,
                    "camid": camid,
                    "frame": frame,
                    "time_s": frame / 25,
                    "track": number // 2,
                }
            )
        )
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    header = {"format": "passerby street 1", "town": town, "train_ids": 1, "test_ids": 2, "seed": 5, "list_sha256": digest}
    (folder / "street.json").write_text(json.dumps({**header, **changes}))
    return digest


def problems(folder):
    return [finding.text for finding in datasets.check(folder).problems]


def test_a_rendered_town_is_known_and_read(tmp_path):
    make_town(tmp_path)
    assert datasets.detect(tmp_path) == "street" == datasets.resolve("Street-v1")
    data = datasets.read("street", tmp_path)
    assert [len(split) for split in (data.train, data.query, data.gallery)] == [2, 1, 2]
    first = data.train[1]
    assert (first.pid, first.camid, first.domain, first.frame) == (1, 11, "street-campus", 200)
    assert data.notes == ("rendered people: town campus, 1 + 2 people, seed 5; no part of Street-v1",)
    assert problems(tmp_path) == []


def test_each_crop_has_its_second_and_its_way_through_the_picture(tmp_path):
    for town in ("arcade", "winter"):
        make_town(tmp_path / town, town)
    data = datasets.read("street", tmp_path)
    known = street.passages(data.train)
    assert set(known) == {record.path for record in data.train} and len(known) == 4
    assert known[data.train[1].path] == street.Passage(8.0, 0) and street.passages(data.gallery)[data.gallery[1].path].track == 2
    lost = replace(data.train[0], path=data.train[0].path.with_name("9999_c1s1_000000_00.jpg"))
    with pytest.raises(DataError, match=r"is not in the manifest\.jsonl of its town"):
        street.passages([lost])
    (tmp_path / "arcade" / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="is corrupted"):
        street.passages(data.train)


def test_several_towns_are_several_domains_and_share_no_number(tmp_path):
    make_town(tmp_path / "winter", "winter")
    make_town(tmp_path / "arcade", "arcade")
    (tmp_path / "notes").mkdir()
    data = datasets.read("street", tmp_path)
    assert {(record.domain, record.pid) for record in data.train} == {("street-arcade", 10001), ("street-winter", 20001)}
    assert len(data.notes) == 2


def test_a_frozen_list_is_named(tmp_path, monkeypatch):
    digest = make_town(tmp_path)
    monkeypatch.setattr(street, "_frozen", lambda: {"lists": {"S": {"campus": "0"}, "M": {"campus": digest}}})
    assert datasets.read("street", tmp_path).notes == ("Street-v1 M, campus: rendered people, 1 + 2 people, frozen list",)


def test_the_pinned_lists_can_be_read():
    lists = street._frozen()["lists"]
    assert set(lists) == {"S", "M"} and all(len(digest) == 64 for towns in lists.values() for digest in towns.values())


def test_a_changed_manifest_is_a_problem(tmp_path):
    make_town(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    (text,) = [text for text in problems(tmp_path) if "corrupted" in text]
    assert "its 1 lines are not the list that street.json was written for. Delete it and run" in text
    (tmp_path / "manifest.jsonl").unlink()
    assert any("is corrupted: it is missing or empty" in text for text in problems(tmp_path))


def test_missing_images_are_a_problem(tmp_path):
    make_town(tmp_path)
    (tmp_path / "query" / "0002_c1s1_000300_00.jpg").unlink()
    with pytest.raises(DataError, match=r"is unfinished or damaged: manifest.jsonl names 1 of 5 files that are absent"):
        datasets.read("street", tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "passerby street 1"}'])
def test_a_damaged_header_is_a_problem(tmp_path, content):
    make_town(tmp_path)
    (tmp_path / "street.json").write_text(content)
    assert [text for text in problems(tmp_path) if 'street.json" is damaged. Delete the folder and render it again.' in text]


def test_another_format_is_a_problem(tmp_path):
    make_town(tmp_path, format="passerby street 9")
    assert any('has format "passerby street 9": this version reads "passerby street 1".' in text for text in problems(tmp_path))
