import shutil

import numpy as np
import pytest
from PIL import Image

from passerby import datasets
from passerby.datasets.mot import find_sequences, track_pid
from passerby.datasets.video_frames import _guarded, frames, open_frames
from passerby.errors import DataError, MissingDependencyError

ROW = "{},1,1,1,20,50,1,1,1.0\n"


def challenge(root, name, count=3, draw=None):
    """MOTChallenge's own layout: img1 and gt/gt.txt."""
    for frame in range(1, count + 1):
        draw(root / name / "img1" / f"{frame:06d}.jpg")
    (root / name / "gt").mkdir()
    (root / name / "gt" / "gt.txt").write_text("".join(ROW.format(frame) for frame in range(1, count + 1)))


def test_sequences_in_both_layouts(tmp_path, mot, draw):
    mot()
    challenge(tmp_path / "MOT17" / "train", "MOT17-02-DPM", draw=draw)
    challenge(tmp_path / "MOT17" / "train", "MOT17-02-SDP", draw=draw)
    challenge(tmp_path / "MOT17" / "train", "MOT17-04-FRCNN", draw=draw)
    assert [s.name for s in find_sequences(tmp_path / "walks")] == ["north", "south"]
    found = find_sequences(tmp_path / "MOT17")
    assert [s.name for s in found] == ["MOT17-02", "MOT17-04"]
    assert found[0].pictures == tmp_path / "MOT17" / "train" / "MOT17-02-DPM" / "img1"
    assert [s.name for s in find_sequences(tmp_path)] == ["MOT17-02", "MOT17-04", "north", "south"]
    assert [s.name for s in find_sequences(tmp_path / "MOT17" / "train" / "MOT17-04-FRCNN")] == ["MOT17-04"]


def test_a_raw_folder_says_what_it_holds_and_what_to_do(mot, message):
    root = mot()
    assert datasets.detect(root) == "mot"
    assert message(DataError, lambda: datasets.read("mot", root)) == (
        '"ROOT/walks" holds MOT sequences: north (12 frames, 2 tracks, 24 boxes), south (12 frames, 2 tracks, 24 boxes). '
        "Crops must be cut first: passerby data prepare ROOT/walks --out NEW_FOLDER"
    )


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("wanted", [{1}, {12}, {3, 4, 5, 12}, set(range(1, 13))])
def test_frame_n_of_the_truth_is_frame_n_of_the_video(tmp_path, video, level, wanted, suffix):
    """One frame too early or late is the usual fault; B-frames are shown in another order than they are stored."""
    source = open_frames(video(tmp_path / f"a{suffix}", 12))
    assert (source.size, source.count) == ((96, 64), 12)
    found = {number: np.asarray(image) for number, image in frames(source, wanted)}
    assert set(found) == wanted
    for number, pixels in found.items():
        assert np.abs(pixels.astype(int) - level(number)).max() <= 3


def test_frames_of_a_folder_go_by_their_number(tmp_path, draw):
    for frame in (2, 10, 1):
        draw(tmp_path / f"{frame}.png")
    source = open_frames(tmp_path)
    assert (source.size, source.count) == ((8, 16), 10)
    found = list(frames(source, {10, 2}))
    assert [number for number, _ in found] == [2, 10]
    with Image.open(tmp_path / "10.png") as image:
        assert np.array_equal(np.asarray(found[1][1]), np.asarray(image))


def test_a_frame_that_is_not_there(tmp_path, draw, video, message):
    source = open_frames(video(tmp_path / "a.mp4", 3))
    for known in (source, type(source)(source.path, source.size, None)):
        assert message(DataError, lambda known=known: list(frames(known, {2, 9}))) == (
            'ground truth names frame 9, but "ROOT/a.mp4" has 3 frames. Do video and boxes belong together?'
        )
    draw(tmp_path / "img1" / "000001.jpg")
    assert message(DataError, lambda: list(frames(open_frames(tmp_path / "img1"), {1, 2}))) == (
        'ground truth names frame 2, but "ROOT/img1" has 1 frames. Do video and boxes belong together?'
    )


def test_truth_longer_than_its_video(tmp_path, mot, message):
    root = mot()
    with (root / "south.gt.txt").open("a") as file:
        file.write("13,1,1,1,20,50,1,-1,-1,-1\n")
    text = message(DataError, lambda: datasets.read("mot", root))
    assert text.startswith('"ROOT/walks/south.gt.txt" names frame 13, but "ROOT/walks/south.mp4" has 12. ')
    out = tmp_path / "out"
    assert message(DataError, lambda: datasets.prepare(root, out)).endswith("Do video and boxes belong together?")
    assert not out.exists()


def test_boxes_without_pictures(tmp_path, mot, draw, message):
    root = mot()
    (root / "north.mp4").unlink()
    assert message(DataError, lambda: datasets.prepare(root, tmp_path / "out")) == (
        '"ROOT/walks/north.gt.txt" has boxes, but there is no picture to cut from: '
        "a video north.mp4 (or .avi, .mkv, .mov, .webm, .m4v) must lie beside it."
    )
    challenge(tmp_path, "seq", draw=draw)
    shutil.rmtree(tmp_path / "seq" / "img1")
    text = message(DataError, lambda: datasets.prepare(tmp_path / "seq", tmp_path / "out"))
    assert text.endswith("no picture to cut from: an img1 folder of frames must lie beside it.")


def test_what_is_no_video(tmp_path, mot, message):
    root = mot()
    (root / "north.mp4").write_bytes(b"not a video")
    text = message(DataError, lambda: datasets.prepare(root, tmp_path / "out"))
    assert text.startswith('"ROOT/walks/north.mp4" is no video that can be read: ')
    assert not (tmp_path / "out").exists()


def test_a_video_that_breaks_off(tmp_path, message):
    error = pytest.importorskip("av.error", reason="video needs PyAV")

    def decoded():
        yield "a frame"
        raise error.InvalidDataError(1, "Invalid data found")

    text = message(DataError, lambda: list(_guarded(decoded(), tmp_path / "a.mp4")))
    assert text == 'video "ROOT/a.mp4" breaks off: Invalid data found. Copy it again.'


def test_sound_is_no_video(tmp_path, message):
    av = pytest.importorskip("av", reason="video needs PyAV")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert message(DataError, lambda: open_frames(tmp_path / "a.mp4")) == '"ROOT/a.mp4" holds no video stream.'


def test_a_folder_without_numbered_pictures(tmp_path, draw, message):
    draw(tmp_path / "img1" / "one.jpg")
    assert message(DataError, lambda: open_frames(tmp_path / "img1")) == (
        '"ROOT/img1" holds no pictures that are named by their frame number, like 000001.jpg.'
    )


def test_without_pyav_the_extra_is_named(mot, tmp_path, message, monkeypatch):
    root = mot()
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert message(MissingDependencyError, lambda: datasets.prepare(root, tmp_path / "out")) == (
        'Reading video needs PyAV: pip install "passerby[video]"'
    )


def test_tracks_of_different_sequences_never_share_a_pid(message):
    assert (track_pid(0, 3), track_pid(1, 3)) == (10_003, 20_003)
    assert message(DataError, lambda: track_pid(0, 10_000)) == (
        "track 10000: tracks from 0 to 9999 can be numbered. Renumber the tracks."
    )
