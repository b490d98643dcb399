import json

import numpy as np
import pytest

from passerby.errors import DataError, UsageError
from passerby.street.meshes import Material, box
from passerby.street.render import View
from passerby.street.towns import make_town
from passerby.street.video import ClipOrder, _scene, mesh_box, render_video

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    out = tmp_path_factory.mktemp("film")
    return render_video(ClipOrder("market", (1, 2), 0.8, 6, 1, 320, 180, 5), out, renderer="numba")


def truth(clip):
    return np.array([line.split(",") for line in clip.truth.read_text().splitlines()], float).reshape(-1, 9)


def test_each_camera_has_its_film_of_the_right_length_and_size(clips):
    assert [clip.camera for clip in clips] == [1, 2]
    for clip in clips:
        with av.open(str(clip.video)) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) == clip.frames == 4
        assert frames[0].shape == (180, 320, 3) and frames[0].std() > 10
        facts = json.loads(clip.video.with_suffix(".json").read_text())
        assert (facts["fps"], facts["frames"], facts["town"]) == (5, 4, "market")


def test_the_truth_is_in_mot_form_and_numbers_people_over_all_cameras(clips):
    people = set(json.loads((clips[0].video.parent / "market-people.json").read_text()))
    for clip in clips:
        rows = truth(clip)
        assert len(rows) == clip.boxes
        assert set(rows[:, 0]) <= {1, 2, 3, 4}
        assert {str(int(pid)) for pid in rows[:, 1]} <= people
        assert (rows[:, 4:6] > 0).all() and (rows[:, 6:8] == 1).all() and (rows[:, 8] >= 0).all() and (rows[:, 8] <= 1).all()
        assert len({(row[0], row[1]) for row in rows}) == len(rows)
    assert sum(clip.boxes for clip in clips) > 0


def test_boxes_follow_people_from_frame_to_frame(clips):
    for clip in clips:
        rows = truth(clip)
        for pid in np.unique(rows[:, 1]):
            mine = rows[rows[:, 1] == pid]
            steps = np.abs(np.diff(mine[:, 2] + mine[:, 4] / 2))
            assert (steps < 0.5 * mine[:-1, 5]).all()


def test_the_tight_box_of_a_cube():
    view = View.look_at((0, -10, 0), (0, 0, 0), 100, 200, 100)
    found = mesh_box(box((-1, 0, -1), (1, 0.0, 1), Material((1, 1, 1))), view)
    assert (found.left, found.top, found.width, found.height) == pytest.approx((90, 40, 20, 20))
    assert mesh_box(box((-1, -12, -1), (1, -11, 1), Material((1, 1, 1))), view).width == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"people": 0}, "people is 0: at least one person must walk."),
        ({"seconds": 0}, r"seconds is 0: a film lasts up to an hour \(3600\)."),
        ({"width": 641}, "size is 641x360: frames have 160x120 to 4096x4096 pixels, both even."),
        ({"fps": 0}, "fps is 0: allowed are 1 to 60 frames a second."),
    ],
)
def test_films_that_make_no_sense_are_refused(changes, text):
    with pytest.raises(UsageError, match=text):
        ClipOrder("market", **changes)


def test_unknown_towns_and_cameras_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r'no town "marked". Did you mean "market"'):
        render_video(ClipOrder("marked"), tmp_path)
    with pytest.raises(UsageError, match=r"camera 3: market has cameras 1 to 2."):
        render_video(ClipOrder("market", (1, 3)), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(DataError, match=r"cannot be made \(File exists\). Give --out a folder of your own"):
        render_video(ClipOrder("market"), tmp_path / "x")


def test_without_a_number_the_town_is_as_crowded_as_usual():
    town = make_town("market")
    scene = _scene(town, ClipOrder("market", seconds=20), [0, 1])
    assert len(scene.people) == 23  # 6 in each of 2 places, walks of 24.6 s, arriving over 46 s
    present = [len(scene.present(place.name, time_s)) for place in town.places for time_s in (2, 8, 14)]
    assert 3 < np.mean(present) < 9
    assert len(_scene(town, ClipOrder("market", people=5), [0, 1]).people) == 5
