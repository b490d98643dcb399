"""The nearest images of every image, whoever finds the candidates."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import MissingDependencyError, UsageError
from passerby.rerank.joined import Joined, Workers
from passerby.rerank.neighbours import find_neighbours


def images(vectors):
    return Embeddings(vectors, np.arange(len(vectors)), np.zeros(len(vectors)))


class Flat:
    """What faiss's flat indices do, by sorting; `sign` is -1 where the largest product is wanted."""

    def __init__(self, dim, by_distance):
        self.dim, self.by_distance = dim, by_distance

    def add(self, vectors):
        assert vectors.shape[1] == self.dim
        self.vectors = vectors

    def search(self, vectors, k):
        dots = vectors @ self.vectors.T
        values = (vectors**2).sum(1)[:, None] + (self.vectors**2).sum(1) - 2 * dots if self.by_distance else -dots
        order = np.argsort(values, axis=1)[:, :k]
        found = np.take_along_axis(values, order, axis=1)
        return (found if self.by_distance else -found), order


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("search", ["own", "faiss"])
def test_neighbours_and_the_farthest(dense, monkeypatch, kernel, distance, search):
    fake = SimpleNamespace(IndexFlatL2=lambda dim: Flat(dim, True), IndexFlatIP=lambda dim: Flat(dim, False))
    monkeypatch.setitem(sys.modules, "faiss", fake)
    vectors = np.random.default_rng(0).integers(-2, 3, (90, 4)).astype(float)
    vectors[(vectors == 0).all(axis=1)] = 1
    joined = Joined.of(images(vectors[:30]), images(vectors[30:]), distance)
    found = find_neighbours(joined, 5, Workers.choose(kernel, 1, 2), 16, search=search)
    squared = dense.squared_distances(vectors, distance)
    order = np.argsort(squared, axis=1, kind="stable")[:, :5]
    assert (found.ids == order).all()
    assert np.allclose(found.distances, np.take_along_axis(squared, order, axis=1))
    assert np.allclose(found.farthest, squared.max(axis=1), atol=1e-5)


def test_all_images_may_be_neighbours():
    joined = Joined.of(images(np.eye(3)), images(np.eye(3) + 1))
    assert (np.sort(find_neighbours(joined, 6, Workers(False, 1), 4).ids, axis=1) == np.arange(6)).all()


def test_what_is_refused(monkeypatch):
    joined = Joined.of(images(np.eye(3)), images(np.eye(3) + 1))
    for k in (0, 7):
        with pytest.raises(UsageError, match=re.escape(f"{k} neighbours asked for among 6 images: 1 to 6 can be had.")):
            find_neighbours(joined, k, Workers(False, 1), 4)
    with pytest.raises(UsageError, match=re.escape('no search "fais" for neighbours. Did you mean "faiss"?')):
        find_neighbours(joined, 2, Workers(False, 1), 4, search="fais")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=re.escape('search "faiss": faiss is not installed. pip install faiss-cpu')):
        find_neighbours(joined, 2, Workers(False, 1), 4, search="faiss")


def test_numba_asked_for_by_name_must_be_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingDependencyError, match=re.escape('kernel "numba": numba is not installed.')):
        Workers.choose("numba", 10)
    assert not Workers.choose("auto", 10**6).numba
