"""Open-set identification: naming the people on a list, and nobody else."""

from __future__ import annotations

import numpy as np

from passerby.embeddings import Embeddings
from passerby.metrics.calibration_pairs import labelled

__all__ = ["identification_rate"]

_ROWS = 512


def identification_rate(images: Embeddings, far: float, *, splits: int = 10, seed: int = 0) -> float:
    """Open-set identification: the share of people on a list who are named rightly, with few strangers named at all.

    Half of the people are on the list, drawn again for every split. Each image asks the list's images from other cameras. The
    threshold is the one at which the share `far` of strangers' images finds somebody; a right answer is the nearest image, of the
    right person, at or above it.

    Args:
        images: labelled images.
        far: share of strangers' images that may be named.
        splits: how often the list is drawn.
        seed: of the draws.

    Source:
        Phillips, Grother and Micheals, Handbook of Face Recognition, 2011, chapter 21 (watch list task).
    """
    known, _ = labelled(images)
    people, person = np.unique(known.pids, return_inverse=True)
    nearest = _nearest_of_each(known, person, len(people))
    random = np.random.default_rng(seed)
    rates = []
    for _ in range(splits):
        listed = np.zeros(len(people), dtype=bool)
        listed[random.permutation(len(people))[: max(1, len(people) // 2)]] = True
        best = np.where(listed[None], nearest, -np.inf)
        found, value = best.argmax(axis=1), best.max(axis=1)
        mine = listed[person]
        can = mine & (nearest[np.arange(len(known)), person] > -np.inf)
        strangers = np.sort(value[~mine])[::-1]
        place = min(int(far * len(strangers)), len(strangers) - 1)
        threshold = strangers[place]
        if can.any():
            rates.append(((found == person) & (value > threshold))[can].mean())
    return float(np.mean(rates)) if rates else float("nan")


def _nearest_of_each(known: Embeddings, person: np.ndarray, P: int) -> np.ndarray:
    """(N, P) float32 similarity of each image to the nearest image of each person from another camera; -inf where none is.

    With one camera alone, to the nearest other image.
    """
    units = (known.vectors / known.unit_lengths()[:, None]).astype(np.float32)
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(P))
    one_camera = len(np.unique(known.camids)) == 1
    found = np.empty((len(known), P), dtype=np.float32)
    for first in range(0, len(known), _ROWS):
        rows = slice(first, min(first + _ROWS, len(known)))
        similar = units[rows] @ units[order].T
        if one_camera:
            out = order == np.arange(rows.start, rows.stop)[:, None]
        else:
            out = known.camids[order] == known.camids[rows, None]
        similar[out] = -np.inf
        found[rows] = np.maximum.reduceat(similar, starts, axis=1)
    return found
