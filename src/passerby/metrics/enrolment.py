"""Naming detections: every person is enrolled by the mean of some images, every further image is given the nearest name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.metrics.intervals import Interval, drawn_means

__all__ = ["Naming", "name_probes"]


@dataclass(frozen=True)
class Naming:
    """How many images were named rightly.

    Attributes:
        share: of the images that were named rightly, 0 to 1.
        interval: of that share; people are drawn, with all their images.
        num_probes: images that were named.
        num_people: people who were enrolled.
    """

    share: float
    interval: Interval
    num_probes: int
    num_people: int


def name_probes(
    enrolled: Embeddings, probes: Embeddings, *, within: bool = False, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Naming:
    """Give every probe the name of the nearest enrolled person, by cosine.

    A person stands for the mean of its unit vectors, made a unit again.

    Args:
        enrolled: (N, D) images of known people.
        probes: (M, D) images to name; all of them are of enrolled people.
        within: look only among people enrolled in the probe's camera; otherwise among all.
        samples: draws of the interval.
        level: share of the drawn results that the interval holds.
        seed: of the draws.

    Raises:
        UsageError: samples below 1, or a level outside (0, 1).
        EmbeddingsError: unequal dimensions, a zero vector, nobody, or a probe of somebody who is not enrolled (there).
    """
    if samples < 1 or not 0 < level < 1:
        raise UsageError(f"{samples} samples, level {level}: samples >= 1 and 0 < level < 1 are allowed.")
    if not len(enrolled) or not len(probes):
        raise EmbeddingsError(f"{len(enrolled)} images enrolled, {len(probes)} to name: at least one of each is needed.")
    if enrolled.dim != probes.dim:
        raise EmbeddingsError(f"enrolled images have {enrolled.dim} dimensions, probes {probes.dim}: one model must make both.")
    entries, entry = np.unique(
        np.stack([enrolled.pids, enrolled.camids if within else np.zeros_like(enrolled.camids)], axis=1),
        axis=0,
        return_inverse=True,
    )
    means = np.zeros((len(entries), enrolled.dim))
    np.add.at(means, entry.ravel(), enrolled.vectors / enrolled.unit_lengths("enrolled vectors")[:, None])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(float).tiny)
    similar = (probes.vectors / probes.unit_lengths("probe vectors")[:, None]) @ means.T
    mine = entries[None, :, 0] == probes.pids[:, None]
    if within:
        allowed = entries[None, :, 1] == probes.camids[:, None]
        similar[~allowed] = -np.inf
        mine &= allowed
    if not mine.any(axis=1).all():
        lost = np.unique(probes.pids[~mine.any(axis=1)])
        raise EmbeddingsError(
            f"{len(lost)} people to name were never enrolled{' there' if within else ''} (pid {listing(lost)})."
        )
    right = mine[np.arange(len(probes)), similar.argmax(axis=1)]
    _, person = np.unique(probes.pids, return_inverse=True)
    rows = np.stack([np.bincount(person, weights=right), np.bincount(person)], axis=1)
    drawn = drawn_means(rows, samples, np.random.default_rng(seed))[:, 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Naming(float(right.mean()), Interval(float(low), float(high)), len(probes), len(np.unique(enrolled.pids)))
