import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError, GalleryError, UsageError
from passerby.gallery import Gallery, Model
from passerby.video import Cropping, Indexing, Tracking, index_film, open_film, read_boxes
from passerby.video.indexing import film_key

MODEL = Model("toy-0", "mean colours", 3)
HOW = Indexing(cropping=Cropping(crops_per_track=3, min_height_px=20), tracking=Tracking(patience_s=0.5))
START = 1_795_251_600.0


class PowerCutError(Exception):
    pass


class Stopping:
    """A gallery whose power fails before or after the n-th write."""

    def __init__(self, gallery, writes, *, after):
        self.gallery, self.left, self.after = gallery, writes, after

    def _count(self, write, *given, **named):
        self.left -= 1
        if self.left < 0 and not self.after:
            raise PowerCutError
        made = write(*given, **named)
        if self.left < 0:
            raise PowerCutError
        return made

    def add(self, *given, **named):
        return self._count(self.gallery.add, *given, **named)

    def add_progress(self, *given):
        return self._count(self.gallery.add_progress, *given)

    def progress(self, source):
        return self.gallery.progress(source)


def opened(path):
    return Gallery.open(path, create=True, model=MODEL)


def rows(gallery):
    """What the gallery holds, without the order in which it came."""
    ids = [id for track in gallery.tracks() for id in track.ids]
    vectors = gallery.vectors(ids).round(5).tolist()
    found = [(replace(row, id=0), vector) for row, vector in zip(gallery.sightings(ids), vectors, strict=True)]
    return sorted(found, key=lambda pair: pair[0].key)


def run(gallery, films, film, how=HOW, **given):
    detector = films.ColourDetector()
    report = index_film(gallery, films.MeanEmbedder(), open_film(film), "hall", detector, start=START, how=how, **given)
    return report, detector


@pytest.fixture(scope="module")
def whole(films, film, tmp_path_factory):
    """What one uninterrupted run makes."""
    with opened(tmp_path_factory.mktemp("whole") / "g") as gallery:
        report, _ = run(gallery, films, film)
        return report, rows(gallery)


def test_people_become_tracks_with_times_boxes_and_colours(whole, films):
    report, found = whole
    assert (report.frames, report.looks, report.tracks, report.too_small) == (60, 60, 3, 0)
    assert report.resumed_at is None and not report.was_done and report.duration_s == 6.0 and report.note == ""
    tracks = {}
    for row, vector in found:
        tracks.setdefault(row.track, []).append((row, int(np.argmax(vector))))
    assert sorted(kinds[0][1] for kinds in tracks.values()) == [0, 1, 2]
    for name, kept in tracks.items():
        colours = {colour for _, colour in kept}
        assert len(colours) == 1 and 1 <= len(kept) <= 3 and name.startswith("hall-")
        for row, colour in kept:
            assert row.camera == "hall" and row.time == pytest.approx(START + row.frame / 10) and 0 < row.quality <= 1
            left, top = films.crossing(row.frame)[colour]
            assert np.abs(np.subtract(row.box, (left, top, films.BROAD, films.TALL))).max() <= 3
    spans = {kept[0][1]: (min(r.frame for r, _ in kept), max(r.frame for r, _ in kept)) for kept in tracks.values()}
    assert spans[1][1] - spans[1][0] > 15  # spread over the time of the track


def test_a_film_that_is_there_is_not_added_again(whole, films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        run(gallery, films, film)
        before = rows(gallery)
        report, detector = run(gallery, films, film)
        assert report.was_done and detector.looks == 0 and report.tracks == 3 and report.duration_s == 6.0
        assert rows(gallery) == before == whole[1]
        elsewhere = tmp_path / "moved.mp4"
        elsewhere.write_bytes(film.read_bytes())
        assert run(gallery, films, elsewhere)[0].was_done  # the content counts, not the name


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commit_looks", [7, 25])
def test_an_interruption_at_any_write_changes_nothing_in_the_end(whole, films, film, tmp_path, after, commit_looks):
    how = replace(HOW, commit_looks=commit_looks)
    with opened(tmp_path / "g") as gallery:
        stops = 0
        for writes in (1, 2, 3, 4, 2, 5, 1, 3, 6, 9, 99):
            try:
                report, detector = run(Stopping(gallery, writes, after=after), films, film, how)
            except PowerCutError:
                stops += 1
                continue
            break
        assert stops >= 2 and rows(gallery) == whole[1]
        assert report.was_done or (report.resumed_at and report.resumed_at + detector.looks == 60)  # nothing is looked at twice
        assert (report.tracks, report.crops) == (whole[0].tracks, whole[0].crops)
        assert not any(gallery.progress(f"film {film_key(open_film(film))} hall {chunk}") for chunk in range(20))


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import films
from passerby.gallery import Gallery, Model
from passerby.video import Cropping, Indexing, Tracking, index_film, open_film
class Slow(films.ColourDetector):
    def __call__(self, pixels):
        time.sleep(0.02)
        return super().__call__(pixels)
how = Indexing(cropping=Cropping(crops_per_track=3, min_height_px=20), tracking=Tracking(patience_s=0.5), commit_looks=3)
gallery = Gallery.open(sys.argv[2], create=True, model=Model("toy-0", "mean colours", 3))
print("begun", flush=True)
index_film(gallery, films.MeanEmbedder(), open_film(Path(sys.argv[3])), "hall", Slow(), start=1795251600.0,
    how=how)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_9_loses_nothing_and_doubles_nothing(whole, films, film, tmp_path):
    call = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path / "g"), str(film)]
    held = 0
    for wait in (0.25, 0.6):
        process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begun\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Gallery.open(tmp_path / "g", read_only=True) as gallery:
            assert len(gallery) >= held  # what was acknowledged is there
            held = len(gallery)
    with opened(tmp_path / "g") as gallery:
        report, _ = run(gallery, films, film, replace(HOW, commit_looks=3))
        assert rows(gallery) == whole[1] and report.crops == len(gallery)


@pytest.mark.parametrize("writes", [3, 7])
def test_segments_cut_long_films_and_can_be_taken_up_again(films, film, tmp_path, writes):
    how = replace(HOW, segment_s=1.5, commit_looks=4)
    with opened(tmp_path / "one") as gallery:
        report, _ = run(gallery, films, film, how)
        expected = rows(gallery)
    assert report.tracks > 3  # somebody always walks: after one and a half times 1.5 s the track is cut
    assert {row.key.split()[-2].split(".")[0] for row, _ in expected} >= {"0", "1"}
    with opened(tmp_path / "two") as gallery:
        with pytest.raises(PowerCutError):
            run(Stopping(gallery, writes, after=True), films, film, how)
        again, detector = run(gallery, films, film, how)
        assert rows(gallery) == expected and detector.looks == 60 - again.resumed_at


def test_looking_at_every_third_frame(films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        report, detector = run(gallery, films, film, replace(HOW, every=3))
        assert detector.looks == report.looks == 20 and report.frames == 60
        assert {row.frame % 3 for row, _ in rows(gallery)} == {0} and report.tracks == 3


def mot(path, films, tracked):
    lines = []
    for number in range(60):
        for colour, (left, top) in films.crossing(number).items():
            lines.append(f"{number + 1},{colour + 11 if tracked else -1},{left + 1},{top + 1},20,48,0.9,-1,-1,-1")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("tracked", [False, True])
def test_boxes_of_another_tool_stand_in_for_the_detector(films, film, tmp_path, tracked):
    given = read_boxes(mot(tmp_path / "boxes.txt", films, tracked), tracked=tracked)

    def with_boxes(gallery):
        return index_film(gallery, films.MeanEmbedder(), open_film(film), "hall", given, how=replace(HOW, commit_looks=5))

    with opened(tmp_path / "one") as gallery:
        report = with_boxes(gallery)
        expected = rows(gallery)
    assert report.tracks == 3 and all(row.time is None for row, _ in expected)
    if tracked:
        assert {row.track.rsplit("-", 1)[1] for row, _ in expected} == {"11", "12", "13"}
    with opened(tmp_path / "two") as gallery:
        with pytest.raises(PowerCutError):
            with_boxes(Stopping(gallery, 9, after=True))
        assert with_boxes(gallery).resumed_at and rows(gallery) == expected


def test_boxes_beyond_the_film_are_refused_before_work(films, film, tmp_path):
    (tmp_path / "boxes.txt").write_text("61,-1,1,1,9,9,1\n")
    given = read_boxes(tmp_path / "boxes.txt", tracked=False)
    with opened(tmp_path / "g") as gallery:
        with pytest.raises(DataError, match=r'names frame 61, but ".*hall.mp4" has 60'):
            index_film(gallery, films.MeanEmbedder(), open_film(film), "hall", given)
        assert len(gallery) == 0


def test_a_film_is_not_gone_on_with_by_other_options(films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        with pytest.raises(PowerCutError):
            run(Stopping(gallery, 4, after=True), films, film, replace(HOW, commit_looks=5))
        with pytest.raises(UsageError, match=r'hall.mp4" of camera hall was begun with every 1, now every is 2: give what it'):
            run(gallery, films, film, replace(HOW, every=2))
        with pytest.raises(UsageError, match=r"begun with tracking .*patience_s 0.5.* now tracking is .*patience_s 2"):
            run(gallery, films, film, replace(HOW, tracking=Tracking(patience_s=2)))


def test_what_was_seen_may_not_be_missing(films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        with pytest.raises(PowerCutError):
            run(Stopping(gallery, 5, after=True), films, film, replace(HOW, commit_looks=5))
        gallery.add_progress(f"film {film_key(open_film(film))} hall 0", "")
        with pytest.raises(GalleryError, match="before the interruption is not in this gallery any more"):
            run(gallery, films, film)


def test_one_film_of_two_cameras_is_two_films(films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        run(gallery, films, film)
        index_film(gallery, films.MeanEmbedder(), open_film(film), "door", films.ColourDetector(), how=HOW)
        assert gallery.cameras() == ["door", "hall"] and len({row.key for row, _ in rows(gallery)}) == len(gallery)


def test_a_folder_of_pictures_and_an_empty_film(films, tmp_path):
    for folder, walkers in (("busy", films.crossing), ("empty", lambda number: {})):
        (tmp_path / folder).mkdir()
        for number in range(8, 40):
            Image.fromarray(films.picture(walkers(number))).save(tmp_path / folder / f"{number:03d}.png")
    with opened(tmp_path / "g") as gallery:
        report, _ = run(gallery, films, tmp_path / "busy")
        assert report.tracks == 2 and report.frames == 32
        report, _ = run(gallery, films, tmp_path / "empty")
        assert (report.tracks, report.crops, report.frames) == (0, 0, 32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"every": 0}, "every is 0: look at every frame"),
        ({"segment_s": 0}, "segment_s 0, commit_looks 500, commit_s 20: all above 0"),
        ({"commit_looks": 0}, "commit_looks 0"),
        ({"commit_s": 0}, "commit_s 0"),
    ],
)
def test_wrong_values_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Indexing(**wrong)


def test_the_bookmark_is_small_and_plain(films, film, tmp_path):
    with opened(tmp_path / "g") as gallery:
        run(gallery, films, film)
        kept = gallery.progress(f"film {film_key(open_film(film))} hall")
    assert len(kept) < 2000 and json.loads(kept)["done"] is True
