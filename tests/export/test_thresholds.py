"""Thresholds of exported files lie beside them; those of the artefact are not theirs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from passerby.artefact import default_model, read_description
from passerby.errors import ArtefactError
from passerby.export.thresholds import find_thresholds, read_thresholds, store_thresholds
from passerby.metrics.calibration_store import read_calibration

HOUSE = default_model()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An exported file without thresholds."""
    shutil.copyfile(HOUSE / "model.int8.onnx", tmp_path / "a.int8.onnx")
    (tmp_path / "a.int8.onnx.json").write_text('{"bytes": 3}')
    return tmp_path / "a.int8.onnx"


def test_an_artefact_has_its_own():
    assert find_thresholds(HOUSE) == read_thresholds(HOUSE) == read_calibration(HOUSE)


def test_those_of_a_file_are_kept_in_its_report(file: Path):
    assert find_thresholds(file) is None
    found = replace(read_calibration(HOUSE), threshold=0.625)
    assert store_thresholds(file, found, read_description(file).short_id) == file.with_name("a.int8.onnx.json")
    assert read_thresholds(file) == find_thresholds(file.parent) == found  # a folder with one exported file stands for it
    assert json.loads(file.with_name("a.int8.onnx.json").read_text())["bytes"] == 3  # what was told before stays


def test_thresholds_of_another_network_are_refused(file: Path):
    with pytest.raises(ArtefactError, match=r"made by artefact 0123456789ab, .* thresholds of one model mean nothing"):
        store_thresholds(file, read_calibration(HOUSE), "0123456789ab")
    store_thresholds(file, read_calibration(HOUSE), read_description(file).short_id)
    file.write_bytes(file.read_bytes() + b"\x00")
    with pytest.raises(ArtefactError, match=r"has thresholds of another file than a.int8.onnx: make them again with passerby"):
        find_thresholds(file)


def test_a_file_without_them_says_how_to_get_them(file: Path):
    with pytest.raises(ArtefactError, match=r"a.int8.onnx has no calibration: an exported network has other .* --data DIR"):
        read_thresholds(file)
    file.with_name("a.int8.onnx.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"a.int8.onnx.json is no JSON"):
        find_thresholds(file)
