"""k-reciprocal re-ranking against the published oracles and the dense textbook form."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.rerank import KReciprocal, jaccard_distances, rerank_blocks


def images(vectors):
    count = len(vectors)
    return Embeddings(vectors, np.arange(count), np.zeros(count))


def whole(query, gallery, method, **options):
    return np.concatenate([block.copy() for block in rerank_blocks(query, gallery, method, **options)])


I, D = np.mgrid[0:16, 0:5]
ORACLE = np.sin(1.7 * I + 0.9 * D * D + 0.31 * I * D) + 0.2 * np.cos(3.1 * I * D + 1)


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
@pytest.mark.parametrize(
    ("power", "row"),
    [
        (2, [0.4865, 0.6320, 0.6628, 0.5339, 0.7260, 0.4365, 0.5897, 0.7550, 0.4522, 0.5905, 0.7203, 0.5338]),
        (1, [0.5469, 0.6847, 0.7410, 0.6254, 0.7769, 0.5169, 0.6749, 0.7937, 0.5400, 0.6613, 0.7970, 0.6196]),
    ],
)
def test_what_the_published_codes_give(power, row, kernel):
    found = whole(images(ORACLE[:4]), images(ORACLE[4:]), KReciprocal(5, 3, 0.3, power), kernel=kernel)
    assert np.allclose(found[0], row, atol=5e-5)


def drawn(random, N, dim, kind):
    if kind == "smooth":
        return random.standard_normal((N, dim))
    vectors = random.integers(-1, 2, (N, dim)).astype(float)  # many equal ones, and many equally far
    vectors[(vectors == 0).all(axis=1)] = 1
    return vectors


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    N=st.integers(4, 40),
    queries=st.integers(1, 3),
    k1=st.integers(1, 25),
    k2=st.integers(1, 9),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    power=st.sampled_from([1, 2]),
    distance=st.sampled_from(["cosine", "euclidean"]),
    kind=st.sampled_from(["smooth", "ties"]),
    kernel=st.sampled_from(["numba", "numpy"]),
)
def test_equals_the_dense_textbook_form_with_and_without_ties(
    dense, seed, N, queries, k1, k2, weight, power, distance, kind, kernel
):
    vectors = drawn(np.random.default_rng(seed), N, 4, kind)
    k1, k2 = min(k1, N - 1), min(k2, N)
    method = KReciprocal(k1, k2, weight, power, distance)
    found = whole(images(vectors[:queries]), images(vectors[queries:]), method, kernel=kernel)
    expected, _ = dense.k_reciprocal(vectors, k1, k2, weight, power, distance)
    assert np.abs(found - expected[:queries, queries:]).max() < 1e-6


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_many_equal_vectors_beyond_the_margin_of_candidates(dense, kernel):
    """Forty images at one point: which of them are the nearest is settled by their order alone."""
    vectors = np.random.default_rng(3).standard_normal((60, 4))
    vectors[5:45] = [1.0, 1.0, 1.0, 1.0]
    found = whole(images(vectors[:10]), images(vectors[10:]), KReciprocal(6, 3), kernel=kernel)
    expected, _ = dense.k_reciprocal(vectors, 6, 3, 0.3)
    assert np.abs(found - expected[:10, 10:]).max() < 1e-6


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_no_block_size_or_thread_count_changes_the_result(dense, kernel):
    random = np.random.default_rng(0)
    vectors = random.standard_normal((330, 8))
    query, gallery = images(vectors[:70]), images(vectors[70:])
    once = whole(query, gallery, KReciprocal(), kernel=kernel, threads=1)
    least = int(re.search(r"at least (\d+)", str(_refused(query, gallery, memory_mb=1, kernel=kernel))).group(1))  # type: ignore[union-attr]
    again = whole(query, gallery, KReciprocal(), kernel=kernel, threads=3, memory_mb=least + 1)
    assert np.abs(once - again).max() < 1e-6
    expected, _ = dense.k_reciprocal(vectors, 20, 6, 0.3)
    assert np.abs(once - expected[:70, 70:]).max() < 1e-6


def _refused(query, gallery, **options):
    with pytest.raises(UsageError) as refused:
        rerank_blocks(query, gallery, **options)
    return refused.value


def test_scale_of_vectors_changes_nothing():
    vectors = np.random.default_rng(1).standard_normal((40, 6))
    for distance in ("cosine", "euclidean"):
        method = KReciprocal(8, 3, distance=distance)
        one, other = (whole(images(v[:5]), images(v[5:]), method) for v in (vectors, vectors * 1000))
        assert np.abs(one - other).max() < 1e-6


def test_queries_that_are_the_gallery_make_one_set(dense):
    vectors = np.random.default_rng(2).standard_normal((30, 6))
    found = whole(images(vectors), images(vectors.copy()), KReciprocal(6, 3))
    expected, _ = dense.k_reciprocal(vectors, 6, 3, 0.3)
    assert found.shape == (30, 30)
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_jaccard_distances_for_clustering(dense, kernel):
    random = np.random.default_rng(4)
    centres = random.standard_normal((6, 10))
    vectors = np.repeat(centres, 8, axis=0) + 0.1 * random.standard_normal((48, 10))
    found = jaccard_distances(images(vectors), 7, 3, kernel=kernel)
    _, expected = dense.k_reciprocal(vectors, 7, 3, 0.3)
    filled = np.ones((48, 48))
    rows = np.repeat(np.arange(48), np.diff(found.indptr))
    filled[rows, found.indices] = found.data
    np.fill_diagonal(expected, 0)
    assert np.abs(filled - expected).max() < 1e-6
    assert (filled == filled.T).all()
    assert (filled.diagonal() == 0).all() and found.nnz < 48 * 48

    from sklearn.cluster import DBSCAN

    assert DBSCAN(eps=0.6, min_samples=2, metric="precomputed").fit(found).labels_.tolist() == np.repeat(np.arange(6), 8).tolist()


def some(N=12, dim=4):
    return images(np.random.default_rng(5).standard_normal((N, dim)))


@pytest.mark.parametrize(
    ("query", "gallery", "options", "error", "text"),
    [
        (
            some(4),
            some(5),
            {},
            UsageError,
            "re-ranking with k1 20 and k2 6 needs 21 images; query and gallery have 9. Take smaller",
        ),
        (some(4, 4), some(30, 5), {}, EmbeddingsError, "queries have 4 dimensions, the gallery 5: one model must make both."),
        (some(4), some(0), {}, EmbeddingsError, "the gallery is empty: there is nothing to re-rank."),
        (some(0), some(30), {}, EmbeddingsError, "the query is empty: there is nothing to re-rank."),
        (some(4), images(np.eye(30, 4)), {}, EmbeddingsError, "26 of 30 gallery vectors are zero"),
        (some(4), some(30), {"kernel": "nunba"}, UsageError, 'no re-ranking kernel "nunba". Did you mean "numba"?'),
        (some(4), some(30), {"threads": 0}, UsageError, "threads is 0: it must be 1 or more."),
        (some(4), some(30), {"memory_mb": 1}, UsageError, "memory_mb is 1: re-ranking 34 images with these neighbours needs at"),
    ],
)
def test_what_cannot_be_re_ranked_is_refused_before_work_starts(query, gallery, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        rerank_blocks(query, gallery, **options)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"k1": 0}, "k1 0 and k2 6: both count neighbours, 1 is the least."),
        ({"k2": 0}, "k1 20 and k2 0: both count neighbours"),
        ({"weight": 1.1}, "weight (lambda) 1.1: it is a share, 0 to 1."),
        ({"power": 3}, "power 3: 1 is the squared Euclidean distance, 2 its square; no other is in use."),
    ],
)
def test_settings_out_of_range(values, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        KReciprocal(**values)


def test_no_neighbours_by_dot_product():
    with pytest.raises(UsageError, match="no re-ranking by dot distance: k-reciprocal neighbours need one of cosine, euclidean"):
        rerank_blocks(some(), some(40), KReciprocal(distance="dot"))  # type: ignore[arg-type]


def test_settings_in_words():
    assert KReciprocal().in_words() == (
        "k-reciprocal re-ranking, k1 20, k2 6, lambda 0.3, from squared Euclidean distances of unit vectors"
    )
    assert "from squares of squared Euclidean distances" in KReciprocal(power=2, distance="euclidean").in_words()
