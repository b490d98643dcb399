"""Garments as geometry: cut from the body model's suit and skirt, made wide enough, hung from the chest, folded.

A garment never has its edge at a triangle's edge: each vertex carries the distance to the hem, and the renderers draw where the
interpolated distance is positive. Skin under cloth is left out, so that nothing shines through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from scipy.ndimage import gaussian_filter1d, map_coordinates

from passerby.street.clothes import Garment
from passerby.street.mannequin import Mannequin, Part, ramp

__all__ = ["CUTS", "LEGS", "SHAFTS", "Cut", "Drape", "bare_legs", "hang", "shoes", "skirt", "top", "trousers"]

_STEP_M = 0.02
_ANGLES = 48
_SKIN_UNDER_M = 0.025  # how far skin goes on under a hem


@dataclass(frozen=True, eq=False)
class Drape:
    """How far cloth hangs from the middle line of the trunk.

    Args:
        radius: (Z, A) m, by height (steps of 2 cm from the ground) and angle (0 = left, a quarter = back).
        centre: (Z,) y of the middle line, m.
    """

    radius: np.ndarray
    centre: np.ndarray

    def place(self, points: np.ndarray, extra: np.ndarray | float = 0.0) -> np.ndarray:
        """Points (n, 3) moved in or out to the cloth, `extra` m further out."""
        row = np.clip(points[:, 2] / _STEP_M, 0, len(self.centre) - 1.001)
        middle = np.interp(row, np.arange(len(self.centre)), self.centre)
        away = points[:, :2] - np.stack([np.zeros(len(points)), middle], 1)
        angle = np.arctan2(away[:, 1], away[:, 0]) % (2 * np.pi)
        columns = angle / (2 * np.pi) * _ANGLES
        wrapped = np.concatenate([self.radius, self.radius[:, :1]], 1)
        radius = map_coordinates(wrapped, [row, columns], order=1, mode="nearest") + extra
        moved = points.copy()
        moved[:, 0] = np.cos(angle) * radius
        moved[:, 1] = np.sin(angle) * radius + middle
        return moved


def hang(body: Mannequin, ease: float, taper: float, hem: float, cinch: bool = False) -> Drape:
    """Cloth hung from the chest.

    Args:
        body: who wears it.
        ease: room between skin and cloth, m.
        taper: how fast the cloth may come in below the chest, m per m: 0.6 fitted, 0.1 straight, below 0 flared.
        hem: height of the lower edge, m.
        cinch: gathered at the hem, as by a ribbed band.
    """
    suit = body.model.parts["tights"]
    trunk = body.points[suit][body.arm[suit] < 0.35]
    rows = int(body.stature / _STEP_M) + 2
    angles = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    toward = np.stack([np.cos(angles), np.sin(angles)])
    at = np.round(trunk[:, 2] / _STEP_M).astype(int)
    front, back = np.full(rows, np.inf), np.full(rows, -np.inf)
    for shift in (-1, 0, 1):
        np.minimum.at(front, np.clip(at + shift, 0, rows - 1), trunk[:, 1])
        np.maximum.at(back, np.clip(at + shift, 0, rows - 1), trunk[:, 1])
    filled = np.isfinite(front)
    centre = np.interp(np.arange(rows), np.flatnonzero(filled), (front[filled] + back[filled]) / 2)
    low = int((body.crotch - 0.05) / _STEP_M)
    centre[:low] = centre[low]  # below the trunk the middle line stays under it, whatever the feet do
    centre = gaussian_filter1d(centre, 3, mode="nearest")
    support = np.full((rows, _ANGLES), -np.inf)
    reach = (trunk[:, :2] - np.stack([np.zeros(len(trunk)), centre[np.clip(at, 0, rows - 1)]], 1)) @ toward
    for shift in (-1, 0, 1):
        np.maximum.at(support, np.clip(at + shift, 0, rows - 1), reach)
    support = np.where(np.isfinite(support), support, 0.05)
    # Radius of the convex hull: cloth bridges hollows. Distance of the nearest supporting line along each ray.
    between = np.cos(angles[:, None] - angles[None])
    with np.errstate(divide="ignore"):
        lines = np.where(between > 0.05, support[:, None, :] / np.maximum(between, 0.05), np.inf)
    radius = lines.min(2) + ease
    for row in range(int(body.chest / _STEP_M) - 1, -1, -1):
        if row * _STEP_M > hem - 0.1:
            radius[row] = np.maximum(radius[row], radius[row + 1] - taper * _STEP_M)
        else:
            radius[row] = radius[row + 1]
    if cinch:
        band = 1 - ramp(hem + 0.03, hem + 0.09, np.arange(rows) * _STEP_M)
        close = lines.min(2) + 0.6 * ease
        radius = radius * (1 - band[:, None]) + np.minimum(radius, close) * band[:, None]
    return Drape(gaussian_filter1d(gaussian_filter1d(radius, 1.2, axis=0, mode="nearest"), 0.8, axis=1, mode="wrap"), centre)


def _waves(points: np.ndarray, random: RandomState, per_m: tuple[float, float, float], count: int = 5) -> np.ndarray:
    """(n,) smooth random folds in about [-1, 1]; `per_m` says how many along x, y and z."""
    total = np.zeros(len(points))
    for _ in range(count):
        direction = random.normal(0, 1, 3) * per_m * 2 * np.pi
        total += np.sin(points @ direction + random.uniform(0, 2 * np.pi))
    return total / np.sqrt(count)


def _limb(points: np.ndarray, axis: np.ndarray, target: np.ndarray, ease: np.ndarray | float) -> np.ndarray:
    """Points pushed away from the middle line of a limb until `ease` outside the skin, and at least `target` from the line, m."""
    away = points - axis
    radius = np.maximum(np.linalg.norm(away, axis=1), 1e-4)
    wanted = np.maximum(radius + ease, target)
    return axis + away * (wanted / radius)[:, None]


@dataclass(frozen=True)
class Cut:
    """The cut of a top or an outer garment; lengths for a person of standard height, m.

    Args:
        ease: room around the trunk; taper, cinch: see `hang`.
        hem: height of the hem against the crotch, short and long.
        sleeve: share of the arm that is covered, short and long.
        sleeve_radius: of the upper arm and of the wrist.
        neck: height of the neckline against the base of the neck; v: how far it dips in front.
        collar: how far the collar stands off.
    """

    ease: float
    taper: float
    hem: tuple[float, float]
    sleeve: tuple[float, float]
    sleeve_radius: tuple[float, float]
    neck: float = 0.0
    v: float = 0.0
    collar: float = 0.0
    cinch: bool = False


CUTS = {
    "tshirt": Cut(0.016, 0.25, (0.02, 0.09), (0.3, 0.48), (0.068, 0.078)),
    "tank": Cut(0.010, 0.4, (0.03, 0.09), (-0.03, 0.0), (0.05, 0.05), -0.045, 0.02),
    "polo": Cut(0.016, 0.25, (0.02, 0.08), (0.34, 0.46), (0.066, 0.07), 0.02, 0.02, 0.006),
    "shirt": Cut(0.018, 0.25, (0.0, 0.07), (0.92, 0.99), (0.064, 0.05), 0.03, 0.02, 0.008),
    "blouse": Cut(0.014, 0.3, (0.02, 0.1), (0.5, 0.98), (0.058, 0.05), -0.03, 0.05),
    "longsleeve": Cut(0.012, 0.35, (0.02, 0.09), (0.94, 1.0), (0.056, 0.042)),
    "jumper": Cut(0.017, 0.25, (0.03, 0.1), (0.95, 1.0), (0.062, 0.046), 0.012, 0.0, 0.006, True),
    "hoodie": Cut(0.022, 0.15, (0.03, 0.09), (0.96, 1.02), (0.068, 0.048), 0.03, 0.02, 0.014, True),
    "dress": Cut(0.010, 0.45, (-0.35, -0.12), (0.0, 0.5), (0.055, 0.055), -0.035, 0.03),
    "jacket": Cut(0.027, 0.12, (0.03, 0.09), (0.97, 1.02), (0.070, 0.050), 0.045, 0.03, 0.016, True),
    "denim_jacket": Cut(0.028, 0.2, (0.07, 0.11), (0.97, 1.0), (0.07, 0.052), 0.04, 0.04, 0.016),
    "blazer": Cut(0.028, 0.3, (-0.04, 0.02), (0.97, 1.0), (0.07, 0.058), 0.03, 0.10, 0.01),
    "cardigan": Cut(0.022, 0.15, (-0.1, 0.04), (0.93, 1.0), (0.064, 0.05), 0.01, 0.1, 0.006),
    "coat": Cut(0.029, 0.05, (-0.42, -0.12), (0.98, 1.03), (0.073, 0.058), 0.05, 0.05, 0.018),
    "parka": Cut(0.034, 0.05, (-0.22, -0.05), (0.98, 1.03), (0.078, 0.057), 0.055, 0.02, 0.022),
    "puffer": Cut(0.044, 0.1, (-0.02, 0.08), (0.98, 1.02), (0.088, 0.060), 0.06, 0.0, 0.02, True),
    "raincoat": Cut(0.030, 0.0, (-0.3, -0.05), (0.98, 1.03), (0.082, 0.066), 0.04, 0.02, 0.016),
    "bodywarmer": Cut(0.032, 0.1, (0.02, 0.08), (-0.01, 0.01), (0.05, 0.05), 0.045, 0.03, 0.016, True),
    "vest_signal": Cut(0.032, 0.05, (0.0, 0.05), (-0.01, 0.01), (0.05, 0.05), -0.01, 0.12),
}
"""Cuts of tops and outer garments by `Garment.kind`."""


def top(
    body: Mannequin, garment: Garment, random: RandomState, material: int, under: float, tucked: bool = False
) -> tuple[list[Part], np.ndarray, float]:
    """A top or an outer garment.

    Args:
        body: who wears it.
        garment: its record.
        random: for the folds.
        material: index into the figure's table.
        under: thickness of what is worn underneath, m.
        tucked: ends at the waist, inside the trousers.

    Returns:
        The parts; over all vertices of the body model, how far each lies beyond the neckline or the sleeves, m (negative:
        covered); the height of the hem, m.
    """
    cut, size = CUTS[garment.kind], body.size
    roomy = 0.7 + 0.6 * garment.width
    ease = cut.ease * roomy * size + under
    reach = body.crotch + (cut.hem[0] + (cut.hem[1] - cut.hem[0]) * (1 - garment.length)) * size
    hem = body.waist - 0.01 * size if tucked else reach
    drape = hang(body, ease, cut.taper * (1.3 - 0.6 * garment.width), hem, cut.cinch and not tucked)
    neckline, sleeve = _openings(body, cut, garment)
    suit, flare = body.model.parts["tights"], body.model.parts["skirt"]
    points = body.points[suit]
    arm, height = body.arm[suit], points[:, 2]
    folds = _waves(points / size, random, (5.0, 5.0, 4.0))
    lifted = points + body.normals[suit] * (ease * (0.55 + 0.1 * folds) + _collar(body, cut)[suit])[:, None]
    hanging = drape.place(points, 0.10 * ease * folds)
    low = (1 - ramp(body.chest - 0.02 * size, body.chest + 0.07 * size, height)) * (1 - ramp(0.1, 0.6, arm))
    trunk = lifted * (1 - low[:, None]) + hanging * low[:, None]
    share = np.clip(body.arm_at[suit] / body.arm_m, 0, 1)
    radius = (cut.sleeve_radius[0] * (1 - share) + cut.sleeve_radius[1] * share) * (0.85 + 0.3 * garment.width) * size + under
    creases = _waves(np.stack([body.arm_at[suit], points[:, 1], points[:, 0] * 0.3], 1) / size, random, (9.0, 4.0, 3.0))
    sleeves = _limb(
        points, body.arm_axis[suit], (radius + 0.004 * creases) * ramp(0.05, 0.3, share), 0.45 * ease + 0.002 * creases
    )
    on_arm = ramp(0.35, 0.85, arm)[:, None]
    shape = trunk * (1 - on_arm) + sleeves * on_arm
    edge = np.minimum(
        np.minimum(-neckline[suit], -sleeve[suit]), np.where(arm > 0.3, 1.0, height - max(body.waist - 0.06 * size, hem))
    )
    parts = [body.part("tights", shape, edge, material)]
    if hem < body.waist - 0.02 * size:
        below = body.points[flare]
        angle = np.arctan2(below[:, 1], below[:, 0])
        deep = ramp(0.0, 0.5, (body.waist - below[:, 2]) / size)
        ripple = sum(np.sin(k * angle + random.uniform(0, 6.28)) / k for k in (3, 5, 7, 9)) * deep
        ripple = (
            0.10 * ease * _waves(below / size, random, (5.0, 5.0, 2.5)) + (0.012 if cut.taper < 0.2 else 0.006) * ripple * size
        )
        parts.append(body.part("skirt", drape.place(below, ripple), below[:, 2] - hem + 0.006 * np.sin(3 * angle), material))
    return parts, np.maximum(neckline, sleeve), hem


def _openings(body: Mannequin, cut: Cut, garment: Garment) -> tuple[np.ndarray, np.ndarray]:
    """How far each vertex of the model lies outside the neckline and beyond the sleeve, m."""
    size, points = body.size, body.points
    base = body.heads["neck01"]
    line = base[2] + (cut.neck + 0.012) * size + 0.55 * (points[:, 1] - base[1])
    dip = cut.v * size * np.clip(1 - np.abs(points[:, 0]) / (0.05 * size), 0, 1) * ramp(0.0, 0.06, base[1] - points[:, 1])
    neckline = points[:, 2] - (line - dip)
    # Only the neck and its surroundings: raised arms and the head are not "above the neckline of the shoulders".
    side = np.abs(points[:, 0]) - 0.115 * size
    neckline = np.minimum(neckline, np.where(points[:, 2] < base[2] + 0.06 * size, 0.6 * -side, 1.0))
    length = (cut.sleeve[0] + (cut.sleeve[1] - cut.sleeve[0]) * garment.length) * body.arm_m
    sleeve = np.where(body.arm > 0.03, body.arm_at - length, -1.0)
    return neckline, sleeve


def _collar(body: Mannequin, cut: Cut) -> np.ndarray:
    """How far the collar stands off the neck at each vertex of the model, m."""
    base = body.heads["neck01"][2]
    return cut.collar * body.size * ramp(base - 0.03 * body.size, base + 0.04 * body.size, body.points[:, 2])


LEGS = {  # radius of thigh, knee and hem, m; ease, m; height of the hem, short and long, m
    "jeans": ((0.084, 0.068, 0.064), 0.010, (0.06, 0.03)),
    "trousers": ((0.088, 0.074, 0.074), 0.013, (0.07, 0.03)),
    "suit_trousers": ((0.092, 0.083, 0.090), 0.014, (0.05, 0.025)),
    "work_trousers": ((0.096, 0.088, 0.088), 0.017, (0.05, 0.03)),
    "joggers": ((0.094, 0.082, 0.058), 0.016, (0.09, 0.05)),
    "leggings": ((0.0, 0.0, 0.0), 0.003, (0.2, 0.07)),
    "shorts": ((0.104, 0.11, 0.11), 0.018, (0.62, 0.48)),
    "jean_shorts": ((0.098, 0.1, 0.1), 0.014, (0.68, 0.52)),
}


def trousers(body: Mannequin, garment: Garment, random: RandomState, material: int) -> tuple[list[Part], float]:
    """Trousers, shorts or leggings, and the height of their hem, m; "bare" gives none."""
    if garment.kind not in LEGS:
        return [], body.crotch
    radii, ease, hems = LEGS[garment.kind]
    size, suit = body.size, body.model.parts["tights"]
    hem = (hems[0] + (hems[1] - hems[0]) * garment.length) * size
    wide = (0.88 + 0.3 * garment.width) * size
    points, share = body.points[suit], np.clip(body.leg_at[suit] / body.leg_m, 0, 1.05)
    radius = np.interp(share, [0.0, 0.25, 0.53, 1.0], [radii[0] * 1.1, *radii]) * wide
    stacked = np.where(garment.kind in ("leggings", "shorts", "jean_shorts"), 0.0, ramp(0.75, 1.0, share))
    folds = _waves(np.stack([body.leg_at[suit], points[:, 1], points[:, 0] * 0.5], 1) / size, random, (7.0, 3.0, 3.0))
    rings = np.sin(body.leg_at[suit] / size * 2 * np.pi / 0.055 + 2 * folds)
    loose = ramp(0.0, 0.05, np.asarray(radii[1]) + 0.0)
    extra = loose * size * (0.003 * folds + 0.004 * stacked * rings)
    leg = _limb(points, body.leg_axis[suit], radius * ramp(0.08, 0.3, share) + extra, ease * wide / size * size + extra)
    seat = points + body.normals[suit] * (ease * wide * (0.9 + 0.1 * folds))[:, None]
    on_leg = (ramp(0.35, 0.8, body.leg[suit]) * ramp(0.1, 0.3, share))[:, None]
    shape = seat * (1 - on_leg) + leg * on_leg
    waist = body.waist + 0.01 * size
    shaft = np.where(body.leg[suit] > 0.2, body.leg_m + 0.05 * size - body.leg_at[suit], 1.0)
    edge = np.minimum(np.minimum(waist - points[:, 2], points[:, 2] - hem), shaft)
    edge = np.where(body.arm[suit] > 0.3, -1.0, edge)
    return [body.part("tights", shape, edge, material)], hem


def skirt(body: Mannequin, garment: Garment, random: RandomState, material: int, covered: bool) -> tuple[list[Part], float]:
    """A skirt and the height of its hem, m; `covered` by a coat it falls straight."""
    size = body.size
    low, high = (0.12, 0.35) if garment.kind == "long_skirt" else (0.40, 0.62)
    hem = (high + (low - high) * garment.length) * size
    wide = 0.2 * garment.width if covered else garment.width
    drape = hang(body, 0.01 * size, 0.15 - 0.4 * wide + (0.2 if covered else 0.0), hem)
    points = body.points[body.model.parts["skirt"]]
    angle = np.arctan2(points[:, 1], points[:, 0])
    deep = ramp(0.05, 0.5, (body.waist - points[:, 2]) / size)
    pleats = sum(np.sin(k * angle + random.uniform(0, 6.28)) / k for k in (5, 8, 11)) * deep * (0.006 + 0.02 * wide) * size
    edge = np.minimum(points[:, 2] - hem, body.waist + 0.02 * size - points[:, 2])
    return [body.part("skirt", drape.place(points, pleats), edge, material)], hem


def bare_legs(body: Mannequin, hem: float, ankle: float, material: int, thickness: float = 0.0) -> list[Part]:
    """Skin, socks or nylons between a hem and the shoes (heights, m)."""
    suit = body.model.parts["tights"]
    points = body.points[suit]
    shape = points + body.normals[suit] * thickness
    edge = np.minimum(hem + _SKIN_UNDER_M - points[:, 2], points[:, 2] - ankle + _SKIN_UNDER_M)
    return [body.part("tights", shape, np.where(body.leg[suit] > 0.5, edge, -1.0), material)] if hem > ankle else []


SHAFTS = {"sneakers": 0.088, "shoes": 0.075, "ankle_boots": 0.145, "boots": 0.24}
"""Height of the shaft by kind of shoe, m."""


def shoes(body: Mannequin, garment: Garment, material: int) -> tuple[list[Part], float]:
    """A pair of shoes or boots, and the height of the shaft, m. The soles reach below z = 0."""
    size, suit = body.size, body.model.parts["tights"]
    points = body.points[suit]
    shaft = (SHAFTS[garment.kind] + (0.12 * garment.length if garment.kind == "boots" else 0.0)) * size
    room = (0.006 + 0.004 * garment.width) * size
    shape = points + body.normals[suit] * room
    toe = ramp(0.0, 0.1, body.heads["toe3-1.L"][1] - points[:, 1])
    sole = (0.016 + 0.012 * garment.width) * size
    flat = 1 - ramp(0.012 * size, 0.045 * size, points[:, 2])
    shape[:, 2] = shape[:, 2] * (1 - 0.8 * flat) - sole * flat + 0.01 * size * toe * (1 - flat)
    edge = np.where(body.leg[suit] > 0.5, shaft - points[:, 2], -1.0)
    part = body.part("tights", shape, edge, material)
    coords = part.points / np.float32(size)
    coords[:, 2] += np.float32(sole / size)
    return [Part(part.points, part.faces, part.bones, part.weights, coords, part.cut, material)], shaft
