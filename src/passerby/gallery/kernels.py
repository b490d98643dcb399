"""Machine code of the exact search: products with chosen rows, and the best k kept while they are made.

The best are kept in a heap whose first entry is the worst of them. Rows come in rising order and only a larger similarity
enters, so of equally similar rows the first ones stay.
"""

from __future__ import annotations

import numpy as np

from passerby.metrics.compiled import machine_code

__all__ = ["keep_best", "keep_best_bf16", "scan_all", "scan_rows"]


def _fast(function):
    return machine_code(function, any_order=True)


@_fast
def _dot(row, query):
    total = np.float32(0)
    for d in range(query.size):
        total += row[d] * query[d]
    return total


@machine_code
def _enter(similar, position, value, place, count, k):
    """Put one entry into a heap of at most k; the new count."""
    if count < k:
        i = count
        while i > 0:
            above = (i - 1) // 2
            if similar[above] < value or (similar[above] == value and position[above] > place):
                break
            similar[i], position[i] = similar[above], position[above]
            i = above
        similar[i], position[i] = value, place
        return count + 1
    i = 0
    while True:
        child = 2 * i + 1
        if child >= k:
            break
        other = child + 1
        if other < k and (
            similar[other] < similar[child] or (similar[other] == similar[child] and position[other] > position[child])
        ):
            child = other
        if similar[child] > value or (similar[child] == value and position[child] < place):
            break
        similar[i], position[i] = similar[child], position[child]
        i = child
    similar[i], position[i] = value, place
    return count


@machine_code
def scan_all(vectors, query, start, stop, similar, position):
    """The best of rows start..stop for one query; how many were found."""
    k, count = similar.size, 0
    for n in range(start, stop):
        value = _dot(vectors[n], query)
        if count < k or value > similar[0]:
            count = _enter(similar, position, value, n, count, k)
    return count


@machine_code
def scan_rows(vectors, rows, query, start, stop, similar, position):
    """The best of rows[start..stop] for one query; how many were found."""
    k, count = similar.size, 0
    for n in range(start, stop):
        value = _dot(vectors[rows[n]], query)
        if count < k or value > similar[0]:
            count = _enter(similar, position, value, rows[n], count, k)
    return count


@machine_code
def keep_best(products, rows, first, last, similar, position, counts):
    """Enter a block of products (Q, R) with rows `rows` into the heaps of queries first..last."""
    k = similar.shape[1]
    for q in range(first, last):
        count = counts[q]
        for r in range(rows.size):
            value = products[q, r]
            if count < k or value > similar[q, 0]:
                count = _enter(similar[q], position[q], value, rows[r], count, k)
        counts[q] = count


@machine_code
def keep_best_bf16(products, reach, exact, rows, queries, first, last, similar, position):
    """As `keep_best`, for products rounded to bf16 and full heaps: what may belong to the best is computed again exactly.

    Args:
        products: (Q, R) int16, the bits of bf16. Above zero they are ordered like the numbers, and all below zero are less.
        reach: (32769,) float32, the number that each pattern of bits from zero up stands for, plus the bound of its error.
        exact: (R, D) float32, the rows themselves.
        rows: (R,) their positions.
        queries: (Q, D) float32.
        first, last: queries of this thread.
        similar, position: (Q, k) full heaps.

    Returns:
        How many products were computed again.
    """
    again = 0
    for q in range(first, last):
        least = _least(reach, similar[q, 0])
        for r in range(rows.size):
            if products[q, r] >= least:
                again += 1
                value = _dot(exact[r], queries[q])
                if value > similar[q, 0]:
                    _enter(similar[q], position[q], value, rows[r], similar.shape[1], similar.shape[1])
                    least = _least(reach, similar[q, 0])
    return again


@machine_code
def _least(reach, worst):
    """The first pattern of bits whose number, with its error, may come up to `worst`."""
    low, high = 0, reach.size
    while low < high:
        middle = (low + high) // 2
        if reach[middle] > worst:
            high = middle
        else:
            low = middle + 1
    return low
