"""The loops of point operations in machine code, for CPUs. Imported only where they are used: numba takes time to load.

Coordinates come as (B, C, N), one coordinate after the other, so that a loop over points runs on vector registers. A row is a
point of the whole batch: row = cloud * N + point.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from passerby.metrics.compiled import machine_code

__all__ = ["CHUNK", "add_edges", "add_rows", "balls", "farthest", "nearest", "reduce_edges"]

_fast_machine_code = partial(machine_code, any_order=True)
CHUNK = 64  # points that are looked at together; only where one of them is near enough are they looked at singly
_TURNS = 3  # points at which lines of a file began that are kept in mind
_LANES = 64  # running maxima
_SLICE = 256  # points of a cloud between two looks whether all balls are full
_SLACK = 1.00001  # a box's bound is rounded otherwise than a distance


@machine_code  # in no other order, and with no product that is not rounded: `point_traced` must find the same neighbours
def _squares(cloud, start, place, found):
    """Squared distances from `place` to a cloud's points from `start` on."""
    end = start + found.size
    if place.size == 3:
        x, y, z = place[0], place[1], place[2]
        # Each coordinate is cut by itself: a cut of the whole cloud has strides that are not known, and no vector registers.
        xs, ys, zs = cloud[0][start:end], cloud[1][start:end], cloud[2][start:end]
        for j in range(found.size):
            dx, dy, dz = xs[j] - x, ys[j] - y, zs[j] - z
            found[j] = dx * dx + dy * dy + dz * dz
    else:
        found[:] = 0
        for c in range(place.size):
            value, values = place[c], cloud[c][start:end]
            for j in range(found.size):
                difference = values[j] - value
                found[j] += difference * difference


@machine_code
def _some_below(values, limit):
    below = np.int32(0)
    for j in range(values.size):  # no branch, so that it runs on vector registers
        below = np.int32(below + np.int32(values[j] < limit))
    return below > 0


@machine_code
def _single(cloud, place, j):
    total = cloud[0, j] * 0
    for c in range(place.size):
        difference = cloud[c, j] - place[c]
        total += difference * difference
    return total


@machine_code
def _enter(distances, ids, distance, point):
    """Put a point into a sorted list in place of the last; behind those that are exactly as near."""
    at = distances.size - 1
    while at > 1 and distances[at - 1] > distance:
        distances[at], ids[at] = distances[at - 1], ids[at - 1]
        at -= 1
    distances[at], ids[at] = distance, point


@_fast_machine_code
def _bounds(low, high, place, bound):
    """For each chunk's box, a squared distance below which none of its points can be."""
    bound[:] = 0
    for c in range(place.size):
        value, lows, highs = place[c], low[c], high[c]
        for m in range(bound.size):
            outside = max(max(lows[m] - value, value - highs[m]), value * 0)
            bound[m] += outside * outside
    for m in range(bound.size):
        bound[m] /= _SLACK


@machine_code
def _farthest_of(cloud, place, ids):
    """The largest squared distance of some points of a cloud, and a little more: it is rounded otherwise than in `_squares`."""
    limit = cloud[0, 0] * 0
    for j in ids:
        limit = max(limit, _single(cloud, place, j))
    return limit * cloud.dtype.type(_SLACK) + cloud.dtype.type(1e-30)


@machine_code
def nearest(points, low, high, out, row_from, row_to):
    """The k nearest of each row's cloud, the point itself first, then by distance, then by index.

    `low` and `high` (B, C, N / `CHUNK`) are the boxes of each chunk of points: files hold neighbours close together, so that most
    boxes are too far away to be looked into.
    """
    C, N = points.shape[1:]
    k = out.shape[1]
    room, place, distances = np.empty(CHUNK, points.dtype), np.empty(C, points.dtype), np.empty(k, points.dtype)
    bound = np.empty(low.shape[2], points.dtype)
    turns, at, before = np.full(_TURNS, -1, np.int64), 0, points.dtype.type(np.inf)
    for row in range(row_from, row_to):
        cloud, i = points[row // N], row % N
        for c in range(C):
            place[c] = cloud[c, i]
        distances[:] = np.inf
        distances[0], out[row, 0] = -1, i
        limit = distances.dtype.type(np.inf) if k > 1 else distances.dtype.type(-1)
        if row > row_from and i > 0 and k > 1:  # the neighbours of the point before are k points too: no nearest one is farther
            limit = _farthest_of(cloud, place, out[row - 1])
            if limit > 8 * before:  # files go line by line: where a line begins, so did others nearby
                for turn in turns:
                    if turn // N == row // N:
                        limit = min(limit, _farthest_of(cloud, place, out[turn]))
                turns[at] = row
                at = (at + 1) % turns.size
        _bounds(low[row // N], high[row // N], place, bound)
        for m in range(bound.size):
            if bound[m] >= limit:
                continue
            start = m * CHUNK
            found = room[: min(CHUNK, N - start)]
            _squares(cloud, start, place, found)
            if start <= i < start + CHUNK:
                found[i - start] = np.inf  # it stands in the list already
            if not _some_below(found, limit):
                continue
            for j in range(found.size):
                if found[j] < limit:
                    _enter(distances, out[row], found[j], start + j)
                    limit = min(limit, distances[k - 1])
        before = distances[k - 1]


@machine_code
def _shorten(cloud, place, left):
    """Take a new pick into the distances to the nearest pick."""
    x, y, z = place[0], place[1], place[2]
    xs, ys, zs = cloud[0], cloud[1], cloud[2]
    for j in range(left.size):
        dx, dy, dz = xs[j] - x, ys[j] - y, zs[j] - z
        left[j] = min(left[j], dx * dx + dy * dy + dz * dz)


@_fast_machine_code
def _largest(values, lanes):
    """The maximum, by as many running maxima as there are lanes: a single one would wait for itself at every step."""
    whole = values.size // lanes.size
    lanes[:] = values[0]
    for t in range(whole):
        part = values[t * lanes.size : (t + 1) * lanes.size]
        for c in range(part.size):
            lanes[c] = part[c] if part[c] > lanes[c] else lanes[c]
    largest = lanes[0]
    for lane in lanes:
        largest = max(largest, lane)
    for value in values[whole * lanes.size :]:
        largest = max(largest, value)
    return largest


@machine_code
def _first(values, wanted):
    """The first position of a value that is there."""
    start, absent = 0, True
    while absent:
        equal = np.int32(0)
        for value in values[start : start + CHUNK]:
            equal = np.int32(equal + np.int32(value == wanted))
        absent = equal == 0
        start += CHUNK if absent else 0
    while values[start] != wanted:
        start += 1
    return start


@machine_code
def farthest(points, near_origin, picks, cloud_from, cloud_to):
    """Farthest point sampling of whole clouds: from point 0 on; points near the origin are never picked."""
    N = points.shape[2]
    left, place, lanes = np.empty(N, points.dtype), np.empty(3, points.dtype), np.empty(_LANES, points.dtype)
    for b in range(cloud_from, cloud_to):
        cloud = points[b]
        for j in range(N):
            from_origin = cloud[0, j] * cloud[0, j] + cloud[1, j] * cloud[1, j] + cloud[2, j] * cloud[2, j]
            left[j] = -1 if from_origin <= near_origin else 1e10
        last = 0
        for s in range(picks.shape[1]):
            picks[b, s] = last
            for c in range(3):
                place[c] = cloud[c, last]
            _shorten(cloud, place, left)
            best = _largest(left, lanes)
            last = _first(left, best) if best >= 0 else 0


@machine_code
def balls(points, centres, radii, samples, out, row_from, row_to):
    """For each centre and radius the first points in index order that lie strictly inside, the rest padded with the first."""
    N = points.shape[2]
    S, R = centres.shape[2], radii.size
    offset = np.zeros(R + 1, np.int64)
    for r in range(R):
        offset[r + 1] = offset[r] + samples[r]
    room, place, filled = np.empty(_SLICE, points.dtype), np.empty(3, points.dtype), np.empty(R, np.int64)
    for row in range(row_from, row_to):
        b, s = row // S, row % S
        for c in range(3):
            place[c] = centres[b, c, s]
        filled[:] = 0
        wanted = radii.max()
        for start in range(0, N, _SLICE):
            found = room[: min(_SLICE, N - start)]
            _squares(points[b], start, place, found)
            for j in range(found.size):
                if found[j] < wanted:
                    for r in range(R):
                        if filled[r] < samples[r] and found[j] < radii[r]:
                            out[row, offset[r] + filled[r]] = start + j
                            filled[r] += 1
            wanted = radii[0] * 0  # the largest ball that is not full yet
            for r in range(R):
                if filled[r] < samples[r] and radii[r] > wanted:
                    wanted = radii[r]
            if wanted == 0:
                break
        for r in range(R):
            first = out[row, offset[r]] if filled[r] else 0
            for n in range(filled[r], samples[r]):
                out[row, offset[r] + n] = first


@_fast_machine_code
def _take_in(values, t, top, which, total, squares):
    for d in range(values.size):
        value = values[d]
        larger = value > top[d]
        top[d] = value if larger else top[d]
        which[d] = t if larger else which[d]
        total[d] += value
        squares[d] += value * value


@machine_code
def reduce_edges(values, index, top, which, total, squares, row_from, row_to):
    """Over the k neighbours of each point and for each channel: the maximum and who gave it, the sum, the sum of squares."""
    N, k = index.shape[1], index.shape[2]
    for row in range(row_from, row_to):
        b, i = row // N, row % N
        for d in range(values.shape[2]):
            value = values[b, index[b, i, 0], d]
            top[b, i, d], which[b, i, d], total[b, i, d], squares[b, i, d] = value, 0, value, value * value
        for t in range(1, k):
            _take_in(values[b, index[b, i, t]], np.int32(t), top[b, i], which[b, i], total[b, i], squares[b, i])


@_fast_machine_code
def _give_back(gradient, values, t, which, top, total, squares):
    for d in range(values.size):
        gradient[d] += (top[d] if which[d] == t else 0) + total[d] + 2 * values[d] * squares[d]


@machine_code
def add_edges(values, index, which, top, total, squares, gradient, cloud_from, cloud_to):
    """The gradient of `reduce_edges`, added to that of each neighbour; whole clouds, because neighbours are shared."""
    for b in range(cloud_from, cloud_to):
        for i in range(index.shape[1]):
            for t in range(index.shape[2]):
                j = index[b, i, t]
                _give_back(gradient[b, j], values[b, j], np.int32(t), which[b, i], top[b, i], total[b, i], squares[b, i])


@machine_code
def add_rows(gathered, index, gradient, cloud_from, cloud_to):
    """Add (M, D) rows to the rows that `index` (M) names; whole clouds."""
    for b in range(cloud_from, cloud_to):
        for m in range(index.shape[1]):
            j = index[b, m]
            for d in range(gathered.shape[2]):
                gradient[b, j, d] += gathered[b, m, d]
