"""Where each image of a converted data set goes, and what number its person and camera get there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.datasets.market_style import FOLDERS, MULTI_QUERY_FOLDER
from passerby.datasets.market_style import RULE as MARKET_RULE
from passerby.records import Record, ReidData

__all__ = ["Placed", "place_as_manifest", "place_as_market"]

_MARKET_FOLDERS = {**FOLDERS, "val": FOLDERS["train"], "multi_query": MULTI_QUERY_FOLDER}


@dataclass(frozen=True)
class Placed:
    """One image of the new folder.

    Attributes:
        subset: as in `ReidData.splits`.
        record: as it will be read back; its `path` is still the source.
        target: where it goes, relative to the new folder, with slashes.
    """

    subset: str
    record: Record
    target: str


def place_as_manifest(data: ReidData, root: Path) -> list[Placed]:
    """Keep the tree below `root` as it is, under `images/`; nothing is renumbered."""
    taken: dict[str, Path] = {}
    placed = []
    for subset, record in _rows(data):
        target = f"images/{_below(record.path, root)}"
        while taken.setdefault(target, record.path) != record.path:  # another file of that name, from outside root
            target = f"images/_{target.removeprefix('images/')}"
        placed.append(Placed(subset, record, target))
    return placed


def _rows(data: ReidData) -> Iterator[tuple[str, Record]]:
    for subset, split in data.splits().items():
        for record in split:
            yield subset, record


def _below(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path, root))
    return path.name if ".." in relative.parts or relative.is_absolute() else relative.as_posix()


def place_as_market(data: ReidData) -> tuple[list[Placed], tuple[str, ...]]:
    """The layout of Market-1501; validation images join the training images.

    A file name that already says the right person and camera is kept. The layout has no room for domains: where there are
    several, cameras are numbered through, and so are persons whose numbers would collide.

    Returns:
        The images, and notes on what was renumbered or merged.
    """
    rows = list(_rows(data))
    cameras, pids, notes = _numbers([record for _, record in rows])
    if len(data.val):
        notes = (
            *notes,
            "validation images were merged into the training images, since the Market-1501 layout has no place for them",
        )
    taken: set[str] = set()
    counts: Counter[str] = Counter()
    placed = []
    for subset, record in rows:
        new = replace(record, pid=pids[record.domain, record.pid], camid=cameras[record.camera])
        target = f"{_MARKET_FOLDERS[subset]}/{record.path.name}"
        if target in taken or not _says(record.path.name, new):
            stem = f"{_MARKET_FOLDERS[subset]}/{_market_stem(new)}"
            counts[stem] += 1
            target = f"{stem}_{counts[stem]:02d}{record.path.suffix.lower()}"
        taken.add(target)
        placed.append(Placed(subset, new, target))
    return placed, notes


def _numbers(records: list[Record]) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int], tuple[str, ...]]:
    """(domain, camid) -> camid and (domain, pid) -> pid of the new folder."""
    cameras = sorted({record.camera for record in records})
    people = sorted({(record.domain, record.pid) for record in records})
    if len({domain for domain, _ in cameras}) <= 1:
        return {camera: camera[1] for camera in cameras}, {person: person[1] for person in people}, ()
    through = {camera: number for number, camera in enumerate(cameras)}
    note = "cameras were numbered through: " + ", ".join(
        f"c{n + 1} is camera {camid} of {domain}" for (domain, camid), n in through.items()
    )
    persons = [person for person in people if person[1] > 0]
    if len({pid for _, pid in persons}) == len(persons):
        return through, {person: person[1] for person in people}, (note,)
    numbers = {person: number for number, person in enumerate(persons, 1)}
    pids = {person: numbers.get(person, person[1]) for person in people}
    return through, pids, (note, "persons were numbered through, because several domains used the same numbers")


def _says(name: str, record: Record) -> bool:
    """Whether a reader of the layout gets this person, camera and frame from the name."""
    return MARKET_RULE.numbers(name) == (record.pid, record.camid + 1, record.frame)


def _market_stem(record: Record) -> str:
    pid = f"{record.pid:04d}" if record.pid >= 0 else str(record.pid)
    return f"{pid}_c{record.camid + 1}s1_{record.frame or 0:06d}"
