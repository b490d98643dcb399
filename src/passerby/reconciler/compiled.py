"""The count of wrong answers by kind in machine code. Imported only where it is used: numba takes its time to load."""

from __future__ import annotations

import numpy as np

from passerby.metrics.compiled import machine_code

__all__ = ["count_kinds", "count_shots"]


@machine_code
def _keep_near(source, held, value, kept):
    """Move what is at least `value` to the front of `kept`, which may be `source`; returns how many, and how many are above."""
    near, above = 0, 0
    for k in range(held):
        similar = source[k]
        kept[near] = similar
        near += similar >= value
        above += similar > value
    return near, above


@machine_code
def count_kinds(block, first, view, labels, start, own_camera, as_near, nearer, row_from, row_to):
    """Fill a `profiles.Profile` for the rows from `row_from` to `row_to` of a block whose row 0 is query `first`.

    From the farthest right answer to the nearest, only those wrong ones that are before it are looked at for the next.
    """
    columns, scale, offset = view
    order, ends, own, own_start, from_own_camera, members, member_start, person = labels
    similar = np.empty(order.size, block.dtype)
    kept = np.empty(order.size + 1, block.dtype)
    for row in range(row_from, row_to):
        query = first + row
        low, n = start[query], start[query + 1] - start[query]
        if n == 0:
            continue
        for k in range(order.size):
            similar[k] = block[row, columns[k]] * scale[k] - offset[k]
        right = own[own_start[query] : own_start[query + 1]]
        values = np.empty(n, block.dtype)
        for i in range(n):
            values[i] = -similar[right[i]]
        nearest = np.argsort(values)
        for i in range(n):
            own_camera[low + i] = from_own_camera[own_start[query] + nearest[i]]
        for m in range(member_start[person[query]], member_start[person[query] + 1]):
            similar[members[m]] = -np.inf
        for kind in range(3):
            source, held = similar[ends[kind] : ends[kind + 1]], ends[kind + 1] - ends[kind]
            for i in range(n - 1, -1, -1):
                held, above = _keep_near(source, held, -values[nearest[i]], kept)
                as_near[low + i, kind], nearer[low + i, kind] = held, above
                source = kept


@machine_code
def count_shots(row, view, shots, values, kind_of_person, own, found):
    """Fill `found` (repeats, 2, 3): how many of the `shots` (repeats, people) are at least as near as each value, and nearer."""
    columns, scale, offset = view
    for r in range(shots.shape[0]):
        for p in range(shots.shape[1]):
            shot = shots[r, p]
            value = row[columns[shot]] * scale[shot] - offset[shot]
            if p != own and value >= values[r]:
                found[r, 0, kind_of_person[p]] += 1
                if value > values[r]:
                    found[r, 1, kind_of_person[p]] += 1
