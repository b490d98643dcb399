"""The count of wrong answers by kind in machine code. Imported only where it is used: numba takes its time to load."""

from __future__ import annotations

import numpy as np

from passerby.metrics.compiled import machine_code

__all__ = ["count_kinds"]


@machine_code
def count_kinds(block, first, labels, start, own_camera, as_near, nearer, row_from, row_to):
    """Fill a `profiles.Profile` for the rows from `row_from` to `row_to` of a block whose row 0 is query `first`."""
    order, ends, own, own_start, from_own_camera, members, member_start, person = labels
    similar = np.empty(order.size, block.dtype)
    for row in range(row_from, row_to):
        query = first + row
        low, high = start[query], start[query + 1]
        n = high - low
        if n == 0:
            continue
        for k in range(order.size):
            similar[k] = block[row, order[k]]
        right = own[own_start[query] : own_start[query + 1]]
        values = np.empty(n, block.dtype)
        for i in range(n):
            values[i] = -similar[right[i]]
        nearest = np.argsort(values)
        p = person[query]
        for m in range(member_start[p], member_start[p + 1]):
            similar[members[m]] = -np.inf
        for i in range(n):
            own_camera[low + i] = from_own_camera[own_start[query] + nearest[i]]
            value = -values[nearest[i]]
            for kind in range(3):
                near, above = np.int32(0), np.int32(0)
                for k in range(ends[kind], ends[kind + 1]):
                    near = np.int32(near + np.int32(similar[k] >= value))
                    above = np.int32(above + np.int32(similar[k] > value))
                as_near[low + i, kind] = near
                nearer[low + i, kind] = above
