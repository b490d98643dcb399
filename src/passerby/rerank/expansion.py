"""Query expansion and database augmentation: vectors replaced by a weighted mean of what is nearest to them."""

from __future__ import annotations

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError

__all__ = ["augment_database", "expand_queries"]

_ROWS = 512


def expand_queries(query: Embeddings, gallery: Embeddings, k: int = 5, alpha: float = 0.0, times: int = 1) -> Embeddings:
    """Each query as the mean of itself and its `k` nearest gallery images, weighted by their cosine to the power `alpha`.

    Args:
        query: (Q, D).
        gallery: (G, D).
        k: gallery images that join, 1 to G.
        alpha: 0 is average query expansion; about 3 is usual for alpha query expansion. Negative cosines weigh 0 with it.
        times: how often it is repeated with the expanded queries.

    Returns:
        Queries with vectors of length 1.

    Raises:
        UsageError: arguments out of range.
        EmbeddingsError: unequal dimensions, an empty set, a zero vector, or a mean that has no direction.

    Source:
        Average: Chum et al., ICCV 2007. Alpha: Radenovic et al., TPAMI 2018, section 3.5 (there over k images without the query
        having another weight: its cosine with itself is 1).
    """
    if times < 1:
        raise UsageError(f"query expansion {times} times: 1 is the least.")
    _check(query, gallery, k, alpha)
    others = _unit(gallery, "gallery vectors")
    vectors = _unit(query, "query vectors")
    for _ in range(times):
        vectors = _means(vectors, others, k, alpha, vectors)
    return query.with_vectors(vectors)


def augment_database(gallery: Embeddings, k: int = 5, alpha: float = 0.0) -> Embeddings:
    """Each gallery image as the mean of itself and its `k` nearest others, weighted as in `expand_queries`.

    Args:
        gallery: (G, D).
        k: other images that join, 1 to G - 1.
        alpha: see `expand_queries`.

    Returns:
        The gallery with vectors of length 1.

    Raises:
        UsageError: arguments out of range.
        EmbeddingsError: an empty set, a zero vector, or a mean that has no direction.

    Source:
        Turcot and Lowe, ICCV workshops 2009; weighted as by Gordo et al., IJCV 2017, section 6.
    """
    _check(gallery, gallery, k, alpha, own=1)
    vectors = _unit(gallery, "gallery vectors")
    return gallery.with_vectors(_means(vectors, vectors, k, alpha, None))


def _check(query: Embeddings, gallery: Embeddings, k: int, alpha: float, own: int = 0) -> None:
    for name, part in (("query", query), ("gallery", gallery)):
        if len(part) == 0:
            raise EmbeddingsError(f"the {name} is empty: there is nothing to expand.")
    if query.dim != gallery.dim:
        raise EmbeddingsError(f"queries have {query.dim} dimensions, the gallery {gallery.dim}: one model must make both.")
    if not 1 <= k <= len(gallery) - own:
        raise UsageError(f"expansion by {k} images: this gallery of {len(gallery)} has 1 to {len(gallery) - own} to give.")
    if not 0 <= alpha < np.inf:
        raise UsageError(f"expansion with alpha {alpha}: 0 or more is allowed.")


def _unit(part: Embeddings, what: str) -> np.ndarray:
    return (part.vectors / part.unit_lengths(what)[:, None]).astype(np.float32)


def _means(vectors: np.ndarray, others: np.ndarray, k: int, alpha: float, own: np.ndarray | None) -> np.ndarray:
    """Means over the k nearest of `others`; `own` None says that `vectors` are `others`, each joined by itself."""
    found = np.empty_like(vectors)
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS]
        similar = part @ others.T
        rows = np.arange(len(part))
        if own is None:
            similar[rows, start + rows] = -np.inf
        near = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        near.sort(axis=1)
        cosine = np.take_along_axis(similar, near, axis=1)
        weight = np.maximum(cosine, 0) ** np.float32(alpha) if alpha else np.ones_like(cosine)
        found[start : start + _ROWS] = part + np.einsum("nk,nkd->nd", weight, others[near])
    lengths = np.linalg.norm(found, axis=1)
    if (lengths < 1e-6).any():
        row = int(np.argmin(lengths))
        raise EmbeddingsError(f"the mean of row {row} and its {k} nearest images has no direction: they cancel out.")
    return found / lengths[:, None]
