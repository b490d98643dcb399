"""A cloud of coloured points from all sides: a strip of views, or an animation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from passerby.errors import DataError, UsageError
from passerby.files import replacing
from passerby.plots.style import FAINT, check_format, head_and_foot, look, save_figure

__all__ = ["Up", "plot_turntable", "views_of"]

Up = Literal["-y", "y", "z"]
_BACKGROUND = 255
_FRAME_MS = 80
_LARGEST_POINT = 24  # a point is at most this part of a view's height


def plot_turntable(
    cloud: np.ndarray,
    out: str | os.PathLike[str],
    *,
    views: int = 8,
    height_px: int = 220,
    up: Up = "-y",
    title: str = "",
    dpi: int = 130,
) -> np.ndarray:
    """Draw a cloud from so many sides, turned round its upright axis.

    Args:
        cloud: (N, 6) x, y, z and colours from 0 to 1.
        out: PNG, PDF, SVG or JPG for views side by side; GIF for an animation.
        views: how many sides, evenly round; 24 and more make a smooth animation.
        height_px: of one view.
        up: axis of the cloud that points up; clouds of images have y pointing down.
        title: heading of the strip.
        dpi: dots an inch of the strip.

    Returns:
        (views, H, W, 3) uint8, what was drawn.

    Raises:
        UsageError: numbers out of range, or a suffix that cannot be written.
        DataError: a cloud of another shape, or of no extent.
    """
    animated = Path(out).suffix.lower() == ".gif"
    if not animated:
        check_format(out, dpi)
    if not 1 <= views <= 120 or not 16 <= height_px <= 2000:
        raise UsageError(f"views is {views}, height_px {height_px}: give 1 to 120 views of 16 to 2000 px.")
    found = views_of(cloud, views, height_px, up)
    if animated:
        frames = [Image.fromarray(view).quantize(128) for view in found]
        with replacing(out) as temporary:
            frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)
        return found
    from matplotlib.figure import Figure

    with look():
        width = max(0.011 * found.shape[2] * views, 3.6)
        figure = Figure(figsize=(width, 0.011 * height_px + 1.0), layout="constrained")
        for axes, view, turn in zip(figure.subplots(1, views, squeeze=False)[0], found, _turns(views), strict=True):
            axes.imshow(view, interpolation="nearest")
            axes.axis("off")
            axes.set_title(f"{np.degrees(turn):.0f}°", fontsize=7.5, fontweight="normal", color=FAINT, loc="center")
        head_and_foot(figure, title or "a cloud from all sides", f"{len(cloud):,} points, turned round the upright axis")
        save_figure(figure, out, dpi=dpi)
    return found


def views_of(cloud: np.ndarray, views: int, height_px: int, up: Up = "-y") -> np.ndarray:
    """(views, H, W, 3) uint8: the cloud from so many sides without perspective, the nearest point in front.

    Args:
        cloud: (N, 6) x, y, z and colours from 0 to 1.
        views: how many, evenly round.
        height_px: of one view.
        up: axis that points up.

    Raises:
        DataError: a cloud of another shape, or of no extent.
    """
    points = np.asarray(cloud, dtype=float)
    if points.ndim != 2 or points.shape[1] != 6 or not len(points):
        raise DataError(f"a cloud of shape {points.shape}: (N, 6) coloured points go here.")
    across, upward, away = _upright(points[:, :3], up)
    across, away = across - across.mean(), away - away.mean()
    tall, wide = float(np.ptp(upward)), 2 * float(np.hypot(across, away).max())
    if not max(tall, wide) > 0:
        raise DataError(f"all {len(points)} points of the cloud lie in one place: there is nothing to draw.")
    scale = (height_px - 4) / max(tall, 0.25 * wide)
    width_px = max(8, round(wide * scale) + 4)
    size = min(max(1, height_px // _LARGEST_POINT), max(1, round(0.9 * np.sqrt(height_px * width_px / len(points)))))
    colours = (255 * points[:, 3:].clip(0, 1)).round().astype(np.uint8)
    down = (upward.max() - upward) * scale + 2 + (height_px - 4 - tall * scale) / 2
    found = np.full((views, height_px, width_px, 3), _BACKGROUND, dtype=np.uint8)
    for picture, turn in zip(found, _turns(views), strict=True):
        right = (np.cos(turn) * across + np.sin(turn) * away) * scale + width_px / 2
        depth = np.cos(turn) * away - np.sin(turn) * across
        order = np.argsort(-depth, kind="stable")  # the farthest first: nearer points are painted over it
        for dy in range(size):
            for dx in range(size):
                y = np.clip((down + dy - size / 2 + 0.5).astype(int), 0, height_px - 1)[order]
                x = np.clip((right + dx - size / 2 + 0.5).astype(int), 0, width_px - 1)[order]
                picture[y, x] = colours[order]
    return found


def _turns(views: int) -> np.ndarray:
    return np.arange(views) * 2 * np.pi / views


def _upright(xyz: np.ndarray, up: Up) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """To the right, up, and away from whoever looks."""
    x, y, z = xyz.T
    if up == "z":
        return x, z, y
    return (x, -y, z) if up == "-y" else (x, y, -z)
