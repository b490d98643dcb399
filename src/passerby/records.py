"""What one image is, and what one data set is. No torch here: readers, samplers and reports all stand on these.

Words of the field: `pid` is the data set's own number of a person (-1 is junk, 0 a distractor where the data set has them);
`camid` counts from 0 and is unique only inside its `domain`, so a camera is always the pair (domain, camid); `label` is the
0-based training class of a pid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

__all__ = ["DISTRACTOR_PID", "JUNK_PID", "LARGEST_NUMBER", "Record", "ReidData", "Split", "Trial"]

JUNK_PID = -1
DISTRACTOR_PID = 0
LARGEST_NUMBER = 2**63 - 1  # of a person or a camera: the columns are int64


@dataclass(frozen=True, slots=True)
class Record:
    """One image of one person.

    Attributes:
        path: the image file.
        pid: the data set's own person number; -1 junk, 0 distractor where the data set has them.
        camid: camera number, counted from 0, unique inside `domain`.
        domain: the data set or place that the image comes from.
        frame: frame number or time stamp in the data set's own unit, where the file name or manifest has one.
    """

    path: Path
    pid: int
    camid: int
    domain: str
    frame: int | None = None

    @property
    def camera(self) -> tuple[str, int]:
        """The camera as the pair that is unique over data sets."""
        return (self.domain, self.camid)


@dataclass(frozen=True)
class Split(Sequence[Record]):
    """An ordered, immutable collection of records: the training images, the queries or the gallery."""

    records: tuple[Record, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Split: ...
    def __getitem__(self, index: int | slice) -> Record | Split:
        return Split(self.records[index]) if isinstance(index, slice) else self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def where(self, keep: Callable[[Record], bool]) -> Split:
        """The records for which `keep` is true, in the same order."""
        return Split(tuple(record for record in self.records if keep(record)))

    @property
    def pids(self) -> np.ndarray:
        """(N,) int64 person numbers."""
        return np.fromiter((record.pid for record in self.records), dtype=np.int64, count=len(self.records))

    @property
    def camids(self) -> np.ndarray:
        """(N,) int64 camera numbers."""
        return np.fromiter((record.camid for record in self.records), dtype=np.int64, count=len(self.records))

    @property
    def cameras(self) -> tuple[tuple[str, int], ...]:
        """The sorted (domain, camid) pairs that occur."""
        return tuple(sorted({record.camera for record in self.records}))

    @property
    def camera_numbers(self) -> np.ndarray:
        """(N,) int64 positions in `cameras`: equal camids of different domains are different cameras."""
        numbers = {camera: number for number, camera in enumerate(self.cameras)}
        return np.fromiter((numbers[record.camera] for record in self.records), dtype=np.int64, count=len(self.records))

    @property
    def identities(self) -> tuple[tuple[str, int], ...]:
        """The sorted (domain, pid) pairs that occur, junk and distractors included."""
        return tuple(sorted({(record.domain, record.pid) for record in self.records}))

    def label_map(self) -> dict[tuple[str, int], int]:
        """(domain, pid) -> 0-based training class, in sorted order, so that it is the same on every machine."""
        return {identity: label for label, identity in enumerate(self.identities)}


@dataclass(frozen=True)
class Trial:
    """One of the repeated random splits of a small data set; `note` is what must be said beside numbers of it."""

    name: str
    query: Split
    gallery: Split
    train: Split = Split()
    note: str = ""


@dataclass(frozen=True)
class ReidData:
    """One data set, read.

    Attributes:
        name: canonical name, for instance ``market1501``.
        train: training images (with validation images where the data set's custom is to train on them).
        query: one image a query.
        gallery: what is searched; may hold junk (-1) and distractors (0).
        trials: the repeated random splits of small data sets; empty where the split is fixed.
        val: validation images that are no part of `train`.
        multi_query: further images of each query's person and camera, for multi-query search.
        notes: what must be said beside every number made from this data.
        trial: the trial that `train`, `query` and `gallery` are, where one was chosen.
    """

    name: str
    train: Split = Split()
    query: Split = Split()
    gallery: Split = Split()
    trials: tuple[Trial, ...] = ()
    val: Split = Split()
    multi_query: Split = Split()
    notes: tuple[str, ...] = field(default=())
    trial: str = ""

    def splits(self) -> dict[str, Split]:
        """The non-empty splits by name, in the order in which they are shown."""
        named = {
            "train": self.train,
            "val": self.val,
            "query": self.query,
            "gallery": self.gallery,
            "multi_query": self.multi_query,
        }
        return {name: split for name, split in named.items() if len(split)}
