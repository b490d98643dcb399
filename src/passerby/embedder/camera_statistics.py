"""Statistics of cameras at test time, from unlabelled images: those that are compared, or others of the same cameras.

Images are drawn, passed through the network batch by batch together with their mirror images, each batch normalised with its own
statistics, and these are averaged. The network stays in evaluation mode (no dropout), nothing is written into it, and the result
is held beside it by name of the camera.

Source: camera-based batch normalization (ECCV 2020): 50 batches of 64 images and of their mirror images, the mean of the batches'
statistics, query and gallery separately. Differs from the paper: a camera with fewer images than a batch makes one batch of what
it has (the published code leaves such a camera at mean 0 and variance 1), see `Estimation.min_images` for less.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from passerby.embedder.network import WHOLE_SET, Embedder
from passerby.embedder.pictures import ImageLike
from passerby.embedder.splits import camera_name
from passerby.errors import DataError, UsageError, listing, nearest
from passerby.models.norms.camera import observed
from passerby.models.norms.replacing import camera_norms, use_camera_norms
from passerby.models.norms.statistics import ESTIMATORS, CameraStatistics, LayerStatistics, Observations
from passerby.progress import meter
from passerby.records import Split

__all__ = [
    "SOURCES",
    "Estimated",
    "Estimation",
    "camera_wise",
    "embedders_for",
    "estimate_cameras",
    "estimate_whole_set",
    "images_by_camera",
    "observe",
    "with_data_statistics",
]

T = TypeVar("T")

SOURCES = {
    "own": "each split's own images: query images from query images, gallery images from gallery images (published)",
    "pooled": "query and gallery together",
    "train": "the training images of the same cameras",
    "whole-set": "all images of the split, whatever their camera",
}
"""Where the statistics of a data set's cameras come from."""

TRAINED_PLAIN = (
    "camera statistics on a network trained with plain batch norm: published 80.2 Rank-1 / 63.7 mAP instead of 81.5 / 66.6 in "
    "the place of the training (Duke), 69.5 / 40.6 instead of 53.2 / 25.1 in a new one (Duke to Market); 72.7 / 43.0 there when "
    "trained by camera"
)
WITHOUT_STATISTICS = "trained by camera and used without camera statistics: published, that costs 10 points and more"


@dataclass(frozen=True)
class Estimation:
    """How statistics are estimated.

    Attributes:
        estimator: ``cumulative`` (published) or ``pooled``; see `Observations.estimate`.
        batches: of images, at most; each passes a second time mirrored. Published 50; the paper finds 10 enough.
        batch_size: images a batch. What does not fill the last batch is left out by ``cumulative``, where it would weigh as much
            as a full one, and used by ``pooled``.
        flip: let the mirror images count too.
        min_images: a camera with fewer takes the images of the same camera in the other split to its own, and if these are
            too few as well, the statistics of the whole set; it is said. On rendered people the whole set was better than 8
            images of a camera and worse than 32; with 16 it was better in one town and worse in another.
        seed: of the draw, when there are more images than the batches hold.

    Raises:
        UsageError: a value out of range.
    """

    estimator: str = "cumulative"
    batches: int = 50
    batch_size: int = 64
    flip: bool = True
    min_images: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise UsageError(f'no estimator "{self.estimator}". {nearest(self.estimator, ESTIMATORS)}')
        for name, least in (("batches", 1), ("batch_size", 2), ("min_images", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} of camera statistics is {getattr(self, name)}: {least} is the least.")

    def drawn(self, images: Sequence[T]) -> list[list[T]]:
        """The batches of one camera's images."""
        order = np.random.default_rng(self.seed).permutation(len(images))[: self.batches * self.batch_size]
        chosen = [images[i] for i in order]
        batches = [chosen[i : i + self.batch_size] for i in range(0, len(chosen), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        if self.estimator == "pooled":
            full += [batch for batch in batches[-1:] if 1 < len(batch) < self.batch_size]
        return full or batches[:1]


@dataclass(frozen=True)
class Estimated:
    """Statistics of several cameras.

    Attributes:
        statistics: by camera.
        images: camera -> images that they were estimated from.
        notes: which cameras had too few images, and what stands in.
    """

    statistics: CameraStatistics
    images: Mapping[str, int]
    notes: tuple[str, ...] = ()


def camera_wise(embedder: Embedder) -> Embedder:
    """The embedder itself where its network takes camera statistics, else one with a copy of the network that does.

    Raises:
        UsageError: the network has no batch norm.
    """
    if camera_norms(embedder.model):
        return embedder
    other = copy.copy(embedder)
    other.model = use_camera_norms(copy.deepcopy(embedder.model), camera_trained=False)
    return other.with_cameras(None, facts={"notes": [*embedder.facts.get("notes", ()), TRAINED_PLAIN]})


def images_by_camera(*splits: Split) -> dict[str, list[Path]]:
    """Camera -> its images in sorted order, each once, cameras in sorted order."""
    found: dict[tuple[str, int], set[Path]] = {}
    for split in splits:
        for record in split:
            found.setdefault(record.camera, set()).add(record.path)
    return {camera_name(camera): sorted(found[camera]) for camera in sorted(found)}


def observe(
    embedder: Embedder,
    batches: Sequence[Sequence[ImageLike]],
    flip: bool = True,
    *,
    given: CameraStatistics | None = None,
    camera_of: Mapping[Any, str] | None = None,
) -> Observations:
    """What the norms see in batches of one camera.

    Args:
        embedder: of a network with camera-wise norms; its precision holds, sums are fp32.
        batches: images, two or more a batch.
        flip: pass each batch's mirror images too, after it.
        given: statistics of some of the layers, used there instead of the batch's; the batches may then show several cameras.
        camera_of: the camera of each image, for `given`.
    """
    seen = Observations()
    for batch, scales in zip(batches, embedder.decoded(batches), strict=True):
        rows = () if given is None or camera_of is None else given.rows(camera_of[path] for path in batch)
        with observed(seen, given, rows):
            embedder.pass_through(scales, flip=flip)
    return seen


def estimate_cameras(
    embedder: Embedder,
    images: Mapping[str, Sequence[Path]],
    how: Estimation | None = None,
    *,
    others: Mapping[str, Sequence[Path]] | None = None,
) -> Estimated:
    """Statistics of each camera from its own images.

    Args:
        embedder: of a network with camera-wise norms.
        images: camera -> images.
        how: options.
        others: camera -> further images, for cameras with too few.

    Raises:
        DataError: even all images together are too few.
        ImageError: an image cannot be decoded.
    """
    how = how or Estimation()
    found: dict[str, LayerStatistics] = {}
    counts: dict[str, int] = {}
    notes: list[str] = []
    whole: list[LayerStatistics] = []  # at most one; estimated when it is needed
    with meter("camera statistics", len(images)) as shown:
        for camera, own in images.items():
            chosen = sorted({*own, *(others or {}).get(camera, ())}) if len(own) < how.min_images else list(own)
            if len(chosen) >= how.min_images:
                batches = how.drawn(chosen)
                found[camera] = observe(embedder, batches, how.flip).estimate(how.estimator)
                counts[camera] = sum(map(len, batches))
                if len(own) < how.min_images:
                    notes.append(f"camera {camera}: {_images(len(own))}, statistics from {len(chosen)} of both splits")
            else:
                if not whole:
                    every = estimate_whole_set(embedder, _merged(images, others or {}), how)
                    whole.append(every.statistics.of_camera(WHOLE_SET))
                found[camera], counts[camera] = whole[0], 0
                notes.append(f"camera {camera}: {_images(len(chosen))}, statistics of the whole set stand in")
            shown.advance(1)
    return Estimated(CameraStatistics.of(found), counts, tuple(notes))


def estimate_whole_set(embedder: Embedder, images: Mapping[str, Sequence[Path]], how: Estimation | None = None) -> Estimated:
    """Statistics of all images together, whatever their camera, under the name `WHOLE_SET`.

    Raises:
        DataError: too few images.
        ImageError: an image cannot be decoded.
    """
    how = how or Estimation()
    every = sorted({path for own in images.values() for path in own})
    if len(every) < how.min_images:
        few = listing(f"{camera} has {_images(len(own))}" for camera, own in images.items())
        raise DataError(
            f"statistics of a camera need {how.min_images} images or more, {few}: give more images. In Python "
            "Estimation(min_images=2) takes fewer, and is noisy."
        )
    batches = how.drawn(every)
    seen = observe(embedder, batches, how.flip).estimate(how.estimator)
    return Estimated(CameraStatistics.of({WHOLE_SET: seen}), {WHOLE_SET: sum(map(len, batches))})


def _images(count: int) -> str:
    return f"{count} image" + ("" if count == 1 else "s")


def with_data_statistics(
    embedder: Embedder, splits: Mapping[str, Split], source: str, how: Estimation | None = None, *, train: Split | None = None
) -> dict[str, Embedder]:
    """One embedder a split, each with the statistics of the split's cameras.

    Args:
        embedder: of any network with batch norm.
        splits: ``query``, ``gallery`` and, where there is one, ``multi_query``, whose images are further ones of the queries.
        source: a key of `SOURCES`.
        how: options.
        train: training images, for the source ``train``.

    Raises:
        UsageError: an unknown source, or a network without batch norm.
        DataError: training images do not show a camera of the splits, or too few images.
    """
    if source not in SOURCES:
        raise UsageError(f'no source of camera statistics "{source}". {nearest(source, SOURCES)}')
    how, ready = how or Estimation(), camera_wise(embedder)
    asked = {name: images_by_camera(split) for name, split in splits.items() if name != "multi_query"}
    if "multi_query" in splits:
        asked["query"] = images_by_camera(splits["query"], splits["multi_query"])
    made = _MAKERS[source](ready, asked, how, images_by_camera(train or Split()))
    found = {name: _with(ready, each, source, how) for name, each in made}
    return found | ({"multi_query": found["query"]} if "multi_query" in splits else {})


def embedders_for(
    embedder: Embedder, splits: Mapping[str, Split], source: str, how: Estimation | None = None, *, train: Split | None = None
) -> dict[str, Embedder]:
    """What a command line's choice of camera statistics means for each split.

    Args:
        embedder: as it was loaded.
        splits: see `with_data_statistics`.
        source: a key of `SOURCES`; ``auto``, the statistics that came with the model, if it needs any; or ``none``, without
            them, for an embedder that was made with `without_statistics`.
        how: options.
        train: training images, for the source ``train``.

    Raises:
        UsageError: ``auto`` for a model that was trained by camera and has no statistics.
        PasserbyError: see `with_data_statistics`.
    """
    by_camera = embedder.facts.get("norm") == "camera"
    if source == "none":
        notes = [*embedder.facts.get("notes", ()), *([WITHOUT_STATISTICS] if by_camera else ())]
        return dict.fromkeys(splits, embedder.with_cameras(None, facts={"notes": notes}))
    if source != "auto":
        return with_data_statistics(embedder.with_cameras(None, camera_agnostic=False), splits, source, how, train=train)
    if by_camera and embedder.cameras is None:
        raise UsageError(
            "this model was trained by camera and needs statistics of the cameras of these images: --camera-statistics own makes "
            "them of the images themselves (published), passerby adapt of others; none does without and costs 10 points and more."
        )
    return dict.fromkeys(splits, embedder)


_Images = dict[str, list[Path]]


def _own(embedder: Embedder, asked: Mapping[str, _Images], how: Estimation, train: _Images) -> Iterator[tuple[str, Estimated]]:
    for name, images in asked.items():
        rest = [other for key, other in asked.items() if key != name]
        yield name, estimate_cameras(embedder, images, how, others=_merged(*rest))


def _pooled(embedder: Embedder, asked: Mapping[str, _Images], how: Estimation, train: _Images) -> Iterator[tuple[str, Estimated]]:
    together = estimate_cameras(embedder, _merged(*asked.values()), how)
    yield from ((name, together) for name in asked)


def _train(embedder: Embedder, asked: Mapping[str, _Images], how: Estimation, train: _Images) -> Iterator[tuple[str, Estimated]]:
    absent = {name: [camera for camera in images if camera not in train] for name, images in asked.items()}
    lacking = [f"{camera} of the {name}" for name, cameras in absent.items() for camera in cameras]
    if lacking:
        raise DataError(
            f"the training images show no camera {listing(lacking)}, so they give no statistics of it: "
            "take the source own or pooled."
        )
    wanted = {camera: train[camera] for camera in _merged(*asked.values())}
    together = estimate_cameras(embedder, wanted, how)
    yield from ((name, together) for name in asked)


def _whole(embedder: Embedder, asked: Mapping[str, _Images], how: Estimation, train: _Images) -> Iterator[tuple[str, Estimated]]:
    for name, images in asked.items():
        yield name, estimate_whole_set(embedder, images, how)


_Make = Callable[[Embedder, Mapping[str, _Images], Estimation, _Images], Iterator[tuple[str, Estimated]]]
_MAKERS: dict[str, _Make] = {"own": _own, "pooled": _pooled, "train": _train, "whole-set": _whole}


def _merged(*groups: Mapping[str, Sequence[Path]]) -> _Images:
    found: dict[str, set[Path]] = {}
    for group in groups:
        for camera, images in group.items():
            found.setdefault(camera, set()).update(images)
    return {camera: sorted(found[camera]) for camera in sorted(found)}


def _with(embedder: Embedder, each: Estimated, source: str, how: Estimation) -> Embedder:
    facts: dict[str, Any] = {
        "camera_statistics": {"source": source, **asdict(how), "images": dict(each.images)},
        "notes": [*embedder.facts.get("notes", ()), *each.notes],
    }
    return embedder.with_cameras(each.statistics, camera_agnostic=source == "whole-set", facts=facts)
