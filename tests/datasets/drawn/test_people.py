from dataclasses import replace

import numpy as np
import pytest

from passerby.datasets.drawn import CAMERAS, Scene, make_person
from passerby.datasets.drawn.body import draw_person
from passerby.datasets.drawn.people import BAGS, BOTTOMS, HAIR_STYLES, PATTERNS
from passerby.datasets.drawn.solids import Easel

PERSON = make_person(np.random.default_rng(0))


def drawing(yaw: float = 0.3, phase: float = 1.0, **changed: object) -> np.ndarray:
    canvas = np.full((256, 128, 3), 0.5)
    easel = Easel(canvas, (64.0, 248.0), 230.0, yaw, 0.1, (0.0, 0.6, 0.8), 0.5)
    draw_person(easel, replace(PERSON, **changed), phase)
    return canvas


def test_the_same_random_numbers_give_the_same_person():
    assert make_person(np.random.default_rng(7)) == make_person(np.random.default_rng(7))
    assert make_person(np.random.default_rng(7)) != make_person(np.random.default_rng(8))


def test_people_are_many():
    people = {make_person(np.random.default_rng(seed)) for seed in range(200)}
    assert len(people) == 200
    assert {person.pattern for person in people} == set(PATTERNS)
    assert {person.hair_style for person in people} == set(HAIR_STYLES)
    assert {person.bag for person in people} == set(BAGS) and {person.bottom for person in people} == set(BOTTOMS)


@pytest.mark.parametrize(
    ("field", "values", "yaw"),
    [
        ("pattern", PATTERNS, 0.2),
        ("hair_style", HAIR_STYLES, 0.8),
        ("bottom", tuple(dict.fromkeys(BOTTOMS)), 1.2),
        ("bag", tuple(dict.fromkeys(BAGS)), 1.0),
        ("coat", (False, True), 0.0),
        ("boots", (False, True), 0.0),
        ("beard", (False, True), 0.0),
        ("glasses", (False, True), 0.0),
        ("sleeve", (0.3, 1.0), 0.0),
    ],
)
def test_every_choice_can_be_seen(field: str, values: tuple, yaw: float):
    """An attribute that changes no pixel would be a promise that nobody keeps."""
    plain = {"pattern": "plain", "bag": "none", "hair_style": "short", "bottom": "trousers", "coat": False, "boots": False}
    pictures = [drawing(yaw, **{**plain, "top_second": (0.9, 0.8, 0.1), field: value}) for value in values]
    for i, picture in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(picture - other).max() > 0.1


def test_a_walk_moves_and_two_steps_later_repeats():
    assert np.abs(drawing(phase=0.0) - drawing(phase=1.5)).max() > 0.1
    assert drawing(phase=0.4) == pytest.approx(drawing(phase=0.4 + 2 * np.pi))


def test_every_camera_photographs():
    for number, camera in enumerate(CAMERAS):
        scene = Scene(camera, (64, 32), np.random.default_rng(number))
        pictures = {scene.photograph(PERSON, np.random.default_rng(seed)) for seed in range(30)}
        assert len(pictures) == 30 and all(picture.startswith(b"\xff\xd8") for picture in pictures)
