"""Turntable sheets: lifted people from all sides, to see at a glance whether clouds are worth training on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from passerby.datasets.cloud_files import read_archive, read_cloud
from passerby.files import replacing

__all__ = ["turntable", "write_sheet"]

ANGLES_DEG = (0, 45, 90, 135, 180, 225, 270, 315)
_PAPER = 244


def turntable(cloud: np.ndarray, *, width: int = 72, height: int = 128, surface: int | None = None) -> np.ndarray:
    """One cloud from eight sides.

    Args:
        cloud: (N, 6) as `read_cloud` gives it.
        width, height: of one view, pixels.
        surface: how many of its first points lie on the person; these alone are turned. None: all are turned.

    Returns:
        (height, 9 * width, 3) uint8: the cloud as the camera saw it, then turned about the vertical, 45 degrees a view.
    """
    body = cloud[: surface or len(cloud)]
    middle = body[:, :3].mean(0)
    tall = max(float(np.ptp(body[:, 1])), 1e-6)
    views = [_view(cloud, middle, tall, 0.0, width, height)]
    views += [_view(body, middle, tall, np.deg2rad(angle), width, height) for angle in ANGLES_DEG]
    return np.concatenate(views, 1)


def _view(points: np.ndarray, middle: np.ndarray, tall: float, angle: float, width: int, height: int) -> np.ndarray:
    """Points as small squares, far ones first, so that near ones cover them."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = (points[:, :3] - middle).T
    across, away = cos * x + sin * z, cos * z - sin * x
    scale = 0.92 * height / tall
    column, row = np.round(across * scale + width / 2).astype(int), np.round(y * scale + height / 2).astype(int)
    picture = np.full((height, width, 3), _PAPER, np.uint8)
    order = np.argsort(-away, kind="stable")
    colours = np.round(points[order, 3:] * 255).astype(np.uint8)
    for down in (0, 1):
        for right in (0, 1):
            at_row, at_column = row[order] + down, column[order] + right
            inside = (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
            picture[at_row[inside], at_column[inside]] = colours[inside]
    return picture


def write_sheet(clouds: Sequence[Path], target: Path, *, rows: int = 10) -> Path:
    """Write a sheet of at most `rows` clouds, spread over those given: each as seen, then from eight sides.

    Raises:
        DataError: a file is no cloud.
    """
    chosen = [clouds[at] for at in np.unique(np.linspace(0, len(clouds) - 1, min(rows, len(clouds))).round().astype(int))]
    strips = [turntable(read_cloud(path), surface=_surface(path)) for path in chosen]
    with replacing(target) as temporary:
        Image.fromarray(np.concatenate(strips)).save(temporary, quality=88)
    return target


def _surface(path: Path) -> int | None:
    """How many points are the person's: .npz files say so."""
    if path.suffix != ".npz":
        return None
    found = read_archive(path, ("surface",))
    return int(found["surface"]) if "surface" in found else None
