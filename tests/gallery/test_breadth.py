"""How wide a walk must be."""

import numpy as np
import pytest

from passerby.gallery.breadth import BREADTHS, NEAREST, noisy, settle
from passerby.gallery.store import Found


def found(*ids: int) -> Found:
    return Found(np.array(ids), np.zeros(len(ids), np.float32))


def test_the_first_breadth_that_finds_enough_is_taken():
    right = [found(*range(NEAREST)), found(*range(NEAREST))]
    tried = []

    def walk(breadth: int) -> list[Found]:
        tried.append(breadth)
        missed = 800 // breadth - 1  # 7, 3, 1, none
        return [found(*range(missed, NEAREST)), right[1]]

    assert settle(right, walk) == (200, pytest.approx((47 / 50 + 1) / 2)) and tried == [100, 200]


def test_the_widest_is_taken_where_none_finds_enough_and_the_narrowest_where_nothing_is():
    assert settle([found(1, 2)], lambda breadth: [found(1)]) == (BREADTHS[-1], 0.5)
    assert settle([], lambda breadth: []) == (BREADTHS[0], 1.0)


def test_noise_stays_near():
    vectors = np.random.default_rng(1).standard_normal((20, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = noisy(vectors)
    assert np.allclose(np.linalg.norm(near, axis=1), 1, atol=1e-5)
    assert 0.8 < float((near * vectors).sum(axis=1).min()) < float((near * vectors).sum(axis=1).max()) < 0.97
