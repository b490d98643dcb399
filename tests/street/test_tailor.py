"""Cloth hangs outside the skin, as long and as wide as it is cut."""

import numpy as np
import pytest
from numpy.random import RandomState

from passerby.street import tailor
from passerby.street.clothes import Garment
from passerby.street.mannequin import make_mannequin

BODY = make_mannequin({"gender": 1.0, "age": 0.7, "height": 0.4, "weight": 0.3})
BLACK = (0.02, 0.02, 0.02)
SUIT = BODY.model.parts["tights"]


def around(points, drape):
    """Distance of points from the middle line of a drape."""
    middle = np.interp(points[:, 2] / 0.02, np.arange(len(drape.centre)), drape.centre)
    return np.hypot(points[:, 0], points[:, 1] - middle)


def test_cloth_hangs_outside_the_trunk():
    drape = tailor.hang(BODY, ease=0.02, taper=0.3, hem=BODY.crotch)
    trunk = BODY.points[SUIT][
        (BODY.arm[SUIT] < 0.05) & (BODY.points[SUIT][:, 2] > BODY.crotch) & (BODY.points[SUIT][:, 2] < BODY.chest)
    ]
    room = around(drape.place(trunk), drape) - around(trunk, drape)
    assert np.quantile(room, 0.02) > 0.004
    assert 0.01 < np.median(room) < 0.06


def test_a_smaller_taper_hangs_wider_and_below_zero_flares():
    widths = [
        tailor.hang(BODY, 0.02, taper, BODY.crotch - 0.3).radius[int(BODY.crotch / 0.02)].mean() for taper in (0.6, 0.1, -0.2)
    ]
    assert widths == sorted(widths)
    assert widths[2] > widths[1] + 0.02


def test_a_cinched_hem_is_narrower_than_what_hangs_above_it():
    hem = BODY.crotch + 0.05
    drape = tailor.hang(BODY, 0.05, 0.0, hem, cinch=True)
    loose = tailor.hang(BODY, 0.05, 0.0, hem)
    row = round(hem / 0.02)
    assert drape.radius[row].mean() < loose.radius[row].mean() - 0.005
    assert drape.radius[row].mean() < drape.radius[row + 6].mean()


@pytest.mark.parametrize("kind", tailor.CUTS)
def test_tops_end_where_they_say(kind):
    parts, openings, hem = tailor.top(BODY, Garment(kind, BLACK), RandomState(0), 0, 0.004)
    for part in parts:
        trunk = (part.cut > 0) & (BODY.arm[part.rows] < 0.3)
        assert (BODY.points[part.rows][trunk, 2] >= hem - 0.02).all()
    assert (openings[BODY.model.parts["body"]] > 0).any(), "the head looks out"
    chest = (np.abs(BODY.points[:, 2] - BODY.chest) < 0.03) & (np.abs(BODY.points[:, 0]) < 0.1)
    assert (openings[chest] < 0).all(), "the chest is covered"


def test_a_sleeve_is_as_long_as_its_cut():
    def bare(kind):
        openings = tailor.top(BODY, Garment(kind, BLACK, length=1.0), RandomState(0), 0, 0.0)[1]
        arm = (BODY.arm > 0.9) & (BODY.points[:, 0] > 0) & (BODY.arm_at < BODY.arm_m)
        return float((openings[arm] > 0).mean())

    assert bare("longsleeve") < 0.02 < bare("tshirt") < bare("tank")


def test_a_tucked_shirt_has_no_tail():
    loose, tucked = (tailor.top(BODY, Garment("shirt", BLACK), RandomState(0), 0, 0.0, tucked) for tucked in (False, True))
    assert len(loose[0]) == 2
    assert len(tucked[0]) == 1
    assert tucked[2] > loose[2] + 0.05


def test_longer_garments_end_lower():
    def hems(make, kind):
        return [make(Garment(kind, BLACK, length=length)) for length in (0.0, 1.0)]

    for kind in ("coat", "tshirt"):
        short, long = hems(lambda garment: tailor.top(BODY, garment, RandomState(0), 0, 0.0)[2], kind)
        assert long < short
    short, long = hems(lambda garment: tailor.trousers(BODY, garment, RandomState(0), 0)[1], "shorts")
    assert long < short - 0.1
    short, long = hems(lambda garment: tailor.skirt(BODY, garment, RandomState(0), 0, False)[1], "skirt")
    assert long < short - 0.1


def test_trousers_lie_outside_the_skin():
    (part,), _ = tailor.trousers(BODY, Garment("jeans", BLACK), RandomState(0), 0)
    legs = BODY.leg[part.rows] > 0.95
    skin = np.linalg.norm(BODY.points[part.rows] - BODY.leg_axis[part.rows], axis=1)[legs]
    cloth = np.linalg.norm(part.points - BODY.leg_axis[part.rows], axis=1)[legs]
    assert (cloth > skin).all()


def test_a_skirt_under_a_coat_is_narrower():
    wide, narrow = (
        tailor.skirt(BODY, Garment("skirt", BLACK, width=1.0), RandomState(0), 0, covered)[0][0] for covered in (False, True)
    )
    assert np.ptp(wide.points[:, 0]) > np.ptp(narrow.points[:, 0]) + 0.05


def test_no_trousers_no_parts():
    assert tailor.trousers(BODY, Garment("bare", BLACK), RandomState(0), 0)[0] == []


def test_soles_are_thick_and_flat():
    (part,), shaft = tailor.shoes(BODY, Garment("sneakers", BLACK), 0)
    low = part.points[:, 2].min()
    assert -0.035 < low < -0.008
    assert (part.points[:, 2] < low + 0.006).sum() > 40
    assert 0.06 < shaft < 0.1


def test_legs_show_between_hem_and_shoes_only():
    (part,) = tailor.bare_legs(BODY, 0.6, 0.1, 0)
    shown = part.points[part.cut > 0, 2]
    assert 0.05 < shown.min() < 0.1
    assert 0.6 < shown.max() < 0.63
    assert tailor.bare_legs(BODY, 0.1, 0.3, 0) == []
