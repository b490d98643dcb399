"""Lists smoothed over neighbours, by loops and by products, and their transpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from passerby.rerank.joined import Workers
from passerby.rerank.smoothing import smoothed, transposed

LOOPS, PRODUCTS = Workers(True, 3), Workers(False, 1)


def lists(seed, N=23, share=0.2):
    random = np.random.default_rng(seed)
    dense = np.where(random.random((N, N)) < share, random.random((N, N)), 0).astype(np.float32)
    return sparse.csr_array(dense), dense


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), first=st.integers(0, 23), threads=st.integers(1, 30))
def test_the_transpose_is_the_one_of_scipy(seed, first, threads):
    given, dense = lists(seed)
    for workers in (Workers(True, threads), PRODUCTS):
        found = transposed(given, first, workers)
        assert found.shape == (23 - first, 23)
        assert (found.toarray() == dense[first:]).all()
        assert found.has_sorted_indices


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rounds=st.integers(1, 3), k=st.integers(1, 5))
def test_smoothing_is_the_dense_formula(seed, rounds, k):
    given, dense = lists(seed)
    random = np.random.default_rng(seed)
    ids, share = random.integers(0, 23, (23, k)).astype(np.int32), random.random((23, k)).astype(np.float32)
    expected = dense.astype(float)
    for _ in range(rounds):
        both = expected + expected.T
        expected = np.stack([sum(share[i, a] * both[ids[i, a]] for a in range(k)) for i in range(23)])
        length = np.linalg.norm(expected, axis=1, keepdims=True)
        expected /= np.where(length > 0, length, 1)
    for workers in (LOOPS, PRODUCTS):
        assert np.abs(smoothed(given, ids, share, rounds, workers).toarray() - expected).max() < 1e-5


@pytest.mark.parametrize("workers", [LOOPS, PRODUCTS])
def test_an_image_with_nothing_near_keeps_an_empty_list(workers):
    given = sparse.csr_array(np.zeros((4, 4), dtype=np.float32))
    ids, share = np.zeros((4, 2), dtype=np.int32), np.ones((4, 2), dtype=np.float32)
    assert smoothed(given, ids, share, 2, workers).toarray().tolist() == np.zeros((4, 4)).tolist()
