"""Persons are records: the same from the same seed, through JSON and back, and as various as passers-by."""

import json

import numpy as np
import pytest

from passerby.errors import DataError
from passerby.street.bodies import Person, make_person
from passerby.street.hair import STYLES
from passerby.street.wardrobes import WARDROBES

SPRING = WARDROBES["spring"]


def test_a_person_is_a_function_of_seed_and_wardrobe():
    assert make_person(3, SPRING) == make_person(3, SPRING)
    assert make_person(3, SPRING) != make_person(4, SPRING)
    assert make_person(3, SPRING) != make_person(3, WARDROBES["winter"])


@pytest.mark.parametrize("seed", range(12))
def test_a_person_survives_a_file(seed):
    person = make_person(seed, WARDROBES["winter"])
    again = Person.from_json(json.loads(json.dumps(person.to_json(), allow_nan=False)))
    assert again == person
    assert hash(again) == hash(person)


def test_a_seeds_person_never_changes():
    """A frozen benchmark depends on it: change the generator only together with the benchmark's version."""
    person = make_person(1, SPRING)
    assert (person.outfit.top.kind, person.outfit.bottom.kind, person.hair.style) == ("tshirt", "leggings", "long")
    assert person.shape.height == 0.352
    assert person.outfit.top.colour == (0.0101, 0.0092, 0.0117)


def test_the_population_is_mixed():
    people = [make_person(seed, SPRING) for seed in range(300)]
    women = np.mean([person.shape.gender > 0.5 for person in people])
    assert 0.4 < women < 0.6
    assert {person.hair.style for person in people} <= set(STYLES)
    assert len({person.hair.style for person in people}) >= 8
    assert len({person.outfit.top.kind for person in people}) == 8
    assert np.ptp([np.mean(person.skin) for person in people]) > 0.3
    assert not any(person.hair.beard for person in people if person.shape.gender > 0.5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content.pop("skin"), r"Person record: found \['gait', 'hair', 'outfit', 'seed', 'shape'\], expected"),
        (
            lambda content: content["hair"].update(length=3),
            r"Hair record: found \['beard', 'colour', 'length', 'style'\], expected",
        ),
        (lambda content: content["outfit"].update(top=None) or content["outfit"].pop("shoes"), r"Outfit record: found .* Render"),
        (lambda content: content.update(gait=7), r"Gait record: found int, expected the fields \['arms_out'"),
    ],
)
def test_a_damaged_record_is_refused(damage, message):
    content = make_person(0, SPRING).to_json()
    damage(content)
    with pytest.raises(DataError, match=message):
        Person.from_json(content)
