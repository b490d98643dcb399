"""Ways between cameras, and what is therefore impossible."""

import pytest

from passerby.errors import UsageError
from passerby.gallery import Transitions

WAYS = Transitions({("lobby", "yard"): 40.0, ("yard", "gate"): 10.0, ("gate", "yard"): 30.0, ("lobby", "desk"): 0.0})


@pytest.mark.parametrize(
    ("camera", "time", "seen", "note"),
    [
        ("yard", 39.0, [("lobby", 0.0)], "at lobby 39 s before: the way takes 40 s"),
        ("yard", 40.0, [("lobby", 0.0)], None),
        ("lobby", 0.0, [("yard", 39.0)], "at yard 39 s after: the way takes 40 s"),
        ("gate", 15.0, [("yard", 0.0)], None),  # the way out is quick
        ("yard", 15.0, [("gate", 0.0)], "at gate 15 s before: the way takes 30 s"),  # the way back is not
        ("desk", 0.0, [("lobby", 0.0)], None),  # the views overlap
        ("lobby", 5.0, [("lobby", 5.0)], None),
        ("far", 0.5, [("lobby", 0.0)], "at lobby at the same time"),  # nothing is known of the way
        ("far", 2.0, [("lobby", 0.0)], None),
        ("yard", 50.0, [("lobby", 0.0), ("lobby", 30.0)], "at lobby 20 s before: the way takes 40 s"),
        ("yard", 50.0, [], None),
    ],
)
def test_what_cannot_be_is_said(camera: str, time: float, seen, note: str | None):
    assert WAYS.impossible(camera, time, seen) == note


def test_json_keeps_them():
    assert Transitions.from_json(WAYS.to_json()) == WAYS


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds: float):
    with pytest.raises(UsageError, match=r"from camera a to b in .* give the least seconds of the way, 0 or more"):
        Transitions({("a", "b"): seconds})
