"""The 3-D shape of a crop: visible surface points first, then one point of a background plane for every other pixel.

The form is OG-Net's: H x W coloured points a crop, in the camera's axes (x right, y down, z away), metres from the pelvis.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from passerby.files import write_bytes, write_text
from passerby.street.stage import Shot

__all__ = ["PointCloud", "point_cloud", "save_npz", "save_obj"]


@dataclass(frozen=True)
class PointCloud:
    """Coloured points of one crop.

    Attributes:
        xyz: (N, 3) float32 metres: x right, y down, z away from the camera, the pelvis at the origin.
        rgb: (N, 3) uint8, as in the finished crop.
        surface: how many of the first points lie on the person; the rest lie on a plane through the pelvis.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    surface: int


def point_cloud(shot: Shot, picture: np.ndarray, pid: int, pelvis: np.ndarray, width: int, height: int) -> PointCloud:
    """Lift a crop to points with the depth that it was drawn with.

    Args:
        shot: the crop's shot.
        picture: (h, w, 3) uint8, the finished crop.
        pid: whose surface counts; other people fall onto the plane.
        pelvis: (3,) world, metres.
        width, height: the grid; it has width x height points.
    """
    view = shot.view
    column = (np.arange(width) + 0.5) * view.width / width
    row = (np.arange(height) + 0.5) * view.height / height
    pick = np.ix_(row.astype(int), column.astype(int))
    depth, mine = shot.layer.depth[pick], shot.layer.ids[pick] == pid
    root = view.rotation @ pelvis + view.translation
    away = np.where(mine, depth, root[2])
    x = (column[None] - view.cx) / view.fx * away
    y = (row[:, None] - view.cy) / view.fy * away
    xyz = np.stack([x, y, away], -1) - root
    rgb = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
    order = np.argsort(~mine.reshape(-1), kind="stable")
    return PointCloud(xyz.reshape(-1, 3)[order].astype(np.float32), rgb.reshape(-1, 3)[order], int(mine.sum()))


def save_obj(cloud: PointCloud, path: Path) -> None:
    """Write `v x y z r g b` lines with six decimals, colours in [0, 1], and one face that only satisfies readers."""
    rows = np.concatenate([cloud.xyz, cloud.rgb / 255.0], 1).tolist()
    lines = ["v {:.6f} {:.6f} {:.6f} {:.6f} {:.6f} {:.6f}".format(*row) for row in rows]
    write_text(path, "\n".join([*lines, "f 1 2 3"]) + "\n")


def save_npz(cloud: PointCloud, path: Path) -> None:
    """Write `xyz`, `rgb` and `surface` as they are in memory."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, xyz=cloud.xyz, rgb=cloud.rgb, surface=np.int64(cloud.surface))
    write_bytes(path, buffer.getvalue())
