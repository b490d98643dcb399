"""Similarities of all pairs of a labelled set: histograms of same and different people, and the most similar different ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError

__all__ = ["BINS", "EDGES", "Pairs", "labelled", "pair_blocks", "similarities_of"]

BINS = 8000
EDGES = np.linspace(-1, 1, BINS + 1)
_CELLS = 2_000_000  # pairs looked at together
_FEWEST = 5  # people: with fewer there is nothing to draw again


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a labelled set, by whether they show one person (genuine) or two (impostor).

    Attributes:
        people: (P,) pids.
        images: (P,) images of each.
        genuine: (P, BINS) pairs of each person by similarity, in the bins of `EDGES`.
        impostor: (BINS,) pairs of different people by similarity.
        between: (P, P) symmetric, how many pairs two different people have.
        tail: (T,) the highest similarities of different people, falling.
        tail_people: (T, 2) whose they are, as indices into `people`.
        cameras: (C,) camids.
        genuine_cameras: (C, C, BINS) symmetric, genuine pairs by the cameras of both images.
        impostor_cameras: (C, C, BINS) symmetric, the same of impostor pairs.
        notes: what must be said beside every number.
    """

    people: np.ndarray
    images: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray
    between: np.ndarray
    tail: np.ndarray
    tail_people: np.ndarray
    cameras: np.ndarray
    genuine_cameras: np.ndarray
    impostor_cameras: np.ndarray
    notes: tuple[str, ...]

    @property
    def num_genuine(self) -> int:
        """Pairs of one person."""
        return int(self.genuine.sum())

    @property
    def num_impostor(self) -> int:
        """Pairs of two people."""
        return int(self.impostor.sum())


def labelled(images: Embeddings) -> tuple[Embeddings, tuple[str, ...]]:
    """The images of known people, and what was left out. Pid -1 is nobody or not labelled; pid 0 distractors, of many people.

    Raises:
        EmbeddingsError: fewer than five people.
    """
    known = images.pids > 0
    people = len(np.unique(images.pids[known]))
    if people < _FEWEST:
        raise EmbeddingsError(
            f"{people} labelled people (pid above 0) in {len(images)} images: a calibration needs {_FEWEST} at the very least, "
            "and some hundreds to say much."
        )
    left_out = int((~known).sum())
    told = f"{left_out} of {len(images)} images have no person (pid -1 or 0) and were left out."
    return (images if known.all() else images[known]), ((told,) if left_out else ())


def pair_blocks(images: Embeddings, pairs: Literal["cross-camera", "all"]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(rows, similarities, whether a pair counts) with every pair once: row i beside the images after i."""
    units = (images.vectors / images.unit_lengths()[:, None]).astype(np.float32)
    size = max(1, _CELLS // len(images))
    for start in range(0, len(images), size):
        rows = slice(start, min(start + size, len(images)))
        similar = units[rows] @ units[start:].T
        counts = np.arange(start, len(images)) > np.arange(rows.start, rows.stop)[:, None]
        if pairs == "cross-camera":
            counts &= images.camids[start:] != images.camids[rows, None]
        yield rows, similar, counts


def similarities_of(images: Embeddings, *, pairs: Literal["cross-camera", "all"] = "cross-camera", far: float = 0.001) -> Pairs:
    """Measure all pairs of a set.

    Args:
        images: (N, D) labelled images.
        pairs: "cross-camera" leaves out pairs from one camera, which are easier than what a deployment meets.
        far: the false-accept rate that the tail must reach well beyond.

    Raises:
        UsageError: another choice of pairs.
        EmbeddingsError: fewer than five people, a zero vector, no pair of one person or of two.
    """
    if pairs not in ("cross-camera", "all"):
        raise UsageError(f'calibration from "{pairs}" pairs: allowed are cross-camera, all.')
    known, notes = labelled(images)
    people, person = np.unique(known.pids, return_inverse=True)
    cameras, camera = np.unique(known.camids, return_inverse=True)
    P, C = len(people), len(cameras)
    genuine, impostor = np.zeros((P, BINS), dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    by_cameras = np.zeros((2, C * C, BINS), dtype=np.int64)
    between = np.zeros(P * P, dtype=np.int64)
    tails: list[tuple[np.ndarray, np.ndarray]] = []
    kept, reach = 0, -np.inf
    wanted = int(min(5 * far, 1.0) * len(known) ** 2 / 2) + 1000
    for rows, similar, counts in pair_blocks(known, pairs):
        a, b = np.nonzero(counts)
        one, two = a + rows.start, b + rows.start
        values = similar[a, b]
        bins = np.clip(((values + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
        same = person[one] == person[two]
        np.add.at(genuine, (person[one[same]], bins[same]), 1)
        impostor += np.bincount(bins[~same], minlength=BINS)
        between += np.bincount(person[one[~same]] * P + person[two[~same]], minlength=P * P)
        cells = (camera[one] * C + camera[two]) * BINS + bins
        for kind, chosen in enumerate((same, ~same)):
            by_cameras[kind] += np.bincount(cells[chosen], minlength=C * C * BINS).reshape(C * C, BINS)
        high = np.flatnonzero(~same & (values > reach))
        tails.append((values[high], np.stack([person[one[high]], person[two[high]]], axis=1)))
        kept += len(high)
        if kept > 4 * wanted:
            tails = [_highest(tails, wanted)]
            kept, reach = len(tails[0][0]), float(tails[0][0][-1])
    if not genuine.any() or not impostor.any():
        what = "one person" if not genuine.any() else "two people"
        kind = "cross-camera " if pairs == "cross-camera" else ""
        need = "two images each" if pairs == "all" else "images from two cameras each; with one camera take all pairs"
        raise EmbeddingsError(
            f"no {kind}pair of {what} among {len(known)} images of {P} people from {C} camera{'s' * (C != 1)}: nothing to "
            f"measure. People need {need}."
        )
    alone = int((genuine.sum(axis=1) == 0).sum())
    if alone:
        notes = (*notes, f"{alone} of {P} people have no pair of their own and count among different people only.")
    tail, tail_people = _highest(tails, wanted)
    cross = by_cameras.reshape(2, C, C, BINS)
    cross = cross + cross.transpose(0, 2, 1, 3)
    square = between.reshape(P, P)
    images_of = np.bincount(person, minlength=P)
    return Pairs(people, images_of, genuine, impostor, square + square.T, tail, tail_people, cameras, *cross, notes=notes)


def _highest(tails: list[tuple[np.ndarray, np.ndarray]], count: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate([part for part, _ in tails])
    people = np.concatenate([part for _, part in tails])
    order = np.argsort(-values, kind="stable")[:count]
    return values[order], people[order]
