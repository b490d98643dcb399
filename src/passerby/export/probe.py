"""The images on which an exported network is compared with the one that it was made from, and those that calibrate int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passerby import datasets
from passerby.datasets.registry import locate
from passerby.datasets.walking import files_below, images_below
from passerby.embedder import CloudEmbedder, Embedder, Numbering
from passerby.embeddings import Embeddings
from passerby.errors import DataError, UsageError
from passerby.points import CLOUD_SUFFIXES
from passerby.records import JUNK_PID, Record, ReidData, Split

__all__ = ["LIMIT", "Probe", "embedded", "probe_set"]

LIMIT = 1500
"""Images of a probe set, about; whole people are taken until there are so many."""

_TOWN, _VIEWS, _SEED = "campus", 6, 7
_PEOPLE = {"few": (0, 30), "many": (42, 80), "points": (0, 8)}
"""Rendered people to calibrate with, and to compare on: where nothing is rounded to 8 bits a few show every fault."""


@dataclass(frozen=True)
class Probe:
    """Images to compare on.

    Attributes:
        name: what they are.
        query, gallery: what is embedded; without people they have pid -1 and only vectors are compared.
        calibration: other images of the kind, where there are some; else those of the gallery.
    """

    name: str
    query: Split
    gallery: Split
    calibration: Split


@contextmanager
def probe_set(
    folder: Path | None, dataset: str = "", *, points: bool = False, many: bool = False, workers: int = 1
) -> Iterator[Probe]:
    """The user's data set or images, or people that are rendered for the purpose and removed afterwards.

    Args:
        folder: a data set, or a folder of images (clouds for a network of points); None renders.
        dataset: name of the data set; left out, it is recognised.
        points: for a network of points.
        many: render enough people to calibrate int8, and to see what that costs.
        workers: processes that render.

    Raises:
        UsageError: a name without a folder.
        DataError: nothing usable in the folder.
    """
    if folder is not None:
        yield _given(folder, dataset, points)
        return
    if dataset:
        raise UsageError(f"--probe-dataset is {dataset}, but it acts only with --probe DIR.")
    with tempfile.TemporaryDirectory(prefix="passerby-probe-") as made:
        yield _rendered(Path(made) / "street", "points" if points else "many" if many else "few", workers)


def _rendered(folder: Path, how: str, workers: int) -> Probe:
    from passerby.street.folder import Order
    from passerby.street.output import render_set

    points = how == "points"
    train, test = _PEOPLE[how]
    order = Order(_TOWN, train, test, 4 if points else _VIEWS, _SEED, clouds="npz" if points else "none")
    render_set(order, folder, workers=workers)
    data = datasets.read("street-3d" if points else "street", folder)
    return Probe(
        f"{order.test_ids} rendered people ({_TOWN}, seed {_SEED})", data.query, data.gallery, data.train or data.gallery
    )


def _given(folder: Path, dataset: str, points: bool) -> Probe:
    if not folder.is_dir():
        raise DataError(f"--probe {folder}: no such folder. Give a data set, or a folder of images.")
    try:
        name, root = (dataset, folder) if dataset else _found(folder)
    except DataError:
        return _plain_images(folder, points)
    data = datasets.read(name, root)
    if data.query and data.gallery:
        query, gallery = _few_people(data)
        return Probe(f"{data.name} ({len(query) + len(gallery)} images)", query, gallery, data.train or gallery)
    whole = [record for split in data.splits().values() for record in split]
    if not whole:
        return _plain_images(folder, points)
    split = Split(tuple(dict.fromkeys(whole)))[:LIMIT]
    return Probe(f"{data.name} ({len(split)} images, no queries)", split, split, split)


def _found(folder: Path) -> tuple[str, Path]:
    layout, root = locate(folder)
    return layout.name, root


def _plain_images(folder: Path, points: bool) -> Probe:
    paths = (files_below(folder, CLOUD_SUFFIXES) if points else images_below(folder))[:LIMIT]
    if not paths:
        raise DataError(f"--probe {folder} holds no {'cloud' if points else 'image'} and no data set: give another folder.")
    split = Split(tuple(Record(path, JUNK_PID, 0, "images") for path in paths))
    return Probe(f"{folder.name} ({len(paths)} images without names)", split, split, split)


def _few_people(data: ReidData) -> tuple[Split, Split]:
    """Whole people, evenly spaced over the queries' people, until there are `LIMIT` images."""
    if len(data.query) + len(data.gallery) <= LIMIT:
        return data.query, data.gallery
    people = sorted(data.query.identities)
    order = [people[i] for start in range(16) for i in range(start, len(people), 16)]
    counts: dict[tuple[str, int], int] = {}
    for split in (data.query, data.gallery):
        for record in split:
            counts[(record.domain, record.pid)] = counts.get((record.domain, record.pid), 0) + 1
    chosen, total = set(), 0
    for person in order:
        chosen.add(person)
        total += counts[person]
        if total >= LIMIT:
            break
    return (split.where(lambda record: (record.domain, record.pid) in chosen) for split in (data.query, data.gallery))  # pyright: ignore


def embedded(embedder: Embedder, probe: Probe, cameras: Sequence[str] = ()) -> tuple[Embeddings, Embeddings]:
    """Query and gallery as vectors.

    Args:
        embedder: who embeds.
        probe: what.
        cameras: where the network takes camera statistics: whose. The probe's cameras are not those of the statistics; each of
            them is given one, so that all are used, which is enough to compare two forms.
    """
    numbering = Numbering.of(probe.query, probe.gallery)
    if probe.query is probe.gallery:
        only = _embedded(embedder, probe.query, numbering, cameras)
        return only, only
    query, gallery = (_embedded(embedder, split, numbering, cameras) for split in (probe.query, probe.gallery))
    return query, gallery


def _embedded(embedder: Embedder, split: Split, numbering: Numbering, cameras: Sequence[str]) -> Embeddings:
    camids = np.array([numbering.camids[record.camera] for record in split], dtype=np.int64)
    pids = np.array([numbering.pids[(record.domain, record.pid)] for record in split], dtype=np.int64)
    whose = [str(cameras[camid % len(cameras)]) for camid in camids.tolist()] if cameras else None
    vectors = embedder([record.path for record in split], whose)
    if isinstance(embedder, CloudEmbedder) and not len(vectors):
        raise DataError("the probe set holds no clouds.")
    return Embeddings(vectors, pids, camids, np.array([str(record.path) for record in split], dtype=str))
