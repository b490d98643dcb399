import numpy as np
import pytest

from passerby.street.backdrop import FAR_M, TILE_PX, Backdrop, Block, Surface
from passerby.street.raycast import reach_of_boxes
from passerby.street.render import Light, View

LIGHT = Light(to_sun=(0.0, 0.0, 1.0), haze_per_m=0.0)
GROUND = Surface((-20, -20, 0), (40, 0, 0), (0, 40, 0), "asphalt")


def look(width=96, height=72, eye=(0.0, -6.0, 4.0), target=(0.0, 0.0, 0.0)):
    return View.look_at(eye, target, 80.0, width, height)


def whole(surfaces, blocks=(), light=LIGHT, view=None):
    view = view or look()
    return Backdrop(surfaces, blocks, light, view).piece(0, 0, view.width, view.height), view


def test_depth_of_the_ground_is_where_the_ray_meets_it():
    drawn, view = whole([GROUND])
    row, column = np.mgrid[0 : view.height : 7, 0 : view.width : 7]
    points = view.unproject(column.ravel() + 0.5, row.ravel() + 0.5, drawn.depth[row, column].ravel().astype(np.float64))
    on_ground = drawn.depth[row, column].ravel() < FAR_M
    assert on_ground.any() and np.abs(points[on_ground, 2]).max() < 1e-3


def test_the_nearer_surface_hides_the_farther_whatever_the_order():
    wall = Surface((-2, 0, 2), (4, 0, 0), (0, 0, -2), "bricks")
    first, _ = whole([GROUND, wall])
    second, _ = whole([wall, GROUND])
    assert np.array_equal(first.shade, second.shade) and np.array_equal(first.depth, second.depth)
    assert (first.depth < whole([GROUND])[0].depth).any()


def test_what_is_behind_the_camera_is_not_drawn():
    drawn, _ = whole([Surface((-2, -12, 3), (4, 0, 0), (0, 0, -3), "bricks")])
    assert (drawn.depth == FAR_M).all()


def test_a_ground_that_passes_under_the_camera_is_cut_at_the_near_plane():
    drawn, _ = whole([GROUND], view=look(eye=(0.0, 0.0, 1.0), target=(0.0, 4.0, 0.0)))
    assert (drawn.depth[-1] < 2.5).all()


def test_light_is_albedo_times_what_arrives():
    drawn, _ = whole([Surface((-20, -20, 0), (40, 0, 0), (0, 40, 0), "white")])
    share = drawn.sunlit[-1, 40] / drawn.shade[-1, 40]
    assert share == pytest.approx(np.array(LIGHT.sun) / np.array(LIGHT.sky), rel=2e-3)


def test_a_box_throws_a_shadow_away_from_the_sun_and_darkens_the_ground_beside_it():
    light = Light(to_sun=(1.0, 0.0, 1.0), haze_per_m=0.0)
    block = Block((-0.5, -0.5, 0), (0.5, 0.5, 1.0))
    points = np.array([[-1.0, 0, 0.01], [1.0, 0, 0.01], [-3.0, 0, 0.01]], np.float32)
    to_sun = np.array(light.to_sun, np.float32) / np.float32(np.sqrt(2))
    lit, seen = reach_of_boxes(points, to_sun, np.array([block.low], np.float32), np.array([block.high], np.float32))
    assert lit.tolist() == [0.0, 1.0, 1.0]
    assert seen[0] == seen[1] < seen[2] <= 1


def test_haze_pulls_far_things_towards_the_horizon():
    light = Light(haze_per_m=0.05, horizon=(0.9, 0.9, 0.9))
    clear, _ = whole([GROUND])
    hazy, _ = whole([GROUND], light=light)
    top = np.flatnonzero((clear.depth < FAR_M).all(1))[0]
    assert (hazy.shade[top] > clear.shade[top]).all()


def test_a_piece_is_the_same_whatever_was_asked_for_before_it():
    view = look(width=TILE_PX + 60, height=90)
    wall, block = Surface((-2, 0, 2), (4, 0, 0), (0, 0, -2), "bricks"), Block((-2, 0, 0), (2, 0.3, 2))
    light = Light(to_sun=(0.5, 0.5, 0.7))
    once = Backdrop([GROUND, wall], [block], light, view).piece(0, 0, view.width, view.height)
    other = Backdrop([GROUND, wall], [block], light, view)
    other.piece(TILE_PX - 20, 10, 40, 30)
    part = other.piece(TILE_PX - 30, 5, 70, 60)
    cut = (slice(5, 65), slice(TILE_PX - 30, TILE_PX + 40))
    for name in ("shade", "sunlit", "depth"):
        assert np.array_equal(getattr(part, name), getattr(once, name)[cut])


def test_tiles_meet_without_a_seam():
    view = look(width=TILE_PX + 60, height=60)
    drawn = Backdrop([Surface((-90, -90, 0), (180, 0, 0), (0, 180, 0), "white")], [], LIGHT, view).piece(0, 0, view.width, 60)
    step = np.abs(np.diff(drawn.shade[30:].mean(-1), axis=1)).mean(0)
    assert step[TILE_PX - 1] < 3 * np.median(step) + 1e-3


def test_the_overview_shows_the_same_street_smaller():
    view = look(width=200, height=150)
    backdrop = Backdrop([GROUND], [], LIGHT, view)
    small, large = backdrop.overview(5), backdrop.piece(0, 0, 200, 150)
    assert small.shade.shape == (30, 40, 3)
    assert small.shade.mean() == pytest.approx(large.shade.mean(), rel=0.05)
