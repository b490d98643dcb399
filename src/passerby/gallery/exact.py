"""The k most similar rows, exactly: whichever way wins for the shape of the call.

One query reads every row once and is bound by the memory: machine code keeps the best while it reads. Many queries are a matrix
product, block by block, whose results are looked through while they are in the cache; on a CPU that multiplies bf16 natively the
product is taken in bf16, and whatever its rounding cannot exclude is computed again in fp32, so the answer is the exact one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np

from passerby.errors import UsageError
from passerby.gallery.store import Found
from passerby.machine import available_cores, in_threads

__all__ = ["BF16_ERROR", "Way", "most_similar"]

Way = Literal["auto", "numpy", "scan", "fp32", "bf16"]

BF16_ERROR = 0.006
"""Bound of the error of a bf16 product of two vectors of length 1 or less.

Both factors are rounded to 8 bits of significand, each by at most 2^-9 of its value, so that the sum errs by at most 2^-8 times
the sum of absolute products, which is no more than 1 (Cauchy-Schwarz); rounding the result adds 2^-9. That is 0.00586; the rest
is room for the fp32 sum inside.
"""
_FEW_PRODUCTS = 2000  # below them machine code is not worth its loading
_ALONE = 4_000_000  # numbers that one core reads before another one has woken up
_MANY_QUERIES = 8  # from so many queries on a matrix product beats one scan each
_BLOCK_ROWS = 4096
_QUERIES = 256  # that share a product: with a block of rows it stays in the cache
_TOO_MANY = 0.02  # share of a block's products computed again, from which on fp32 is quicker


def most_similar(vectors: np.ndarray, rows: np.ndarray | None, queries: np.ndarray, k: int, *, way: Way = "auto") -> list[Found]:
    """The k most similar of some rows, for each query.

    Args:
        vectors: (N, D) float32, rows of length 1.
        rows: (n,) rising int64, which rows may be found; None: all.
        queries: (Q, D) float32, of length 1 or less.
        k: at most so many each.
        way: "auto" takes what is quickest; every other one gives the same but for rounding in the last digit.

    Returns:
        For each query positions (not ids) and similarities, the most similar first, of equally similar ones the first first.

    Raises:
        UsageError: another way.
    """
    count = len(vectors) if rows is None else len(rows)
    k = min(k, count)
    if k == 0 or not len(queries):
        return [Found(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in queries]
    chosen = _way(count, len(queries)) if way == "auto" else way
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if chosen == "numpy":
        return _by_numpy(vectors, rows, queries, k)
    if chosen == "scan":
        return [_scanned(vectors, rows, query, k) for query in queries]
    if chosen in ("fp32", "bf16"):
        parts = [queries[start : start + _QUERIES] for start in range(0, len(queries), _QUERIES)]
        return [found for part in parts for found in _multiplied(vectors, rows, part, k, chosen == "bf16")]
    raise UsageError(f'no way "{way}" to search: auto, numpy, scan, fp32 and bf16 are known.')


def _way(count: int, Q: int) -> Way:
    if count * Q < _FEW_PRODUCTS:
        return "numpy"
    if Q < _MANY_QUERIES:
        return "scan"
    return "bf16" if _bf16_is_fast() else "fp32"


@cache
def _bf16_is_fast() -> bool:
    import torch

    from passerby.embedder import bf16_is_fast

    return bf16_is_fast(torch.device("cpu"))


def _shared(work: Callable[[int, int], int], count: int) -> list[int]:
    """``work(start, stop)`` of slices of `count` items, one a core. Numba's own threads must not be entered from several."""
    return in_threads(work, count, available_cores())


def _found(position: np.ndarray, similar: np.ndarray, k: int) -> Found:
    order = np.lexsort((position, -similar))[:k]
    return Found(position[order], similar[order])


def _by_numpy(vectors: np.ndarray, rows: np.ndarray | None, queries: np.ndarray, k: int) -> list[Found]:
    positions = np.arange(len(vectors)) if rows is None else rows
    products = queries @ (vectors if rows is None else vectors[rows]).T
    found = []
    for product in products:
        worst = np.partition(product, len(product) - k)[len(product) - k]
        near = np.flatnonzero(product >= worst)
        found.append(_found(positions[near], product[near], k))
    return found


def _scanned(vectors: np.ndarray, rows: np.ndarray | None, query: np.ndarray, k: int) -> Found:
    from passerby.gallery import kernels

    parts: list[tuple[np.ndarray, np.ndarray]] = []

    def scan(start: int, stop: int) -> int:
        similar, position = np.empty(k, np.float32), np.empty(k, np.int64)
        if rows is None:
            count = kernels.scan_all(vectors, query, start, stop, similar, position)
        else:
            count = kernels.scan_rows(vectors, rows, query, start, stop, similar, position)
        parts.append((position[:count], similar[:count]))
        return count

    count = len(vectors) if rows is None else len(rows)
    if count * vectors.shape[1] < _ALONE:
        scan(0, count)
    else:
        _shared(scan, count)
    return _found(np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts]), k)


def _multiplied(vectors: np.ndarray, rows: np.ndarray | None, queries: np.ndarray, k: int, bf16: bool) -> list[Found]:
    import torch

    from passerby.gallery import kernels

    Q, count = len(queries), len(vectors) if rows is None else len(rows)
    similar, position = np.empty((Q, k), np.float32), np.empty((Q, k), np.int64)
    counts = np.zeros(Q, np.int64)
    exact = torch.from_numpy(queries)
    rounded = exact.bfloat16() if bf16 else None
    for start in range(0, count, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, count)
        places = np.arange(start, stop) if rows is None else rows[start:stop]
        block = np.array(vectors[start:stop]) if rows is None else vectors[places]
        part = torch.from_numpy(block)
        # Patterns of bf16 below zero are not ordered like their numbers: the worst kept must be clear of zero.
        if rounded is not None and counts[0] == k and similar[:, 0].min() > 2 * BF16_ERROR:
            bits = (rounded @ part.bfloat16().T).view(torch.int16).numpy()

            def again(a: int, b: int, bits: np.ndarray = bits, block: np.ndarray = block, places: np.ndarray = places) -> int:
                return kernels.keep_best_bf16(bits, _reach(), block, places, queries, a, b, similar, position)

            if sum(_shared(again, Q)) > _TOO_MANY * bits.size:
                rounded = None
            continue
        products = (exact @ part.T).numpy()

        def enter(a: int, b: int, products: np.ndarray = products, places: np.ndarray = places) -> int:
            kernels.keep_best(products, places, a, b, similar, position, counts)
            return 0

        _shared(enter, Q)
    return [_found(position[q], similar[q], k) for q in range(Q)]


@cache
def _reach() -> np.ndarray:
    """(32641,) float32: what each pattern of bf16 bits from zero to infinity stands for, with the bound of its error."""
    bits = np.arange(0x7F81, dtype=np.uint32) << 16
    return bits.view(np.float32) + np.float32(BF16_ERROR)
