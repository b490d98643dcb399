"""Fits the body to what BlazePose found, many images at once: gradient descent through the differentiable body.

The unknowns of an image are the turn of the whole body, the angles of its joints, six shape numbers, how thick its clothes are,
and a weak perspective camera. Four things pull: the landmarks on the picture, the landmarks in metres (which say what is near
and what far), the mask, and what bodies usually do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from passerby.lifting.blazepose import LANDMARKS, Found
from passerby.lifting.body import SHAPES, STANDING, FitBody, rotation

__all__ = ["FitSettings", "Fitted", "fit"]

_PATCH = 48  # side of the mask as the fit sees it
_INSIDE = 96  # places in the mask that the body should come near to
_CLOTH_M = 0.015  # what usually lies between skin and air
_NEAR_M = 0.03  # a place in the mask counts as covered when a compared vertex is so near


@dataclass(frozen=True)
class FitSettings:
    """How the body is fitted.

    Attributes:
        steps: gradient steps.
        rate: of Adam, in rad and shape units; it falls to a tenth along a cosine.
        picture, metres, mask: weights of the landmarks on the picture, of those in metres, and of the mask.
        pose, shape, cloth: weights of the usual pose (a rad), shape (a unit) and clothes (a metre).
        tilt_deg: how far the cameras look down on people. One picture hardly shows it, and the network supposes less than is true
            of cameras that hang: with a camera 4 m high, people at 10 m are seen from about 15 degrees above.
        trust: how much of the network's own lean is kept, 0 to 1; the rest is `tilt_deg`.
    """

    steps: int = 40
    rate: float = 0.1
    picture: float = 1.0
    metres: float = 1.0
    mask: float = 0.5
    pose: float = 0.004
    shape: float = 0.002
    cloth: float = 1.0
    tilt_deg: float = 15.0
    trust: float = 0.25


@dataclass(frozen=True, eq=False)
class Fitted:
    """Bodies in B images.

    Attributes:
        vertices: (B, V, 3) float32 metres, in the camera's axes, the pelvis at 0.
        scale: (B,) pixels a metre.
        shift: (B, 2) column and row of the pelvis, pixels.
        residual: (B,) how far the body's landmarks lie from those on the picture, metres (root mean square over those seen).
    """

    vertices: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    residual: np.ndarray


def fit(body: FitBody, found: Sequence[Found], settings: FitSettings | None = None) -> Fitted:
    """Fit the body to what was found in B images; they do not depend on each other.

    Args:
        body: see `body.fit_body`.
        found: what BlazePose found, one an image.
        settings: steps and weights.
    """
    settings = settings or FitSettings()
    target = _target(found, body.known, settings)
    count = len(found)
    first = _first_turn(target.world)
    turn = torch.zeros(count, 3, requires_grad=True)
    angles = STANDING.repeat(count, 1).requires_grad_()
    shape = torch.zeros(count, SHAPES, requires_grad=True)
    camera = torch.zeros(count, 3, requires_grad=True)  # logarithm of the scale; shift, m
    cloth = torch.full((count, 1), _CLOTH_M).requires_grad_()
    groups = [
        {"params": [turn, angles, shape], "lr": settings.rate},
        {"params": [camera], "lr": settings.rate / 4},
        {"params": [cloth], "lr": settings.rate / 10},
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps, settings.rate / 100)
    for _ in range(settings.steps):
        optimizer.zero_grad()
        pose = body.pose(shape, angles, first @ rotation(turn))
        usual = settings.pose * (angles - STANDING).square().sum() + settings.shape * shape.square().sum()
        loss = _landmark_loss(body, pose, camera, target, settings) + usual + 0.2 * _broken(angles)
        loss = loss + settings.cloth * (cloth - _CLOTH_M).square().sum()
        if settings.mask:
            loss = loss + settings.mask * _mask_loss(body, pose, camera, cloth, target)
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        pose = body.pose(shape, angles, first @ rotation(turn))
        square = ((_projected(body.landmarks(pose), camera) - target.points) ** 2).sum(-1)
        residual = ((target.seen * square).sum(1) / target.seen.sum(1).clamp(min=1e-6)).sqrt()
        vertices = body.points(pose, torch.arange(body.vertices), cloth)
    scale, shift = camera[:, 0].detach().exp().numpy(), camera[:, 1:].detach().numpy()
    return Fitted(
        vertices=vertices.numpy(),
        scale=scale * target.unit,
        shift=shift * target.unit[:, None] + target.origin,
        residual=residual.numpy() / scale,
    )


@dataclass(frozen=True, eq=False)
class _Target:
    """What the body is compared with; places on the picture are in metres of the network's body, from the middle of the hips.

    points (B, 33, 2), seen (B, 33), world (B, 33, 3); field (B, 1, S, S) distance to the mask, m, on a square with its upper
    left corner (B, 2) and side (B,); inside (B, n, 2) places in the mask, NaN where there is none; unit (B,) pixels a metre;
    origin (B, 2) pixels.
    """

    points: Tensor
    seen: Tensor
    world: Tensor
    field: Tensor
    corner: Tensor
    side: Tensor
    inside: Tensor
    unit: np.ndarray
    origin: np.ndarray


def _at(name: str) -> int:
    return LANDMARKS.index(name)


_HIPS = [_at("hip.L"), _at("hip.R")]
_SHOULDERS = [_at("shoulder.L"), _at("shoulder.R")]
_TOP = [*_SHOULDERS, _at("ear.L"), _at("ear.R")]
_BOTTOM = [_at("ankle.L"), _at("ankle.R"), _at("heel.L"), _at("heel.R")]


def _target(found: Sequence[Found], known: np.ndarray, settings: FitSettings) -> _Target:
    world = np.stack([one.world for one in found])
    world = world - world[:, _HIPS].mean(1, keepdims=True)
    points = np.stack([one.points for one in found])
    origin = points[:, _HIPS].mean(1)
    seen = np.stack([one.seen for one in found]) * known
    there, weight = points - origin[:, None], seen[..., None]
    # The scale for which the landmarks in metres lie nearest to those on the picture.
    unit = (weight * world[..., :2] * there).sum((1, 2)) / np.maximum((weight * world[..., :2] ** 2).sum((1, 2)), 1e-6)
    unit = np.maximum(unit, 1.0)
    masks = [_mask_target(one.mask > 0.5, pixels, middle) for one, pixels, middle in zip(found, unit, origin, strict=True)]
    field, corner, side, inside = (torch.tensor(np.stack(part)).float() for part in zip(*masks, strict=True))
    return _Target(
        points=torch.tensor(there / unit[:, None, None]).float(),
        seen=torch.tensor(seen).float(),
        world=torch.tensor(_leaning(world, np.deg2rad(settings.tilt_deg), settings.trust)).float(),
        field=field[:, None],
        corner=corner,
        side=side,
        inside=inside,
        unit=unit,
        origin=origin,
    )


def _mask_target(mask: np.ndarray, unit: float, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """field, corner, side and inside of `_Target`, for one image."""
    from scipy import ndimage

    height, width = mask.shape
    side = max(height, width)
    step = side / _PATCH
    corner = np.array([(width - side) / 2, (height - side) / 2])
    columns, rows = ((np.floor((np.arange(_PATCH) + 0.5) * step + start)).astype(int) for start in corner)
    patch = mask[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    outside = ((rows < 0) | (rows >= height))[:, None] | ((columns < 0) | (columns >= width))[None]
    patch &= ~outside
    # Nobody knows what is beyond the picture's edge: nothing pulls there.
    field = ndimage.distance_transform_edt(~(patch | outside)) * step / unit if patch.any() else np.zeros(patch.shape)
    row, column = np.nonzero(patch)
    inside = np.full((_INSIDE, 2), np.nan)
    if len(row):
        pick = np.linspace(0, len(row) - 1, _INSIDE).round().astype(int)
        inside = (np.stack([columns[column[pick]], rows[row[pick]]], 1) + 0.5 - origin) / unit
    return field, (corner - origin) / unit, side / unit, inside


def _leaning(world: np.ndarray, tilt: float, trust: float) -> np.ndarray:
    """Turn landmarks in metres about the picture's rows until people stand as under a camera that looks down by `tilt`, rad."""
    down = world[:, _BOTTOM].mean(1) - world[:, _TOP].mean(1)
    more = (1 - trust) * (tilt - np.arctan2(down[:, 2], down[:, 1]))
    cos, sin = np.cos(more)[:, None], np.sin(more)[:, None]
    x, y, z = world.transpose(2, 0, 1)
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], -1)


def _first_turn(world: Tensor) -> Tensor:
    """(B, 3, 3) how the trunk stands, from hips and shoulders; the identity faces the camera upright."""
    hips, shoulders = world[:, _HIPS], world[:, _SHOULDERS]
    down = torch.nn.functional.normalize(hips.mean(1) - shoulders.mean(1), dim=-1)
    left = (hips[:, 0] - hips[:, 1]) + (shoulders[:, 0] - shoulders[:, 1])
    left = torch.nn.functional.normalize(left - (left * down).sum(-1, keepdim=True) * down, dim=-1)
    return torch.stack([left, down, torch.linalg.cross(left, down)], -1)


def _huber(square: Tensor, width: float) -> Tensor:
    """Quadratic near 0, linear beyond `width` (metres): one wrong landmark must not bend the body."""
    return width * width * ((1 + square / (width * width)).sqrt() - 1)


def _projected(points: Tensor, camera: Tensor) -> Tensor:
    return points[..., :2] * camera[:, None, :1].exp() + camera[:, None, 1:]


def _landmark_loss(body: FitBody, pose: tuple[Tensor, ...], camera: Tensor, target: _Target, settings: FitSettings) -> Tensor:
    joints = body.landmarks(pose)
    hips = joints[:, _HIPS].mean(1, keepdim=True)
    on_picture = _huber(((_projected(joints, camera) - target.points) ** 2).sum(-1), 0.1)
    in_metres = _huber(((joints - hips - target.world) ** 2).sum(-1), 0.15)
    supposed = torch.tensor(body.known) * (0.2 + 0.8 * target.seen)  # the network has an idea of hidden limbs too
    return settings.picture * (target.seen * on_picture).sum() + settings.metres * (supposed * in_metres).sum()


def _broken(angles: Tensor) -> Tensor:
    """Knees and elbows that bend the wrong way; the elbows of the rest pose are bent already."""
    return torch.relu(-angles[:, -4:-2]).square().sum() + torch.relu(-0.55 - angles[:, -2:]).square().sum()


def _mask_loss(body: FitBody, pose: tuple[Tensor, ...], camera: Tensor, cloth: Tensor, target: _Target) -> Tensor:
    """How far the body reaches out of the mask, and how much of the mask it leaves empty."""
    flat = _projected(body.points(pose, body.chosen, cloth), camera)
    place = (flat - target.corner[:, None]) / target.side[:, None, None] * 2 - 1
    out = torch.nn.functional.grid_sample(target.field, place[:, None], align_corners=False, padding_mode="border")[:, 0, 0]
    there = torch.isfinite(target.inside[..., 0])
    gap = torch.cdist(torch.nan_to_num(target.inside), flat).min(2).values
    empty = _huber(torch.relu(gap - _NEAR_M).square(), 0.1) * there
    return 25 * _huber(out.square(), 0.1).mean(1).sum() + 10 * empty.mean(1).sum()
