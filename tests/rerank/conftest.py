"""The textbook forms of re-ranking, dense and slow, written from the papers' formulas in float64."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="session")
def dense():
    return SimpleNamespace(k_reciprocal=k_reciprocal, graph=graph, squared_distances=squared_distances)


def squared_distances(vectors, distance="cosine"):
    """Row by row with one way of summing, so that equal vectors are exactly as far from any third."""
    vectors = np.asarray(vectors, dtype=np.float32).astype(np.float64)
    lengths = np.sqrt((vectors**2).sum(axis=1))
    scale = 1 / lengths if distance == "cosine" else np.full(len(vectors), 1 / lengths.max())
    square = np.ones(len(vectors)) if distance == "cosine" else (lengths * scale) ** 2
    dots = np.array([[(a * b).sum() for b in vectors] for a in vectors]) * np.outer(scale, scale)
    return np.maximum(square[:, None] + square[None] - 2 * dots, 0)


def _ranks(distances):
    return np.argsort(distances, axis=1, kind="stable")


def k_reciprocal(vectors, k1, k2, weight, power=1, distance="cosine"):
    """(N, N) final and Jaccard distances."""
    squared = squared_distances(vectors, distance)
    N = len(squared)
    rank = _ranks(squared)
    normal = (squared / squared.max(axis=1, keepdims=True)) ** power

    def mutual(i, k):
        return [j for j in rank[i, : k + 1] if i in rank[j, : k + 1]]

    V = np.zeros((N, N))
    for i in range(N):
        own = set(mutual(i, k1))
        grown = set(own)
        for candidate in own:
            further = mutual(candidate, int(np.around(k1 / 2)))
            if len(own & set(further)) > 2 / 3 * len(further):
                grown |= set(further)
        for j in grown:
            V[i, j] = np.exp(-normal[i, j])
        V[i] /= V[i].sum() or 1
    if k2 > 1:
        V = np.stack([V[rank[i, :k2]].mean(axis=0) for i in range(N)])
    shared = np.array([[np.minimum(a, b).sum() for b in V] for a in V])
    jaccard = 1 - shared / (2 - shared)
    return (1 - weight) * jaccard + weight * normal, jaccard


def graph(vectors, k1, k2, weight):
    """(N, N) similarities."""
    squared = squared_distances(vectors)
    cosine = 1 - squared / 2
    rank = _ranks(squared)[:, :k1]
    A = np.zeros_like(cosine)
    np.put_along_axis(A, rank, 1, axis=1)
    near = np.take_along_axis(cosine, rank, axis=1) ** 2
    for _ in range(2 if k2 > 1 else 0):
        A = A + A.T
        A = np.stack([sum(near[i, j] * A[rank[i, j]] for j in range(k2)) for i in range(len(A))])
        A /= np.linalg.norm(A, axis=1, keepdims=True)
    return (1 - weight) * A @ A.T + weight * cosine
