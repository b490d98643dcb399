import numpy as np
import pytest

from passerby.street.furniture import Thing
from passerby.street.places import Place, Wall

INSIDE = np.array([10.0, -2.0, 3.0])


def place(**changes):
    walls = (Wall("north", 5.0, "bricks", 8.0, "shop"), Wall("south", 7.0, "plaster", 6.0), Wall("east", 9.0, "", 0.0))
    values = {"length_m": 30.0, "width_m": 4.0, "ground": "slabs", "verge": "grass", "walls": walls, "seed": 3, **changes}
    return Place("square", 10.0, 0.0, **values)


def test_ground_and_verge_lie_under_the_place():
    surfaces, _ = place(walls=()).build(INSIDE)
    assert [(surface.texture, surface.corner[2]) for surface in surfaces] == [("slabs", 0), ("grass", -0.03)]
    assert surfaces[0].corner[:2] == (-5.0, -2.0)


def test_a_wall_stands_at_its_distance_over_its_ground_floor():
    surfaces, blocks = place().build(INSIDE)
    front, shop = (surface for surface in surfaces if surface.corner[1] == 5.0)
    assert (front.texture, front.corner[2], front.v[2]) == ("bricks", 8.0, pytest.approx(-4.4))
    assert (shop.texture, shop.corner[2], shop.v[2]) == ("shop", 3.6, -3.6)
    assert any(block.low[1] == 5.0 and block.high[2] == 8.0 for block in blocks)


def test_an_open_side_has_neither_front_nor_shadow():
    surfaces, blocks = place(walls=(Wall("east", 9.0, "", 0.0),)).build(INSIDE)
    assert len(surfaces) == 2 and not blocks


def test_the_back_of_a_wall_is_not_drawn_but_throws_its_shadow():
    behind = np.array([10.0, -12.0, 3.0])
    surfaces, blocks = place().build(behind)
    assert not any(surface.texture == "plaster" for surface in surfaces)
    assert any(block.high[1] == -7.0 for block in blocks)


def test_only_furniture_hides_people():
    lamp = Thing("lamp", 12.0, 3.0)
    assert len(place(things=(lamp,)).blocks(INSIDE)) == len(place(walls=(), things=(lamp,)).blocks(INSIDE)) == 2
    assert place().blocks(INSIDE) == []


def test_a_roof_covers_everything():
    (roof,) = [surface for surface in place(ceiling="white").build(INSIDE)[0] if surface.texture == "white"]
    assert roof.corner[2] == 4.6 and roof.u[0] == 120.0
