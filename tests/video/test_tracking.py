import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.video import Boxes, Tracking
from passerby.video.tracking import ByteTracker, GivenTracks

PERSON = np.array([0.0, 0.0, 20.0, 50.0])


def walk(number, left, step, confidence=0.9):
    return (PERSON + np.array([1, 0, 1, 0]) * (left + step * number), confidence)


def boxes(*people):
    return Boxes.of([corners for corners, _ in people], [confidence for _, confidence in people])


def test_people_keep_their_numbers_and_tracks_end_when_patience_does():
    follower = ByteTracker(Tracking(patience_s=0.5), 10)
    assert follower.idle and follower.open == ()
    seen, ended = [], []
    for number in range(30):
        there = [walk(number, 0, 3)] if number < 12 else []
        there += [walk(number, 300, -3)] if number < 20 else []
        step = follower.step(number, boxes(*there))
        seen.append(dict(zip(step.boxes.tracks.tolist(), step.boxes.corners[:, 0].tolist(), strict=True)))
        ended += [(track, number) for track in step.ended]
    assert seen[0] == {}  # one look is not enough
    left, right = sorted(seen[5], key=seen[5].get)
    assert all(now[left] == 3 * n and now[right] == 300 - 3 * n for n, now in enumerate(seen[:12]) if n >= 1)
    assert [track for track, _ in ended] == [left, right]
    assert 12 + 5 - 1 <= ended[0][1] <= 12 + 5 + 1 and follower.idle and follower.open == ()


def test_a_weak_box_carries_a_track_on_and_begins_none():
    follower = ByteTracker(Tracking(sure=0.5), 10)
    for number in range(10):
        sure = 0.9 if number < 4 else 0.2
        step = follower.step(number, boxes(walk(number, 0, 3, sure), walk(number, 200, 2, 0.3)))
    assert len(step.boxes) == 1 and step.boxes.corners[0, 0] == 27 and follower.open == (int(step.boxes.tracks[0]),)


def test_a_track_begins_with_a_surer_box_than_it_goes_on_with():
    assert Tracking.of(0.3) == Tracking() and Tracking.of(0.8).begin == 0.9
    follower = ByteTracker(Tracking(begin=0.6, sure=0.3), 10)
    for number in range(6):
        step = follower.step(number, boxes(walk(number, 0, 3, 0.7 if number < 2 else 0.4), walk(number, 200, 2, 0.5)))
    assert step.boxes.corners[:, 0].tolist() == [15] and len(follower.open) == 1


def test_a_box_that_may_be_the_same_person_again_begins_no_track_but_carries_one_on():
    beside = [PERSON + [8 if number < 3 else 4, 0] * 2 for number in range(6)]  # shares 0.43 with the person, then 0.67 of it
    follower = ByteTracker(Tracking(), 10)
    for corners in beside:
        alone = follower.step(0, boxes((PERSON, 0.9), (corners, 0.8)))
    assert len(follower.open) == 1 and alone.boxes.corners[0].tolist() == PERSON.tolist()
    follower = ByteTracker(Tracking(), 10)
    for number in range(8):  # somebody walks behind another person, and is followed on
        step = follower.step(number, boxes((PERSON, 0.9), walk(number, 60, -8, 0.8)))
    assert len(step.boxes) == 2 and len(follower.open) == 2


def test_the_same_boxes_give_the_same_tracks():
    random = np.random.default_rng(0)
    frames = [
        boxes(*[(PERSON + np.tile(random.integers(0, 400, 2), 2), float(random.random())) for _ in range(random.integers(0, 9))])
        for _ in range(60)
    ]

    def run():
        follower = ByteTracker(Tracking(), 10)
        steps = [follower.step(number, each) for number, each in enumerate(frames)]
        return [(step.boxes.tracks.tolist(), step.boxes.corners.tolist(), step.ended) for step in steps]

    assert run() == run()


def test_given_tracks_end_with_their_last_box():
    by_frame = {0: Boxes.of([PERSON], [1], [7]), 3: Boxes.of([PERSON, PERSON], [1, 1], [7, 9]), 5: Boxes.of([PERSON], [1], [9])}
    follower = GivenTracks(by_frame)
    steps = [follower.step(number, by_frame.get(number, Boxes())) for number in range(6)]
    assert [step.ended for step in steps] == [(), (), (), (7,), (), (9,)]
    assert steps[3].boxes.tracks.tolist() == [7, 9] and follower.idle


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"sure": 0}, "sure of the tracking is 0: it lies between 0 and 1"),
        ({"overlap": 1}, "overlap of the tracking is 1: it lies between 0 and 1"),
        ({"patience_s": 0}, "patience_s of the tracking is 0 and confirm 2"),
        ({"confirm": 0}, "patience_s of the tracking is 1 and confirm 0"),
    ],
)
def test_wrong_values_are_refused(wrong, text):
    with pytest.raises(UsageError, match=text):
        Tracking(**wrong)
