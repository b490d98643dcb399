from dataclasses import replace

import numpy as np
import pytest

from passerby.street.cameras import Box
from passerby.street.plan import make_plan
from passerby.street.render_numba import NumbaRenderer
from passerby.street.stage import Stage, resized

PLAN = make_plan("market", 2, 2, 4, 0)


@pytest.fixture(scope="module")
def stage():
    return Stage(PLAN.scenes[0].town, NumbaRenderer())


def shoot(stage, crop, people=True, window=None):
    scene, camera = PLAN.scene_of(crop), stage.town.cameras[crop.camid]
    here = [(walk.pid, scene.people[walk.pid], pose) for walk, pose in scene.present(camera.place, crop.time_s)] if people else []
    return stage.shoot(camera, here, crop.time_s, window or Box(*crop.box))


def test_a_crop_shows_its_person_in_the_middle(stage):
    for crop in PLAN.crops[:6]:
        shot = shoot(stage, crop)
        rows, columns = np.nonzero(shot.layer.ids == crop.pid)
        height, width = shot.layer.ids.shape
        assert (height, width) == (crop.box[3], crop.box[2])
        assert len(rows) > 0.08 * height * width
        assert abs(np.median(columns) / width - 0.5) < 0.3
        assert set(np.unique(shot.layer.ids)) <= {-1, crop.pid, *crop.others, *PLAN.scene_of(crop).people}


def test_a_crop_is_the_same_piece_of_light_as_the_frame_that_it_comes_from(stage):
    crop = PLAN.crops[0]
    left, top, width, height = crop.box
    camera = stage.town.cameras[crop.camid]
    wide = Box(max(left - 40, 0), max(top - 20, 0), 0, 0)
    wide = replace(wide, width=min(camera.width - wide.left, width + 80), height=min(camera.height - wide.top, height + 40))
    small, large = shoot(stage, crop), shoot(stage, crop, window=wide)
    y, x = int(top - wide.top), int(left - wide.left)
    assert np.array_equal(small.layer.ids, large.layer.ids[y : y + height, x : x + width])
    difference = np.abs(small.light - large.light[y : y + height, x : x + width])
    assert difference.mean() < 1e-3


def test_people_stand_on_the_depth_of_the_street_and_hide_it(stage):
    crop = PLAN.crops[0]
    with_people, empty = shoot(stage, crop), shoot(stage, crop, people=False)
    street = stage.backdrop(stage.town.cameras[crop.camid])[0].piece(*crop.box)
    mine = with_people.layer.ids >= 0
    assert (with_people.layer.depth[mine] <= street.depth[mine] + 0.05).all()
    assert not np.array_equal(with_people.light[mine], empty.light[mine])
    far_from_people = ~mine & (np.arange(mine.shape[0])[:, None] < mine.shape[0] // 4)
    assert np.abs(with_people.light - empty.light)[far_from_people].mean() < 0.05


def test_ground_under_people_is_darker_not_lighter(stage):
    crop = PLAN.crops[0]
    with_people, empty = shoot(stage, crop), shoot(stage, crop, people=False)
    ground = with_people.layer.coverage == 0
    assert (with_people.light[ground] <= empty.light[ground] + 1e-5).all()
    assert (with_people.light[ground] < empty.light[ground] - 1e-3).any()


def test_the_stored_crop_repeats_bit_for_bit(stage):
    crop = PLAN.crops[1]
    first, _ = stage.crop(crop, PLAN.scene_of(crop))
    again, _ = Stage(stage.town, NumbaRenderer()).crop(crop, PLAN.scene_of(crop))
    assert np.array_equal(first, again) and first.dtype == np.uint8
    assert resized(first, 128, 256).shape == (256, 128, 3)


def test_weather_and_exposure_change_smoothly_over_the_day(stage):
    crop = PLAN.crops[0]
    window = Box(0, 0, 32, 32)
    camera = stage.town.cameras[crop.camid]
    gains = [stage.shoot(camera, [], t, window).gain for t in np.arange(0, 120, 1.0)]
    assert np.abs(np.diff(gains)).max() < 0.05 * np.mean(gains)
    assert np.ptp(gains) > 0.1 * np.mean(gains)
