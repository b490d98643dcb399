"""Query expansion and database augmentation."""

import re

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.rerank import augment_database, expand_queries


def images(vectors):
    return Embeddings(vectors, np.arange(len(vectors)), np.zeros(len(vectors)))


QUERY = images([[1.0, 0.0]])
GALLERY = images([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])  # cosines with the query 0.6, 0, -1


def test_average_by_hand():
    found = expand_queries(QUERY, GALLERY, k=2)
    mean = np.array([1 + 0.6 + 0, 0 + 0.8 + 1])
    assert np.allclose(found.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert found.pids.tolist() == QUERY.pids.tolist()


def test_alpha_weighs_by_cosine_by_hand():
    found = expand_queries(QUERY, GALLERY, k=3, alpha=3)
    mean = np.array([1.0, 0.0]) + 0.6**3 * np.array([0.6, 0.8])  # cosines 0 and -1 weigh nothing
    assert np.allclose(found.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_augmentation_by_hand():
    found = augment_database(GALLERY, k=1)
    first = np.array([0.6, 0.8]) + np.array([0.0, 1.0])
    assert np.allclose(found.vectors[0], first / np.linalg.norm(first), atol=1e-6)
    assert np.allclose(found.vectors[1], first / np.linalg.norm(first), atol=1e-6)
    assert np.allclose(found.vectors[2], np.array([-1, 1]) / np.sqrt(2), atol=1e-6)  # its nearest other is at right angles


def test_many_rows_equal_a_slow_reference():
    random = np.random.default_rng(0)
    query, gallery = random.standard_normal((600, 5)), random.standard_normal((40, 5))
    found = expand_queries(images(query), images(gallery), k=4, alpha=2.0, times=2).vectors
    q, g = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (query, gallery))
    for _ in range(2):
        grown = []
        for row in q:
            near = np.argsort(-(g @ row))[:4]
            mean = row + sum(max(g[j] @ row, 0) ** 2.0 * g[j] for j in near)
            grown.append(mean / np.linalg.norm(mean))
        q = np.array(grown)
    assert np.abs(found - q).max() < 1e-4


def test_better_queries_of_a_noisy_person():
    random = np.random.default_rng(1)
    centres = random.standard_normal((20, 16))
    gallery = images(np.repeat(centres, 10, axis=0) + 0.8 * random.standard_normal((200, 16)))
    query = images(centres + 0.8 * random.standard_normal((20, 16)))
    wanted = centres / np.linalg.norm(centres, axis=1, keepdims=True)

    def near(found):
        return (found.vectors / found.lengths()[:, None] * wanted).sum(axis=1).mean()

    assert near(expand_queries(query, gallery, k=5)) > near(query)
    assert near(expand_queries(query, augment_database(gallery, k=5), k=5, alpha=3)) > near(query)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: expand_queries(QUERY, GALLERY, k=4), UsageError, "expansion by 4 images: this gallery of 3 has 1 to 3 to give."),
        (lambda: augment_database(GALLERY, k=3), UsageError, "expansion by 3 images: this gallery of 3 has 1 to 2 to give."),
        (lambda: expand_queries(QUERY, GALLERY, k=1, alpha=-1), UsageError, "expansion with alpha -1: 0 or more is allowed."),
        (lambda: expand_queries(QUERY, GALLERY, k=1, times=0), UsageError, "query expansion 0 times: 1 is the least."),
        (
            lambda: expand_queries(QUERY, images(np.ones((3, 5))), k=1),
            EmbeddingsError,
            "queries have 2 dimensions, the gallery 5",
        ),
        (lambda: expand_queries(QUERY, GALLERY[[]], k=1), EmbeddingsError, "the gallery is empty: there is nothing to expand."),
        (lambda: expand_queries(images([[0.0, 0.0]]), GALLERY, k=1), EmbeddingsError, "1 of 1 query vectors are zero"),
        (lambda: augment_database(images([[1.0, 0.0], [-1.0, 0.0]]), k=1), EmbeddingsError, "has no direction: they cancel out."),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()
