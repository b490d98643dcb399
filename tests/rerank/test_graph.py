"""Graph re-ranking against the published oracle and the dense form."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.rerank import GRAPH, Graph, rerank_blocks


def images(vectors):
    count = len(vectors)
    return Embeddings(vectors, np.arange(count), np.zeros(count))


def whole(query, gallery, method, **options):
    return np.concatenate([block.copy() for block in rerank_blocks(query, gallery, method, **options)])


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_the_oracle_of_sixteen_images(kernel):
    i, d = np.mgrid[0:16, 0:5]
    vectors = np.sin(1.7 * i + 0.9 * d * d + 0.31 * i * d) + 0.2 * np.cos(3.1 * i * d + 1)
    found = 1 - whole(images(vectors[:4]), images(vectors[4:]), Graph(5, 3), kernel=kernel)
    row = [0.7056, 0.3290, 0.3842, 0.5713, 0.2898, 0.6039, 0.5658, 0.2235, 0.5845, 0.5115, 0.1537, 0.4226]
    assert np.allclose(found[0], row, atol=5e-5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    N=st.integers(4, 30),
    k1=st.integers(1, 12),
    k2=st.integers(1, 6),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    kernel=st.sampled_from(["numba", "numpy"]),
)
def test_equals_the_dense_form(dense, seed, N, k1, k2, weight, kernel):
    vectors = np.random.default_rng(seed).standard_normal((N, 4))
    k1 = min(k1, N)
    k2 = min(k2, k1)
    found = 1 - whole(images(vectors[:2]), images(vectors[2:]), Graph(k1, k2, weight), kernel=kernel)
    expected = dense.graph(vectors, k1, k2, weight)[:2, 2:]
    assert np.abs(found - expected).max() < 1e-5 * max(1, k1)  # with k2 1 the sums run up to k1 and are not brought to length 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"k1": 0}, "graph re-ranking with k1 0 and k2 7: k1 >= k2 >= 1 is allowed."),
        ({"k1": 5, "k2": 6}, "with k1 5 and k2 6: k1 >= k2 >= 1"),
        ({"weight": -0.1}, "weight (lambda) -0.1: it is a share, 0 to 1."),
    ],
)
def test_settings_out_of_range(values, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        Graph(**values)


def test_more_neighbours_than_images_and_zero_vectors():
    vectors = np.random.default_rng(0).standard_normal((10, 3))
    with pytest.raises(UsageError, match="re-ranking with k1 26 and k2 7 needs 26 images; query and gallery have 10"):
        rerank_blocks(images(vectors[:2]), images(vectors[2:]), GRAPH)
    vectors[4] = 0
    with pytest.raises(EmbeddingsError, match="1 of 8 gallery vectors are zero"):
        rerank_blocks(images(vectors[:2]), images(vectors[2:]), Graph(4, 2))


def test_in_words():
    assert Graph().in_words() == "graph re-ranking, k1 26, k2 7, lambda 0.3, from cosines"
