"""Records, splits and data sets: columns, label maps, views."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from passerby.records import Record, ReidData, Split

records = st.builds(
    Record,
    path=st.integers(0, 10**6).map(lambda number: Path(f"{number}.jpg")),
    pid=st.integers(-1, 50),
    camid=st.integers(0, 15),
    domain=st.sampled_from(["market1501", "msmt17"]),
)


@given(st.lists(records, max_size=30))
def test_labels_are_sorted_contiguous_and_independent_of_the_order(found: list[Record]):
    forward, backward = Split(tuple(found)).label_map(), Split(tuple(found[::-1])).label_map()
    assert forward == backward
    assert sorted(forward.values()) == list(range(len(forward)))
    assert list(forward) == sorted(forward)


@given(st.lists(records, max_size=30))
def test_columns_follow_the_records(found: list[Record]):
    split = Split(tuple(found))
    assert split.pids.tolist() == [record.pid for record in found]
    assert split.camids.tolist() == [record.camid for record in found]
    assert list(split) == found and list(split[2:5]) == found[2:5]
    junk = split.where(lambda record: record.pid == -1)
    assert len(junk) == sum(record.pid == -1 for record in found)


def test_a_camera_is_a_pair_of_domain_and_number():
    split = Split((Record(Path("a"), 1, 0, "x"), Record(Path("b"), 1, 0, "y")))
    assert split.cameras == (("x", 0), ("y", 0))
    assert split.identities == (("x", 1), ("y", 1))


def test_a_data_set_shows_the_splits_that_it_has():
    one = Split((Record(Path("a"), 1, 0, "x"),))
    assert list(ReidData("x", query=one, gallery=one).splits()) == ["query", "gallery"]
