import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.datasets.mot_boxes import Box, Crop, MotOptions, choose_crops, read_truth
from passerby.errors import DataError, UsageError

SIZE = (100, 80)
OPEN = MotOptions(min_height_px=1, min_width_px=1, min_visibility=0, min_inside=0)


@pytest.fixture
def truth(tmp_path):
    def write(*lines):
        path = tmp_path / "gt.txt"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_mot15_and_mot16_columns(truth):
    mot15 = read_truth(truth("2,1,10.5,20,30,40,1,4.4,5.5,0", "", "1,1,10,20,30,40,0,-1,-1,-1"))
    assert mot15 == [Box(1, 1, 10, 20, 30, 40, 0.0), Box(2, 1, 10.5, 20, 30, 40, 1.0)]
    assert read_truth(truth("1,7,10,20,30,40,1,3,0.25")) == [Box(1, 7, 10, 20, 30, 40, 1, 3, 0.25)]
    assert read_truth(truth("1,7,10,20,30,40,1,-1,-1")) == [Box(1, 7, 10, 20, 30, 40, 1, None, None)]
    assert read_truth(truth("1 7 10 20 30 40")) == [Box(1, 7, 10, 20, 30, 40)]


def test_a_box_of_a_detector_among_others_is_no_track(truth):
    assert [box.track for box in read_truth(truth("1,-1,1,1,9,9,1", "1,3,1,1,9,9,1"))] == [3]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["1,1,x,2,3,4,1"], ', line 1: "1,1,x,2,3,4,1" is no row of numbers.'),
        (
            ["1,1,1,2,3,4,1,1"],
            ", line 1: 8 columns; MOT ground truth has 9 (MOT16 and later) or 10 (MOT15), or the first 6 or 7.",
        ),
        (["1,1,1,2,nan,4,1"], ', line 1: "1,1,1,2,nan,4,1": frame and track are whole numbers, and all values are finite.'),
        (["1.5,1,1,2,3,4,1"], ', line 1: "1.5,1,1,2,3,4,1": frame and track are whole numbers, and all values are finite.'),
        (["1,1,1,2,3,4,1", "0,1,1,2,3,4,1"], ", line 2: frame 0; MOT counts frames from 1. Add 1 to the frame column."),
        (["1,1,1,2,3,4,1", "1,1,5,2,3,4,1"], ", line 2: track 1 is twice in frame 1."),
        (["1,-1,1,2,3,4,0.9"], " holds detections without identities (track -1); ground truth (gt.txt) is needed."),
        ([], " holds no boxes."),
    ],
)
def test_damaged_truth(truth, message, lines, expected):
    path = truth(*lines)
    assert message(DataError, lambda: read_truth(path)) == f'"ROOT/gt.txt"{expected}'


def test_pixels_count_from_1_and_boxes_are_clipped():
    crops, _ = choose_crops([Box(1, 1, 1, 1, 10, 20), Box(1, 2, 91, -9, 30, 40)], SIZE, OPEN)
    assert crops == [Crop(1, 1, 0, (0, 0, 10, 20)), Crop(1, 2, 0, (90, 0, 100, 30))]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(1, 1, 1, 1, 20, 50, confidence=0), "marked as not to be used"),
        (Box(1, 1, 1, 1, 20, 50, kind=7, visibility=1.0), "of another class"),
        (Box(1, 1, 1, 1, 20, 50, kind=1, visibility=0.29), "hardly visible"),
        (Box(2, 1, 1, 1, 20, 50), "between the chosen frames"),
        (Box(1, 1, 90, 1, 20, 50), "mostly outside the picture"),
        (Box(1, 1, 300, 1, 20, 50), "mostly outside the picture"),
        (Box(1, 1, 1, 1, 0, 50), "mostly outside the picture"),
        (Box(1, 1, 1, 1, 20, 39), "too small"),
        (Box(1, 1, 1, 1, 11, 50), "too small"),
    ],
)
def test_what_is_left_out_and_why(box, reason):
    assert choose_crops([box], SIZE, MotOptions(every=3)) == ([], {reason: 1})


def test_what_is_just_good_enough_stays():
    boxes = [Box(4, 1, 1, 1, 12, 40, kind=1, visibility=0.3), Box(4, 2, 93, 1, 12, 40)]  # 8 of 12 columns inside
    crops, dropped = choose_crops(boxes, SIZE, MotOptions(every=3, min_width_px=8))
    assert ([crop.track for crop in crops], dropped) == ([1, 2], {})


def test_the_two_halves_of_a_lifetime():
    """By time, not by number of boxes; the middle frame belongs to the first half."""
    boxes = [Box(f, 1, 1, 1, 20, 50) for f in (11, 12, 13, 14, 21)] + [Box(5, 2, 30, 1, 20, 50)]
    crops, _ = choose_crops(boxes, SIZE, MotOptions())
    assert [(c.frame, c.half) for c in crops if c.track == 1] == [(11, 0), (12, 0), (13, 0), (14, 0), (21, 1)]
    assert [c.half for c in crops if c.track == 2] == [0]
    odd, _ = choose_crops([Box(f, 1, 1, 1, 20, 50) for f in (1, 2, 3)], SIZE, MotOptions())
    assert [c.half for c in odd] == [0, 0, 1]


def test_the_gap_keeps_the_halves_apart():
    boxes = [Box(f, 1, 1, 1, 20, 50) for f in range(1, 11)]
    crops, dropped = choose_crops(boxes, SIZE, MotOptions(gap=4))
    assert [c.frame for c in crops] == [1, 2, 3, 8, 9, 10]
    assert dropped == {"in the gap between the halves": 4}


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 4), *[st.floats(-50, 150)] * 2, *[st.floats(0, 150)] * 2),
        max_size=30,
        unique_by=lambda row: row[:2],
    ),
    st.integers(0, 9),
    st.integers(1, 4),
)
def test_every_box_is_a_crop_inside_the_picture_or_left_out_with_a_reason(rows, gap, every):
    options = MotOptions(gap=gap, every=every, min_width_px=3, min_height_px=5)
    crops, dropped = choose_crops([Box(*row) for row in rows], SIZE, options)
    assert len(crops) + sum(dropped.values()) == len(rows)
    for crop in crops:
        left, top, right, bottom = crop.corners
        assert 0 <= left <= right - 3 < right <= SIZE[0]
        assert 0 <= top <= bottom - 5 < bottom <= SIZE[1]
    for track in {crop.track for crop in crops}:
        halves = {half: [c.frame for c in crops if (c.track, c.half) == (track, half)] for half in (0, 1)}
        if halves[0] and halves[1]:
            assert max(halves[0]) < min(halves[1])
            assert min(halves[1]) - max(halves[0]) >= gap


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"min_visibility": 1.5}, "min_visibility is 1.5; allowed are values from 0 to 1."),
        ({"min_inside": -1}, "min_inside is -1; allowed are values from 0 to 1."),
        ({"every": 0}, "every is 0; allowed are values from 1 on."),
        ({"gap": -2}, "gap is -2; allowed are values from 0 on."),
        ({"min_width_px": 0}, "min_height_px 40 and min_width_px 0 must be at least 1."),
    ],
)
def test_options_out_of_range(message, wrong, expected):
    assert message(UsageError, lambda: MotOptions(**wrong)) == expected
