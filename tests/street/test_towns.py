import math

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.street.clothes import WARDROBES
from passerby.street.furniture import FURNITURE, Thing, build
from passerby.street.styles import TOWNS
from passerby.street.textures import TEXTURES
from passerby.street.towns import make_town


def test_there_are_six_towns_with_2_to_15_cameras():
    assert sorted(TOWNS) == ["arcade", "campus", "harbour", "market", "station", "winter"]
    assert min(style.cameras for style in TOWNS.values()) == 2
    assert max(style.cameras for style in TOWNS.values()) == 15


@pytest.mark.parametrize("name", TOWNS)
def test_a_town_is_complete_and_always_the_same(name):
    town = make_town(name)
    assert len(town.cameras) == TOWNS[name].cameras and len(town.places) == TOWNS[name].places
    assert [camera.camid for camera in town.cameras] == list(range(len(town.cameras)))
    assert {camera.place for camera in town.cameras} == {place.name for place in town.places} == set(town.lights)
    assert TOWNS[name].wardrobe in WARDROBES
    before = (town.places, town.cameras)
    make_town.cache_clear()
    assert (make_town(name).places, make_town(name).cameras) == before


@pytest.mark.parametrize("name", TOWNS)
def test_everything_that_a_town_names_can_be_drawn(name):
    town = make_town(name)
    for camera in town.cameras:
        surfaces, blocks = town.place(camera.place).build(camera.eye)
        assert {surface.texture for surface in surfaces} <= set(TEXTURES)
        assert all(low < high for block in blocks for low, high in zip(block.low, block.high, strict=True))


@pytest.mark.parametrize("name", TOWNS)
def test_cameras_see_the_middle_of_their_place(name):
    town = make_town(name)
    for camera in town.cameras:
        place = town.place(camera.place)
        column, row, depth = camera.view().project(np.array([[place.x, place.y, 0.9]]))[0]
        assert depth > 2, camera.name
        assert -0.2 * camera.width < column < 1.2 * camera.width and -0.2 * camera.height < row < 1.2 * camera.height, camera.name


@pytest.mark.parametrize("name", TOWNS)
def test_nobody_walks_through_furniture(name):
    for place in make_town(name).places:
        for path in place.paths:
            for _, y in path:
                for side in (-1, 1):
                    edge = abs(y + side * place.spread_m - place.y)
                    assert edge < place.width_m / 2, place.name
            for block in place.blocks(np.array([place.x, place.y - 20, 3.0])):
                if block.low[2] < 1.9:  # an awning hangs above heads
                    nearest = min(abs(block.low[1] - place.y), abs(block.high[1] - place.y))
                    assert nearest > place.width_m / 2 - 0.5 or block.high[1] < place.y - 1 or block.low[1] > place.y + 1


def test_walking_times_are_symmetric_and_obey_the_triangle():
    town = make_town("campus")
    a, b, c = (place.name for place in town.places[:3])
    assert town.walking_s(a, b) == pytest.approx(town.walking_s(b, a))
    assert town.walking_s(a, a) == 0
    assert town.walking_s(a, c) <= town.walking_s(a, b) + town.walking_s(b, c)
    first, second = town.places[:2]
    assert town.walking_s(a, b) == pytest.approx(math.hypot(first.x - second.x, first.y - second.y))


@pytest.mark.parametrize("kind", FURNITURE)
def test_every_piece_of_furniture_stands_on_the_ground_where_it_was_put(kind):
    surfaces, blocks = build((Thing(kind, 3.0, 4.0, 5),), np.array([0.0, -10.0, 3.0]))
    corners = np.array([np.add(surface.corner, shift) for surface in surfaces for shift in ((0, 0, 0), surface.u, surface.v)])
    assert corners[:, 2].min() > -0.01
    assert np.abs(corners[:, :2] - [3.0, 4.0]).max() < 4.5
    assert blocks


def test_an_unknown_town_names_the_nearest():
    with pytest.raises(UsageError, match=r'no town "campos". Did you mean "campus"\? Allowed: arcade, campus, harbour'):
        make_town("campos")
