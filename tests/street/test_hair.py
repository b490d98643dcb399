"""Hair and hats sit on the head and leave the face free."""

import numpy as np
import pytest
from numpy.random import RandomState

from passerby.street.clothes import Garment
from passerby.street.hair import HATS, STYLES, hair, hat, hat_line
from passerby.street.mannequin import make_mannequin

BODY = make_mannequin({"gender": 1.0, "age": 0.7, "height": 0.4})
RED = (0.5, 0.0, 0.0)


def local(parts):
    """What is drawn, in metres from between the eyes on a mean head."""
    points = np.concatenate([part.points[part.cut > 0] for part in parts])
    return (points - BODY.eyes) / BODY.head_size


def style(name, headwear=None, back=0.01):
    return hair(BODY, name, RandomState(0), 0, headwear, back)


@pytest.mark.parametrize("name", [name for name in STYLES if name != "bald"])
def test_hair_covers_the_crown_and_not_the_face(name):
    points = local(style(name))
    assert points[:, 2].max() > 0.11
    assert np.abs(points[:, 0]).max() < 0.17
    face = (points[:, 1] < 0.03) & (points[:, 2] < 0.01) & (np.abs(points[:, 0]) < 0.045)
    assert not face.any()


def test_bald_is_bald():
    assert style("bald") == []


def test_long_hair_hangs_lower_than_a_bob_and_that_lower_than_short_hair():
    lowest = [local(style(name))[:, 2].min() for name in ("long", "bob", "short")]
    assert lowest == sorted(lowest)
    assert lowest[0] < -0.2


def test_long_hair_lies_on_thick_clothes():
    thin, thick = (local(style("long", back=back)) for back in (0.0, 0.06))
    assert thick[thick[:, 2] < -0.2, 1].mean() > thin[thin[:, 2] < -0.2, 1].mean() + 0.03


@pytest.mark.parametrize("kind", HATS)
def test_hats_cover_the_crown(kind):
    points = local(hat(BODY, Garment(kind, RED), 0))
    assert points[:, 2].max() > local(style("cropped"))[:, 2].max() - 0.002


@pytest.mark.parametrize("kind", ["cap", "beanie", "sunhat", "helmet"])
def test_hair_under_a_hat_shows_below_its_edge_only(kind):
    points = local(style("bob", kind))
    assert (points[:, 2] <= hat_line(kind, points[:, 1]) + 0.02).all()


def test_the_brim_of_a_cap_looks_forward():
    points = local(hat(BODY, Garment("cap", RED), 0))
    assert points[:, 1].min() < -0.06
    assert local(hat(BODY, Garment("beanie", RED), 0))[:, 1].min() > -0.05
