import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.video import Boxes, Cropping, Frame
from passerby.video.crops import TrackCrop, TrackCrops, cut

PIXELS = np.zeros((4, 2, 3), np.uint8)


def crop(frame, quality):
    return TrackCrop(frame, frame / 10, (0, 0, 2, 4), quality, PIXELS)


def test_one_crop_of_each_part_of_the_track():
    crops = TrackCrops(3)
    for frame in range(12):
        crops.offer(crop(frame, 0.9 if frame in (1, 6, 8) else 0.7))
    assert [(each.frame, each.quality) for each in crops.best()] == [(1, 0.9), (6, 0.9), (8, 0.9)]


def test_what_is_half_as_good_as_the_best_is_left_out():
    crops = TrackCrops(2)
    crops.offer(crop(0, 0.8))
    crops.offer(crop(9, 0.39))
    assert [each.frame for each in crops.best()] == [0]
    assert TrackCrops(2).best() == []


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.integers(1, 6), st.lists(st.tuples(st.integers(1, 40), st.floats(0.01, 1)), min_size=1, max_size=200))
def test_few_are_held_spread_over_time_and_the_very_best_among_them(wanted, offered):
    crops, frame, best = TrackCrops(wanted), 0, 0.0
    for gap, quality in offered:
        frame += gap
        best = max(best, quality)
        crops.offer(crop(frame, quality))
        assert len(crops._slots) <= 4 * wanted
    chosen = crops.best()
    assert 1 <= len(chosen) <= wanted and max(each.quality for each in chosen) == best
    frames = [each.frame for each in chosen]
    assert frames == sorted(set(frames)) and all(each.quality >= best / 2 for each in chosen)


def test_cutting_takes_those_who_are_large_and_sure_enough():
    picture = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 80, 3)
    made = []
    frame = Frame(7, 0.7, None, lambda: made.append(1) or picture)
    boxes = Boxes.of([[10.4, 5.2, 30.1, 55.4], [40, 5, 60, 15], [40, 5, 60, 55]], [0.9, 0.9, 0.29], [4, 5, 6])
    found = cut(frame, boxes, (80, 60), Cropping())
    assert list(found) == [4] and made == [1]
    assert (found[4].frame, found[4].seconds, found[4].box) == (7, 0.7, (10.0, 5.0, 20.0, 50.0))
    assert np.array_equal(found[4].pixels, picture[5:55, 10:30]) and 0 < found[4].quality <= 1
    assert cut(frame, boxes[1:], (80, 60), Cropping()) == {} and made == [1]  # nobody to cut out: no picture is made
    assert list(cut(frame, boxes, (80, 60), Cropping(min_height_px=10, min_confidence=0))) == [4, 5, 6]


@pytest.mark.parametrize("name", ["crops_per_track", "min_height_px", "min_width_px"])
def test_wrong_numbers_are_refused(name):
    with pytest.raises(UsageError, match=f"{name} is 0: 1 is the least"):
        Cropping(**{name: 0})
    with pytest.raises(UsageError, match="min_confidence of crops is 2: it is 0 to 1"):
        Cropping(min_confidence=2)
