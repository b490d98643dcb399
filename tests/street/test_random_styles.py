import pytest

from passerby.errors import UsageError
from passerby.street.plan import make_plan
from passerby.street.random_styles import style_of
from passerby.street.styles import TOWNS
from passerby.street.towns import make_town


def test_the_six_towns_stay_as_they_are():
    assert all(style_of(name) is style for name, style in TOWNS.items())


def test_a_number_names_one_town_for_ever_and_another_number_another():
    one, two = style_of("random-1"), style_of("random-2")
    assert one == style_of("random-1") and one != two
    assert make_town("random-1").cameras != make_town("random-2").cameras


@pytest.mark.parametrize("number", range(1, 41))
def test_streets_clothes_and_cameras_come_from_the_six(number):
    style = style_of(f"random-{number}")
    (built,) = [town for town in TOWNS.values() if town.fronts == style.fronts]
    assert style.ceiling == built.ceiling and style.grounds == built.grounds
    assert not style.ceiling or style.sun_elevation_deg == built.sun_elevation_deg
    assert style.wardrobe in {town.wardrobe for town in TOWNS.values()}
    assert style.frames in {town.frames for town in TOWNS.values()}
    assert 3 <= style.cameras <= 8 and 2 <= style.places <= 4
    assert style.saturation[0] < style.saturation[1]


def test_they_are_of_many_kinds():
    styles = [style_of(f"random-{number}") for number in range(1, 41)]
    assert {style.wardrobe for style in styles} == {town.wardrobe for town in TOWNS.values()}
    assert len({style.grounds for style in styles}) == len(TOWNS)


def test_people_walk_through_it():
    plan = make_plan("random-3", 3, 2, 4, 0)
    assert len(plan.crops) == 20 and len({crop.pid for crop in plan.crops}) == 5


@pytest.mark.parametrize("name", ["random-0", "random-01", "random-1000000", "random-", "random", "Random-1"])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match=rf'no town "{name}"\..*Or random-1, random-2'):
        style_of(name)
