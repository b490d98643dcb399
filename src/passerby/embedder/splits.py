"""A split of a data set as embeddings: vectors beside person, camera and name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.embedder.network import Embedder
from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.progress import meter
from passerby.records import Split

__all__ = ["Numbering", "camera_name", "embed"]


@dataclass(frozen=True)
class Numbering:
    """One number a person and one a camera over all domains, the same in query and gallery.

    With one domain the data set's own numbers stay. With several, person and camera numbers of different domains coincide
    without meaning the same, so they are counted anew in sorted order; junk (-1) and distractors (0) stay what they are.
    """

    pids: Mapping[tuple[str, int], int]
    camids: Mapping[tuple[str, int], int]
    domains: tuple[str, ...]

    @classmethod
    def of(cls, *splits: Split) -> Numbering:
        """The numbers for all records of `splits`."""
        cameras = sorted({camera for split in splits for camera in split.cameras})
        people = sorted({identity for split in splits for identity in split.identities})
        domains = tuple(sorted({domain for domain, _ in cameras}))
        if len(domains) < 2:
            return cls({person: person[1] for person in people}, {camera: camera[1] for camera in cameras}, domains)
        counted = iter(range(1, len(people) + 1))
        pids = {person: person[1] if person[1] <= 0 else next(counted) for person in people}
        return cls(pids, {camera: number for number, camera in enumerate(cameras)}, domains)


def camera_name(camera: tuple[str, int]) -> str:
    """What a camera of a data set is called, in galleries and among camera statistics: as in file names, numbers begin at 1.

    >>> camera_name(("market1501", 3))
    'market1501/4'
    """
    return f"{camera[0]}/{camera[1] + 1}"


def embed(
    embedder: Embedder,
    split: Split,
    *,
    root: str | os.PathLike[str] | None = None,
    numbering: Numbering | None = None,
    meta: Mapping[str, Any] | None = None,
    max_batches: int | None = None,
    camera: str | None = None,
) -> Embeddings:
    """Embed a split, with the columns that evaluation and search need.

    Args:
        embedder: who embeds.
        split: what is embedded.
        root: names are paths below this folder; None keeps the paths as they are.
        numbering: from all splits that are compared with each other; needed as soon as there are several domains.
        meta: facts about the data (``data``, ``subset``, ``notes``); facts about the model are added.
        max_batches: stop after so many batches (a dry evaluation).
        camera: where the embedder has camera statistics: name of the camera of all images; None takes `camera_name` of each
            record.

    Returns:
        N rows in the order of the split, vectors (N, D) float32.

    Raises:
        UsageError: several domains without `numbering`, a record outside `root`, or a camera without statistics.
        ImageError: an image cannot be decoded.
    """
    if max_batches is not None:
        split = split[: max_batches * embedder.batch_size]
    if numbering is None:
        numbering = Numbering.of(split)
        if len(numbering.domains) > 1:
            raise UsageError(
                f"the images come from {len(numbering.domains)} domains: pass numbering=Numbering.of(query, gallery), "
                "so that people and cameras get the same numbers in all sets."
            )
    names = np.array([_name(record.path, root) for record in split], dtype=str)
    pids = np.array([numbering.pids[record.domain, record.pid] for record in split], dtype=np.int64)
    camids = np.array([numbering.camids[record.camera] for record in split], dtype=np.int64)
    vectors = np.empty((len(split), embedder.dim), dtype=np.float32)
    done = 0
    with meter("embedding", len(split)) as shown:
        by_record = camera is None and embedder.cameras is not None
        whose = [camera_name(record.camera) for record in split] if by_record else camera
        for block in embedder.stream((record.path for record in split), whose):
            vectors[done : done + len(block)] = block
            done += len(block)
            shown.advance(len(block))
    return Embeddings(vectors, pids, camids, names, {**_facts(embedder, meta or {}), "domains": list(numbering.domains)})


def _facts(embedder: Embedder, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What stays with the vectors: facts about the model and about the data, and the notes of both."""
    how = {"precision": embedder.computes_in, "rule": {**asdict(embedder.rule), "scales": list(embedder.rule.scales)}}
    notes = list(dict.fromkeys([*embedder.facts.get("notes", ()), *meta.get("notes", ())]))
    return {**embedder.facts, **how, **meta, "notes": notes}


def _name(path: Path, root: str | os.PathLike[str] | None) -> str:
    if root is None:
        return path.as_posix()
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        raise UsageError(f"{path} is not below {root}: names are paths below the data set's folder.") from None
