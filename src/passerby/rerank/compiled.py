"""The loops of re-ranking in machine code. Imported only where they are used: numba takes time to load, and to compile once."""

from __future__ import annotations

from functools import partial

import numpy as np

from passerby.metrics.compiled import machine_code

__all__ = [
    "count_columns",
    "count_mixed",
    "fill_columns",
    "fill_mixed",
    "near_columns",
    "near_rows",
    "overlap_rows",
    "pair_distances",
    "settle_rows",
]

_fast_machine_code = partial(machine_code, any_order=True)
_CHUNK = 128  # columns that are looked at together; only where one of them is near enough are they looked at singly


@machine_code
def _insert(distances, ids, distance, image):
    """Replace the farthest of a heap whose root is the farthest."""
    m = distances.size
    at = 0
    while True:
        child = 2 * at + 1
        if child >= m:
            break
        if child + 1 < m and distances[child + 1] > distances[child]:
            child += 1
        if distances[child] <= distance:
            break
        distances[at], ids[at] = distances[child], ids[child]
        at = child
    distances[at], ids[at] = distance, image


@_fast_machine_code
def near_rows(block, some, start, lists, row_from, row_to):
    """Enter the products of the images `some` with the columns from `start` on into the lists of `some`."""
    scale, square, heaps, heap_ids, farthest = lists
    columns = block.shape[1]
    chunk = np.empty(_CHUNK, np.float32)
    for r in range(row_from, row_to):
        row = some[r]
        own, far = square[row], np.float32(farthest[row])
        for c0 in range(0, columns, _CHUNK):
            c1 = min(c0 + _CHUNK, columns)
            limit = heaps[row, 0]
            hits = np.int32(0)
            for c in range(c0, c1):
                distance = own + square[start + c] - np.float32(2) * block[r, c] * scale[start + c]
                chunk[c - c0] = distance
                hits = np.int32(hits + np.int32(distance < limit))
                far = max(far, distance)
            if hits > 0:
                for c in range(c0, c1):
                    if chunk[c - c0] < heaps[row, 0]:
                        _insert(heaps[row], heap_ids[row], chunk[c - c0], start + c)
        farthest[row] = far


@_fast_machine_code
def near_columns(block, some, start, whole, lists, column_from, column_to):
    """Enter the same products into the lists of the columns from `start` on that are not `whole`: distances are symmetric."""
    scale, square, heaps, heap_ids, farthest = lists
    chunk = np.empty(_CHUNK, np.float32)
    limit = np.empty(_CHUNK, np.float32)
    for c0 in range(column_from, column_to, _CHUNK):
        c1 = min(c0 + _CHUNK, column_to)
        for c in range(c0, c1):
            limit[c - c0] = np.float32(-1) if whole[start + c] else heaps[start + c, 0]
        for r in range(block.shape[0]):
            row = some[r]
            own = square[row]
            hits = np.int32(0)
            for c in range(c0, c1):
                distance = own + square[start + c] - np.float32(2) * block[r, c] * scale[start + c]
                chunk[c - c0] = distance
                hits = np.int32(hits + np.int32(distance < limit[c - c0]))
                farthest[start + c] = max(farthest[start + c], distance)
            if hits > 0:
                for c in range(c0, c1):
                    if chunk[c - c0] < limit[c - c0]:
                        _insert(heaps[start + c], heap_ids[start + c], chunk[c - c0], row)
                        limit[c - c0] = heaps[start + c, 0]


@_fast_machine_code
def _dot(a, b):
    total = 0.0
    for d in range(a.size):
        total += np.float64(a[d]) * np.float64(b[d])
    return total


@machine_code
def _distance(first, second, scale, square, i, j):
    Q = first.shape[0]
    a = first[i] if i < Q else second[i - Q]
    b = first[j] if j < Q else second[j - Q]
    return max(square[i] + square[j] - 2 * (_dot(a, b) * (scale[i] * scale[j])), 0.0)


@machine_code
def pair_distances(first, second, scale, square, one, other, found):
    """Fill `found` with the distances of pairs of images, in float64."""
    for p in range(one.size):
        found[p] = _distance(first, second, scale, square, one[p], other[p])


@machine_code
def settle_rows(first, second, scale, square, heap_ids, ids, distances, row_from, row_to):
    """Measure the candidates of each row again in float64 and keep the nearest, of equally far ones those that come first."""
    m, k = heap_ids.shape[1], ids.shape[1]
    exact = np.empty(m, np.float64)
    named = np.empty(m, np.int64)
    for i in range(row_from, row_to):
        for a in range(m):
            j = heap_ids[i, a]
            value = _distance(first, second, scale, square, i, j)
            at = a
            while at > 0 and (exact[at - 1] > value or (exact[at - 1] == value and named[at - 1] > j)):
                exact[at], named[at] = exact[at - 1], named[at - 1]
                at -= 1
            exact[at], named[at] = value, j
        for a in range(k):
            ids[i, a], distances[i, a] = named[a], exact[a]


@machine_code
def overlap_rows(block, first, weights, inverted, by_product, row_from, row_to):
    """Fill `block` (rows, G): over what image `first` + r and a target both have, the sum of the smaller weights, or of products.

    `weights` and `inverted` are (starts, indices, values): the images' weights by row, the targets' weights by neighbour.
    """
    start, neighbour, weight = weights
    by_start, target, by_weight = inverted
    for r in range(row_from, row_to):
        row = block[r]
        row[:] = 0
        for a in range(start[first + r], start[first + r + 1]):
            mine = weight[a]
            low, high = by_start[neighbour[a]], by_start[neighbour[a] + 1]
            if by_product:
                for b in range(low, high):
                    row[target[b]] += mine * by_weight[b]
            else:
                for b in range(low, high):
                    row[target[b]] += min(mine, by_weight[b])


@machine_code
def count_columns(lists, row_from, row_to, counts):
    """Add to `counts` (columns,) how many entries of the rows each column has; `lists` is (starts, columns, values)."""
    starts, columns, _ = lists
    for e in range(starts[row_from], starts[row_to]):
        counts[columns[e]] += 1


@machine_code
def fill_columns(lists, row_from, row_to, first, at, found):
    """Enter the rows into `found`, the same matrix by column from row `first` on; `at` says where, and moves on."""
    starts, columns, values = lists
    _, rows, by_column = found
    for r in range(row_from, row_to):
        for e in range(starts[r], starts[r + 1]):
            place = at[columns[e]]
            rows[place], by_column[place] = r - first, values[e]
            at[columns[e]] = place + 1


@machine_code
def count_mixed(ids, own, pointing, size, row_from, row_to):
    """Fill `size` (N,): in how many columns some neighbour of the row has an entry, in one matrix or the other."""
    seen = np.full(ids.shape[0], -1, np.int32)
    for i in range(row_from, row_to):
        size[i] = 0
        for a in range(ids.shape[1]):
            j = ids[i, a]
            for starts, columns, _ in (own, pointing):
                for e in range(starts[j], starts[j + 1]):
                    size[i] += seen[columns[e]] != i
                    seen[columns[e]] = i


@machine_code
def fill_mixed(ids, share, own, pointing, found, row_from, row_to):
    """Fill the rows of `found`: the sum of the neighbours' rows in both matrices, each times its share, brought to length 1."""
    to, columns, values = found
    seen = np.full(ids.shape[0], -1, np.int32)
    sums = np.empty(ids.shape[0], np.float32)
    for i in range(row_from, row_to):
        end = to[i]
        for a in range(ids.shape[1]):
            j, times = ids[i, a], share[i, a]
            for starts, theirs, weights in (own, pointing):
                for e in range(starts[j], starts[j + 1]):
                    column = theirs[e]
                    if seen[column] != i:
                        seen[column] = i
                        sums[column] = 0
                        columns[end] = column
                        end += 1
                    sums[column] += times * weights[e]
        square = 0.0
        for e in range(to[i], end):
            square += np.float64(sums[columns[e]]) * np.float64(sums[columns[e]])
        length = np.sqrt(square) if square > 0 else 1.0
        for e in range(to[i], end):
            values[e] = sums[columns[e]] / length
