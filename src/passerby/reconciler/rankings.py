"""The rankings that stored features can give, several from one product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from passerby.embeddings import QueryGallery
from passerby.metrics import pool_queries
from passerby.reconciler.products import Products, Rounded
from passerby.reconciler.profiles import Gallery, Profile, View
from passerby.reconciler.switches import RERANKINGS, Setting
from passerby.rerank.joined import Workers
from passerby.rerank.together import rerank_growing

__all__ = ["by_pooled_product", "by_product", "by_reranking", "distances_that_differ", "same_images"]

_PASSES = 16  # over each similarity, about: what decides whether compiling is worth its time
_SAME_LENGTH = 1e-4  # relative: rankings by cosine, Euclidean distance and dot product then agree


def distances_that_differ(lengths: np.ndarray, preferred: str) -> tuple[str, ...]:
    """Distances that can rank a gallery of vectors of these lengths differently, the preferred one first: one alone where all are
    as long."""
    if lengths.max() - lengths.min() <= _SAME_LENGTH * lengths.max():
        return (preferred,)
    return (preferred, *(name for name in ("cosine", "euclidean", "dot") if name != preferred))


def by_product(
    products: Products, start: Setting, labels: Gallery, distances: Sequence[str], repeats: int = 0, seed: int = 0
) -> Iterator[tuple[Setting, Profile]]:
    """One ranking a distance, from one product; with `repeats`, of so many draws of single shots alone."""
    settings = [replace(start, convention=replace(start.convention, distance=name)) for name in distances]
    profiles = [Profile.empty(labels, repeats) for _ in distances]
    _count(products.blocks(), profiles, [products.view(name, labels.order) for name in distances], labels, seed)
    yield from zip(settings, profiles, strict=True)


def by_pooled_product(
    sets: QueryGallery,
    lengths: np.ndarray,
    start: Setting,
    labels: Gallery,
    distances: Sequence[str],
    *,
    rounded: Rounded | None = None,
) -> Iterator[tuple[Setting, Profile]]:
    """The same for the multi-query of `start`; the cosine pools unit vectors, the others vectors as stored; (G,) `lengths`."""
    assert sets.multi_query is not None
    pooled = pool_queries(sets.query, sets.multi_query, start.convention.multi_query, unit="cosine" in distances)
    yield from by_product(Products(pooled, sets.gallery, lengths, rounded), start, labels, distances)


def by_reranking(
    sets: QueryGallery, labels: Gallery, starts: Sequence[tuple[np.ndarray, Setting]], products: Products
) -> Iterator[Iterator[tuple[Setting, Profile]]]:
    """One ranking a re-ranking method, over gallery images that are kept, the rest last; and then over all.

    Args:
        sets: query and gallery.
        labels: theirs.
        starts: (G,) which images are kept, and the setting that says so: some, then all; or all.
        products: of queries and gallery; what they keep is not made again.
    """
    steps = rerank_growing(sets.query, sets.gallery, starts[0][0], list(RERANKINGS.values()), dots=products.known())
    for (kept, start), step in zip(starts, steps, strict=True):
        yield _reranked(step, kept, start, labels)


def _reranked(
    step: Iterable[Iterator[np.ndarray]], kept: np.ndarray, start: Setting, labels: Gallery
) -> Iterator[tuple[Setting, Profile]]:
    columns = np.where(kept, np.cumsum(kept) - 1, 0)[labels.order]
    here = kept[labels.order].astype(np.float32)
    view = View(columns, -here, np.where(here, np.float32(0), np.float32(np.inf)))  # distances, small is near
    for name, blocks in zip(RERANKINGS, step, strict=True):
        profile = Profile.empty(labels)
        _count(blocks, [profile], [view], labels)
        yield replace(start, rerank=name), profile


def _count(
    blocks: Iterable[np.ndarray], profiles: Sequence[Profile], views: Sequence[View], labels: Gallery, seed: int = 0
) -> None:
    first, workers = 0, Workers.choose("auto", int(np.sqrt(_PASSES * labels.num_queries * len(labels.order))))
    for block in blocks:
        for profile, view in zip(profiles, views, strict=True):
            profile.enter(block, first, labels, view, workers, seed)
        first += len(block)


def same_images(sets: QueryGallery, others: Mapping[str, QueryGallery]) -> str:
    """The first of `others` that is not of the same images, or nothing."""
    for name, other in others.items():
        for one, two in ((sets.query, other.query), (sets.gallery, other.gallery)):
            if not (np.array_equal(one.pids, two.pids) and np.array_equal(one.camids, two.camids)):
                return name
    return ""
