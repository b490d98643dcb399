"""Matches: which gallery images are right, wrong or out for each query. Known from labels alone, before any vector is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from passerby.errors import EmbeddingsError, listing
from passerby.metrics.conventions import Convention
from passerby.records import DISTRACTOR_PID, JUNK_PID

__all__ = ["Columns", "Labels", "Matches", "match"]


@dataclass(frozen=True)
class Columns:
    """What is known of N images besides their vectors: (N,) pids, camids and names."""

    pids: np.ndarray
    camids: np.ndarray
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.pids)


class Labels(NamedTuple):
    """Q queries and G gallery images, indexed so that one query's right answers are found without a search.

    A *position* is a place among the K gallery images that the convention keeps, sorted by camera and then by column.

    Attributes:
        order: (K,) gallery column of each position.
        camera_start: (C + 1,) first position of each of the gallery's C cameras.
        camera_of: (K,) camera index of each position.
        members: (K,) positions grouped by person.
        member_start: (P + 1,) where each person's group starts in `members`.
        person: (Q,) the query's person among the P of the gallery, -1 where the gallery has none.
        camera: (Q,) the query's camera among the C of the gallery, -1 where the gallery has none.
        own: (Q,) position of the query's own image where it is in the gallery and its camera's matches count, else -1.
        drop_same_camera: whether the person's images in the query's camera are out.
    """

    order: np.ndarray
    camera_start: np.ndarray
    camera_of: np.ndarray
    members: np.ndarray
    member_start: np.ndarray
    person: np.ndarray
    camera: np.ndarray
    own: np.ndarray
    drop_same_camera: bool


@dataclass(frozen=True)
class Matches:
    """What follows from the labels of queries and gallery under one convention.

    Attributes:
        labels: the index that the counting kernels walk.
        cameras: (C,) camids of the gallery, ascending.
        num_matches: (Q,) right answers of each query.
        notes: what must be said beside the numbers.
    """

    labels: Labels
    cameras: np.ndarray
    num_matches: np.ndarray
    notes: tuple[str, ...]


def match(query: Columns, gallery: Columns, convention: Convention) -> Matches:
    """Index the labels, and refuse what no convention can give a number for.

    Raises:
        EmbeddingsError: an empty query or gallery; a query of pid -1, or of pid 0 where that is dropped; no query with a right
            answer; one image twice in a gallery in which queries look for their own camera's images.
    """
    _check_labels(query, gallery, convention)
    kept = np.ones(len(gallery), dtype=bool)
    if convention.junk == "drop":
        kept &= gallery.pids != JUNK_PID
    if convention.distractors == "drop":
        kept &= gallery.pids != DISTRACTOR_PID
    columns = np.flatnonzero(kept)
    if len(columns) == 0:
        raise EmbeddingsError(
            f"all {len(gallery)} gallery images are junk (pid -1) or dropped distractors (pid 0): none is left."
        )
    order = columns[np.argsort(gallery.camids[columns], kind="stable")]
    cameras, camera_of = np.unique(gallery.camids[order], return_inverse=True)
    people, person_of = np.unique(gallery.pids[order], return_inverse=True)
    person, camera = _index(query.pids, people), _index(query.camids, cameras)
    own = np.full(len(query), -1)
    if convention.same_camera == "keep":
        own = _own_positions(query, gallery, order)
        own[person_of[own] != person] = -1
    num_matches = np.append(np.bincount(person_of, minlength=len(people)), 0)[person] - (own >= 0)
    if convention.same_camera == "drop":
        num_matches -= _in_own_camera(person, camera, person_of, camera_of, len(cameras))
    _check_any_match(query, gallery, person, num_matches, convention)
    labels = Labels(
        order=order,
        camera_start=np.searchsorted(camera_of, np.arange(len(cameras) + 1)),
        camera_of=camera_of,
        members=np.argsort(person_of, kind="stable"),
        member_start=np.cumsum(np.concatenate([[0], np.bincount(person_of, minlength=len(people))])),
        person=person,
        camera=camera,
        own=own,
        drop_same_camera=convention.same_camera == "drop",
    )
    return Matches(labels, cameras, num_matches, _notes(query, num_matches, convention))


def _check_labels(query: Columns, gallery: Columns, convention: Convention) -> None:
    for name, part in (("query", query), ("gallery", gallery)):
        if len(part) == 0:
            raise EmbeddingsError(f"the {name} is empty: there is nothing to evaluate.")
    refused = {JUNK_PID: "it is no person"}
    if convention.distractors == "drop":
        refused[DISTRACTOR_PID] = 'this convention drops pid 0 as distractors; use distractors "keep" where 0 is a person'
    for pid, why in refused.items():
        rows = np.flatnonzero(query.pids == pid)
        if len(rows):
            named = listing(str(query.names[row]) or f"row {row}" for row in rows)
            raise EmbeddingsError(f"{len(rows)} queries have pid {pid} ({named}): {why}. Take these queries out.")


def _index(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where each value stands in the ascending `among`, -1 where it does not."""
    if len(among) == 0:
        return np.full(len(values), -1)
    place = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return np.where(among[place] == values, place, -1)


def _own_positions(query: Columns, gallery: Columns, order: np.ndarray) -> np.ndarray:
    """The gallery position that bears each query's name, else -1. Nameless images are never the same."""
    names = gallery.names[order]
    found, first, count = np.unique(names, return_index=True, return_counts=True)
    twice = found[(count > 1) & (found != "")]
    if len(twice):
        raise EmbeddingsError(
            f"{len(twice)} names stand more than once in the gallery ({listing(twice)}): a query would match a copy of itself. "
            "Take the copies out."
        )
    place = _index(query.names, found)
    return np.where((place >= 0) & (query.names != ""), first[place], -1)


def _in_own_camera(person: np.ndarray, camera: np.ndarray, person_of: np.ndarray, camera_of: np.ndarray, C: int) -> np.ndarray:
    """(Q,) how many gallery images show the query's person in the query's camera."""
    pairs, count = np.unique(person_of * C + camera_of, return_counts=True)
    place = _index(person * C + camera, pairs)
    return np.where((person >= 0) & (camera >= 0) & (place >= 0), np.append(count, 0)[place], 0)


def _check_any_match(
    query: Columns, gallery: Columns, person: np.ndarray, num_matches: np.ndarray, convention: Convention
) -> None:
    if num_matches.any():
        return
    if (person < 0).all():
        raise EmbeddingsError(
            f"no query has its person in the gallery: query pids {listing(np.unique(query.pids))}, gallery pids "
            f"{listing(np.unique(gallery.pids))}. Do both come from one data set?"
        )
    if convention.same_camera == "keep":
        raise EmbeddingsError(
            "the only image of each query's person in the gallery is the query itself: there is nothing to find."
        )
    raise EmbeddingsError(
        f"every true match is in its query's own camera (query camids {listing(np.unique(query.camids))}, gallery camids "
        f"{listing(np.unique(gallery.camids))}), and this convention drops those. Are the cameras read rightly? For data with "
        'one camera use same_camera "keep" (--same-camera keep, or --convention any-camera).'
    )


def _notes(query: Columns, num_matches: np.ndarray, convention: Convention) -> tuple[str, ...]:
    notes = []
    without = int((num_matches == 0).sum())
    if without:
        what = "left out of every mean" if convention.without_match == "skip" else "counted as 0"
        notes.append(f"{without} of {len(query)} queries have no right answer in the gallery and are {what}.")
    zero = int((query.pids == DISTRACTOR_PID).sum())
    if zero:
        notes.append(f"{zero} queries have pid 0, taken as a person and not as a distractor.")
    return tuple(notes)
