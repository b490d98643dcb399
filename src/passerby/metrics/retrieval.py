"""Evaluation: queries against a gallery, block by block, under one convention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from passerby.embeddings import Embeddings, rounded_form
from passerby.errors import EmbeddingsError, UsageError
from passerby.machine import available_cores
from passerby.metrics.ceiling import BLOCK_ROWS, block_rows
from passerby.metrics.conventions import MARKET1501, Convention
from passerby.metrics.counting import Counter, Kernel, Ranks, choose_kernel
from passerby.metrics.matches import Columns, Matches, match
from passerby.metrics.protocols import SingleShot, pool_queries
from passerby.metrics.scores import PairTable, RetrievalScores, precision_at_hits
from passerby.progress import Meter, meter

__all__ = ["evaluate", "evaluate_distances"]


def evaluate(
    query: Embeddings,
    gallery: Embeddings,
    convention: Convention = MARKET1501,
    *,
    multi_query: Embeddings | None = None,
    max_rank: int = 50,
    memory_mb: float = 256,
    threads: int | None = None,
    seed: int = 0,
    kernel: Kernel = "auto",
    progress: bool = False,
) -> RetrievalScores:
    """Search every query in the gallery and score what is found. Exact: no neighbour is approximated, no rank cut off.

    Args:
        query: (Q, D).
        gallery: (G, D).
        convention: what the numbers shall mean.
        multi_query: further images of the queries' persons, for a convention with multi-query.
        max_rank: length of the CMC curve; it may exceed the gallery.
        memory_mb: ceiling of working memory beyond the vectors, in 10^6 bytes.
        threads: how many threads multiply and count; left out, all that the process may use.
        seed: of the draws of a single gallery shot.
        kernel: "numba", "numpy" (the same numbers), or "auto": numba where it is installed and there is enough to count.
        progress: show how far the work is.

    Returns:
        Scores with one row a query in their columns, in the order of `query`.

    Raises:
        EmbeddingsError: what no convention can score: empty sets, unequal dimensions, a zero vector where a cosine is asked, no
            query with a right answer, queries without a person.
        UsageError: arguments out of range, or multi-query images and a convention that do not agree.

    Example:
        >>> people = Embeddings([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], pids=[1, 1, 2], camids=[0, 1, 1])
        >>> evaluate(people[:1], people[1:]).summary()["rank1"]
        1.0
    """
    _check_arguments(max_rank, memory_mb, threads)
    check_one_model(query, gallery)
    columns = Columns(query.pids, query.camids, query.names)
    matches = match(columns, Columns(gallery.pids, gallery.camids, gallery.names), convention)
    if (convention.multi_query != "none") != (multi_query is not None):
        told = "no multi-query images were given" if multi_query is None else "multi-query images were given"
        raise UsageError(f'the convention says multi_query "{convention.multi_query}", but {told}: give both or neither.')
    rows = block_rows(matches, query, gallery, multi_query, convention, memory_mb, threads or available_cores())
    if multi_query is not None:
        query = pool_queries(query, multi_query, convention.multi_query, unit=convention.distance == "cosine")
    scale, offset = _affine(query, gallery, convention)
    job = _Job(columns, matches, convention, scale, offset, max_rank, threads or available_cores(), seed, kernel)
    notes = dict.fromkeys((*query.notes, *gallery.notes, *matches.notes))
    with limited(threads), meter("evaluate", len(query), "queries") if progress else nullcontext() as shown:
        return job.run(_products(query, gallery, convention, rows), tuple(notes), shown)


def evaluate_distances(
    distances: ArrayLike | Iterable[ArrayLike],
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    convention: Convention = MARKET1501,
    *,
    query_names: ArrayLike | None = None,
    gallery_names: ArrayLike | None = None,
    max_rank: int = 50,
    threads: int | None = None,
    seed: int = 0,
    kernel: Kernel = "auto",
) -> RetrievalScores:
    """Score given distances, for instance re-ranked ones. `convention.distance` has no say here, nor has its multi-query.

    Args:
        distances: (Q, G), small is near; or blocks of its rows in order, made one at a time by a generator.
        query_pids: (Q,).
        gallery_pids: (G,).
        query_camids: (Q,).
        gallery_camids: (G,).
        convention: what the numbers shall mean. Without names, the query's own image counts as a right answer where the gallery
            holds it and ``same_camera`` is "keep".
        query_names: (Q,).
        gallery_names: (G,).
        max_rank: length of the CMC curve.
        threads: how many threads count; left out, all that the process may use.
        seed: of the draws of a single gallery shot.
        kernel: as in `evaluate`.

    Raises:
        EmbeddingsError: distances that are not finite or not (Q, G) in all; labels that no convention can score.
        UsageError: arguments out of range, or a convention with multi-query, which only vectors can give.
    """
    _check_arguments(max_rank, 1, threads)
    if convention.multi_query != "none":
        raise UsageError(f'the convention says multi_query "{convention.multi_query}": distances cannot be pooled, use evaluate.')
    query, gallery = (
        Embeddings(np.zeros((np.size(np.asarray(pids)), 1)), pids, camids, names)
        for pids, camids, names in ((query_pids, query_camids, query_names), (gallery_pids, gallery_camids, gallery_names))
    )
    columns = Columns(query.pids, query.camids, query.names)
    matches = match(columns, Columns(gallery.pids, gallery.camids, gallery.names), convention)
    scale, offset = np.full(len(gallery), -1.0), np.zeros(len(gallery))
    job = _Job(columns, matches, convention, scale, offset, max_rank, threads or available_cores(), seed, kernel)
    return job.run(_checked_blocks(distances, len(query), len(gallery)), matches.notes, None)


@dataclass(frozen=True)
class _Job:
    """All that is known before the first block of similarities arrives."""

    columns: Columns
    matches: Matches
    convention: Convention
    scale: np.ndarray  # (G,); block * scale - offset is the similarity
    offset: np.ndarray
    max_rank: int
    threads: int
    seed: int
    kernel: Kernel

    def run(self, blocks: Iterable[np.ndarray], notes: tuple[str, ...], shown: Meter | None) -> RetrievalScores:
        """Rank block after block and take the means."""
        convention, Q = self.convention, len(self.columns)
        order = self.matches.labels.order
        scale, offset, pessimistic = self.scale[order], self.offset[order], convention.ties == "pessimistic"
        single = convention.shots == "single"
        table = None if single else PairTable(self.columns.camids, self.matches.cameras, convention.ap)
        shots = SingleShot(self.matches, scale, offset, pessimistic=pessimistic, repeats=convention.repeats, seed=self.seed)
        found = _Found(np.zeros(Q), np.zeros(Q), np.zeros((Q, convention.repeats) if single else Q, dtype=np.int64))
        counting = choose_kernel(self.kernel, Q * len(order))
        done = num_tied = 0
        counter = Counter(self.matches, scale, offset, pessimistic, counting, self.threads)
        for block in blocks:
            rows = slice(done, done + len(block))
            if table is None:
                ranks, tied = shots(block, done)
                found.enter_shots(rows, ranks, convention.ap)
            else:
                ranks = counter(block, done)
                found.enter(rows, ranks, convention.ap)
                table.add(ranks, done)
                tied = ranks.tied
            num_tied += int(tied.sum())
            done += len(block)
            if shown:
                shown.advance(len(block))
        return self._scores(found, num_tied, table, notes)

    def _scores(self, found: _Found, num_tied: int, table: PairTable | None, notes: tuple[str, ...]) -> RetrievalScores:
        num_matches = self.matches.num_matches
        skip = self.convention.without_match == "skip"
        total = int((num_matches > 0).sum()) if skip else len(num_matches)
        first = found.first_rank
        reached = np.bincount(first[(first > 0) & (first <= self.max_rank)], minlength=self.max_rank + 1)[1:]
        return RetrievalScores(
            convention=self.convention,
            cmc=np.cumsum(reached) / (total * (self.convention.repeats if first.ndim == 2 else 1)),
            map=float(found.ap.sum() / total),
            minp=float(found.inp.sum() / total),
            num_queries=len(num_matches),
            num_valid=int((num_matches > 0).sum()),
            num_gallery=len(self.matches.labels.order),
            num_tied=num_tied,
            ap=found.ap,
            inp=found.inp,
            first_rank=first,
            num_matches=num_matches,
            pids=self.columns.pids,
            camids=self.columns.camids,
            names=self.columns.names,
            camera_pairs=table.finish() if table else None,
            notes=notes,
        )


class _Found(NamedTuple):
    """The per-query columns while they are filled."""

    ap: np.ndarray
    inp: np.ndarray
    first_rank: np.ndarray

    def enter(self, rows: slice, ranks: Ranks, rule: str) -> None:
        """Take the columns of one block from the ranks of its right answers."""
        start = ranks.start[:-1]
        n = np.diff(ranks.start)
        of = np.repeat(np.arange(len(n)), n)
        hit = np.arange(len(of)) - start[of] + 1
        precision = np.bincount(of, weights=precision_at_hits(hit, ranks.rank, rule), minlength=len(n))
        valid = n > 0
        self.ap[rows] = precision / np.maximum(n, 1)
        self.inp[rows][valid] = n[valid] / ranks.rank[ranks.start[1:][valid] - 1]
        self.first_rank[rows][valid] = ranks.rank[start[valid]]

    def enter_shots(self, rows: slice, ranks: np.ndarray, rule: str) -> None:
        """Take the columns of one block from the (rows, repeats) ranks of single right answers; 0 has none."""
        valid = ranks[:, 0] > 0
        self.ap[rows][valid] = precision_at_hits(np.ones_like(ranks[valid]), ranks[valid], rule).mean(axis=1)
        self.inp[rows][valid] = (1 / ranks[valid]).mean(axis=1)
        self.first_rank[rows] = ranks


def _check_arguments(max_rank: int, memory_mb: float, threads: int | None) -> None:
    for name, value in (("max_rank", max_rank), ("memory_mb", memory_mb), ("threads", 1 if threads is None else threads)):
        if value < 1:
            raise UsageError(f"{name} is {value}: it must be 1 or more.")


def check_one_model(query: Embeddings, gallery: Embeddings) -> None:
    """Refuse vectors of two models, or of two forms of one, or with camera statistics and without.

    Raises:
        EmbeddingsError: naming both.
    """
    if query.dim != gallery.dim:
        raise EmbeddingsError(f"queries have {query.dim} dimensions, the gallery {gallery.dim}: one model must make both.")
    made_by = query.meta.get("artefact"), gallery.meta.get("artefact")
    if all(made_by) and made_by[0] != made_by[1]:
        raise EmbeddingsError(
            f"queries were made by artefact {made_by[0]}, the gallery by {made_by[1]}: one model must make both."
        )
    forms = [rounded_form(each.meta) for each in (query, gallery)]
    if all(made_by) and forms[0] != forms[1]:
        told = [form or "its own precision" for form in forms]
        raise EmbeddingsError(
            f"queries were made by artefact {made_by[0]} as {told[0]}, the gallery as {told[1]}: their vectors differ, one form "
            "must make both."
        )
    by_camera = [bool(each.meta.get("camera_statistics")) for each in (query, gallery)]
    if all(made_by) and by_camera[0] != by_camera[1]:
        raise EmbeddingsError(
            f"queries were embedded with{'' if by_camera[0] else 'out'} camera statistics, the gallery with"
            f"{'' if by_camera[1] else 'out'}: their vectors differ, one way must make both."
        )


def _affine(query: Embeddings, gallery: Embeddings, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """(G,) scale and offset that turn a dot product with the query into a similarity. No vector is copied for them.

    The cosine needs only the gallery's lengths, and |q - g|^2 / 2 = |q|^2 / 2 - (q.g - |g|^2 / 2): what belongs to the query
    alone does not change its ranking.
    """
    cosine = convention.distance == "cosine"
    lengths = gallery.unit_lengths("gallery vectors") if cosine else gallery.lengths()
    of_query = query.unit_lengths("query vectors") if cosine else query.lengths()
    largest = lengths.max() * (1.0 if cosine else max(lengths.max(), of_query.max()))
    if largest > np.finfo(np.float32).max / 4:
        raise EmbeddingsError(
            f"vectors up to {of_query.max():.3g} (query) and {lengths.max():.3g} (gallery) long: products overflow float32. "
            "Scale all vectors down by one factor; a ranking does not change by it."
        )
    none = np.zeros(len(gallery), dtype=np.float32)
    if cosine:
        return (1 / lengths).astype(np.float32), none
    return none + 1, (lengths**2 / 2).astype(np.float32) if convention.distance == "euclidean" else none


def _products(query: Embeddings, gallery: Embeddings, convention: Convention, rows: int) -> Iterator[np.ndarray]:
    buffer = np.empty((min(rows, len(query)), len(gallery)), dtype=np.float32)
    for start in range(0, len(query), rows):
        part = query[start : start + rows]
        vectors = part.vectors
        if convention.distance == "cosine":  # only against overflow: a query's length does not change its ranking
            vectors = (vectors / part.lengths()[:, None]).astype(np.float32)
        yield np.matmul(vectors, gallery.vectors.T, out=buffer[: len(part)])


def _checked_blocks(distances: Any, Q: int, G: int) -> Iterator[np.ndarray]:
    whole = hasattr(distances, "shape") or (isinstance(distances, list) and bool(distances) and np.ndim(distances[0]) == 1)
    done = 0
    given: Any
    for given in [distances] if whole else distances:
        block = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        block = block if block.dtype in (np.float32, np.float64) else block.astype(np.float64)
        if block.ndim != 2 or block.shape[1] != G or done + len(block) > Q:
            raise EmbeddingsError(
                f"distances of shape {block.shape} from query {done} on: {Q} queries x {G} gallery images go here."
            )
        for start in range(0, len(block), BLOCK_ROWS):
            part = block[start : start + BLOCK_ROWS]
            if not np.isfinite(part).all():
                row, column = np.argwhere(~np.isfinite(part))[0]
                pair = f"query {done + start + row} to gallery image {column}"
                raise EmbeddingsError(f"the distance of {pair} is {part[row, column]}: all must be finite.")
            yield part
        done += len(block)
    if done != Q:
        raise EmbeddingsError(f"distances for {done} queries arrived, the labels are of {Q}.")


def limited(threads: int | None) -> Any:
    """A context in which BLAS uses so many threads; None leaves it as it is."""
    if threads is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=threads, user_api="blas")
