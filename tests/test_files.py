"""A file is whole or absent, whatever happens while it is written."""

import json
import os
import stat
from pathlib import Path

import pytest

from passerby.files import replacing, write_bytes, write_json, write_text


def test_what_is_written_is_there(tmp_path: Path):
    write_bytes(tmp_path / "new" / "a.bin", b"\x00\x01")
    write_text(tmp_path / "b.txt", "Straße")
    write_json(tmp_path / "c.json", {"name": "Straße", "value": 0.5})
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "Straße"
    assert json.loads((tmp_path / "c.json").read_text()) == {"name": "Straße", "value": 0.5}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    write_text(tmp_path / "a.txt", "old")

    def fails():
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_temporary_name_keeps_the_suffix_and_the_folder(tmp_path: Path):
    with replacing(tmp_path / "plot.png") as temporary:
        assert temporary.suffix == ".png" and temporary.parent == tmp_path and temporary.name.startswith(".")
        temporary.write_bytes(b"x")


def test_files_get_the_usual_permissions(tmp_path: Path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_json_that_other_readers_refuse_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_named_itself_and_not_its_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as found:
        write_text(tmp_path / "folder", "x")
    assert found.value.filename == str(tmp_path / "folder") and not list(tmp_path.glob(".*"))

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / ".a.xyz.txt"))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(PermissionError) as denied:
        write_text(tmp_path / "a.txt", "x")
    assert (denied.value.strerror, denied.value.filename) == ("Permission denied", str(tmp_path / "a.txt"))


def test_a_full_disk_names_the_target_and_another_file_keeps_its_name(tmp_path: Path):
    for raised, named in ((OSError(28, "No space left"), "a.txt"), (OSError(2, "No such file", "other.jpg"), "other.jpg")):
        with pytest.raises(OSError) as found, replacing(tmp_path / "a.txt"):
            raise raised
        assert Path(found.value.filename).name == named
    with pytest.raises(OSError, match="no number"), replacing(tmp_path / "a.txt"):
        raise OSError("an error with no number")
    assert not list(tmp_path.iterdir())
