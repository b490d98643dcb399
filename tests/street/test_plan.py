import itertools
from collections import Counter
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.street.folder import list_hash, manifest_lines
from passerby.street.plan import FOLDERS, _targets, make_plan

PLAN = make_plan("campus", 5, 6, 6, 0)


def test_every_person_has_all_views_in_at_least_two_cameras():
    for scene in PLAN.scenes:
        for pid in scene.people:
            mine = [crop for crop in PLAN.crops if crop.pid == pid]
            assert len(mine) == 6
            assert len({crop.camid for crop in mine}) >= 2


def test_training_and_test_share_nobody_and_no_second_of_the_day():
    train = {crop.pid for crop in PLAN.crops if crop.folder == FOLDERS[0]}
    test = {crop.pid for crop in PLAN.crops if crop.folder != FOLDERS[0]}
    assert train == set(PLAN.scenes[0].people) == {1, 2, 3, 4, 5}
    assert test == set(PLAN.scenes[1].people) == {6, 7, 8, 9, 10, 11}
    assert max(c.time_s for c in PLAN.crops if c.pid in train) < min(c.time_s for c in PLAN.crops if c.pid in test)
    outfits = [person.outfit for scene in PLAN.scenes for person in scene.people.values()]
    assert all(a != b for i, a in enumerate(outfits) for b in outfits[:i])


def test_every_query_can_be_answered():
    query = [crop for crop in PLAN.crops if crop.folder == "query"]
    gallery = [crop for crop in PLAN.crops if crop.folder == "bounding_box_test"]
    assert {crop.pid for crop in query} == set(PLAN.scenes[1].people)
    assert max(Counter((crop.pid, crop.camid) for crop in query).values()) == 1
    for crop in query:
        assert any(other.pid == crop.pid and other.camid != crop.camid for other in gallery)


def test_names_say_what_the_manifest_says_and_are_unique():
    assert len({crop.name for crop in PLAN.crops}) == len(PLAN.crops)
    for crop in PLAN.crops:
        assert crop.name == f"{crop.pid:04d}_c{crop.camid + 1}s1_{crop.frame:06d}_00.jpg"
        assert crop.time_s == crop.frame / 25


def test_boxes_lie_in_the_frame_and_show_somebody():
    cameras = PLAN.scenes[0].town.cameras
    for crop in PLAN.crops:
        left, top, width, height = crop.box
        assert left >= 0 and left + width <= cameras[crop.camid].width
        assert top >= 0 and top + height <= cameras[crop.camid].height
        assert 0.2 <= crop.visible <= 1
        assert crop.pid not in crop.others


def test_a_track_is_one_passage_of_one_person_through_one_camera():
    for track in {crop.track for crop in PLAN.crops}:
        mine = [crop for crop in PLAN.crops if crop.track == track]
        assert len({(crop.pid, crop.camid) for crop in mine}) == 1
        assert max(crop.frame for crop in mine) - min(crop.frame for crop in mine) < 25 * 60


def test_facing_is_0_for_somebody_who_looks_at_the_camera():
    camera = PLAN.scenes[0].town.cameras
    import math

    for crop in PLAN.crops:
        towards = math.degrees(math.atan2(camera[crop.camid].y - crop.y, camera[crop.camid].x - crop.x))
        assert abs((towards - crop.heading_deg - crop.facing_deg + 180) % 360 - 180) < 0.3


def test_the_list_is_frozen_for_a_seed():
    """The same seed gives the same manifest everywhere: this hash is the one of another machine too."""
    again = make_plan("campus", 5, 6, 6, 0)
    assert list_hash(manifest_lines(again)) == list_hash(manifest_lines(PLAN))
    assert manifest_lines(make_plan("campus", 5, 6, 6, 1)) != manifest_lines(PLAN)


@pytest.mark.parametrize(("views", "cameras"), [(2, 2), (3, 2), (12, 6)])
def test_views_spread_over_cameras(views, cameras):
    plan = make_plan("campus", 2, 0, views, 3)
    for pid in (1, 2):
        mine = [crop for crop in plan.crops if crop.pid == pid]
        assert len(mine) == views
        assert len({crop.camid for crop in mine}) >= min(cameras, views) - 2
        assert len({crop.camid for crop in mine}) >= 2


def test_a_day_without_people_is_empty():
    plan = make_plan("market", 0, 2, 4, 0)
    assert not plan.scenes[0].people and {crop.pid for crop in plan.crops} == {1, 2}
    assert all(asdict(crop)["folder"] != FOLDERS[0] for crop in plan.crops)


@given(st.integers(2, 15), st.integers(2, 30), st.integers(0, 999))
def test_routes_pass_at_least_two_cameras_and_none_twice_in_a_row(cameras, views, pid):
    route = _targets(cameras, views, "campus", 0, pid)
    assert len(route) == max(2, round(views / 2))
    assert len(set(route)) >= min(2, len(route)) and set(route) <= set(range(cameras))
    assert all(a != b for a, b in itertools.pairwise(route))
