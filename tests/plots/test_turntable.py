from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from passerby.errors import DataError, UsageError
from passerby.plots import plot_turntable
from passerby.plots.turntable import views_of

RED, GREEN, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def cloud(*points: tuple[tuple[float, float, float], tuple[int, int, int]]) -> np.ndarray:
    return np.array([(*place, *colour) for place, colour in points], dtype=np.float32)


# y points down: red is the head, blue the feet; green stands to the right
PERSON = cloud(((0, -1, 0), RED), ((0, 1, 0), BLUE), ((0.8, 0, 0), GREEN), ((-0.8, 0, 0), GREEN))


def middle_of(view: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Row and column, as shares of the view."""
    found = np.argwhere((view == 255 * np.array(colour)).all(axis=-1))
    return tuple((found.mean(axis=0) / view.shape[:2]).tolist())


def test_up_is_up_and_a_quarter_turn_hides_the_width():
    front, side, _, _ = views_of(PERSON, 4, 64)
    assert middle_of(front, RED)[0] < 0.2 < 0.8 < middle_of(front, BLUE)[0]
    assert middle_of(front, RED)[1] == pytest.approx(0.5, abs=0.05)
    wide = np.argwhere((front == (0, 255, 0)).all(-1))[:, 1]
    narrow = np.argwhere((side == (0, 255, 0)).all(-1))[:, 1]
    assert np.ptp(wide) > 3 * np.ptp(narrow)
    upside_down = views_of(PERSON, 1, 64, "y")[0]
    assert middle_of(upside_down, RED)[0] > 0.8


def test_what_is_nearer_hides_what_is_behind():
    two = cloud(((0, 0, 1), RED), ((0, 0, -1), BLUE), ((0.1, 1, 0), GREEN), ((-0.1, -1, 0), GREEN))
    front, _, back, _ = views_of(two, 4, 64)
    assert (front == (0, 0, 255)).all(-1).any() and not (front == (255, 0, 0)).all(-1).any()
    assert (back == (255, 0, 0)).all(-1).any() and not (back == (0, 0, 255)).all(-1).any()


def test_z_up():
    standing = cloud(((0, 0, 1), RED), ((0, 0, -1), BLUE))
    assert middle_of(views_of(standing, 1, 64, "z")[0], RED)[0] < 0.2


def test_a_strip_and_an_animation(tmp_path: Path):
    strip = plot_turntable(PERSON, tmp_path / "strip.svg", views=3, height_px=32, title="a person of four points")
    assert len(strip) == 3 and "a person of four points" in (tmp_path / "strip.svg").read_text()
    uneven = np.concatenate([PERSON, cloud(((0.3, 0.5, 0.6), RED))])
    turning = plot_turntable(uneven, tmp_path / "turn.gif", views=5, height_px=64)
    with Image.open(tmp_path / "turn.gif") as animation:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]
    assert len(frames) == 5 and frames[0].shape == turning[0].shape and np.abs(frames[0].astype(int) - turning[0]).max() < 40


def test_wrong_calls(tmp_path: Path):
    for options, text in (({"views": 0}, "views is 0"), ({"height_px": 5}, "height_px 5: give 1 to 120 views")):
        with pytest.raises(UsageError, match=text):
            plot_turntable(PERSON, tmp_path / "x.gif", **options)
    with pytest.raises(UsageError, match=r'has the suffix "\.bmp"'):
        plot_turntable(PERSON, tmp_path / "x.bmp")
    with pytest.raises(DataError, match=r"a cloud of shape \(4, 3\)"):
        plot_turntable(PERSON[:, :3], tmp_path / "x.png")
    with pytest.raises(DataError, match="all 2 points of the cloud lie"):
        plot_turntable(PERSON[[0, 0]], tmp_path / "x.png")
