"""Bags hang where they are carried and move with that part of the body."""

import numpy as np
import pytest
from numpy.random import RandomState

from passerby.street.clothes import Garment
from passerby.street.luggage import BAGS, HELD, bag, hood_down, scarf
from passerby.street.mannequin import make_mannequin

BODY = make_mannequin({"gender": 0.0, "age": 0.7, "height": 0.4})
HAND = BODY.heads[HELD]


def carried(kind, length=0.5):
    (part,) = bag(BODY, Garment(kind, (0.1, 0.1, 0.1), length=length), 0, 0.02, HAND)
    return part


@pytest.mark.parametrize(("kind", "bone"), [("backpack", "spine02"), ("shoulder", "root"), ("handbag", None), ("shopper", None)])
def test_a_bag_moves_with_what_carries_it(kind, bone):
    part = carried(kind)
    assert set(part.bones[:, 0]) == {BODY.model.bones.index(bone) if bone else len(BODY.model.bones)}
    np.testing.assert_array_equal(part.weights, np.tile([1, 0, 0, 0], (len(part.points), 1)))


def test_bags_are_where_they_belong():
    assert carried("backpack").points[:, 1].min() > 0.02
    assert carried("shoulder").points[:, 0].max() < -0.08
    assert carried("handbag").points[:, 2].max() < HAND[2] + 0.02


@pytest.mark.parametrize("kind", BAGS)
def test_a_larger_bag_is_larger(kind):
    small, large = (np.ptp(carried(kind, length).points, axis=0).prod() for length in (0.0, 1.0))
    assert large > 1.5 * small


def test_a_scarf_goes_around_the_neck_and_a_hood_leaves_the_front_open():
    neck = BODY.heads["neck01"]
    (around,), (behind,) = scarf(BODY, RandomState(0), 0, 0.02), hood_down(BODY, RandomState(0), 0, 0.02)
    for part, front in ((around, True), (behind, False)):
        away = part.points - neck
        angle = np.arctan2(away[:, 1], away[:, 0])
        assert (np.abs(angle + np.pi / 2) < 0.3).any() == front
        assert (np.abs(angle - np.pi / 2) < 0.3).any()
