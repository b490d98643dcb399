"""The rankings that stored features can give, several from one product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import pool_queries
from passerby.reconciler.profiles import Gallery, Profile
from passerby.reconciler.switches import RERANKINGS, Setting
from passerby.rerank import rerank_together
from passerby.rerank.joined import Workers

__all__ = ["by_product", "by_reranking", "distances_that_differ", "same_images"]

_ROWS = 512
_PASSES = 16  # over each similarity, about: what decides whether compiling is worth its time
_SAME_LENGTH = 1e-4  # relative: rankings by cosine, Euclidean distance and dot product then agree


def distances_that_differ(gallery: Embeddings, preferred: str) -> tuple[str, ...]:
    """Distances that can rank this gallery differently, the preferred one first: one alone where all vectors are as long."""
    lengths = gallery.lengths()
    if lengths.max() - lengths.min() <= _SAME_LENGTH * lengths.max():
        return (preferred,)
    return (preferred, *(name for name in ("cosine", "euclidean", "dot") if name != preferred))


def by_product(
    sets: QueryGallery, start: Setting, labels: Gallery, repeats: int, seed: int, *, multi_query: str
) -> Iterator[tuple[Setting, Profile]]:
    """One ranking a distance, for single queries or pooled ones."""
    distances = distances_that_differ(sets.gallery, start.convention.distance)
    groups = (
        [distances] if multi_query == "none" else [[d for d in distances if (d == "cosine") == unit] for unit in (True, False)]
    )
    for group in groups:
        if not group:
            continue
        query = sets.query
        if multi_query != "none" and sets.multi_query is not None:
            query = pool_queries(query, sets.multi_query, multi_query, unit=group[0] == "cosine")
        settings = [
            replace(start, convention=replace(start.convention, distance=name, multi_query=multi_query)) for name in group
        ]
        profiles = [Profile.empty(labels, repeats) for _ in group]
        _count(_similarities(query, sets.gallery, group), profiles, labels, seed)
        yield from zip(settings, profiles, strict=True)


def _similarities(query: Embeddings, gallery: Embeddings, distances: Sequence[str]) -> Iterator[list[np.ndarray]]:
    """Blocks of queries, one matrix a distance, from one product of vectors that one factor keeps in range."""
    lengths = gallery.unit_lengths("gallery vectors") if "cosine" in distances else gallery.lengths()
    factor = max(float(lengths.max()), float(query.lengths().max()))
    lengths = lengths / factor
    shrunk = (1 / factor) ** 2
    scaled = {
        "cosine": (lambda dots: dots / lengths.astype(np.float32)),
        "euclidean": (lambda dots: dots - (lengths**2 / 2).astype(np.float32)),
        "dot": (lambda dots: dots),
    }
    for first in range(0, len(query), _ROWS):
        part = query.vectors[first : first + _ROWS] * np.float32(shrunk)
        dots = part @ gallery.vectors.T
        yield [scaled[name](dots) for name in distances]


def by_reranking(
    sets: QueryGallery, start: Setting, labels: Gallery, kept: np.ndarray, repeats: int, seed: int
) -> Iterator[tuple[Setting, Profile]]:
    """One ranking a re-ranking method, over the gallery images that are `kept`; the rest come last."""
    gallery = sets.gallery if kept.all() else sets.gallery[kept]
    names = list(RERANKINGS)
    for name, blocks in zip(names, rerank_together(sets.query, gallery, [RERANKINGS[name] for name in names]), strict=True):
        profile = Profile.empty(labels, repeats)
        _count(([_spread(block, kept)] for block in blocks), [profile], labels, seed)
        yield replace(start, rerank=name), profile


def _spread(block: np.ndarray, kept: np.ndarray) -> np.ndarray:
    similar = np.full((len(block), len(kept)), -np.inf, dtype=np.float32)
    similar[:, kept] = -block
    return similar


def _count(blocks: Iterator[Sequence[np.ndarray]], profiles: Sequence[Profile], labels: Gallery, seed: int) -> None:
    first, workers = 0, Workers.choose("auto", int(np.sqrt(_PASSES * labels.num_queries * len(labels.order))))
    for several in blocks:
        for block, profile in zip(several, profiles, strict=True):
            profile.enter(block, first, labels, seed, workers)
        first += len(several[0])


def same_images(sets: QueryGallery, others: Mapping[str, QueryGallery]) -> str:
    """The first of `others` that is not of the same images, or nothing."""
    for name, other in others.items():
        for one, two in ((sets.query, other.query), (sets.gallery, other.gallery)):
            if not (np.array_equal(one.pids, two.pids) and np.array_equal(one.camids, two.camids)):
                return name
    return ""
