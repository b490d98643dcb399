import pytest

from passerby import datasets
from passerby.datasets.layouts import Layout
from passerby.datasets.registry import DATASETS, locate
from passerby.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("market", "market1501"),
        ("M", "market1501"),
        ("Market-1501", "market1501"),
        ("duke", "dukemtmc"),
        ("D", "dukemtmc"),
        ("DukeMTMC-reID", "dukemtmc"),
        ("msmt", "msmt17"),
        ("MSMT17_V1", "msmt17"),
        ("MSMT17_V2", "msmt17-v2"),
        ("cuhk03", "cuhk03-np-detected"),
        ("cuhk03_np_labeled", "cuhk03-np-labeled"),
        ("veri", "veri776"),
        ("VeRi-776", "veri776"),
        ("MOT17", "mot"),
        ("csv", "manifest"),
    ],
)
def test_the_names_of_the_field(alias, name):
    assert datasets.resolve(alias) == name


def test_no_two_data_sets_share_a_name():
    names = [
        (name.lower().replace("-", "").replace("_", ""), layout.name)
        for layout in DATASETS.values()
        for name in (layout.name, *layout.aliases)
    ]
    owners = {}
    for plain, owner in names:
        assert owners.setdefault(plain, owner) == owner
    assert all(isinstance(layout, Layout) and key == layout.name for key, layout in DATASETS.items())


def test_a_misspelt_name_gets_the_nearest(message):
    text = message(UsageError, lambda: datasets.resolve("markt1501"))
    assert text.startswith('no data set "markt1501". Did you mean "market1501"? Allowed: msmt17, ')


@pytest.mark.parametrize("name", ["market", "duke", "msmt", "veri"])
def test_each_tree_is_told_from_the_others(tree, name):
    layout, root = locate(tree(name))
    assert datasets.resolve(name) == layout.name
    assert root.name == "data"


@pytest.mark.parametrize("where", ["Market-1501-v15.09.15", "MARKET1501", "market/Market-1501-v15.09.15"])
def test_the_usual_folder_names_are_found_without_regard_to_case(tree, tmp_path, where):
    root = tree("market", f"sets/{where}")
    assert datasets.find_root(DATASETS["market1501"], tmp_path / "sets") == root
    assert locate(tmp_path / "sets") == (DATASETS["market1501"], root)
    assert datasets.read("market", tmp_path / "sets") == datasets.read("market", root)


def test_the_environment_names_the_data_folder(tree, tmp_path, monkeypatch):
    root = tree("duke", "sets/DukeMTMC-reID")
    monkeypatch.setenv("PASSERBY_DATA", str(tmp_path / "sets"))
    assert datasets.read("duke") == datasets.read("duke", root)


def test_no_data_folder_at_all(monkeypatch, message):
    monkeypatch.delenv("PASSERBY_DATA", raising=False)
    assert (
        message(UsageError, lambda: datasets.read("market")) == "no data folder: give one with --data DIR, or set PASSERBY_DATA."
    )


def test_several_data_sets_side_by_side(tree, tmp_path, message):
    tree("market", "sets/market")
    tree("duke", "sets/duke")
    assert message(DataError, lambda: datasets.detect(tmp_path / "sets")) == (
        '"ROOT/sets" holds several data sets: dukemtmc in "duke", market1501 in "market". Give the folder of one of them.'
    )
    assert datasets.read("duke", tmp_path / "sets").name == "dukemtmc"


def test_nothing_that_is_known(tree, tmp_path, message):
    (tmp_path / "x" / "notes").mkdir(parents=True)
    text = message(DataError, lambda: datasets.detect(tmp_path / "x"))
    assert text.startswith('"ROOT/x" holds no data set that passerby knows (folders "notes"). Known are: msmt17, ')
    (tmp_path / "y").mkdir()
    assert message(DataError, lambda: datasets.detect(tmp_path / "y")).startswith('"ROOT/y" is empty. Known are: ')
    (tree("market") / "readme.txt").write_text("one level too deep")
    assert message(DataError, lambda: datasets.detect(tmp_path / "data" / "query")).startswith(
        '"ROOT/data/query" holds images but no layout. If it is one subset of a data set, give the folder above it. Known are: '
    )
    (tmp_path / "z.txt").write_text("z")
    assert message(DataError, lambda: datasets.detect(tmp_path / "z.txt")).startswith(
        '"ROOT/z.txt" is a file that no reader knows. '
    )


def test_every_data_set_says_what_it_needs(tmp_path, message):
    """A missing data set's error says what to get, from whom, and where to put it."""
    for layout in DATASETS.values():
        text = message(DataError, lambda layout=layout: datasets.read(layout.name, tmp_path / "gone"))
        assert text.startswith(f'"ROOT/gone" does not exist. {layout.title} is read from a folder with {layout.needs}.')
        assert text.endswith("with --data or PASSERBY_DATA.")
        assert not layout.expected or layout.source


def test_reading_order_does_not_depend_on_the_disk(tree, monkeypatch):
    import os

    root = tree("market")
    before = datasets.read("market", root)
    scandir = os.scandir

    class Backwards(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", lambda path: Backwards(reversed(list(scandir(path)))))
    assert datasets.read("market", root) == before
