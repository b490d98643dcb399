"""A search around a store's nearest rows: vectors checked, candidates re-ranked, hits put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.gallery.rows import Hit, NewSighting, Thresholds
from passerby.gallery.store import Filter, Found, Store
from passerby.gallery.transitions import Transitions

__all__ = ["CANDIDATES", "checked_rows", "in_words", "person", "reranked", "unit_vectors"]

CANDIDATES = 200
"""Rows that are re-ranked, at least; five times the hits that are wanted where that is more."""


def unit_vectors(vectors: np.ndarray, dim: int) -> np.ndarray:
    """(Q, D) float32 of length 1.

    Raises:
        EmbeddingsError: another dimension, length zero, or not finite.
    """
    given = np.atleast_2d(np.asarray(vectors))
    checked = Embeddings(given, np.zeros(len(given), np.int64), np.zeros(len(given), np.int64))
    if checked.dim != dim:
        raise EmbeddingsError(f"vectors of {checked.dim} dimensions, the gallery has {dim}: they are of another model.")
    return (checked.vectors / checked.unit_lengths()[:, None]).astype(np.float32)


def checked_rows(sightings: Sequence[NewSighting], dim: int) -> list[NewSighting]:
    """Rows with float32 unit vectors; everything that a store relies on is checked here.

    Raises:
        EmbeddingsError: see `unit_vectors`.
        UsageError: an empty key or camera, or a time that is none.
    """
    if not sightings:
        return []
    for row in sightings:
        if not row.key or not row.camera:
            raise UsageError(f'a sighting with key "{row.key}" and camera "{row.camera}": both need a name.')
        if row.time is not None and not np.isfinite(row.time):
            raise UsageError(f'sighting "{row.key}" at time {row.time}: give seconds since 1970 UTC, or None.')
    shapes = {np.shape(row.vector) for row in sightings}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise EmbeddingsError(f"vectors of shapes {sorted(shapes)}: each sighting has one, of shape ({dim},).")
    vectors = unit_vectors(np.stack([np.asarray(row.vector, dtype=np.float32) for row in sightings]), dim)
    return [replace(row, vector=vector) for row, vector in zip(sightings, vectors, strict=True)]


def person(vectors: np.ndarray) -> np.ndarray:
    """(1, D) mean of unit vectors, not brought to length 1: its product with a row is the mean of their cosines.

    Raises:
        UsageError: no vector.
    """
    if not len(vectors):
        raise UsageError("a person of no vector: give at least one.")
    return vectors.mean(axis=0, keepdims=True)


def reranked(store: Store, vectors: np.ndarray, k: int, where: Filter, by_track: bool, approximate: bool) -> list[Found]:
    """The nearest candidates of each vector in the order of k-reciprocal re-ranking; similarities stay cosines.

    Args:
        store: where.
        vectors: (Q, D).
        k: hits wanted.
        where: which rows may come.
        by_track: only the first row of each track.
        approximate: may use an accelerated index.
    """
    from passerby.rerank import KReciprocal, rerank_top_k

    wide = store.nearest(vectors, max(CANDIDATES, 5 * k), where, by_track=False, approximate=approximate)
    ordered = []
    for vector, found in zip(vectors, wide, strict=True):
        count = len(found.ids)
        if count > 3:
            settings = KReciprocal(k1=min(20, count - 2), k2=min(6, count - 2))
            order, _ = rerank_top_k(_plain(vector[None]), _plain(store.vectors(found.ids.tolist())), count, settings)
            found = Found(found.ids[order[0]], found.similarities[order[0]])
        ordered.append(_first_of_tracks(store, found, k) if by_track else Found(found.ids[:k], found.similarities[:k]))
    return ordered


def _plain(vectors: np.ndarray) -> Embeddings:
    zeros = np.zeros(len(vectors), np.int64)
    return Embeddings(vectors, zeros, zeros)


def _first_of_tracks(store: Store, found: Found, k: int) -> Found:
    seen: set[tuple[str, str]] = set()
    kept = []
    place = {int(id): n for n, id in enumerate(found.ids)}
    for row in store.sightings(found.ids.tolist()):
        if row.track is not None:
            if (row.camera, row.track) in seen:
                continue
            seen.add((row.camera, row.track))
        kept.append(place[row.id])
    return Found(found.ids[kept[:k]], found.similarities[kept[:k]])


def in_words(
    store: Store,
    found: Sequence[Found],
    thresholds: Thresholds | None,
    transitions: Transitions,
    seen: Sequence[tuple[str, float]],
) -> list[list[Hit]]:
    """Rows and similarities as hits. Rows that were erased meanwhile are left out."""
    rows = {row.id: row for each in found for row in each.rows or ()}
    ids = sorted({int(id) for each in found if each.rows is None for id in each.ids})
    rows |= {row.id: row for row in store.sightings(ids)} if ids else {}
    return [
        [
            Hit(
                row,
                float(similarity),
                thresholds and thresholds.word(float(similarity)),
                transitions.impossible(row.camera, row.time, seen) if row.time is not None and seen else None,
            )
            for id, similarity in zip(each.ids.tolist(), each.similarities, strict=True)
            if (row := rows.get(id)) is not None
        ]
        for each in found
    ]
