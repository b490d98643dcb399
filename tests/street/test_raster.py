"""The filling kernel against a slow look at every sample, and its rules: nearest wins, cut cuts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.street.meshes import Material, box, quad
from passerby.street.raster import fill, soup
from passerby.street.render import DrawItem


def filled(points, nearness, cut, faces, shape):
    best, owner = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    fill(np.float32(points), np.float32(nearness), np.float32(cut), np.int32(faces), best, owner)
    return best, owner


def slow(points, nearness, cut, faces, shape):
    best, owner = np.zeros(shape), np.full(shape, -1)
    for index, face in enumerate(faces):
        a, b, c = (np.append(points[k], 1.0) for k in face)
        inverse = np.linalg.pinv(np.stack([a, b, c], 1))
        for row in range(shape[0]):
            for column in range(shape[1]):
                shares = inverse @ (column + 0.5, row + 0.5, 1.0)
                near = shares @ [nearness[k] for k in face]
                if shares.min() >= 0 and shares @ [cut[k] for k in face] >= 0 and near > best[row, column]:
                    best[row, column], owner[row, column] = near, index
    return best, owner


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_agrees_with_a_slow_look_at_every_sample(seed):
    random = np.random.RandomState(seed)
    points = random.uniform(-4, 16, (9, 2))
    nearness, cut = random.uniform(0.1, 1, 9), random.uniform(-0.4, 1, 9)
    faces = np.arange(9).reshape(3, 3)
    best, owner = filled(points, nearness, cut, faces, (11, 13))
    expected_best, expected_owner = slow(points, nearness, cut, faces, (11, 13))
    assert (owner != expected_owner).mean() < 0.01  # a sample on an edge may fall to either side
    same = owner == expected_owner
    np.testing.assert_allclose(best[same], expected_best[same], atol=1e-4)


def test_two_triangles_of_a_square_leave_no_gap():
    points = [(1.2, 1.3), (9.1, 1.3), (9.1, 8.2), (1.2, 8.2)]
    owner = filled(points, [1] * 4, [0] * 4, [[0, 1, 2], [0, 2, 3]], (10, 12))[1]
    assert (owner >= 0).sum() == 8 * 7
    assert set(np.unique(owner)) == {-1, 0, 1}


def test_cut_draws_a_straight_hem_through_a_triangle():
    points, faces = [(0, 0), (20, 0), (0, 20)], [[0, 1, 2]]
    owner = filled(points, [1] * 3, [5, -15, 5], faces, (20, 20))[1]
    assert set(np.flatnonzero((owner >= 0).any(0))) == set(range(5))


def test_what_lies_outside_the_picture_or_has_no_area_is_skipped():
    points = [(-30, -30), (-20, -30), (-20, -20), (1, 1), (2, 2), (3, 3)]
    assert (filled(points, [1] * 6, [0] * 6, [[0, 1, 2], [3, 4, 5]], (8, 8))[1] == -1).all()


def test_soup_keeps_items_and_materials_apart():
    one, two = Material((0.1, 0.1, 0.1)), Material((0.9, 0.9, 0.9))
    whole = soup([DrawItem(box((0, 0, 0), (1, 1, 1), one), 7), DrawItem(quad([(0, 0, 0)] * 4, two), 3)])
    assert whole.materials == (one, two)
    assert set(whole.item[whole.faces[:12].reshape(-1)]) == {7}
    assert set(whole.material[whole.faces[12:].reshape(-1)]) == {1}


def test_soup_of_nothing_is_empty():
    assert len(soup([]).faces) == 0
