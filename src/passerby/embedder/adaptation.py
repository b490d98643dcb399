"""How well images of a camera tell its statistics: the drift between two halves of them, and what fewer images would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from passerby.embedder.camera_statistics import Estimation, observe
from passerby.embedder.network import Embedder
from passerby.embedder.pictures import ImageLike
from passerby.errors import DataError
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import LayerStatistics, Observations, drift

__all__ = ["CURVE", "Adaptation", "adapt_to_camera"]

CURVE = (1, 2, 5, 10, 25, 50)
"""Batches at which the gain is told."""


@dataclass(frozen=True)
class Adaptation:
    """Statistics of one camera, and how far they can be trusted.

    Attributes:
        statistics: of all batches.
        images: that were used.
        shift: `drift` from the running averages of the training to this camera.
        between_halves: `drift` between the statistics of two halves of the images; None with fewer than 4 images. Well below
            `shift` when the images suffice.
        gain: (batches, images, share of the way from the training's averages to `statistics` that so many batches go); of those
            batches of `CURVE` for which there are images, and all of them as the last row.
    """

    statistics: LayerStatistics
    images: int
    shift: float
    between_halves: float | None
    gain: tuple[tuple[int, int, float], ...]


def adapt_to_camera(embedder: Embedder, camera: str, images: Sequence[ImageLike], how: Estimation) -> Adaptation:
    """Estimate the statistics of one camera from its images.

    Args:
        embedder: of a network with camera-wise norms.
        camera: its name, for messages.
        images: of it, unlabelled.
        how: options.

    Raises:
        DataError: fewer images than `Estimation.min_images`.
        ImageError: an image cannot be decoded.
    """
    if len(images) < how.min_images:
        raise DataError(
            f"camera {camera} has {len(images)} image{'' if len(images) == 1 else 's'}, its statistics need {how.min_images} or "
            "more: give more images, or lower --min-images (2 is the least, and noisy)."
        )
    batches = [_at(images, places) for places in how.drawn(range(len(images)))]
    seen = observe(embedder, batches, how.flip)
    found = seen.estimate(how.estimator)
    shift = drift(_of_training(embedder), found)
    return Adaptation(
        statistics=found,
        images=sum(map(len, batches)),
        shift=shift,
        between_halves=_between_halves(embedder, batches, seen, how),
        gain=tuple(_gain(batches, seen, found, shift, how)),
    )


def _at(images: Sequence[ImageLike], places: Sequence[int]) -> Sequence[ImageLike]:
    """Some of the images; those that are decoded when they are asked for stay undecoded."""
    of = getattr(images, "of", None)
    return [images[place] for place in places] if of is None else of(places)


def _of_training(embedder: Embedder) -> LayerStatistics:
    norms = camera_norms(embedder.model).items()
    return {name: (norm.running_mean, norm.running_var) for name, norm in norms}  # pyright: ignore[reportReturnType]


def _passes(seen: Observations, batches: Sequence[Sequence[ImageLike]]) -> int:
    """Forward passes a batch: mirror images and further scales make several."""
    return len(seen) // len(batches)


def _between_halves(
    embedder: Embedder, batches: Sequence[Sequence[ImageLike]], seen: Observations, how: Estimation
) -> float | None:
    if len(batches) > 1:
        middle = len(batches) // 2 * _passes(seen, batches)
        halves = [seen.part(slice(0, middle)), seen.part(slice(middle, None))]
    else:
        images = batches[0]
        if len(images) < 4:
            return None
        halves = [observe(embedder, [images[start::2]], how.flip) for start in (0, 1)]
    return drift(*(half.estimate(how.estimator) for half in halves))


def _gain(batches: Sequence[Sequence[ImageLike]], seen: Observations, found: LayerStatistics, shift: float, how: Estimation):
    for count in sorted({*(count for count in CURVE if count < len(batches)), len(batches)}):
        part = seen.part(slice(0, count * _passes(seen, batches))).estimate(how.estimator)
        share = 1 - drift(part, found) / shift if shift else 1.0
        yield count, sum(map(len, batches[:count])), share
