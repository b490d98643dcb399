"""Camera statistics in the first layers only, those of the whole set in the rest: where in a network the alignment counts.

Source: table 9 of Zhuang et al., ECCV 2020 (camera-based batch normalization).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from passerby.embedder.camera_statistics import Estimation, camera_wise, estimate_cameras, images_by_camera, observe
from passerby.embedder.network import Embedder
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import CameraStatistics
from passerby.records import Split

__all__ = ["cuts", "with_first_layers"]

PARTS = 4


def cuts(embedder: Embedder) -> dict[str, int]:
    """Where the table cuts a network: what has camera statistics -> how many of its norms, counted from the input.

    The paper cuts a ResNet-50 after its first norm, its four stages and its neck; here the norms of any backbone are cut into
    `PARTS` equal runs.
    """
    norms = list(camera_norms(camera_wise(embedder).model))
    own = sum(name.startswith("backbone.") for name in norms)
    found = {"none": 0, "first norm": 1}
    found |= {f"{part}/{PARTS} of the backbone": round(own * part / PARTS) for part in range(1, PARTS + 1)}
    return found | {"all, the neck too": len(norms)}


def with_first_layers(
    embedder: Embedder, splits: Mapping[str, Split], counts: Sequence[int], how: Estimation | None = None
) -> list[dict[str, Embedder]]:
    """One embedder a split for each count: the first so many norms have the statistics of each camera, the others of all images.

    The statistics of the others are estimated with the first ones already aligned, from batches of all cameras.

    Args:
        embedder: of a network with batch norm.
        splits: ``query`` and ``gallery``; statistics come from each split's own images.
        counts: how many norms, counted from the input.
        how: options.
    """
    how, ready = how or Estimation(), camera_wise(embedder)
    layers = list(camera_norms(ready.model))
    found: list[dict[str, Embedder]] = [{} for _ in counts]
    for name, split in splits.items():
        images = images_by_camera(split)
        cameras = estimate_cameras(ready, images, how).statistics
        camera_of = {path: camera for camera, paths in images.items() for path in paths}
        batches = how.drawn(sorted(camera_of))
        for place, count in enumerate(counts):
            first = cameras.only(layers[:count])
            rest = (
                observe(ready, batches, how.flip, given=first, camera_of=camera_of).estimate(how.estimator)
                if layers[count:]
                else {}
            )
            means, variances = dict(first.means), dict(first.variances)
            for layer, (mean, variance) in rest.items():
                means[layer], variances[layer] = (value.expand(len(cameras.cameras), -1) for value in (mean, variance))
            found[place][name] = ready.with_cameras(CameraStatistics(cameras.cameras, means, variances))
    return found
