"""What is on a head: hair and hats, modelled on the scalp of the body model."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from passerby.street.clothes import Garment
from passerby.street.mannequin import Mannequin, Part, ramp

__all__ = ["HATS", "STYLES", "hair", "hat", "hat_line"]

STYLES = ("bald", "cropped", "short", "quiff", "curly", "afro", "bob", "long", "ponytail", "bun")
HATS = ("cap", "beanie", "sunhat", "helmet", "hood")

# The hairline seen from the side: height over the eyes by distance behind them, m on a mean adult head.
_BEHIND = (-0.02, 0.02, 0.045, 0.065, 0.082, 0.105, 0.135, 0.17, 0.22)
_HAIRLINE = (0.068, 0.064, 0.048, 0.005, -0.012, 0.022, -0.03, -0.072, -0.078)
_FRINGE = (0.034, 0.034, 0.02, -0.005, -0.02, 0.0, -0.04, -0.08, -0.085)

_THICK = {"cropped": 0.004, "short": 0.012, "quiff": 0.014, "curly": 0.024, "afro": 0.05, "bob": 0.014, "long": 0.012}
_TOP = {"short": 0.006, "quiff": 0.013, "curly": 0.012, "afro": 0.02, "bob": 0.008, "long": 0.006}


def _local(body: Mannequin) -> np.ndarray:
    """The body part's vertices from between the eyes, in metres on a mean adult head."""
    skin = body.model.parts["body"]
    return (body.points[skin] - body.eyes) / body.head_size


def _moved(body: Mannequin, local: np.ndarray) -> np.ndarray:
    return local * body.head_size + body.eyes


def hat_line(kind: str, behind: np.ndarray) -> np.ndarray:
    """Height over the eyes of the lower edge of a hat, by distance behind the eyes, m."""
    if kind == "beanie":
        return 0.047 - 0.34 * behind
    return 0.052 - 0.16 * behind


def hair(body: Mannequin, style: str, random: RandomState, material: int, headwear: str | None, back_m: float) -> list[Part]:
    """Hair of a style out of `STYLES`.

    Args:
        body: whose.
        style: its name.
        random: for locks and lengths.
        material: index into the figure's table.
        headwear: a hat's kind, which flattens the hair and hides its top.
        back_m: thickness of the clothes on the back, m: long hair lies on them.
    """
    if style == "bald":
        return []
    local = _local(body)
    behind, high = local[:, 1], local[:, 2]
    fringe = style in ("bob", "long", "curly") and random.rand() < 0.4
    line = np.interp(behind, _BEHIND, _FRINGE if fringe else _HAIRLINE)
    if style == "cropped":
        line = line + 0.008
    centre = np.array([0.0, 0.085, 0.02])
    outward = local - centre
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    thick = _THICK.get(style, 0.007) + _TOP.get(style, 0.002) * ramp(0.05, 0.12, high)
    if style == "quiff":
        thick = thick - 0.008 * (1 - ramp(0.02, 0.07, high))
    if headwear:
        thick = np.minimum(thick, 0.008)
    rough = 0.25 if style in ("curly", "afro", "quiff") else 0.12
    bumps = sum(np.sin(local @ (random.normal(0, 1, 3) * 90) + random.uniform(0, 6.28)) for _ in range(5)) / 2.2
    soft = np.clip((high - line) / 0.02, 0, 1)  # thin at the hairline
    shape = local + outward * (thick * (1 + rough * bumps) * (0.35 + 0.65 * soft))[:, None]
    edge = high - line + 0.003 * bumps
    if headwear == "hood":
        edge = np.minimum(edge, 0.075 - behind)
    elif headwear:
        edge = np.minimum(edge, hat_line(headwear, behind) + 0.012 - high)
    parts = [_scalp(body, shape, edge, material)]
    if headwear == "hood":
        return parts
    if style in ("bob", "long"):
        length = random.uniform(0.10, 0.16) if style == "bob" else random.uniform(0.24, 0.42)
        parts.append(_curtain(body, length, 0.014 + 0.01 * random.rand(), back_m, random, material, headwear))
    elif style == "ponytail":
        parts.append(_tail(body, random.uniform(0.14, 0.32), random, material))
    elif style == "bun":
        parts.append(_ball(body, (0.0, 0.2, 0.045 + 0.05 * random.rand()), 0.032 + 0.012 * random.rand(), material))
    return parts


def _scalp(body: Mannequin, local: np.ndarray, edge: np.ndarray, material: int) -> Part:
    neck = body.heads["neck01"][2]
    on_head = body.points[body.model.parts["body"], 2] > neck
    part = body.part("body", _moved(body, local), np.where(on_head, edge, -1.0), material)
    coords = (part.points - body.eyes) / np.float32(body.head_size)
    return Part(part.points, part.faces, part.bones, part.weights, coords.astype(np.float32), part.cut, material)


def _grid(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of vertices, rows x columns."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    low, high = first + columns, first
    return np.concatenate([np.stack([high, low, low + 1], 1), np.stack([high, low + 1, high + 1], 1)]).astype(np.int32)


def _loose(body: Mannequin, local: np.ndarray, faces: np.ndarray, edge: np.ndarray, material: int, follow: float) -> Part:
    """Geometry that hangs from the head: the upper part turns with it, `follow` of the way down it follows the shoulders."""
    names = body.model.bones
    bones = np.tile(np.array([names.index(name) for name in ("head", "neck01", "spine01", "root")], np.int32), (len(local), 1))
    down = ramp(0.05, 0.05 + max(follow, 0.06), -local[:, 2])
    weights = np.stack([1 - down, down * (1 - down), down * down, np.zeros(len(local))], 1).astype(np.float32)
    points = _moved(body, local).astype(np.float32)
    return Part(points, faces, bones, weights, local.astype(np.float32), edge.astype(np.float32), material)


def _curtain(
    body: Mannequin, length: float, volume: float, back_m: float, random: RandomState, material: int, headwear: str | None
) -> Part:
    """Hair that falls behind and beside the face: a sheet around the back of the head, down `length` m below the eyes."""
    rows, columns = 16, 25
    high = np.linspace(0.075, -length, rows)[:, None]
    opening = 1.95 - 0.45 * ramp(0.0, 0.3, -high)  # rad from the back to the front edges
    angle = np.linspace(-1, 1, columns)[None] * opening
    lean = ramp(-0.02, 0.09, high)
    wide = 0.082 - 0.025 * lean + volume + 0.012 * ramp(0.05, 0.2, -high)
    deep = 0.108 - 0.035 * lean + volume
    x, y = wide * np.sin(angle), 0.088 + deep * np.cos(angle)
    rest = ramp(0.06, 0.15, -high)  # below the neck it lies on the back
    suit = body.points[body.model.parts["tights"]]
    middle = np.abs(suit[:, 0]) < 0.09 * body.size
    spots = (suit[middle] - body.eyes) / body.head_size
    levels = [spots[np.abs(spots[:, 2] - level) < 0.03, 1] for level in high[:, 0]]
    lying = np.array([spot.max() if len(spot) else 0.1 for spot in levels])[:, None] + (1.2 * back_m + 0.016)
    y = y * (1 - rest) + np.maximum(y, lying - 2.5 * x * x) * rest
    locks = sum(np.sin(k * angle * 6 + random.uniform(0, 6.28)) for k in (1, 2, 3)) / 3 * ramp(0.0, 0.15, -high)
    x, y = x * (1 + 0.07 * locks), y + 0.006 * locks
    local = np.stack([x, y, np.broadcast_to(high, x.shape)], -1).reshape(-1, 3)
    edge = (local[:, 2] + length) - 0.02 * np.abs(locks.reshape(-1)) - 0.001
    if headwear:
        edge = np.minimum(edge, hat_line(headwear, local[:, 1]) + 0.012 - local[:, 2])
    return _loose(body, local, _grid(rows, columns), edge, material, 0.14)


def _tail(body: Mannequin, length: float, random: RandomState, material: int) -> Part:
    """A ponytail of `length` m."""
    rows, columns = 10, 9
    t = np.linspace(0, 1, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns)[None]
    start = 0.03 + 0.05 * random.rand()
    radius = 0.012 + 0.022 * np.sin(np.pi * np.clip(t * 0.85 + 0.08, 0, 1))
    across = radius * np.cos(angle)
    y = 0.19 + 0.06 * np.sin(np.pi * np.minimum(t * 0.9, 0.62)) + radius * np.sin(angle)
    z = start + 0.02 * np.sin(np.pi * t) - length * t**1.3 + 0 * angle
    local = np.stack([across, y, z], -1).reshape(-1, 3)
    return _loose(body, local, _grid(rows, columns)[:, ::-1], np.ones(len(local)), material, 0.5)


def _ball(body: Mannequin, centre: tuple[float, float, float], radius: float, material: int) -> Part:
    rows, columns = 7, 9
    polar = np.linspace(0, np.pi, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns)[None]
    unit = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar) + 0 * angle], -1)
    local = unit.reshape(-1, 3) * radius + np.array(centre)
    return _loose(body, local, _grid(rows, columns), np.ones(len(local)), material, 9.0)


def hat(body: Mannequin, garment: Garment, material: int) -> list[Part]:
    """A hat of a kind out of `HATS`."""
    local = _local(body)
    behind, high = local[:, 1], local[:, 2]
    centre = np.array([0.0, 0.085, 0.01])
    outward = local - centre
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    if garment.kind == "hood":
        opening = 0.05 + 0.25 * np.maximum(-0.02 - high, 0) + 0.35 * np.maximum(high - 0.06, 0)
        smooth = centre + outward * (np.maximum(np.linalg.norm(local - centre, axis=1), 0.105) + 0.02)[:, None]
        deep = ramp(-0.2, -0.08, high)[:, None]
        shape = (local + outward * 0.03) * (1 - deep) + smooth * deep
        return [_scalp(body, shape, np.minimum(behind - opening, high + 0.19), material)]
    room = {"cap": 0.014, "beanie": 0.014 + 0.012 * garment.length, "sunhat": 0.014, "helmet": 0.03}[garment.kind]
    radius = np.linalg.norm(local - centre, axis=1)
    smooth = np.maximum(radius, 0.1 if garment.kind == "helmet" else 0.0)
    top = 0.012 if garment.kind == "beanie" else 0.004
    shape = centre + outward * (smooth + room + top * ramp(0.06, 0.12, high))[:, None]
    line = hat_line(garment.kind, behind)
    parts = [_scalp(body, shape, high - line, material)]
    if garment.kind in ("cap", "helmet"):
        parts.append(_brim(body, 1.15, 0.075 if garment.kind == "cap" else 0.04, material))
    elif garment.kind == "sunhat":
        parts.append(_brim(body, np.pi, 0.06 + 0.04 * garment.length, material))
    return parts


def _brim(body: Mannequin, half: float, reach: float, material: int) -> Part:
    """A brim around the front, `half` rad to each side, reaching `reach` m out."""
    rows, columns = 4, 25
    out = np.linspace(0, 1, rows)[:, None]
    angle = np.linspace(-1, 1, columns)[None] * half
    taper = np.sqrt(np.maximum(1 - (angle / half) ** 2, 0)) if half < 3 else np.ones_like(angle)
    far = out * reach * taper
    x = (0.085 + far) * np.sin(angle)
    y = 0.088 - (0.108 + far) * np.cos(angle)
    z = 0.054 - 0.16 * y - 0.25 * far - 0.35 * x * x / 0.1
    local = np.stack([x, y, z], -1).reshape(-1, 3)
    return _loose(body, local, _grid(rows, columns)[:, ::-1], np.ones(len(local)), material, 9.0)
