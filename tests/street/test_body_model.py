"""The shipped body: people of human size, the skeleton moves what it should, and the reduced model stays close to its source."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.street.body_model import PHENOTYPES, body_model, normals, skin, transforms

MODEL = body_model()
AVERAGE = dict.fromkeys(PHENOTYPES, 0.5) | {"gender": 0.0, "age": 0.7, "height": 0.4}


def stature(**changes):
    points = MODEL.rest({**AVERAGE, **changes})[0]
    return float(np.ptp(points[:, 2]))


def belly(**changes):
    """Depth of the trunk at the waist."""
    points = MODEL.rest({**AVERAGE, **changes})[0][MODEL.parts["tights"]]
    trunk = points[(np.abs(points[:, 2] - 0.15) < 0.04) & (np.abs(points[:, 0]) < 0.1)]
    return float(np.ptp(trunk[:, 1]))


def test_an_average_man_has_an_average_height():
    assert 1.6 < stature() < 1.9


def test_sliders_do_what_they_say():
    assert stature(height=0.6) > stature() > stature(height=0.3)
    assert stature(gender=1.0) < stature()
    assert stature(age=0.42) < stature() - 0.15
    assert belly(weight=1.5) > belly(weight=0.5) + 0.01 > belly(weight=-0.5) + 0.03


def test_weight_goes_on_in_a_straight_line_beyond_its_ends():
    inner, end, beyond = (MODEL.rest({**AVERAGE, "weight": weight})[0] for weight in (0.5, 1.0, 1.5))
    np.testing.assert_allclose(beyond - end, end - inner, atol=1e-5)


def test_parts_and_faces_fit_together():
    for name, where in MODEL.parts.items():
        assert MODEL.faces[name].min() >= where.start
        assert MODEL.faces[name].max() == where.stop - 1
    assert MODEL.weights.shape == MODEL.weight_bones.shape == (len(MODEL.mean) - len(MODEL.bones), 4)
    np.testing.assert_allclose(MODEL.weights.sum(1), 1, atol=2e-3)


def test_parents_come_before_their_children():
    assert MODEL.parents[0] == -1
    assert (MODEL.parents[1:] < np.arange(1, len(MODEL.parents))).all()


def test_no_turn_moves_nothing():
    points, heads = MODEL.rest(AVERAGE)
    placed = transforms(MODEL.parents, heads, np.tile(np.eye(3), (len(MODEL.bones), 1, 1)))
    np.testing.assert_allclose(skin(points, MODEL.weight_bones, MODEL.weights, placed), points, atol=2e-3)


def test_a_turn_of_the_root_turns_the_whole_body():
    points, heads = MODEL.rest(AVERAGE)
    turns = np.tile(np.eye(3), (len(MODEL.bones), 1, 1))
    turns[0] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    moved = skin(points, MODEL.weight_bones, MODEL.weights, transforms(MODEL.parents, heads, turns))
    np.testing.assert_allclose(moved, (points - heads[0]) @ turns[0].T + heads[0], atol=3e-3)


def test_a_bent_elbow_moves_the_hand_and_leaves_the_foot():
    points, heads = MODEL.rest(AVERAGE)
    turns = np.tile(np.eye(3), (len(MODEL.bones), 1, 1))
    turns[MODEL.bones.index("lowerarm01.L")] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    moved = skin(points, MODEL.weight_bones, MODEL.weights, transforms(MODEL.parents, heads, turns))
    shift = np.linalg.norm(moved - points, axis=1)
    strongest = np.array(MODEL.bones)[np.take_along_axis(MODEL.weight_bones, MODEL.weights.argmax(1)[:, None], 1)[:, 0]]
    assert shift[strongest == "wrist.L"].min() > 0.1
    assert shift[np.isin(strongest, ["foot.L", "wrist.R", "head"])].max() < 3e-3


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_skinning_agrees_with_its_definition(seed):
    random = np.random.RandomState(seed)
    points, placed = random.normal(size=(7, 3)).astype(np.float32), random.normal(size=(5, 3, 4)).astype(np.float32)
    bones, weights = random.randint(0, 5, (7, 4)), random.rand(7, 4).astype(np.float32)
    expected = np.zeros((7, 3))
    for v in range(7):
        for slot in range(4):
            expected[v] += weights[v, slot] * (placed[bones[v, slot]] @ np.append(points[v], 1))
    np.testing.assert_allclose(skin(points, bones, weights, placed), expected, atol=1e-4)


def test_normals_of_a_pyramid():
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float32)
    faces = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])
    found = normals(points, faces)
    np.testing.assert_allclose(found[0], np.full(3, -1) / np.sqrt(3), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_the_reduced_model_stays_within_millimetres_of_anny():
    pytest.importorskip("anny", reason="anny made the model; it is not needed to use it")
    if not list(Path("~/.cache/anny").expanduser().glob("v*/*.safetensors")):
        pytest.skip("anny's own cache is absent, and making it takes a minute and 1 GB")
    from passerby.street.body_build import deviation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anny's own
        rms, worst = deviation(people=8)
    assert rms < 1e-3
    assert worst < 0.012
