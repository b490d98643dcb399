"""The ceiling of an evaluation's memory: what it will hold beyond the vectors, and how many queries a block may have under it."""

from __future__ import annotations

import math

from passerby.embeddings import BLOCK_NUMBERS, Embeddings
from passerby.errors import UsageError
from passerby.metrics.conventions import Convention
from passerby.metrics.matches import Matches
from passerby.metrics.protocols import DRAWN_NUMBERS

__all__ = ["BLOCK_ROWS", "block_rows"]

BLOCK_ROWS = 512  # beyond this a product gains nothing, and the block leaves the processor's cache
_A_COLUMN = 96  # bytes a gallery image: index, scale and offset, with room for what building them takes
_A_THREAD = 10  # bytes a gallery image: similarities in order, and those that many right answers are sorted among
_A_QUERY = 160  # bytes: its columns, and what finding its person and camera takes
_A_MATCH = 160  # bytes: ranks of a right answer, and the columns that means are taken from
_A_DRAW = 48  # bytes a drawn image: its random number, its place, its similarity and the comparisons
_A_SHOT = 48  # bytes a query and repeat of a block: rank, precision and what becomes of them
_A_NAME = 5  # copies of the gallery's names, while a query's own image is looked for among them
_A_KEY = 128  # bytes an image: while multi-query images find their queries


def block_rows(
    matches: Matches,
    query: Embeddings,
    gallery: Embeddings,
    more: Embeddings | None,
    convention: Convention,
    memory_mb: float,
    threads: int,
) -> int:
    """How many queries a block may have under the ceiling.

    Args:
        matches: what the labels say.
        query: (Q, D).
        gallery: (G, D).
        more: multi-query images, of which each query gets one more vector.
        convention: whether galleries are drawn, and whether names are compared.
        memory_mb: the ceiling, in 10^6 bytes.
        threads: how many count, each with its own similarities.

    Raises:
        UsageError: not even one query fits; the message says what does.
    """
    Q, G, D = len(query), len(gallery), gallery.dim
    most = int(matches.num_matches.max())
    pooled = 4 * Q * D if more is not None else 0
    fixed = pooled + (_A_COLUMN + _A_THREAD * threads) * G + _A_QUERY * Q
    a_row = 4 * G + 8 * D + _A_MATCH * most
    if convention.shots == "single":
        people = len(matches.labels.member_start) - 1
        fixed += 24 * Q * convention.repeats + _A_DRAW * min(convention.repeats * people, max(people, DRAWN_NUMBERS))
        a_row = 4 * G + 8 * D + _A_SHOT * convention.repeats
    before = pooled + 16 * min(BLOCK_NUMBERS, max(Q, G) * D)
    if more is not None:
        before = max(before, pooled + _A_KEY * (Q + len(more)) + 24 * BLOCK_NUMBERS)
    if convention.same_camera == "keep":
        before = max(before, _A_NAME * gallery.names.nbytes)
    rows = int((memory_mb * 1e6 - fixed) // a_row)
    least = max(fixed + a_row, before)
    if least > memory_mb * 1e6:
        raise UsageError(f"memory_mb is {memory_mb:g}: this evaluation needs at least {math.ceil(least / 1e6)}.")
    return min(rows, BLOCK_ROWS)
