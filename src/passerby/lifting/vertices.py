"""The `vertices` lifter: bodies that the user's own tool has fitted (SMPL by HMR or ROMP, SAM 3D Body), as .npz files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from passerby.datasets.cloud_files import read_archive
from passerby.datasets.walking import shown
from passerby.errors import DataError, UsageError, listing
from passerby.lifting.lifter import Crop, Lifted, Refused
from passerby.lifting.masks import beside
from passerby.lifting.projection import PinholeCamera, Projection, WeakCamera

__all__ = ["VerticesLifter", "read_body"]


class VerticesLifter:
    """Takes each crop's body from a file.

    Args:
        folder: with an .npz file a crop, in the crops' own folders or flat: ``NAME.jpg.npz`` or ``NAME.npz``; see `read_body`.

    Raises:
        UsageError: no such folder.
    """

    batch = 16

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f'"{shown(folder)}" is no folder: give the one that holds an .npz file with vertices a crop.')
        self.folder = folder

    def __call__(self, crops: Sequence[Crop]) -> list[Lifted | Refused]:
        """See `Lifter`."""
        answers: list[Lifted | Refused] = []
        for crop in crops:
            path = beside(self.folder, crop.name, ".npz")
            if path is None:
                answers.append(Refused("no vertices", f'no .npz of that name in "{shown(self.folder)}"'))
            else:
                answers.append(read_body(path, crop.image.shape[1], crop.image.shape[0]))
        return answers


def read_body(path: Path, width: int, height: int) -> Lifted:
    """Read one body.

    Args:
        path: an .npz file with ``vertices`` (V, 3) in metres from the pelvis, x right, y down, z away; ``camera`` (3,), HMR's
            s, tx, ty over the square about the crop; or instead ``focal_px`` and ``shift`` (3,), the pelvis's place in metres,
            and perhaps ``centre`` (2,), the principal point in pixels of the crop (default: its middle). ``faces`` (F, 3) and
            ``mask`` (H, W) where there are.
        width, height: of the crop, pixels.

    Raises:
        DataError: it is no such file.
    """
    arrays = read_archive(path)
    vertices = _array(arrays, "vertices", path, (-1, 3)).astype(np.float64)
    if len(vertices) < 3 or not np.isfinite(vertices).all():
        raise DataError(f'"{shown(path)}" has {len(vertices)} vertices, or some that are not finite: a body has thousands.')
    faces = _array(arrays, "faces", path, (-1, 3)) if "faces" in arrays else None
    if faces is not None and not (len(faces) and faces.min() >= 0 and faces.max() < len(vertices)):  # NaN is neither
        raise DataError(f'"{shown(path)}" has faces of vertices that are not there: its {len(vertices)} vertices count from 0.')
    mask = _array(arrays, "mask", path, (height, width)) > 0 if "mask" in arrays else None
    return Lifted(vertices, _camera(arrays, path, width, height), None if faces is None else faces.astype(np.int32), mask)


def _camera(arrays: Mapping[str, np.ndarray], path: Path, width: int, height: int) -> Projection:
    if "camera" in arrays:
        scale, x, y = (float(value) for value in _array(arrays, "camera", path, (3,)))
        if not (np.isfinite([scale, x, y]).all() and scale > 0):
            raise DataError(f'"{shown(path)}" has the camera {scale:g}, {x:g}, {y:g}: its scale must be above 0.')
        return WeakCamera.of_square(scale, x, y, width, height)
    if "focal_px" not in arrays:
        raise DataError(
            f'"{shown(path)}" has {listing(sorted(arrays))}: a camera is needed, as camera (s, tx, ty), or as focal_px and shift.'
        )
    focal = float(_array(arrays, "focal_px", path, ()))
    x, y, z = (float(value) for value in _array(arrays, "shift", path, (3,)))
    centre = _array(arrays, "centre", path, (2,)) if "centre" in arrays else np.array([width / 2, height / 2])
    if not (np.isfinite([focal, x, y, z]).all() and focal > 0 and z > 0):
        raise DataError(f'"{shown(path)}" has a focal length of {focal:g} px and the pelvis {z:g} m away: both must be above 0.')
    if not np.isfinite(centre).all():
        raise DataError(f'"{shown(path)}" has its principal point at {centre.tolist()}: "centre" must be two numbers of pixels.')
    return PinholeCamera(focal, float(centre[0]), float(centre[1]), (x, y, z))


def _array(arrays: Mapping[str, np.ndarray], name: str, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise DataError(f'"{shown(path)}" has {listing(sorted(arrays)) or "nothing"}: "{name}" is missing.')
    array = arrays[name]
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "biuf":
        wanted = " x ".join("N" if side < 0 else str(side) for side in shape) or "one number"
        raise DataError(
            f'"{shown(path)}" has "{name}" of shape {array.shape} and type {array.dtype}: numbers, {wanted}, are needed.'
        )
    return array
