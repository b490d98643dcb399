"""The embedded store under bad circumstances: killed, full disks, two writers, damage, and what erasing leaves in its files."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerby.errors import GalleryError, UsageError
from passerby.gallery import Gallery, Model, database, mapped

SECRET = b"secret-of-ann"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_erasing_leaves_nothing_in_any_file(tmp_path: Path, people):
    folder = tmp_path / "g"
    folder.mkdir()
    gallery = Gallery.open(folder / "town.gallery", create=True, model=people.MODEL)
    reader = Gallery.open(folder / "town.gallery", read_only=True)
    hers = [
        replace(people.row(f"key {SECRET.decode()} {n}", 1, track=f"track {SECRET.decode()}", camera=f"cam {SECRET.decode()}"),
                source=f"{SECRET.decode()}.mp4", thumbnail=SECRET * 300, time=people.START)
        for n in range(4)
    ]  # fmt: skip
    ids = gallery.add([*people.walk([2, 3]), *hers, *people.walk([4])])[8:12]
    ann = gallery.create_identity(f"Ann {SECRET.decode()}", ids[:2])
    other = gallery.create_identity(f"also {SECRET.decode()}", ids[2:])
    gallery.rename(ann, f"Anna {SECRET.decode()}")
    gallery.merge(ann, other)
    gallery.search(people.person(1))
    reader.search(people.person(1))
    vectors = [vector.tobytes() for vector in gallery.vectors(ids)]
    assert all(any(mark in content for content in files(folder).values()) for mark in (SECRET, *vectors))
    gallery.erase(ann)
    for name, content in files(folder).items():
        assert SECRET not in content, name
        assert not any(vector in content for vector in vectors), name
    assert {hit.sighting.track for hit in reader.search(people.person(1), 9)[0]} == {"t2", "t3", "t4"}
    assert {hit.sighting.track for hit in gallery.search(people.person(1), 9)[0]} == {"t2", "t3", "t4"}
    reader.close()
    gallery.close()
    assert not any(SECRET in content for content in files(folder).values())


def test_an_erasure_that_was_cut_off_is_finished_at_the_next_opening(tmp_path: Path, people, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "town.gallery"
    gallery = Gallery.open(path, create=True, model=people.MODEL)
    ids = gallery.add([replace(people.row("a", 1), thumbnail=SECRET), *people.walk([2])])
    gallery.search(people.person(1))
    vector = gallery.vectors(ids[:1])[0].tobytes()
    with monkeypatch.context() as cut:
        cut.setattr(type(gallery._store), "scrub", lambda self: None)
        gallery.erase_sightings(ids[:1])
    gallery.close()
    assert any(vector in content for content in files(tmp_path).values())
    with Gallery.open(path) as again:
        assert len(again) == 4
        assert not any(vector in content or SECRET in content for content in files(tmp_path).values())


def test_a_reader_that_does_not_let_go_is_named(tmp_path: Path, people, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=people.MODEL) as gallery:
        ids = gallery.add(people.walk([1, 2]))
        vector = gallery.vectors(ids[:1])[0].tobytes()
        holding = sqlite3.connect(path)
        holding.execute("BEGIN")
        holding.execute("SELECT * FROM sighting").fetchall()
        with pytest.raises(GalleryError, match=r"keeps old pages of it .* end the reader and open the gallery once more"):
            gallery.erase_sightings(ids[:2])
        holding.close()
    with Gallery.open(path) as again:
        assert len(again) == 6 and not any(vector in content for content in files(tmp_path).values())


INDEXER = """
    import sys, numpy as np
    from passerby.gallery import Gallery, Model, NewSighting
    gallery = Gallery.open(sys.argv[1], create=True, model=Model("m", "m", 16))
    state = int(gallery.progress("film") or 0)
    for batch in range(state, 10_000):
        rows = [
            NewSighting(f"{batch} {n}", np.random.default_rng([batch, n]).standard_normal(16), "lobby", float(batch), f"t{batch}",
                        thumbnail=bytes(200))
            for n in range(5)
        ]
        gallery.add(rows, bookmark=("film", str(batch + 1)))
        print(batch, flush=True)
        if batch % 3 == 2:
            gallery.search(rows[0].vector)
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_doubled(tmp_path: Path, seed: int):
    path, random = tmp_path / "town.gallery", np.random.default_rng(seed)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(INDEXER), str(path)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        last = -1
        for line in process.stdout:
            last = int(line)
            if random.random() < 0.15:
                break
        time.sleep(random.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        last = max([last, *map(int, process.stdout.read().split())])
        process.stdout.close()
        process.wait()
        with Gallery.open(path) as gallery:
            done = int(gallery.progress("film") or 0)
            assert done >= last + 1 and len(gallery) == 5 * done
            there = gallery.ids_of([f"{batch} {n}" for batch in range(done) for n in range(5)])
            assert len(there) == 5 * done == len(set(there.values()))
            for batch in (0, done - 1):
                wanted = np.random.default_rng([batch, 3]).standard_normal(16)
                assert gallery.search(wanted, 1, group="row")[0][0].sighting.key == f"{batch} 3"


def test_a_full_disk_loses_only_the_step_that_filled_it(tmp_path: Path, people):
    with Gallery.open(tmp_path / "town.gallery", create=True, model=people.MODEL) as gallery:
        gallery.add(people.walk([1]))
        pages = gallery._store._db.rows("PRAGMA page_count")[0][0]
        gallery._store._db.execute(f"PRAGMA max_page_count = {pages + 5}")
        big = [replace(people.row(f"big {n}", 2), thumbnail=bytes(20_000)) for n in range(9)]
        with pytest.raises(GalleryError, match=r"the disk is full or fails .* nothing of this step was kept"):
            gallery.add(big, bookmark=("film", "x"))
        assert (len(gallery), gallery.progress("film")) == (4, None)
        assert gallery.search(people.person(1), 1)[0][0].sighting.track == "t1"
        gallery._store._db.execute("PRAGMA max_page_count = 1000000")
        gallery.add(big)
        assert len(gallery) == 13


def test_where_the_copy_cannot_be_written_it_is_held_in_memory(tmp_path: Path, people, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped, "_append", full)
    with Gallery.open(tmp_path / "town.gallery", create=True, model=people.MODEL) as gallery:
        gallery.add(people.walk([1, 2]))
        assert gallery.search(people.person(2), 1)[0][0].sighting.track == "t2"
        gallery.add(people.walk([3]))
        assert gallery.search(people.person(3), 1)[0][0].sighting.track == "t3"


def test_a_second_writer_that_waits_too_long_is_told(tmp_path: Path, people, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "town.gallery"
    Gallery.open(path, create=True, model=people.MODEL).close()
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    with Gallery.open(path) as gallery:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match=r"is being written by another process for more than 0\.2 s"):
            gallery.add(people.walk([1]))
        other.execute("ROLLBACK")
        other.close()
        assert gallery.add(people.walk([1])) and len(gallery) == 4


def _write(path: str, name: str, count: int) -> None:
    from passerby.gallery import NewSighting

    with Gallery.open(path) as gallery:
        for n in range(count):
            shared = NewSighting(f"shared {n}", np.eye(16)[n % 16], "lobby")
            gallery.add([NewSighting(f"{name} {n}", np.eye(16)[n % 16] + 0.1, "yard", float(n), f"{name}{n}"), shared])
            gallery.search(np.eye(16)[0], 2)


def test_two_writers_take_turns_while_others_read(tmp_path: Path, people):
    path = tmp_path / "town.gallery"
    gallery = Gallery.open(path, create=True, model=people.MODEL)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(path), name, 6)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    sizes = []
    while any(writer.is_alive() for writer in writers):
        sizes.append(len(gallery))
        assert all(hit.sighting.key for hit in gallery.search(np.eye(16)[0], 3)[0])
        time.sleep(0.05)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sizes == sorted(sizes) and len(gallery) == 18
    assert len(gallery.search(np.eye(16)[0], 99, group="row")[0]) == 18
    gallery.close()


@pytest.mark.parametrize("damage", ["gone", "short", "other", "header"])
def test_a_damaged_copy_is_made_again(tmp_path: Path, people, damage: str):
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=people.MODEL) as gallery:
        gallery.add(people.walk([1, 2]))
        expected = [hit.sighting.id for hit in gallery.search(people.person(1), 4)[0]]
    vectors, rows = mapped.copy_files(path)
    if damage == "gone":
        vectors.unlink()
    elif damage == "short":
        vectors.write_bytes(vectors.read_bytes()[:100])
    elif damage == "other":
        rows.write_bytes(rows.read_bytes().replace(b'"epoch": "', b'"epoch": "x'))
    else:
        rows.write_bytes(b"\x00" * 700)
    with Gallery.open(path) as gallery:
        assert [hit.sighting.id for hit in gallery.search(people.person(1), 4)[0]] == expected


def test_many_erased_rows_shrink_the_copy(tmp_path: Path, people):
    path = tmp_path / "town.gallery"
    with Gallery.open(path, create=True, model=people.MODEL) as gallery:
        ids = gallery.add(people.walk(range(10)))
        gallery.search(people.person(1))
        gallery.erase_sightings(ids[:2])
        assert mapped.copy_files(path)[0].stat().st_size == 40 * 16 * 4  # few are zeroed in place
        gallery.erase_sightings(ids[2:30])
        assert mapped.copy_files(path)[0].stat().st_size == 10 * 16 * 4
        assert {hit.sighting.id for hit in gallery.search(people.person(9), 40, group="row")[0]} == set(ids[30:])


def test_a_folder_that_cannot_be_written_can_be_read(tmp_path: Path, people):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / "g"
    folder.mkdir()
    with Gallery.open(folder / "town.gallery", create=True, model=people.MODEL) as gallery:
        gallery.add(people.walk([1]))
    folder.chmod(0o500)
    try:
        with Gallery.open(folder / "town.gallery", read_only=True) as gallery:
            assert len(gallery.search(people.person(1))[0]) == 2
    finally:
        folder.chmod(0o700)


def test_what_is_no_gallery_is_refused(tmp_path: Path, people):
    (tmp_path / "text").write_text("no database, but long enough to be looked at as one" * 100)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE a (b)").connection.close()
    newer = tmp_path / "newer.gallery"
    Gallery.open(newer, create=True, model=people.MODEL).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for name, said in (
        ("none", "does not exist: a gallery is one file, which passerby index makes"),
        (".", "is a folder"),
        ("text", "is no gallery, or a damaged one"),
        ("other.db", "is a database, but no gallery"),
        ("newer.gallery", "has format 99; this passerby reads up to 1"),
    ):
        with pytest.raises(GalleryError, match=said):
            Gallery.open(tmp_path / name)
    with pytest.raises(GalleryError, match="give the name of a file in a folder that exists"):
        Gallery.open(tmp_path / "no" / "where", create=True, model=people.MODEL)
    with pytest.raises(UsageError, match=r"Did you mean .sqlite.\? Allowed: sqlite, milvus"):
        Gallery.open("mysql://x")
    with pytest.raises(UsageError, match="to create a gallery, say by which model"):
        Gallery.open(tmp_path / "new", create=True)


def test_a_file_that_is_gone_is_not_made_again(tmp_path: Path, people):
    gallery = Gallery.open(tmp_path / "a.gallery", create=True, model=people.MODEL)
    gallery.add(people.walk([1]))
    for file in tmp_path.glob("a.gallery*"):
        file.unlink()
    with ThreadPoolExecutor(1) as other, pytest.raises(GalleryError, match=r"unable to open .* Is the file still there"):
        other.submit(gallery.cameras).result()  # another thread has a connection of its own
    gallery.close()
    assert not (tmp_path / "a.gallery").exists()


def test_a_url_names_the_same_file(tmp_path: Path, people):
    Gallery.open(tmp_path / "a.gallery", create=True, model=people.MODEL).close()
    with Gallery.open(f"sqlite:///{tmp_path / 'a.gallery'}") as gallery:
        assert gallery.model == people.MODEL and "0 x 16 by test model" in repr(gallery)
    with pytest.raises(GalleryError, match="was closed: open it again"):
        gallery.cameras()


def test_a_gallery_moved_elsewhere_is_the_same(tmp_path: Path, people):
    with Gallery.open(tmp_path / "a.gallery", create=True, model=people.MODEL) as gallery:
        gallery.add(people.walk([1]))
    shutil.copy(tmp_path / "a.gallery", tmp_path / "b.gallery")  # without its copy
    with Gallery.open(tmp_path / "b.gallery", model=Model("0123456789ab-test", "", 16)) as gallery:
        assert gallery.search(people.person(1), 1)[0][0].sighting.track == "t1"
