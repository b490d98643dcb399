"""Tracks of one person over all cameras."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.gallery import Thresholds, Track, Transitions
from passerby.gallery.linking import Linking, link, link_tracks


def track(camera: str, name: str, start: float | None, end: float | None) -> Track:
    return Track(camera, name, start, end, (1,), 1)


def directions(*degrees: float) -> np.ndarray:
    return np.array([[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees], np.float32)


def test_looks_decide_where_time_allows():
    tracks = [track("a", "1", 0, 5), track("b", "2", 50, 55), track("b", "3", 50, 55), track("c", "4", 100, 105)]
    looks = directions(0, 5, 90, 8)
    assert link_tracks(looks, tracks, 0.9, None) == [[0, 1, 3], [2]]
    assert link_tracks(looks, tracks, 0.9, Transitions({("a", "b"): 60})) == [[0], [1, 3], [2]]


def test_nobody_is_twice_in_one_camera_or_in_two_at_once():
    alike = directions(0, 0)
    for one, other, together in (
        (track("a", "1", 0, 10), track("a", "2", 5, 15), False),
        (track("a", "1", 0, 10), track("a", "2", 9.8, 15), True),  # a handover of the tracker
        (track("a", "1", 0, 10), track("a", "2", 10, 15), True),
        (track("a", "1", 0, 10), track("b", "2", 5, 15), False),
        (track("a", "1", 0, 10), track("c", "2", 5, 15), True),  # views that overlap
        (track("a", "1", None, None), track("b", "2", 5, 15), True),  # nothing is known
    ):
        found = link_tracks(alike, [one, other], 0.9, Transitions({("a", "c"): 0.0}))
        assert (len(found) == 1) == together, (one, other)
        assert len(link_tracks(alike, [one, other], 0.9, None)) == 1


def test_what_was_said_counts_more_than_looks():
    tracks = [track("a", "1", 0, 5), track("b", "2", 50, 55), track("c", "3", 90, 95)]
    looks = directions(0, 1, 120)
    assert link_tracks(looks, tracks, 0.9, None, owners=[7, 8, None]) == [[0], [1], [2]]
    assert link_tracks(looks, tracks, 0.9, None, owners=[7, None, 7])[0][0] == 0
    assert [0, 2] in [sorted(set(group) & {0, 2}) for group in link_tracks(looks, tracks, 0.9, None, owners=[7, None, 7])]
    assert link_tracks(looks, tracks, 0.9, None, apart=[(1, 0)]) == [[0], [1], [2]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), T=st.integers(0, 25), similarity=st.floats(0.2, 0.95))
def test_every_track_is_in_one_group_and_no_group_breaks_a_rule(seed: int, T: int, similarity: float):
    random = np.random.default_rng(seed)
    looks = random.standard_normal((T, 3)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    starts = random.uniform(0, 300, T)
    tracks = [track("abc"[n % 3], str(n), start, start + 10) for n, start in enumerate(starts)]
    ways = Transitions({("a", "b"): 20, ("b", "c"): 30})
    groups = link_tracks(looks, tracks, similarity, ways)
    assert sorted(place for group in groups for place in group) == list(range(T))
    for group in groups:
        for one in group:
            for other in group:
                if one < other:
                    first, second = sorted((tracks[one], tracks[other]), key=lambda each: each.start)
                    gap = second.start - first.end
                    least = -0.5 if first.camera == second.camera else ways.least_s(first.camera, second.camera) or 0.0
                    assert gap >= least


def test_parts_that_never_meet_are_clustered_as_if_they_were_one():
    """Average linkage of everything at once gives the same groups."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    random = np.random.default_rng(5)
    looks = random.standard_normal((60, 4)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    tracks = [track("a", str(n), None, None) for n in range(60)]
    distances = 1 - looks.astype(np.float64) @ looks.T
    np.fill_diagonal(distances, 0)
    labels = fcluster(linkage(squareform(np.maximum(distances, 0), checks=False), "average"), 0.3, "distance")
    expected = sorted([np.flatnonzero(labels == label).tolist() for label in np.unique(labels)])
    assert link_tracks(looks, tracks, 0.7, None) == expected


def test_a_gallery_is_linked_and_unlinked(make, people):
    gallery = make()
    rows = people.walk([1, 2, 3], ("lobby", "yard", "gate"))
    ids = gallery.add([*rows, people.row("alone", 1)])
    ann = gallery.create_identity("Ann", ids[:2])  # her track in the lobby
    gallery.reject(ann, ids[4:6])  # not the one at the gate
    with pytest.raises(UsageError, match="has no thresholds, so from which similarity on"):
        link(gallery)
    gallery.set_thresholds(Thresholds(0.7, 0.5))
    report = link(gallery)
    assert (report.tracks, report.people, report.new, report.across) == (9, 3, 2, 3)
    assert gallery.members(ann) == sorted(ids[:4])
    groups = {tuple(gallery.members(each.id)) for each in gallery.identities()}
    assert {tuple(ids[6:12]), tuple(ids[12:18])} < groups
    assert gallery.undo().action == "link" and len(gallery.identities()) == 1
    assert link(gallery, Linking(0.6, singles=True)).people == 4  # and the track at the gate
    assert link(gallery, Linking(0.6, singles=True)).new == 0


@pytest.mark.parametrize(("how", "said"), [({"similarity": 1.5}, "it is a cosine"), ({"handover_s": -1}, "0 or more")])
def test_wrong_settings_are_refused(how, said: str):
    with pytest.raises(UsageError, match=said):
        Linking(**how)
