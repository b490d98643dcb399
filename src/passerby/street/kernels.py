"""The light model, compiled: patterns, folds, shadows, reflection, and the shading of a filled z-buffer.

The GLSL form in `glsl` is the same arithmetic, line for line; a test compares their pictures. Patterns use an integer hash and no
sine, because the sine of large numbers differs from machine to machine. All of it stands in one file, because numba keeps
compiled code until the file of the outermost function changes: a formula in another file could go stale.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["folds", "lit", "reaching", "shade", "sunlit", "surface"]

_OFF_SURFACE_M = 0.02
_BIAS_M = 0.012


@njit(cache=True, inline="always")
def _hash(x: int, y: int, z: int) -> float:
    """Integer lattice point -> [0, 1): a few rounds of multiply and shift in 32 bits."""
    h = np.uint32(x) * np.uint32(0x8DA6B343) ^ np.uint32(y) * np.uint32(0xD8163841) ^ np.uint32(z) * np.uint32(0xCB1AB31F)
    h = np.uint32(h)
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(13))) * np.uint32(0x5BD1E995))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    return np.float32(h >> np.uint32(8)) * np.float32(1.0 / 16777216.0)


@njit(cache=True)
def _noise(x: float, y: float, z: float) -> float:
    """Smooth noise in [0, 1), one feature a unit."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    tx, ty, tz = x - fx, y - fy, z - fz
    tx, ty, tz = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty), tz * tz * (3 - 2 * tz)
    low = _mix(
        _mix(_hash(ix, iy, iz), _hash(ix + 1, iy, iz), tx),
        _mix(_hash(ix, iy + 1, iz), _hash(ix + 1, iy + 1, iz), tx),
        ty,
    )
    high = _mix(
        _mix(_hash(ix, iy, iz + 1), _hash(ix + 1, iy, iz + 1), tx),
        _mix(_hash(ix, iy + 1, iz + 1), _hash(ix + 1, iy + 1, iz + 1), tx),
        ty,
    )
    return _mix(low, high, tz)


@njit(cache=True)
def folds(x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Smooth noise in [0, 1) and its slope along x, y, z, features of 5 cm across and 8 cm along z: cloth hangs in folds."""
    x, y, z = x * 20, y * 20, z * 12
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    sx, sy, sz = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    dx, dy, dz = 6 * u * (1 - u), 6 * v * (1 - v), 6 * w * (1 - w)
    a, b = _hash(ix, iy, iz), _hash(ix + 1, iy, iz)
    c, d = _hash(ix, iy + 1, iz), _hash(ix + 1, iy + 1, iz)
    e, f = _hash(ix, iy, iz + 1), _hash(ix + 1, iy, iz + 1)
    g, h = _hash(ix, iy + 1, iz + 1), _hash(ix + 1, iy + 1, iz + 1)
    ab, cd, ef, gh = _mix(a, b, sx), _mix(c, d, sx), _mix(e, f, sx), _mix(g, h, sx)
    low, high = _mix(ab, cd, sy), _mix(ef, gh, sy)
    slope_x = dx * _mix(_mix(b - a, d - c, sy), _mix(f - e, h - g, sy), sz)
    slope_y = dy * _mix(cd - ab, gh - ef, sz)
    return _mix(low, high, sz), slope_x, slope_y, dz * (high - low)


@njit(cache=True, inline="always")
def _mix(a: float, b: float, t: float) -> float:
    return a + (b - a) * t


@njit(cache=True, inline="always")
def _step(low: float, high: float, x: float) -> float:
    """0 below `low`, 1 above `high`, smooth between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(cache=True, inline="always")
def _band(x: float, half: float, soft: float) -> float:
    """1 where |x| < half, falling to 0 over `soft`."""
    return 1 - _step(half, half + soft, abs(x))


@njit(cache=True, inline="always")
def _wave(x: float, cover: float) -> float:
    """1 over the first share `cover` of every unit, with short soft edges."""
    t = x - math.floor(x)
    return _step(0.0, 0.06, t) * (1 - _step(cover, cover + 0.06, t))


@njit(cache=True)
def _figure(row: np.ndarray, x: float, y: float, z: float) -> float:
    """How much of the second colour the pattern shows at a place, 0 to 1. The branches follow `meshes.PATTERNS`."""
    kind, scale, offset, cover = int(row[3]), row[7], row[12], row[13]
    if kind == 1:  # rings
        return _wave(z / scale + offset, cover)
    if kind == 2:  # pinstripes
        return _wave(math.atan2(x, -y) * 0.16 / scale + offset, cover)
    if kind == 3:  # plaid
        return 0.5 * _wave(z / scale + offset, cover) + 0.5 * _wave(math.atan2(x, -y) * 0.16 / scale, cover)
    if kind == 4:  # blotches
        return _step(cover - 0.06, cover + 0.06, _noise(x / scale + offset, y / scale, z / scale))
    if kind == 5:  # print
        u, v = x / scale, (z - offset) / scale
        inside = _band(u, 1.0, 0.05) * _band(v, 0.7, 0.05) * _step(0.0, 0.02, -y)
        return inside * _step(0.3, 0.5, _hash(math.floor(u * 3), math.floor(v * 4), int(cover * 97.3)))
    if kind == 6:  # two_tone
        below = _step(-0.004, 0.004, offset - z)
        return below if cover > 0.5 else 1 - below
    if kind == 7:  # open_front
        return _band(x, scale + 0.3 * max(z - offset, 0.0), 0.006) * _step(0.0, 0.01, -y)
    if kind == 8:  # denim
        worn = _noise(x * 9 + offset, y * 9, z * 3.5) * 0.7 + _noise(x * 90, y * 90, z * 12) * 0.3
        return cover * _step(0.3, 0.8, worn)
    if kind == 9:  # checks
        return float((math.floor(x / scale) + math.floor(y / scale) + math.floor(z / scale)) & 1)
    if kind == 10:  # strands
        return _noise(x / scale, y / scale, z / scale * 0.08 + offset)
    if kind == 11:  # dots
        u, v = math.atan2(x, -y) * 0.16 / scale, z / scale
        return _band(math.hypot(u - math.floor(u) - 0.5, v - math.floor(v) - 0.5), 0.5 * cover, 0.1)
    if kind == 12:  # zigzag
        u, v = math.atan2(x, -y) * 0.16 / scale, z / scale
        return _wave(v + abs(u - math.floor(u) - 0.5) + offset, cover)
    if kind == 13:  # sleeves
        return _step(offset, offset + 0.008, abs(x))
    return 0.0


@njit(cache=True)
def _face(row: np.ndarray, x: float, y: float, z: float) -> tuple[float, float]:
    """(share of the second colour, brightness) of a face; the origin of the coordinates is between the eyes."""
    front = _step(0.0, 0.02, 0.035 - y)
    side = abs(x)
    brow = _band(side - 0.032, 0.014, 0.006) * _band(z - 0.019 + 6 * (side - 0.03) * (side - 0.03), 0.003, 0.003)
    beard = row[13] * _step(0.0, 0.02, -z - 0.035) * _step(0.0, 0.015, z + 0.135) * _step(0.0, 0.03, 0.075 - y)
    beard *= 1 - _step(0.08, 0.1, side)
    beard *= 1 - _band(side, 0.02, 0.006) * _band(z + 0.066, 0.006, 0.004)
    eye = _band(side - 0.032, 0.010, 0.005) * _band(z - 0.001, 0.004, 0.004)
    lips = _band(side, 0.020, 0.006) * _band(z + 0.066, 0.006, 0.004)
    nostril = _band(side - 0.009, 0.003, 0.004) * _band(z + 0.037, 0.002, 0.003)
    return max(front * brow, beard), 1 - front * max(max(0.75 * eye, 0.35 * lips), 0.4 * nostril)


@njit(cache=True)
def _trim(row: np.ndarray, x: float, y: float, z: float) -> float:
    """How much of the trim's colour lies over the pattern. The branches follow `meshes.TRIMS`."""
    kind, place = int(row[11]), row[17]
    front = _step(0.0, 0.01, -y)
    if kind == 1:  # straps
        return _band(abs(x) - place + 0.2 * (z - 1.3), 0.02, 0.004) * _step(1.12, 1.13, z)
    if kind == 2:  # sash
        return _band(x * 0.84 - (z - place) * 0.54, 0.018, 0.004) * (1 - _step(0.17, 0.18, abs(x)))
    if kind == 3:  # zip
        return _band(x, 0.006, 0.003) * front
    if kind == 4:  # buttons
        t = z / 0.09
        return _band(math.hypot(x, (t - math.floor(t) - 0.5) * 0.09), 0.007, 0.003) * front
    if kind == 5:  # belt
        return _band(z - place, 0.022, 0.003)
    if kind == 6:  # reflectors: two bright bands, as on working clothes
        return max(_band(z - place, 0.025, 0.003), _band(z - place + 0.17, 0.025, 0.003))
    return 0.0


@njit(cache=True)
def surface(row: np.ndarray, x: float, y: float, z: float, fold: float) -> tuple[float, float, float]:
    """The reflectance of a material at pattern coordinates, linear RGB.

    Args:
        row: (`COLUMNS`,) of `pack_materials`.
        x, y, z: pattern coordinates, m.
        fold: the noise of `folds` there.
    """
    if int(row[3]) == 14:
        t, tone = _face(row, x, y, z)
    else:
        t, tone = _figure(row, x, y, z), 1.0
    s = _trim(row, x, y, z) if row[11] > 0 else 0.0
    rough = 0.6 * fold + 0.4 * _noise(x * 130, y * 130, z * 130) - 0.5
    tone *= 1 + row[14] * 2 * rough
    return (
        tone * _mix(_mix(row[0], row[4], t), row[8], s),
        tone * _mix(_mix(row[1], row[5], t), row[9], s),
        tone * _mix(_mix(row[2], row[6], t), row[10], s),
    )


@njit(cache=True)
def lit(
    row: np.ndarray,
    light: np.ndarray,
    colour: tuple[float, float, float],
    normal: tuple[float, float, float],
    to_eye: tuple[float, float, float],
    sunlit: float,
    open_: float,
    distance: float,
    channel: int,
) -> float:
    """The radiance of one channel of a surface.

    Sun: Lambert with a small wrap, as cloth has. Sky and ground: by the normal's height, times the share of sky seen. Gloss: a
    Blinn highlight of the sun and a grazing reflection of the horizon.

    Args:
        row, light: packed material and light.
        colour: what `surface` gave.
        normal, to_eye: unit vectors.
        sunlit: share of the sun that arrives, 0 to 1.
        open_: share of the sky that is seen, 0 to 1.
        distance: to the eye, m.
        channel: 0, 1, 2.
    """
    facing = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
    sun = max((facing + 0.08) / 1.08, 0.0) * sunlit * light[3 + channel]
    up = 0.5 + 0.5 * normal[2]
    around = _mix(light[9 + channel], light[6 + channel], up) * open_
    hx, hy, hz = light[0] + to_eye[0], light[1] + to_eye[1], light[2] + to_eye[2]
    half = max(math.sqrt(hx * hx + hy * hy + hz * hz), 1e-6)
    shine = max((normal[0] * hx + normal[1] * hy + normal[2] * hz) / half, 0.0)
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine * sunlit * light[3 + channel] * max(facing, 0.0)
    graze = 1 - max(normal[0] * to_eye[0] + normal[1] * to_eye[1] + normal[2] * to_eye[2], 0.0)
    rim = graze * graze * graze * graze * light[12 + channel] * open_
    value = colour[channel] * (sun + around + row[16]) + (0.03 + row[15]) * rim * 0.5 + row[15] * shine
    haze = 1 - math.exp(-light[17] * distance)
    return _mix(value, light[12 + channel], haze)


@njit(cache=True)
def reaching(
    depth: np.ndarray, frame: np.ndarray, taps: float, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> float:
    """The share of nine places around a point, lifted off its surface, that no caster hides from the sun."""
    x, y, z = x + nx * _OFF_SURFACE_M, y + ny * _OFF_SURFACE_M, z + nz * _OFF_SURFACE_M
    column = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + frame[0, 3]
    row = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + frame[1, 3]
    far = frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z - _BIAS_M
    size = depth.shape[0]
    arrived = 0.0
    for down in range(-1, 2):
        for right in range(-1, 2):
            i, j = math.floor(row + down * taps), math.floor(column + right * taps)
            if i < 0 or j < 0 or i >= size or j >= size or depth[i, j] >= far:
                arrived += 1.0
    return arrived / 9


@njit(cache=True)
def sunlit(depth: np.ndarray, frame: np.ndarray, taps: float, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) float32: `reaching` for many points (N, 3) with unit normals (N, 3)."""
    out = np.empty(len(points), np.float32)
    for i in range(len(points)):
        p, n = points[i], normals[i]
        out[i] = reaching(depth, frame, taps, p[0], p[1], p[2], n[0], n[1], n[2])
    return out


@njit(cache=True)
def shade(vertices, faces, material, item, points, nearness, best, owner, table, light, shadow, frame, taps, eye, samples):
    """Shade every filled sample and take the means; the depth and the id of a pixel are those of its middle sample."""
    height, width = best.shape[0] // samples, best.shape[1] // samples
    rgb = np.zeros((height, width, 3), np.float32)
    coverage = np.zeros((height, width), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    ids = np.full((height, width), -1, np.int32)
    share = 1.0 / (samples * samples)
    mean = np.empty(11, np.float32)
    for row in range(best.shape[0]):
        for column in range(best.shape[1]):
            face = owner[row, column]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            x, y = column + 0.5, row + 0.5
            ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
            inverse = 1 / ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))
            u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
            v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
            u, v, w = u * nearness[a], v * nearness[b], (1 - u - v) * nearness[c]
            total = u + v + w
            u, v, w = u / total, v / total, w / total
            for k in range(11):
                mean[k] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
            lx, ly, lz = eye[0] - mean[0], eye[1] - mean[1], eye[2] - mean[2]
            distance = math.sqrt(lx * lx + ly * ly + lz * lz)
            lx, ly, lz = lx / distance, ly / distance, lz / distance
            length = max(math.sqrt(mean[3] * mean[3] + mean[4] * mean[4] + mean[5] * mean[5]), 1e-6)
            nx, ny, nz = mean[3] / length, mean[4] / length, mean[5] / length
            # The winding decides the side, as it does in OpenGL: interpolated normals of a visible face may point away.
            if _faces_away(vertices, a, b, c, eye):
                nx, ny, nz = -nx, -ny, -nz
            record = table[material[a]]
            fold, slope_x, slope_y, slope_z = folds(mean[6], mean[7], mean[8])
            colour = surface(record, mean[6], mean[7], mean[8], fold)
            arrived = 1.0
            if light[15] > 0:
                arrived = 1 - light[15] * (1 - reaching(shadow, frame, taps, mean[0], mean[1], mean[2], nx, ny, nz))
            i, j = row // samples, column // samples
            nx, ny, nz = nx + record[18] * slope_x, ny + record[18] * slope_y, nz + record[18] * slope_z
            length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-6)
            nx, ny, nz = nx / length, ny / length, nz / length
            for k in range(3):
                rgb[i, j, k] += share * lit(
                    record, light, colour, (nx, ny, nz), (lx, ly, lz), arrived, min(max(mean[10], 0.0), 1.0), distance, k
                )
            coverage[i, j] += share
            if row - i * samples == samples // 2 and column - j * samples == samples // 2:
                depth[i, j] = 1 / best[row, column]
                ids[i, j] = item[a]
    return rgb, coverage, depth, ids


@njit(cache=True)
def _faces_away(vertices, a, b, c, eye):
    """Whether the eye sees the clockwise side of a triangle."""
    px, py, pz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    qx, qy, qz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
    return nx * (eye[0] - vertices[a, 0]) + ny * (eye[1] - vertices[a, 1]) + nz * (eye[2] - vertices[a, 2]) < 0
