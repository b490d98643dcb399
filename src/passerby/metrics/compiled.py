"""The counting kernel in machine code. Imported only where it is used: numba takes its time to load, and to compile once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

__all__ = ["count_rows_numba", "machine_code"]

_MANY = 256  # from this many right answers on, placing each wrong answer among them costs less than one pass for each of them


def machine_code(function: Callable[..., Any], *, any_order: bool = False) -> Any:
    """Compile at the first call, keep the result on disk where that is possible, and run without Python's lock.

    Args:
        function: what numba can compile.
        any_order: sums and maxima may be taken in any order, so that they run on vector registers; numbers are never NaN.
    """
    fast = {"reassoc", "contract", "nnan", "nsz"} if any_order else False
    try:
        return njit(nogil=True, cache=True, fastmath=fast)(function)
    except RuntimeError:  # numba finds no folder that it may keep its cache in
        return njit(nogil=True, fastmath=fast)(function)


@machine_code
def _gather(row, scale, offset, order, similar):
    for k in range(order.size):
        similar[k] = row[order[k]] * scale[k] - offset[k]


@machine_code
def _take_right(similar, labels, query, right):
    """Collect the positions of the right answers, and leave right and dropped ones out of the count to come."""
    person = labels.person[query]
    found = 0
    for m in range(labels.member_start[person], labels.member_start[person + 1]):
        position = labels.members[m]
        own_camera = labels.drop_same_camera and labels.camera_of[position] == labels.camera[query]
        if not own_camera and position != labels.own[query]:
            right[found] = position
            found += 1


@machine_code
def _count_by_pass(segment, values, wrong, pessimistic):
    """For each right answer one pass that compares and adds: no branch, so that it runs on vector registers."""
    tied = False
    for i in range(values.size):
        value = values[i]
        as_near, nearer = np.int32(0), np.int32(0)
        for k in range(segment.size):
            as_near = np.int32(as_near + np.int32(segment[k] >= value))
            nearer = np.int32(nearer + np.int32(segment[k] > value))
        tied |= as_near != nearer
        wrong[i] = as_near if pessimistic else nearer
    return tied


@machine_code
def _count_by_place(segment, values, wrong, pessimistic):
    """For each wrong answer its place among the right ones, by halving; then sums. For queries with hundreds of right answers."""
    n = values.size
    tied = False
    wrong[:] = 0
    for k in range(segment.size):
        similar = segment[k]
        if similar >= values[n - 1]:
            low, high = 0, n - 1
            while low < high:
                middle = (low + high) >> 1
                if values[middle] <= similar:
                    high = middle
                else:
                    low = middle + 1
            if values[low] == similar:
                tied = True
                while not pessimistic and low < n and values[low] == similar:
                    low += 1
            if low < n:
                wrong[low] += 1
    for i in range(1, n):
        wrong[i] += wrong[i - 1]
    return tied


@machine_code
def count_rows_numba(block, scale, offset, labels, first, row_from, row_to, pessimistic, ranks):
    """Fill `ranks` for the rows from `row_from` to `row_to` of a block whose row 0 is query `first`."""
    C = labels.camera_start.size - 1
    similar = np.empty(labels.order.size, block.dtype)
    hits = np.zeros(C, np.int64)
    for row in range(row_from, row_to):
        low, high = ranks.start[row], ranks.start[row + 1]
        query, n = first + row, high - low
        if n == 0:
            continue
        _gather(block[row], scale, offset, labels.order, similar)
        right = np.empty(n, np.int64)
        _take_right(similar, labels, query, right)
        values = np.empty(n, block.dtype)
        for i in range(n):
            values[i] = similar[right[i]]
        person = labels.person[query]
        for m in range(labels.member_start[person], labels.member_start[person + 1]):
            similar[labels.members[m]] = -np.inf
        nearest = np.argsort(-values)
        right, values = right[nearest], values[nearest]
        hits[:] = 0
        for i in range(n):
            camera = labels.camera_of[right[i]]
            hits[camera] += 1
            ranks.rank[low + i] = i + 1
            ranks.camera[low + i] = camera
            ranks.camera_hit[low + i] = hits[camera]
        wrong = np.zeros(n, np.int64)
        for c in range(C):
            segment = similar[labels.camera_start[c] : labels.camera_start[c + 1]]
            if n < _MANY:
                tied = _count_by_pass(segment, values, wrong, pessimistic)
            else:
                tied = _count_by_place(segment, values, wrong, pessimistic)
            ranks.tied[row] |= tied
            for i in range(n):
                ranks.rank[low + i] += wrong[i]
                if ranks.camera[low + i] == c:
                    ranks.camera_rank[low + i] = ranks.camera_hit[low + i] + wrong[i]
