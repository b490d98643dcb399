import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby import datasets
from passerby.datasets import DATASETS
from passerby.datasets.manifest import scan_manifest, write_manifest
from passerby.errors import DataError, MissingDependencyError
from passerby.records import Record, Split

HEADER = "path,pid,camid,split,time,domain\n"
ROWS = ["a.jpg,1,0,train,7,north\n", "sub/b c.jpg,1,1,train,,\n", "q.jpg,2,0,query,1,\n", "g.jpg,2,1,gallery,2,\n"]


@pytest.fixture
def table(tmp_path, draw):
    """Write `manifest.csv` with these rows into a folder that holds all the images."""
    root = tmp_path / "shop"
    for name in ("a.jpg", "sub/b c.jpg", "q.jpg", "g.jpg"):
        draw(root / name)

    def write(rows=ROWS, header=HEADER, encoding="utf-8"):
        (root / "manifest.csv").write_text(header + "".join(rows), encoding=encoding)
        return root

    return write


def test_a_csv_manifest(table, short):
    root = table()
    assert datasets.detect(root) == "manifest"
    data = datasets.read("manifest", root)
    assert short(data.train) == [("a.jpg", 1, 0, 7), ("b c.jpg", 1, 1, None)]
    assert [record.domain for record in data.train] == ["north", "shop"]
    assert data.train[1].path == root / "sub" / "b c.jpg"
    assert short(data.query) == [("q.jpg", 2, 0, 1)]
    assert datasets.read("csv", root / "manifest.csv") == data
    assert datasets.detect(root / "manifest.csv") == "manifest"


def test_time_and_domain_may_be_absent_and_columns_in_any_order(table):
    root = table(["train,1,0,a.jpg,x\n"], "split, pid ,camid,path,remark\n", encoding="utf-8-sig")
    data = datasets.read("manifest", root)
    assert data.train == Split((Record(root / "a.jpg", 1, 0, "shop"),))


def test_parquet_says_the_same_as_csv(table):
    arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    import pyarrow.parquet as parquet

    root = table()
    data = datasets.read("manifest", root)
    (root / "manifest.csv").unlink()
    columns = {
        "path": ["a.jpg", "sub/b c.jpg", "q.jpg", "g.jpg"],
        "pid": [1, 1, 2, 2],
        "camid": [0, 1, 0, 1],
        "split": ["train", "train", "query", "gallery"],
        "time": [7.0, float("nan"), 1.0, 2.0],  # as pandas writes whole numbers with gaps
        "domain": ["north", None, None, None],
    }
    parquet.write_table(arrow.table(columns), root / "manifest.parquet")
    assert datasets.read("manifest", root) == data


def test_a_damaged_parquet_file(tmp_path, message):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 no")
    text = message(DataError, lambda: datasets.read("manifest", tmp_path))
    assert text.startswith('"ROOT/manifest.parquet" is no Parquet table: ')


def test_without_pyarrow_the_extra_is_named(tmp_path, message, monkeypatch):
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert message(MissingDependencyError, lambda: datasets.read("manifest", tmp_path)) == (
        'A Parquet manifest needs pyarrow: pip install "passerby[parquet]"'
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a.jpg,x,0,train,,\n", 'pid "x" is no whole number'),
        ("a.jpg,1.5,0,train,,\n", 'pid "1.5" is no whole number'),
        ("a.jpg,-2,0,train,,\n", "pid -2 is below -1"),
        ("a.jpg,1,-1,train,,\n", "camid -1 is below 0"),
        (f"a.jpg,{10**20},0,train,,\n", f"pid {10**20} is out of range: numbers go up to 9223372036854775807"),
        (f"a.jpg,1,{2**63},train,,\n", f"camid {2**63} is out of range: numbers go up to 9223372036854775807"),
        (f"a.jpg,1,0,train,-{10**30},\n", f"time -{10**30} is out of range: numbers go up to 9223372036854775807"),
        (f"a.jpg,{'7' * 5000},0,train,,\n", f'pid "{"7" * 60}" is no whole number'),
        ("a.jpg,1,0,train,noon,\n", 'time "noon" is no whole number'),
        (",1,0,train,,\n", "the path is empty"),
        ("a.jpg,1,0,trian,,\n", 'split "trian". Did you mean "train"? Allowed: train, val, query, gallery, multi_query'),
    ],
)
def test_a_row_that_does_not_fit(table, message, row, expected):
    root = table([ROWS[2], row])
    assert message(DataError, lambda: datasets.read("manifest", root)) == f'"ROOT/shop/manifest.csv", line 3: {expected}.'


def test_the_largest_numbers_fit(table):
    root = table([f"a.jpg,{2**63 - 1},{2**63 - 1},train,,\n"])
    data = datasets.read("manifest", root)
    assert (data.train.pids.tolist(), data.train.camids.tolist()) == ([2**63 - 1], [2**63 - 1])


def test_many_rows_that_do_not_fit_are_counted(table, message):
    root = table(["a.jpg,x,0,train,,\n"] * 3)
    assert message(DataError, lambda: datasets.read("manifest", root)) == (
        '"ROOT/shop/manifest.csv", line 2: pid "x" is no whole number, and 2 more rows that do not fit.'
    )


def test_a_missing_column(table, message):
    root = table([], "path,id,camera,split\n")
    assert message(DataError, lambda: datasets.read("manifest", root)) == (
        '"ROOT/shop/manifest.csv" lacks the columns pid, camid; it has path, id, camera, split. '
        "A manifest has path, pid, camid, split and may have time, domain."
    )
    root = table([], "")
    assert "it has none." in message(DataError, lambda: datasets.read("manifest", root))


def test_an_image_in_no_folder_at_all(table, message):
    root = table(["gone/a.jpg,1,0,train,,\n"])
    assert '"gone/a.jpg"' in message(DataError, lambda: datasets.read("manifest", root))


def test_a_folder_without_a_table(tmp_path, message):
    assert message(DataError, lambda: DATASETS["manifest"].scan(tmp_path)) == (
        '"ROOT" holds none of manifest.csv, manifest.parquet.'
    )


def test_a_parquet_column_of_fractions(tmp_path, draw, message):
    arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    import pyarrow.parquet as parquet

    draw(tmp_path / "a.jpg")
    columns = {"path": ["a.jpg"], "pid": [1.5], "camid": [0], "split": ["train"]}
    parquet.write_table(arrow.table(columns), tmp_path / "manifest.parquet")
    assert message(DataError, lambda: datasets.read("manifest", tmp_path)) == (
        '"ROOT/manifest.parquet", row 1: pid "1.5" is no whole number.'
    )


def test_a_short_and_a_long_row(table, message):
    for row in ("a.jpg,1\n", "a.jpg,1,0,train,,,more\n"):
        root = table([row])
        assert message(DataError, lambda root=root: datasets.read("manifest", root)) == (
            '"ROOT/shop/manifest.csv", line 2: 6 columns are expected.'
        )


def test_a_table_that_is_no_text(table, message):
    root = table(["ä.jpg,1,0,train,,\n"], encoding="latin-1")
    text = message(DataError, lambda: datasets.read("manifest", root))
    assert text.startswith('"ROOT/shop/manifest.csv" is no CSV table in UTF-8: ')


def test_an_absent_image_and_one_path_twice(table, message):
    root = table([*ROWS, "no.jpg,1,0,train,,\n"])
    assert message(DataError, lambda: datasets.read("manifest", root)) == (
        'manifest.csv names 1 of 5 files that are absent: "no.jpg". Unpack the data set again, or mend the list.'
    )
    root = table([*ROWS, "./sub/../a.jpg,5,0,train,,\n"])
    assert message(DataError, lambda: datasets.read("manifest", root)) == (
        'manifest.csv (train) lists "a.jpg" more than once: one image, one record. Remove the repeated rows.'
    )


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\r"), min_size=1, max_size=8).filter(lambda n: n.strip() == n)
RECORDS = st.builds(
    lambda name, pid, camid, domain, frame: Record(name, pid, camid, domain, frame),
    NAMES.filter(lambda name: name not in (".", "..")),
    st.integers(-1, 10**6),
    st.integers(0, 99),
    NAMES,
    st.none() | st.integers(-(10**12), 10**12),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=5, unique_by=lambda record: record.path))
def test_what_is_written_is_read_back(tmp_path_factory, records):
    """Commas, quotes, line breaks and every script survive; the files need not exist for this."""
    folder = tmp_path_factory.mktemp("manifest")
    write_manifest(folder / "manifest.csv", {"gallery": Split(tuple(records))}, lambda record: str(record.path))
    for record in records:
        (folder / record.path).write_bytes(b"x")
    scan = scan_manifest(folder / "manifest.csv", "manifest")
    assert not scan.faults
    assert [(r.path.name, r.pid, r.camid, r.domain, r.frame) for r in scan.data.gallery] == [
        (r.path, r.pid, r.camid, r.domain, r.frame) for r in records
    ]
