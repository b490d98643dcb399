"""All images as training images, and several data sets as one."""

from pathlib import Path

import pytest

from passerby import datasets
from passerby.errors import DataError, UsageError


def test_everybody_but_junk_and_distractors_is_trained_on(tree, tmp_path: Path):
    data = datasets.read("dg-market1501", tree("market", "market1501"))
    assert data.name == "market1501-all" and not len(data.query) and not len(data.gallery)
    assert len(data.train) == 8 and set(data.train.pids) == {1, 2, 3, 7}
    assert "all images are training images, so no number on Market-1501 would mean anything" in data.notes[0]
    assert datasets.detect(tmp_path / "market1501") == "market1501"


@pytest.mark.parametrize(
    ("fixture", "folder", "name", "images", "people"),
    [
        ("duke", "dukemtmc", "dg-dukemtmc", 5, 3),
        ("msmt", "msmt17", "MS", 7, 4),
    ],
)
def test_the_other_data_sets_with_all_their_images(tree, fixture: str, folder: str, name: str, images: int, people: int):
    data = datasets.read(name, tree(fixture, folder))
    assert len(data.train) == images and len(data.train.identities) == people and not len(data.query)


def test_several_data_sets_are_read_together(tree, tmp_path: Path):
    tree("market", "market1501"), tree("duke", "dukemtmc")
    data = datasets.read("D+M", tmp_path)
    assert data.name == "dukemtmc+market1501" and {record.domain for record in data.train} == {"dukemtmc", "market1501"}
    assert len(data.train) == 6 and not len(data.query) and not len(data.gallery)
    assert datasets.resolve("M+C3") == "cuhk03-all-detected+market1501"


def test_what_cannot_be_joined_is_refused(tree, tmp_path: Path):
    tree("market", "market1501")
    with pytest.raises(DataError, match="market1501 stands in two of market1501, market1501-all: its people would count twice"):
        datasets.read("market1501+market1501-all", tmp_path)
    with pytest.raises(UsageError, match=r'no data set "markt". Did you mean "market1501"'):
        datasets.resolve("D+markt")
    with pytest.raises(DataError, match="grid has no training images"):
        datasets.registry.joined([datasets.read("M", tmp_path), datasets.registry.ReidData("grid")])


def test_parts_are_named_and_joined(tree, tmp_path: Path):
    tree("market", "market1501"), tree("duke", "dukemtmc")
    assert datasets.registry.read_parts("M", tmp_path).name == "market1501"
    assert datasets.registry.read_parts("M+D", tmp_path).name == "dukemtmc+market1501"
    assert datasets.registry.read_parts("M:market1501", tmp_path).name == "market1501:market1501"
    assert datasets.registry.read_parts("M:market1501+D", tmp_path).name == "dukemtmc+market1501:market1501"
    with pytest.raises(UsageError, match=r'market1501 in ".*" has no part "town"'):
        datasets.registry.read_parts("M:town+D", tmp_path)
