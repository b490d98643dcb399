"""Uploads, queries, sessions and strips: values that no request is needed for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict, QueryParams

from passerby.errors import UsageError
from passerby.gallery import Hit, Sighting, clock
from passerby.web.query import Query
from passerby.web.sessions import Sessions
from passerby.web.strips import strips
from passerby.web.uploads import Person, Upload, Uploads


def held(size: int = 10) -> Upload:
    whole = Person((0, 0, 4, 8), None, bytes(size))
    return Upload(Uploads.token(), bytes(size), (4, 8), (whole,), 0)


def test_the_upload_that_was_longest_not_asked_for_is_forgotten_first():
    uploads = Uploads(most=2)
    one, two, three = held(), held(), held()
    uploads.keep(one)
    uploads.keep(two)
    assert uploads.get(one.token) is one
    uploads.keep(three)
    assert uploads.get(two.token) is None and uploads.get(one.token) is one and len(uploads) == 2


def test_uploads_stay_inside_their_memory():
    uploads = Uploads(most_bytes=100)
    for each in [held(20) for _ in range(10)]:
        uploads.keep(each)
    assert len(uploads) == 2
    large = held(1000)
    uploads.keep(large)
    assert uploads.get(large.token) is large and len(uploads) == 1


ids = st.integers(1, 2**63 - 1)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"]), min_size=1, max_size=20)
queries = st.builds(
    Query,
    picture=st.sampled_from([(), ("a-_9Z.12",), ("a", "b.0")]),
    like=st.lists(ids, max_size=3).map(tuple),
    identity=st.none() | ids,
    hidden=st.lists(ids, max_size=3).map(tuple),
    camera=st.lists(names, max_size=2).map(tuple),
    not_camera=st.lists(names, max_size=2).map(tuple),
    since=st.none() | st.datetimes().filter(lambda at: 1900 <= at.year <= 9000).map(lambda at: at.replace(microsecond=0)),
    until=st.none(),
    group=st.sampled_from(["track", "row"]),
    rerank=st.booleans(),
    k=st.integers(1, 500),
)


@given(queries)
@settings(max_examples=60, deadline=None)
def test_a_query_is_the_same_after_it_was_an_address_and_after_it_was_a_form(query: Query):
    assert Query.of(QueryParams(query.address.partition("?")[2])) == query
    assert Query.of(ImmutableMultiDict(query.pairs())) == query


def test_empty_fields_count_as_left_out():
    query = Query.of(QueryParams("like=3&since=&until=&camera=&k=&other=5&csrf=x"))
    assert query == Query(like=(3,)) and not query.empty and not query.filtered and Query().empty


@pytest.mark.parametrize(
    "text",
    ["like=0", "like=x", "like=99999999999999999999", "k=0", "k=501", "since=yesterday", "since=0001-01-01", "since=9999-12-31",
     "group=all", "picture=../../etc/passwd", "picture=a.b", "identity=-1", "rerank=perhaps", "camera=" + "a" * 301,
     "&".join("like=1" for _ in range(201))],
)  # fmt: skip
def test_wrong_values_are_said_in_one_line_that_does_not_repeat_them(text: str):
    with pytest.raises(UsageError) as caught:
        Query.of(QueryParams(text))
    said = str(caught.value)
    assert "\n" not in said and len(said) < 320 and "passwd" not in said


def test_times_are_utc():
    query = Query.of(QueryParams("since=2026-11-21T10:00:00%2B02:00"))
    assert query.seconds("since") == 1_795_248_000.0 and query.local("since") == "2026-11-21T08:00:00"
    assert Query.of(QueryParams("since=2026-11-21T08:00")).seconds("since") == 1_795_248_000.0


def test_a_session_is_read_again_and_no_other_is_taken():
    sessions, others = Sessions(None), Sessions(None)
    made = sessions.new()
    assert sessions.read(made.cookie) == made and made.signed_in and not sessions.guarded
    assert others.read(made.cookie) is None and sessions.new().csrf != made.csrf
    for wrong in ("", ".", "a.b.c", made.cookie[:-1] + "x", made.cookie.replace(".0.", ".1."), "é.1.2.3", "\udcff.1.1.x"):
        assert sessions.read(wrong) is None


def test_a_token_is_compared_whole():
    sessions = Sessions("a" * 16)
    assert sessions.is_token("a" * 16)
    assert not any(sessions.is_token(wrong) for wrong in ("", "a" * 15, "a" * 17, "ä" * 16, "\udcff"))
    assert not Sessions(None).is_token("") and not sessions.new().signed_in and sessions.new(signed_in=True).signed_in


def test_a_session_ends_after_half_a_day(monkeypatch: pytest.MonkeyPatch):
    sessions = Sessions(None)
    made = sessions.new()
    now = __import__("time").time()
    monkeypatch.setattr("passerby.web.sessions.time.time", lambda: now + 13 * 3600)
    assert sessions.read(made.cookie) is None


def row(id: int, camera: str, time: float | None) -> Sighting:
    return Sighting(id, str(id), camera, time, None, None, None, "", None, None)


def test_strips_lay_hits_out_by_camera_and_time():
    hits = [Hit(row(1, "yard", 100.0), 0.9, "same"), Hit(row(2, "gate", 40.0), 0.8), Hit(row(3, "yard", None), 0.7)]
    found = strips(hits, [row(9, "gate", 0.0)])
    assert found is not None and [strip.camera for strip in found.cameras] == ["gate", "yard"] and found.untimed == 1
    gate, yard = found.cameras
    assert [(mark.id, mark.place, mark.percent) for mark in gate.marks] == [(9, 0, 3.0), (2, 2, 40.6)]
    assert [(mark.id, mark.place, mark.percent, mark.word) for mark in yard.marks] == [(1, 1, 97.0, "same")]
    assert found.ticks[0] == (3.0, "00:00:00") and all(0 <= percent <= 100 for percent, _ in found.ticks)


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_strips_stay_on_the_page_whatever_the_times(times: list[float]):
    found = strips([Hit(row(n, "a", time), 0.5) for n, time in enumerate(times, 1)], [])
    assert found is not None and all(0 <= mark.percent <= 100 for mark in found.cameras[0].marks) and len(found.ticks) <= 8


def test_without_times_there_are_no_strips():
    assert strips([Hit(row(1, "yard", None), 0.9)], []) is None and strips([], []) is None


def test_times_that_no_clock_has_are_told_as_seconds():
    assert clock(0.0) == "1970-01-01 00:00:00" and clock(None) == "-" and clock(1e18) == "1000000000000000000 s"
