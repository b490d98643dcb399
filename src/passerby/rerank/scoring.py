"""Re-ranked distances into the evaluator, block by block, and what must be said beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import MARKET1501, Convention, RetrievalScores, evaluate_distances, pool_queries
from passerby.metrics.counting import Kernel
from passerby.records import DISTRACTOR_PID, JUNK_PID
from passerby.rerank.joined import Joined, Workers
from passerby.rerank.k_reciprocal import K_RECIPROCAL
from passerby.rerank.plans import Plan, check_depth
from passerby.rerank.together import Method, rerank_together

__all__ = ["evaluate_reranked", "fitness", "predict", "rerank_blocks", "rerank_top_k"]

# Times the images of a person: outside, k1 leaves out most of a person's images or takes in other people's.
_FEW, _MANY = 1 / 3, 2


def rerank_blocks(
    query: Embeddings,
    gallery: Embeddings,
    method: Method = K_RECIPROCAL,
    *,
    memory_mb: float = 1000,
    threads: int | None = None,
    kernel: Kernel = "auto",
    search: str = "own",
    progress: bool = False,
) -> Iterator[np.ndarray]:
    """Re-ranked distances, block of queries by block of queries.

    Args:
        query: (Q, D). Where both hold the same vectors they are one set, in which nothing stands twice.
        gallery: (G, D).
        method: how to re-rank.
        memory_mb: ceiling of working memory beyond the vectors, in 10^6 bytes.
        threads: left out, all that the process may use.
        kernel: "numba", "numpy" (the same distances but for rounding), or "auto".
        search: who finds the candidates for neighbours: "own" or "faiss".
        progress: show how far the work is.

    Yields:
        (rows, G) float32 distances, small is near. The next block overwrites the one before.

    Raises:
        UsageError: arguments out of range, k1 or k2 that exceed the images, a ceiling under what is needed.
        EmbeddingsError: an empty set, unequal dimensions, a zero vector where a cosine is asked.
        MissingDependencyError: numba or faiss was asked for and is not installed.
    """
    (blocks,) = rerank_together(
        query, gallery, [method], memory_mb=memory_mb, threads=threads, kernel=kernel, search=search, progress=progress
    )
    return blocks


def predict(
    query: Embeddings,
    gallery: Embeddings,
    method: Method = K_RECIPROCAL,
    *,
    memory_mb: float = 1000,
    threads: int | None = None,
    kernel: Kernel = "auto",
) -> Plan:
    """What re-ranking will take on this machine; measured on a short product, so it costs a fraction of a second.

    Raises:
        UsageError: `memory_mb` is under what is needed; k1 or k2 exceed the images.
        EmbeddingsError: sets that cannot be re-ranked.
    """
    images = Joined.of(query, gallery, method.distance)
    check_depth(method.k1, method.k2, method.depth, len(images))
    return method.plan(images, memory_mb, Workers.choose(kernel, len(images), threads))


def evaluate_reranked(
    query: Embeddings,
    gallery: Embeddings,
    convention: Convention = MARKET1501,
    method: Method = K_RECIPROCAL,
    *,
    multi_query: Embeddings | None = None,
    max_rank: int = 50,
    memory_mb: float = 1000,
    threads: int | None = None,
    seed: int = 0,
    kernel: Kernel = "auto",
    search: str = "own",
    progress: bool = False,
) -> RetrievalScores:
    """Re-rank and score, block by block: no matrix of distances is kept.

    Gallery images that the convention drops for all queries (junk, and distractors where it says so) are dropped before
    neighbours are looked for. What goes into re-ranking is said by `method`, not by ``convention.distance``.

    Args:
        query: (Q, D).
        gallery: (G, D).
        convention: what the numbers shall mean.
        method: how to re-rank.
        multi_query: further images of the queries' persons, for a convention with multi-query.
        max_rank: length of the CMC curve.
        memory_mb: ceiling of working memory beyond the vectors, in 10^6 bytes.
        threads: left out, all that the process may use.
        seed: of the draws of a single gallery shot.
        kernel: as in `rerank_blocks`.
        search: as there.
        progress: show how far the work is.

    Raises:
        UsageError: see `rerank_blocks`; multi-query images and a convention that do not agree.
        EmbeddingsError: see `rerank_blocks` and `metrics.evaluate`.
    """
    if (convention.multi_query != "none") != (multi_query is not None):
        raise UsageError(
            f'the convention says multi_query "{convention.multi_query}": give multi-query images with it, or neither.'
        )
    if multi_query is not None:
        query = pool_queries(query, multi_query, convention.multi_query)
    kept = _kept(gallery, convention)
    left = gallery if kept.all() else gallery[kept]
    if not len(left):
        raise EmbeddingsError("all gallery images are junk (pid -1) or dropped distractors (pid 0): none is left.")
    blocks = rerank_blocks(
        query, left, method, memory_mb=memory_mb, threads=threads, kernel=kernel, search=search, progress=progress
    )
    scores = evaluate_distances(
        blocks, query.pids, left.pids, query.camids, left.camids, replace(convention, multi_query="none"),
        query_names=query.names, gallery_names=left.names, max_rank=max_rank, threads=threads, seed=seed, kernel=kernel,
    )  # fmt: skip
    warning = fitness(query, left, method)
    said = [f"after {method.in_words()}", *([warning] if warning else [])]
    notes = dict.fromkeys((*said, *query.notes, *gallery.notes, *scores.notes))
    return replace(scores, convention=convention, notes=tuple(notes))


def _kept(gallery: Embeddings, convention: Convention) -> np.ndarray:
    kept = np.ones(len(gallery), dtype=bool)
    if convention.junk == "drop":
        kept &= gallery.pids != JUNK_PID
    if convention.distractors == "drop":
        kept &= gallery.pids != DISTRACTOR_PID
    return kept


def fitness(query: Embeddings, gallery: Embeddings, method: Method) -> str:
    """A warning where k1 does not suit how many images a person has, else nothing.

    Reciprocal neighbours are meant to be the images of one person: with far fewer images than k1 most of them are other
    people's, with far more the method sees little of each person.
    """
    people, count = np.unique(query.pids, return_counts=True)
    found = np.searchsorted(people, gallery.pids[np.isin(gallery.pids, people)])
    count = np.bincount(found, minlength=len(people)) + (0 if query is gallery else count)
    typical = float(np.median(count))
    if _FEW * typical <= method.k1 <= _MANY * typical:
        return ""
    single = int((count == 1).sum())
    alone = f"; {single} of {len(people)} persons have a single image" if single else ""
    return (
        f"k1 {method.k1} does not suit these data: a query person has {typical:.0f} images in query and gallery (median){alone}. "
        f"Try k1 {max(1, round(typical))}."
    )


def rerank_top_k(
    query: Embeddings,
    gallery: Embeddings,
    k: int,
    method: Method = K_RECIPROCAL,
    *,
    memory_mb: float = 1000,
    threads: int | None = None,
    kernel: Kernel = "auto",
    search: str = "own",
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest gallery images of each query after re-ranking.

    Args:
        query: (Q, D).
        gallery: (G, D).
        k: 1 to G.
        method: how to re-rank.
        memory_mb: as in `rerank_blocks`, like the rest.
        threads: as there.
        kernel: as there.
        search: as there.
        progress: as there.

    Returns:
        (Q, k) int64 gallery rows, nearest first, of equally near ones the first first; and (Q, k) float32 distances.

    Raises:
        UsageError: k out of range; see `rerank_blocks`.
        EmbeddingsError: see `rerank_blocks`.
    """
    if not 1 <= k <= max(len(gallery), 1):
        raise UsageError(f"the nearest {k} of {len(gallery)} gallery images: 1 to {len(gallery)} can be had.")
    ids, distances = [], []
    blocks = rerank_blocks(
        query, gallery, method, memory_mb=memory_mb, threads=threads, kernel=kernel, search=search, progress=progress
    )
    for block in blocks:
        limit = np.partition(block, k - 1, axis=1)[:, k - 1]
        for row, reach in zip(block, limit, strict=True):
            near = np.flatnonzero(row <= reach)
            near = near[np.argsort(row[near], kind="stable")[:k]]
            ids.append(near)
            distances.append(row[near])
    return np.stack(ids), np.stack(distances)
