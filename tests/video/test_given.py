import pytest

from passerby.errors import DataError
from passerby.video import read_boxes


def written(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    return path


def test_detections_count_from_zero_and_pixels_too(tmp_path):
    path = written(tmp_path, "1,-1,11,21,30,60,0.8,-1,-1,-1\n3,-1,1,1,10,20,-1,-1,-1,-1\n3,-1,5,5,10,20,0.5,-1,-1,-1\n")
    given = read_boxes(path, tracked=False)
    assert sorted(given.by_frame) == [0, 2] and not given.tracked and given.name.startswith("detections boxes.txt ")
    assert given.by_frame[0].corners.tolist() == [[10, 20, 40, 80]] and given.by_frame[0].confidences.tolist() == pytest.approx(
        [0.8]
    )
    assert sorted(read_boxes(path, tracked=False, confidence=0.6).by_frame[2].confidences.tolist()) == [1]
    assert given.by_frame[2].confidences.tolist() == [1, 0.5] and given.by_frame[2].tracks.tolist() == [-1, -1]


def test_tracks_keep_their_numbers_and_leave_out_what_is_not_meant(tmp_path):
    lines = ["1,4,1,1,10,20,1,1,0.9", "1,5,1,1,10,20,0,1,0.9", "1,6,1,1,10,20,1,3,0.9", "2,4,2,1,10,20,1,1,0.9"]
    given = read_boxes(written(tmp_path, "\n".join(lines)), tracked=True)
    assert {frame: boxes.tracks.tolist() for frame, boxes in given.by_frame.items()} == {0: [4], 1: [4]}
    assert given.tracked and given.by_frame[0].confidences.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "tracked", "said"),
    [
        ("1,-1,1,1,9,9,1\n", True, r"boxes without a track \(-1, frame 1\).*--detections"),
        ("1,2,1,1,9,9,1\n1,2,3,3,9,9,1\n", True, "track 2 is twice in frame 1"),
        ("1,-1,1,1,9,9,35\n", False, r"confidences from 35 to 35: they are 0 to 1"),
        ("1,-1,1,1,0,9,1\n", False, r"boxes without width or height \(frame 1\)"),
        ("1,-1,1,1,9,9,0\n", False, "holds no boxes of people"),
        ("1,-1,one\n", False, 'line 1: "1,-1,one" is no row of numbers'),
    ],
)
def test_files_that_do_not_fit(tmp_path, text, tracked, said):
    with pytest.raises(DataError, match=said):
        read_boxes(written(tmp_path, text), tracked=tracked)


def test_a_file_without_a_sure_box(tmp_path):
    with pytest.raises(DataError, match=r"holds no box with a confidence of 0.4 or more: lower --confidence"):
        read_boxes(written(tmp_path, "1,-1,1,1,9,9,0.2\n"), tracked=False, confidence=0.4)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r'boxes ".*none.txt" cannot be read'):
        read_boxes(tmp_path / "none.txt", tracked=False)
