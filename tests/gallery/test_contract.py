"""What every store must hold to: run for SQLite here, and by test_milvus.py against a real Milvus server."""

from dataclasses import replace

import numpy as np
import pytest

from passerby.errors import EmbeddingsError, GalleryError, UsageError
from passerby.gallery import Identity, Model, Thresholds


def keys(gallery, ids) -> list[str]:
    return [each.key for each in gallery.sightings(ids)]


def test_what_goes_in_comes_out(make, people):
    gallery = make()
    given = people.row("a", 1, "lobby", people.START, "t1")
    bare = replace(given, key="b", time=None, track=None, quality=None, frame=None, box=None, thumbnail=None, source="")
    one, two = gallery.add([given, bare])
    first, second = gallery.sightings([one, two])
    assert (first.key, first.camera, first.time, first.track, first.quality, first.source, first.frame, first.box) == (
        "a", "lobby", people.START, "t1", given.quality, "lobby.mp4", 3, (1.0, 2.0, 30.0, 60.0),
    )  # fmt: skip
    assert (second.time, second.track, second.identity, second.quality, second.frame, second.box) == (None,) * 6
    unit = given.vector / np.linalg.norm(given.vector)
    assert np.allclose(gallery.vectors([two, one]), [unit, unit], atol=1e-6)
    assert (gallery.thumbnail(one), gallery.thumbnail(two)) == (given.thumbnail, None)
    assert (len(gallery), gallery.cameras(), gallery.span()) == (2, ["lobby"], (people.START, people.START))
    assert gallery.model == people.MODEL and gallery.ids_of(["b", "none"]) == {"b": two}


def test_a_key_is_taken_once(make, people):
    gallery = make()
    rows = people.walk([1, 2])
    ids = gallery.add(rows)
    assert gallery.add([*rows[2:], people.row("new", 3), people.row("new", 4)])[: len(ids) - 2] == ids[2:]
    assert len(gallery) == len(rows) + 1 and len(set(ids)) == len(ids)


def test_a_bookmark_stays_and_goes(make, people):
    gallery = make()
    gallery.add([people.row("a")], bookmark=("film", '{"next": 7}'))
    assert (gallery.progress("film"), gallery.progress("other")) == ('{"next": 7}', None)
    gallery.add_progress("film", "")
    assert gallery.progress("film") is None


def test_it_is_all_there_after_opening_again(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]), bookmark=("film", "x"))
    ann = gallery.create_identity("Ann", ids[:2])
    gallery.reject(ann, ids[2:3])
    gallery.set_thresholds(Thresholds(0.8, 0.5, 0.001))
    gallery.set_transitions({("lobby", "yard"): 40.0})
    before = gallery.audit()
    gallery.close()
    again = make(create=False)
    assert (
        again.identities() == [Identity(ann, "Ann", 2, 1)] and again.members(ann) == ids[:2] and again.rejected(ann) == ids[2:3]
    )
    assert again.thresholds == Thresholds(0.8, 0.5, 0.001) and again.transitions.seconds == {("lobby", "yard"): 40.0}
    assert again.audit() == before and again.progress("film") == "x" and len(again) == 8


def test_the_same_person_comes_first(make, people):
    gallery = make()
    gallery.add(people.walk(range(5), ("lobby", "yard", "gate")))
    (hits,) = gallery.search(people.person(3), 3)
    assert [(hit.sighting.track, hit.sighting.camera) for hit in hits].count(("t3", "yard")) == 1
    assert {hit.sighting.track for hit in hits} == {"t3"} and len({hit.sighting.camera for hit in hits}) == 3
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    expected = [float(people.person(3) @ gallery.vectors([hit.sighting.id])[0]) for hit in hits]
    assert np.allclose([hit.similarity for hit in hits], expected, atol=1e-5)


def test_rows_are_grouped_by_track_or_not(make, people):
    gallery = make()
    gallery.add([*people.walk([1, 2], crops=9), people.row("alone 1", 1), people.row("alone 2", 1)])
    (tracks,), (rows,) = gallery.search(people.person(1), 50), gallery.search(people.person(1), 50, group="row")
    assert len(tracks) == 4 + 2 and len(rows) == 38
    (few,) = gallery.search(people.person(1), 5)  # more crops of one track than are looked at first
    assert [hit.sighting.id for hit in few] == [hit.sighting.id for hit in tracks[:5]]


def test_filters_are_exact(make, people):
    gallery = make()
    rows = people.walk(range(6), ("lobby", 'a "gate"', "yard"))
    gallery.add([*rows, people.row("no time", 2, "yard")])

    def found(**where) -> set[str]:
        return {hit.sighting.key for hit in gallery.search(people.person(2), 99, group="row", **where)[0]}

    def wanted(keep) -> set[str]:
        return {each.key for each in rows if keep(each)}

    middle = people.START + 2300
    assert found(cameras=['a "gate"']) == wanted(lambda row: row.camera == 'a "gate"')
    assert found(cameras=[]) == set()
    assert found(not_cameras=["lobby", 'a "gate"']) == wanted(lambda row: row.camera == "yard") | {"no time"}
    assert found(since=middle) == wanted(lambda row: row.time >= middle)
    assert found(until=middle) == wanted(lambda row: row.time < middle)
    assert found(since=middle, until=middle + 1, cameras=['a "gate"']) == {'p2 a "gate" 0'}
    ids = gallery.ids_of(["p2 lobby 0"])
    gone = {"p2 lobby 0", "p2 lobby 1"}  # the row and the rest of its track
    assert found(without=list(ids.values())) == ({row.key for row in rows} | {"no time"}) - gone


def test_several_vectors_are_one_person(make, people):
    gallery = make()
    gallery.add(people.walk(range(4)))
    both = np.stack([people.person(1), people.person(2)])
    (hits,) = gallery.search(both, 4, as_one=True)
    assert {hit.sighting.track for hit in hits} == {"t1", "t2"}
    expected = [float(np.mean(both @ gallery.vectors([hit.sighting.id])[0])) for hit in hits]
    assert np.allclose([hit.similarity for hit in hits], expected, atol=1e-5)
    assert [len(each) for each in gallery.search(both, 4)] == [4, 4]


def test_like_leaves_out_what_was_asked_with_and_notes_what_cannot_be(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]))
    gallery.set_transitions({("lobby", "yard"): 900.0})
    gallery.set_thresholds(Thresholds(0.9, 0.3))
    hits = gallery.like(ids[:2], 3)
    assert (hits[0].sighting.camera, hits[0].sighting.track, hits[0].word) == ("yard", "t1", "same")
    assert hits[0].note in [f"at lobby {gap} s before: the way takes 900 s" for gap in (299, 300)]
    assert not {hit.sighting.id for hit in hits} & set(ids[:2])


def test_reranked_hits_are_the_nearest_ones_in_another_order(make, people):
    gallery = make()
    gallery.add(people.walk(range(8), ("lobby", "yard", "gate")))
    (plain,), (other,) = gallery.search(people.person(3), 24), gallery.search(people.person(3), 24, rerank=True)
    similar = {hit.sighting.track + hit.sighting.camera: hit.similarity for hit in plain}
    assert {hit.sighting.track + hit.sighting.camera for hit in other} == set(similar)
    assert {hit.sighting.track for hit in other[:3]} == {"t3"}


def test_an_accelerated_gallery_finds_the_same_people(make, people):
    pytest.importorskip("faiss", reason="faiss is not installed")
    gallery = make()
    gallery.add(people.walk(range(8), ("lobby", "yard", "gate")))
    assert gallery.accelerate() > 0.9
    gallery.add([people.row("later", 3, "attic")])
    for approximate in (False, True):
        (hits,) = gallery.search(people.person(3), 4, approximate=approximate)
        assert {hit.sighting.track for hit in hits} == {"t3", None} and len({hit.sighting.camera for hit in hits}) == 4
        (hits,) = gallery.search(people.person(3), 4, approximate=approximate, cameras=["yard"])
        assert hits[0].sighting.track == "t3" and {hit.sighting.camera for hit in hits} == {"yard"}
    empty = make("village")
    assert empty.accelerate() == 1.0 and empty.search(people.person(1), approximate=True) == [[]]


def test_an_empty_gallery_finds_nothing(make, people):
    gallery = make()
    assert gallery.search(people.person(1)) == [[]] and gallery.search(people.person(1), rerank=True) == [[]]
    assert (len(gallery), gallery.cameras(), gallery.span(), gallery.tracks(), gallery.identities()) == (0, [], None, [], [])
    assert gallery.undo() is None and gallery.retain(10, people.START) == 0


def test_tracks_by_start_with_their_best_crop(make, people):
    gallery = make()
    rows = people.walk([2, 1])
    ids = dict(zip((row.key for row in rows), gallery.add([*rows, people.row("alone", 5)])[:-1], strict=True))
    tracks = gallery.tracks()
    assert [(track.name, track.camera) for track in tracks] == [("t1", "lobby"), ("t1", "yard"), ("t2", "lobby"), ("t2", "yard")]
    first = [row for row in rows if row.track == "t1" and row.camera == "lobby"]
    assert tracks[0].ids == tuple(ids[row.key] for row in first)
    assert tracks[0].best == ids[max(first, key=lambda row: row.quality).key]
    assert (tracks[0].start, tracks[0].end) == (people.START + 1000, people.START + 1001)
    assert gallery.tracks("yard") == [tracks[1], tracks[3]]


def test_rows_are_listed_a_part_at_a_time(make, people):
    gallery = make()
    rows = [*people.walk([1, 2]), *(people.row(f"alone {n}", 3, "yard") for n in range(5)), people.row("by the gate", 3, "gate")]
    ids = sorted(gallery.add(rows))
    ann = gallery.create_identity("Ann", ids[:1])

    def parts(size: int, **which) -> list:
        found, after = [], 0
        while part := gallery.listed(after, size, **which):
            assert len(part) <= size
            found, after = [*found, *part], part[-1].id
        return found

    every = parts(4)
    assert [row.id for row in every] == ids and every == gallery.sightings(ids) and every[0].identity == ann
    assert {row.key for row in parts(2, alone=True)} == {row.key for row in rows[8:]}
    assert {row.key for row in parts(3, alone=True, camera="yard")} == {row.key for row in rows[8:13]}
    assert {row.key for row in parts(50, camera="gate")} == {"by the gate"} and gallery.listed(camera="cellar") == []
    with pytest.raises(UsageError, match="limit is 0: how many rows"):
        gallery.listed(limit=0)


def test_identities_change_and_are_taken_back(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2, 3]))
    ann, bob = gallery.create_identity("Ann", ids[:4]), gallery.create_identity("Bob", ids[4:8])
    gallery.reject(bob, ids[:1])
    gallery.merge(ann, bob)
    assert gallery.identities() == [Identity(ann, "Ann", 8, 0)]
    third = gallery.split(ann, ids[4:8], "Carl")
    assert [each.name for each in gallery.identities()] == ["Ann", "Carl"] and gallery.rejected(ann) == sorted(ids[4:8])
    gallery.rename(third, "Bob")
    gallery.assign(third, ids[8:9])
    gallery.reject(third, ids[8:9])
    assert gallery.sightings(ids[8:9])[0].identity is None and gallery.rejected(third) == ids[8:9]
    taken = []
    while (event := gallery.undo()) is not None:
        taken.append(event.action)
    assert taken == ["reject", "assign", "rename", "split", "merge", "reject", "create", "create"]
    assert gallery.identities() == [] and {row.identity for row in gallery.sightings(ids)} == {None}
    assert [event.action for event in gallery.audit()][:2] == ["undo", "undo"] and len(gallery.audit()) == 16


def test_rows_may_come_with_their_identity(make, people):
    gallery = make()
    ann = gallery.create_identity("Ann")
    ids = gallery.add([people.row("a", 1, identity=ann), people.row("b", 2)])
    assert gallery.members(ann) == ids[:1] and gallery.sightings(ids)[0].identity == ann
    with pytest.raises(GalleryError, match="identity 99: not in this gallery"):
        gallery.add([people.row("c", identity=99)])
    assert len(gallery) == 2


def test_linking_is_one_step(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]))
    ann = gallery.create_identity("Ann", ids[:1])
    made = gallery.link([ids[1:4], ids[4:]], into=[ann, None])
    assert made[0] == ann and gallery.members(ann) == sorted(ids[:4]) and gallery.members(made[1]) == sorted(ids[4:])
    assert gallery.undo().action == "link" and gallery.members(ann) == ids[:1] and len(gallery.identities()) == 1


def test_erasing_a_person_leaves_the_others(make, people):
    gallery = make()
    rows = people.walk([1, 2], ("lobby", "yard"))
    only_her = people.row("her alone", 1, "attic", people.START, "t9")
    ids = gallery.add([*rows, only_her])
    ann, bob = gallery.create_identity("Ann", [*ids[:4], ids[-1]]), gallery.create_identity("Bob", ids[4:8])
    gallery.reject(bob, ids[:1])
    gallery.search(people.person(1))
    assert gallery.erase(ann) == 5
    assert len(gallery) == 4 and gallery.cameras() == ["lobby", "yard"] and gallery.identities() == [Identity(bob, "Bob", 4, 0)]
    assert {hit.sighting.track for hit in gallery.search(people.person(1), 99)[0]} == {"t2"}
    assert gallery.undo() is None and not any("Ann" in event.text for event in gallery.audit())
    assert any("Bob" in event.text for event in gallery.audit())
    with pytest.raises(GalleryError, match="not in this gallery; it may have been erased"):
        gallery.vectors(ids[:1])
    gallery.add([people.row("later", 1)])
    assert gallery.search(people.person(1), 1)[0][0].sighting.key == "later"


def test_erasing_the_last_crop_erases_the_person(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]))
    ann, bob, nobody = (gallery.create_identity(*each) for each in (("Ann", ids[:2]), ("Bob", ids[2:5]), ("Nobody", [])))
    assert gallery.erase_sightings([*ids[:3]]) == 3
    assert gallery.identities() == [Identity(bob, "Bob", 2, 0), Identity(nobody, "Nobody", 0, 0)]
    assert ann not in [each.id for each in gallery.identities()]


def test_what_is_too_old_goes(make, people):
    gallery = make()
    gallery.add([*people.walk([1, 2, 3]), people.row("no time", 1)])
    assert gallery.older_than(people.START + 2000) == sorted(gallery.ids_of([row.key for row in people.walk([1])]).values())
    assert gallery.retain(500, people.START + 2500) == 4
    assert len(gallery) == 9 and min(gallery.span()) == people.START + 2000 and gallery.retain(500, people.START + 2500) == 0
    assert [event.action for event in gallery.audit()] == ["retain"]
    with pytest.raises(UsageError, match="an age of -1 s: give the seconds"):
        gallery.retain(-1)


def test_a_copy_has_everything(make, people):
    source = make()
    ids = source.add(people.walk([1, 2]), bookmark=("film", "x"))
    ann = source.create_identity("Ann", ids[:2])
    source.reject(ann, ids[4:5])
    source.set_thresholds(Thresholds(0.8, 0.5))
    target = make("other")
    assert source.copy_to(target) == 8
    moved = target.ids_of([row.key for row in people.walk([1, 2])])
    assert set(keys(target, target.members(ann))) == set(keys(source, ids[:2]))
    assert target.rejected(ann) == [moved[people.walk([1, 2])[4].key]] and target.progress("film") == "x"
    assert target.thresholds == source.thresholds and "create" in [event.action for event in target.audit()]
    for row in people.walk([1, 2]):
        assert target.thumbnail(moved[row.key]) == row.thumbnail
    assert np.allclose(target.vectors(list(moved.values())), source.vectors(list(source.ids_of(list(moved)).values())), atol=1e-6)
    with pytest.raises(GalleryError, match="holds 8 sightings already: copy into a gallery that is not there yet"):
        source.copy_to(target)
    with pytest.raises(GalleryError, match="both need one model"):
        source.copy_to(make("third", Model("other", "other model", 16)))


def test_vectors_of_another_model_are_refused(make, people):
    gallery = make()
    gallery.add(people.walk([1]))
    with pytest.raises(GalleryError, match=r"holds vectors of test model .* they cannot be compared"):
        make(model=Model("other", "other model", 16))
    for vector, said in (
        (np.ones(8), "vectors of 8 dimensions, the gallery has 16"),
        (np.zeros(16), "zero"),
        (np.full(16, np.nan), "NaN"),
    ):
        with pytest.raises(EmbeddingsError, match=said):
            gallery.search(vector)
        with pytest.raises(EmbeddingsError, match=said):
            gallery.add([replace(people.row("x"), vector=vector)])


def test_wrong_questions_are_refused(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]))
    ann, bob = gallery.create_identity("Ann", ids[:2]), gallery.create_identity("Bob")
    who = people.person(1)
    for ask, error, said in (
        (lambda: gallery.search(who, 0), UsageError, "k is 0"),
        (lambda: gallery.search(who, cameras=["loby"]), UsageError, 'no camera "loby" in this gallery. Did you mean "lobby"'),
        (lambda: gallery.search(who, since=5, until=5), UsageError, "since must come before until"),
        (lambda: gallery.search(np.zeros((0, 16)), as_one=True), UsageError, "a person of no vector"),
        (lambda: gallery.like([]), UsageError, "at least one id"),
        (lambda: gallery.sightings([-5]), GalleryError, "sighting -5: not in this gallery"),
        (lambda: gallery.thumbnail(-5), GalleryError, "sighting -5: not in this gallery"),
        (lambda: gallery.members(99), GalleryError, "identity 99: not in this gallery"),
        (lambda: gallery.rejected(99), GalleryError, "identity 99: not in this gallery"),
        (lambda: gallery.create_identity("  "), UsageError, "a name of 0 characters"),
        (lambda: gallery.create_identity("x" * 201), UsageError, "a name of 201 characters"),
        (lambda: gallery.create_identity("a\x00b"), UsageError, "printable"),
        (lambda: gallery.create_identity("Ann"), UsageError, 'an identity is called "Ann" already'),
        (lambda: gallery.rename(bob, "Ann"), UsageError, 'an identity is called "Ann" already'),
        (lambda: gallery.assign(ann, [-5]), GalleryError, "sighting -5: not in this gallery"),
        (lambda: gallery.merge(ann, ann), UsageError, "a merge is of two"),
        (lambda: gallery.split(ann, ids[4:5]), GalleryError, "only its own can be split off"),
        (lambda: gallery.split(ann, ids[:2]), UsageError, "a split takes some of an identity and leaves some"),
        (lambda: gallery.split(ann, []), UsageError, "a split takes some"),
        (lambda: gallery.link([ids[:2], ids[1:3]]), UsageError, "a sighting stands in two groups"),
        (lambda: gallery.link([ids[:2]], into=[ann, bob]), UsageError, "2 identities for 1 groups"),
        (lambda: gallery.erase(99), GalleryError, "identity 99"),
        (lambda: gallery.erase_sightings([-5]), GalleryError, "sighting -5"),
        (lambda: gallery.add([replace(people.row("x"), key="")]), UsageError, "both need a name"),
        (lambda: gallery.add([replace(people.row("x"), camera="")]), UsageError, "both need a name"),
        (lambda: gallery.add([replace(people.row("x"), time=float("inf"))]), UsageError, "seconds since 1970"),
        (lambda: gallery.add([replace(people.row("x"), vector=np.ones((2, 16)))]), EmbeddingsError, "each sighting has one"),
        (lambda: gallery.set_transitions({("a", "b"): -1}), UsageError, "the least seconds of the way"),
        (lambda: Thresholds(0.2, 0.5), UsageError, "different is not above same"),
    ):
        with pytest.raises(error, match=said):
            ask()
    assert len(gallery) == 8 and [each.size for each in gallery.identities()] == [2, 0]


def test_a_reader_sees_but_changes_nothing(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1]))
    reader = make(create=False, read_only=True)
    assert reader.search(people.person(1), 1)[0][0].sighting.id in ids
    gallery.add(people.walk([2]))
    assert len(reader) == 8 and reader.search(people.person(2), 1)[0][0].sighting.track == "t2"
    with pytest.raises(GalleryError, match="was opened for reading only"):
        reader.create_identity("Ann")


def test_another_model_takes_over(make, people):
    gallery = make()
    ids = gallery.add(people.walk([1, 2]))
    ann = gallery.create_identity("Ann", ids[:2])
    gallery.set_thresholds(Thresholds(0.8, 0.5))
    gallery.search(people.person(1))
    store = gallery._store
    new = Model("new", "new model", 8)
    vectors = np.stack([people.person(10 + place, 8) for place in range(len(ids))])
    with store.writing():
        store.replace_vectors(new, ids, vectors)
    assert gallery.model == new and gallery.thresholds is None and gallery.members(ann) == sorted(ids[:2])
    assert gallery.search(vectors[5], 1, group="row")[0][0].sighting.id == ids[5]
    assert gallery.thumbnail(ids[5]) == people.walk([1, 2])[5].thumbnail
