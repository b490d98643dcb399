from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.datasets.hold_out import hold_out
from passerby.errors import DataError, UsageError
from passerby.records import Record, Split


def crowd(people=6, images=4, domain="d", first=1) -> Split:
    """Each person in two cameras, `images` frames a camera."""
    rows = [
        Record(Path(f"{domain}/{pid}_{camid}_{frame}"), pid, camid, domain, frame)
        for pid in range(first, first + people)
        for camid in (0, 1)
        for frame in range(images)
    ]
    return Split(tuple(rows))


def pids(split):
    return {record.pid for record in split}


def test_nobody_is_on_both_sides_and_every_query_has_a_match():
    train, query, gallery = hold_out(crowd(), test_share=0.5, queries=1)
    assert len(pids(train)) == len(pids(query)) == 3
    assert not pids(train) & pids(gallery)
    assert (len(train), len(query), len(gallery)) == (24, 6, 18)


def test_queries_are_spread_over_the_time_of_a_camera():
    _, query, _ = hold_out(crowd(people=1, images=12), test_share=1, queries=3)
    assert [record.frame for record in query if record.camid == 0] == [2, 6, 10]
    _, query, _ = hold_out(crowd(people=1, images=5), test_share=1, queries=9)
    assert [record.frame for record in query if record.camid == 0] == [1, 3]  # never more than half


def test_a_person_with_one_image_a_camera_has_one_query():
    _, query, gallery = hold_out(crowd(people=1, images=1), test_share=1)
    assert [record.camid for record in query] == [0]
    assert [record.camid for record in gallery] == [1]


def test_whole_domains_are_the_test():
    split = Split(crowd(3, domain="a").records + crowd(3, domain="b", first=9).records)
    train, query, gallery = hold_out(split, test_domains=("b",), test_share=0.5)
    assert {record.domain for record in train} == {"a"}
    assert {record.domain for part in (query, gallery) for record in part} == {"b"}
    assert len(query) + len(gallery) == 24


def test_each_domain_gives_its_share():
    split = Split(crowd(4, domain="a").records + crowd(8, domain="b", first=9).records)
    _, query, _ = hold_out(split, test_share=0.25)
    assert [len({r.pid for r in query if r.domain == domain}) for domain in "ab"] == [1, 2]


def test_a_person_of_one_camera_trains_or_distracts():
    alone = Record(Path("alone"), 77, 0, "d", 0)
    split = Split((*crowd().records, alone))
    train, _, _ = hold_out(split, test_share=1.0)
    assert train.records == (alone,)
    _, query, gallery = hold_out(split, test_domains=("d",))
    assert alone in gallery
    assert alone not in query


def test_junk_and_distractors_go_to_the_gallery():
    extra = tuple(Record(Path(f"x{pid}"), pid, 0, "d", 0) for pid in (-1, 0))
    train, _, gallery = hold_out(Split((*crowd().records, *extra)))
    assert not set(extra) & set(train)
    assert set(extra) <= set(gallery)


def test_nothing_held_out_is_all_training():
    assert [len(part) for part in hold_out(crowd(), test_share=0)] == [48, 0, 0]


def test_the_draw_depends_on_the_seed_alone():
    split = crowd(20)
    shuffled = Split(split.records[::-1])
    first, again, other = (pids(hold_out(s, seed=seed)[0]) for s, seed in ((split, 1), (shuffled, 1), (split, 2)))
    assert first == again != other


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-1, 6), st.integers(0, 2), st.sampled_from("ab"), st.integers(0, 9)), unique=True, max_size=40
    ),
    st.floats(0, 1),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_every_image_lands_once_and_every_query_has_a_match(rows, share, queries, seed):
    split = Split(tuple(Record(Path(str(row)), row[0], row[1], row[2], row[3]) for row in rows))
    try:
        parts = hold_out(split, test_share=share, queries=queries, seed=seed)
    except DataError:
        cameras = {}
        for record in split:
            cameras.setdefault((record.domain, record.pid), set()).add(record.camid)
        assert all(len(seen) < 2 for (_, pid), seen in cameras.items() if pid > 0)
        return
    train, query, gallery = parts
    assert sorted(map(str, (r.path for part in parts for r in part))) == sorted(str(r.path) for r in split)
    assert not {(r.domain, r.pid) for r in train} & {(r.domain, r.pid) for r in (*query, *gallery)}
    for q in query:
        assert any((g.domain, g.pid) == (q.domain, q.pid) and g.camid != q.camid for g in gallery)


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        ({"test_share": 1.5}, UsageError, "test_share is 1.5; allowed are values from 0 to 1."),
        ({"queries": 0}, UsageError, "queries is 0; at least 1 is needed."),
        ({"test_domains": ("dd",)}, UsageError, 'there is no "dd" to test on. Did you mean "d"? Allowed: d.'),
    ],
)
def test_wrong_use(message, arguments, error, expected):
    assert message(error, lambda: hold_out(crowd(), **arguments)) == expected


def test_nobody_seen_twice(message):
    split = Split((Record(Path("a"), 1, 0, "d"), Record(Path("b"), 2, 1, "d")))
    assert message(DataError, lambda: hold_out(split)) == (
        "nobody is seen by two cameras, so nobody can be held out for evaluation. Set test_share to 0."
    )
    assert message(DataError, lambda: hold_out(split, test_domains=("d",))).startswith("nobody of d is seen by two cameras")
