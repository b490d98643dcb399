"""From a body in a crop to the coloured cloud: what the camera sees of the body first, then a plane behind it, one point a pixel.

Source: Zheng et al., Parameter-Efficient Person Re-identification in the 3D Space (TNNLS 2022), and its code layumi/hmr.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from passerby.errors import UsageError
from passerby.lifting.lifter import Lifted, Refused
from passerby.street.clouds import PointCloud
from passerby.street.raster import fill

__all__ = ["OCCLUSION_M", "Points", "colour", "drop_occluded", "splat"]

Points = Literal["surface", "vertices"]
OCCLUSION_M = 0.05
"""A neighbour that lies so much deeper belongs to something behind the edge."""

_SIZES_M = (0.1, 10.0)  # of a body, a child's as of one with its arms out; other units fall outside
_LEAST = 0.01  # of the picture, that a body's box takes: a crop shows its person large
_REACH = 0.14  # of the person's height: how far clothes and hair reach beyond the body


def splat(columns: np.ndarray, rows: np.ndarray, depth: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Let points fall onto pixels; the nearest owns its pixel, the first of equally near ones.

    Args:
        columns, rows: (V,) pixels; what falls outside goes to the pixel at the edge, as published.
        depth: (V,) metres.
        width, height: of the grid.

    Returns:
        (H, W) float64 depth, inf where nothing fell, and (H, W) int64 which point, -1 for none.
    """
    at = np.clip(np.floor(rows), 0, height - 1).astype(np.int64) * width + np.clip(np.floor(columns), 0, width - 1).astype(
        np.int64
    )
    order = np.lexsort((np.arange(len(at)), depth))
    pixels, first = np.unique(at[order], return_index=True)
    owner = np.full(width * height, -1, np.int64)
    owner[pixels] = order[first]
    best = np.where(owner >= 0, depth[owner], np.inf)
    return best.reshape(height, width), owner.reshape(height, width)


def drop_occluded(depth: np.ndarray) -> np.ndarray:
    """Which pixels stay in front: of two neighbours, the one above or to the left goes when it is `OCCLUSION_M` deeper.

    Such a pixel shows what the nearer surface hides in truth. Applied twice it changes nothing more.

    Args:
        depth: (H, W) metres, inf where nothing is.

    Returns:
        (H, W) bool.
    """
    front = np.isfinite(depth)
    centre = depth[1:-1, 1:-1]
    with np.errstate(invalid="ignore"):  # inf - inf: nothing beside nothing
        above, left = depth[:-2, 1:-1] - centre > OCCLUSION_M, depth[1:-1, :-2] - centre > OCCLUSION_M
    front[:-2, 1:-1] &= ~above
    front[1:-1, :-2] &= ~left
    return front


def colour(
    lifted: Lifted, image: np.ndarray, *, width: int = 64, height: int = 128, points: Points = "surface"
) -> PointCloud | Refused:
    """Make the cloud of a crop.

    Args:
        lifted: the body in the crop.
        image: (h, w, 3) uint8, the crop.
        width, height: the grid; the cloud has width x height points.
        points: "surface": a point a pixel of the mask, on the body's triangles or, for clothes and hair beside them, as deep as
            the nearest of these. "vertices": the body's own visible vertices, as published; the mask is not used.

    Returns:
        The cloud: visible points first (in the order of pixels, or of vertices), then one point for every other pixel on a plane
        at the mean depth of the vertices; or why there is none.

    Raises:
        UsageError: points is neither, or the grid is empty.
    """
    if points not in ("surface", "vertices"):
        raise UsageError(f'points is "{points}": allowed are surface and vertices.')
    if width < 2 or height < 2:
        raise UsageError(f"the grid is {width} x {height}: at least 2 x 2 points are needed.")
    if not np.isfinite(lifted.vertices).all():
        return Refused("vertices that are not finite")
    size = float(np.ptp(lifted.vertices, axis=0).max())
    if not _SIZES_M[0] <= size <= _SIZES_M[1]:
        return Refused("a body of no person's size", f"{size:.3g} m from end to end, vertices are in metres")
    behind = int((~lifted.camera.in_front(lifted.vertices)).sum())
    if behind:  # a pinhole shows them too, upside down
        return Refused("a body behind the camera", f"{behind} of {len(lifted.vertices)} vertices")
    across, along = width / image.shape[1], height / image.shape[0]
    column, row, depth = lifted.camera.project(lifted.vertices).T
    column, row = column * across, row * along
    if misplaced := _misplaced(column, row, width, height, single=lifted.faces is None or points == "vertices"):
        return misplaced
    x, y = (np.arange(width) + 0.5) / across, (np.arange(height) + 0.5) / along
    columns, rows = np.meshgrid(x, y)
    plane = lifted.camera.unproject(columns, rows, np.full((height, width), depth.mean()))
    if points == "vertices":
        best, owner = splat(column, row, depth, width, height)
        front = drop_occluded(best)
        chosen = np.sort(owner[front])
        surface = lifted.vertices[chosen]
        pixel = np.full(len(lifted.vertices), -1)
        pixel[owner[front]] = np.flatnonzero(front)
        order = np.concatenate([pixel[chosen], np.flatnonzero(~front)])
    else:
        found = _surface(lifted, column, row, depth, image.shape[:2], width, height)
        if isinstance(found, Refused):
            return found
        front, deep = found
        order = np.argsort(~front.reshape(-1), kind="stable")
        surface = lifted.camera.unproject(columns[front], rows[front], deep[front])
    backdrop = plane.reshape(-1, 3)[order[len(surface) :]]
    rgb = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX)).reshape(-1, 3)[order]
    return PointCloud(np.concatenate([surface, backdrop]).astype(np.float32), rgb, len(surface))


def _misplaced(column: np.ndarray, row: np.ndarray, width: int, height: int, *, single: bool) -> Refused | None:
    """Why a body on these places of the grid is no person in this crop; `single` points are drawn without triangles."""
    if not (np.isfinite(column).all() and np.isfinite(row).all()):
        return Refused("a body outside the picture", "no number says how far")
    if single and ((column < 0) | (column >= width) | (row < 0) | (row >= height)).mean() > 0.9:
        return Refused("a body outside the picture")
    share = float(np.ptp(column) * np.ptp(row)) / (width * height)
    return Refused("a body too small in the picture", f"{share:.2%} of it") if share < _LEAST else None


def _surface(
    lifted: Lifted, column: np.ndarray, row: np.ndarray, depth: np.ndarray, size: tuple[int, ...], width: int, height: int
) -> tuple[np.ndarray, np.ndarray] | Refused:
    """(H, W) bool pixels in front, and their depth."""
    if lifted.faces is None:
        best, _ = splat(column, row, depth, width, height)
    else:
        near, owner = np.full((height, width), -np.inf, np.float32), np.full((height, width), -1, np.int32)
        corners = np.stack([column, row], 1).astype(np.float32)
        fill(corners, -depth.astype(np.float32), np.ones(len(depth), np.float32), lifted.faces, near, owner)
        best = -near.astype(np.float64)
    covered = np.isfinite(best)
    # Triangles hide what is behind them; single points let it shine through.
    front = drop_occluded(best) if lifted.faces is None else covered
    if lifted.mask is None:
        return (front, best) if front.any() else Refused("a body outside the picture")
    wanted = np.asarray(Image.fromarray(lifted.mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)) > 0.5
    known = front & wanted
    if known.sum() < 0.25 * wanted.sum() or not known.any():
        return Refused("body and mask do not fit", f"the body covers {known.sum()} of the mask's {wanted.sum()} points")
    away, nearest = np.empty(known.shape), np.empty((2, *known.shape), np.int32)
    ndimage.distance_transform_edt(~known, return_indices=True, distances=away, indices=nearest)
    tall = np.ptp(np.flatnonzero(wanted.any(1))) + 1
    beside = wanted & ~covered & (away <= _REACH * tall)
    return known | beside, best[tuple(nearest)]
