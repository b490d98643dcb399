import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passerby.video import Boxes
from passerby.video.boxes import overlaps


def test_boxes_without_tracks_belong_to_none():
    boxes = Boxes.of([[0, 0, 2, 3], [1, 1, 4, 4]], [0.5, 0.6])
    assert len(boxes) == 2 and boxes.tracks.tolist() == [-1, -1] and boxes.corners.dtype == np.float32
    assert boxes[np.array([1])].confidences.tolist() == [np.float32(0.6)]
    assert len(Boxes()) == len(Boxes.of(np.zeros((0, 4)), [])) == 0


def test_clipping_keeps_what_is_inside():
    boxes = Boxes.of([[-5, -5, 5, 5], [95, 10, 200, 20], [100, 0, 120, 9], [0, 0, 0.5, 9]], [1, 1, 1, 1], [3, 4, 5, 6])
    kept = boxes.clipped((100, 50))
    assert kept.tracks.tolist() == [3, 4]  # the third lies outside, the fourth is less than a pixel wide
    assert kept.corners.tolist() == [[0, 0, 5, 5], [95, 10, 100, 20]]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=1, max_size=5))
def test_overlaps_are_counts_of_shared_pixels(drawn):
    corners = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in drawn], float)
    masks = np.zeros((len(corners), 12, 12), bool)
    for mask, (left, top, right, bottom) in zip(masks, corners.astype(int), strict=True):
        mask[top:bottom, left:right] = True
    assert np.array_equal(overlaps(corners, corners), (masks[:, None] & masks[None]).sum(axis=(2, 3)))


def test_what_may_be_one_person_twice_is_doubtful():
    # A person, a head of theirs, somebody beside them, somebody far away, and the person again, as sure as the first time.
    corners = [[0, 0, 10, 20], [2, 0, 8, 6], [7, 0, 17, 20], [50, 0, 60, 20], [0, 1, 10, 21]]
    boxes = Boxes.of(corners, [0.9, 0.95, 0.6, 0.1, 0.9])
    assert boxes.doubtful().tolist() == [False, False, False, False, True]
    assert Boxes.of(corners, [0.9, 0.6, 0.6, 0.1, 0.9]).doubtful().tolist() == [False, True, False, False, True]
    assert Boxes.of(corners[::2], [0.9, 0.6, 0.5]).doubtful(overlap=0.17).tolist() == [False, True, True]
    assert Boxes().doubtful().tolist() == []
