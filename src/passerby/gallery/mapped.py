"""The searched copy of a gallery: vectors and what filters need, as plain files beside it that are mapped into memory.

FILE-vectors   (N, D) float32, one row after the other
FILE-rows      a header of 512 bytes, then per row: id, time, camera, track

The database is the truth, the copy follows: rows are appended, erased ones are overwritten with zeros in place (a process that
has the file mapped sees them vanish too), and what does not fit is made again. Where it cannot be written, it is held in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from passerby.gallery.store import Filter

__all__ = ["ROW", "Copy", "Source", "State", "VectorBlock", "copy_files", "follow"]

ROW = np.dtype([("id", "<i8"), ("time", "<f8"), ("camera", "<i4"), ("track", "<i4")])
_HEADER = 512
_FORMAT = 1
_COMPACT = 0.25  # share of erased rows from which on the files are made again


@dataclass(frozen=True)
class State:
    """Where the database stands.

    Attributes:
        version: rises with every change of rows.
        generation: rises with every erasure.
        epoch: changes when all vectors do.
    """

    version: int
    generation: int
    epoch: str


@dataclass(frozen=True, eq=False)
class VectorBlock:
    """Rows out of the database: `rows` of type `ROW`, `vectors` (n, D) float32."""

    rows: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True, eq=False)
class Copy:
    """One state of the copy, for as long as somebody searches in it.

    Attributes:
        state: of the database that it follows.
        vectors: (N, D) float32, mapped; zeros where a row was erased.
        ids: (N,) int64, rising in size; negative where a row was erased.
        times: (N,) float64, NaN where unknown.
        cameras: (N,) int32, numbers of the database.
        tracks: (N,) int32, likewise; -1: none.
    """

    state: State
    vectors: np.ndarray
    ids: np.ndarray
    times: np.ndarray
    cameras: np.ndarray
    tracks: np.ndarray
    erased: int = 0
    _sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    @classmethod
    def of(cls, state: State, rows: np.ndarray, vectors: np.ndarray) -> Copy:
        """From rows of type `ROW`."""
        columns = [np.ascontiguousarray(rows[name]) for name in ("id", "time", "camera", "track")]
        ids, times, cameras, tracks = columns
        erased = int((ids < 0).sum())
        return cls(state, vectors, ids, times, cameras, tracks, erased, np.abs(ids) if erased else ids)

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, ids: np.ndarray) -> np.ndarray:
        """Where ids stand; -1 where they do not."""
        place = np.searchsorted(self._sizes, ids)
        place = np.minimum(place, max(len(self) - 1, 0))
        there = self.ids[place] == ids if len(self) else np.zeros(len(ids), bool)
        return np.where(there, place, -1)

    def passing(self, where: Filter, camera_numbers: Callable[[tuple[str, ...]], list[int]]) -> np.ndarray | None:
        """(n,) rising positions of the rows that a filter lets pass; None: all."""
        if where.empty and not self.erased:
            return None
        keep = self.ids > 0
        if where.cameras is not None:
            keep &= _among(self.cameras, camera_numbers(where.cameras))
        if where.not_cameras:
            keep &= ~_among(self.cameras, camera_numbers(where.not_cameras))
        if where.since is not None:
            keep &= self.times >= where.since  # NaN compares as false
        if where.until is not None:
            keep &= self.times < where.until
        if where.without:
            places = self.positions(np.array(where.without, np.int64))
            places = places[places >= 0]
            keep[places] = False
            tracks = np.unique(self.tracks[places])
            keep &= ~_among(self.tracks, tracks[tracks >= 0].tolist())
        return np.flatnonzero(keep)


def _among(column: np.ndarray, numbers: list[int]) -> np.ndarray:
    if len(numbers) < 4:
        found = np.zeros(len(column), bool)
        for number in numbers:
            found |= column == number
        return found
    return np.isin(column, numbers)


def copy_files(path: Path) -> tuple[Path, Path]:
    """The two files of the copy of the gallery `path`: vectors, rows."""
    return path.with_name(path.name + "-vectors"), path.with_name(path.name + "-rows")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only process that touches the copy; where there are no such locks (Windows), hope."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.with_name(path.name + "-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Source(Protocol):
    """The database that a copy follows."""

    def reading(self) -> AbstractContextManager[Any]:
        """Inside, all answers are of one moment."""
        ...

    def state(self) -> State:
        """Where it stands."""
        ...

    def ids(self) -> np.ndarray:
        """(N,) int64, all ids, rising."""
        ...

    def blocks_after(self, last: int) -> Iterator[VectorBlock]:
        """The rows with ids above `last`, rising."""
        ...


def follow(path: Path, dim: int, source: Source) -> Copy:
    """Bring the files up to the database and map them.

    Args:
        path: of the gallery.
        dim: D.
        source: the database.

    Returns:
        The copy, in memory where the files cannot be written.
    """
    try:
        with _alone(path), source.reading():  # in this order: the database is never behind what another process has written
            return _followed(path, dim, source)
    except OSError:  # a folder that cannot be written, a full disk
        with source.reading():
            return _in_memory(dim, source)


def _in_memory(dim: int, source: Source) -> Copy:
    every = list(source.blocks_after(0))
    if not every:
        return Copy.of(source.state(), np.zeros(0, ROW), np.zeros((0, dim), np.float32))
    rows, vectors = (np.concatenate(parts) for parts in ([b.rows for b in every], [b.vectors for b in every]))
    return Copy.of(source.state(), rows, vectors)


def _followed(path: Path, dim: int, source: Source) -> Copy:
    vector_file, row_file = copy_files(path)
    now, held = source.state(), _read_header(row_file)
    rows = _read_rows(row_file, held, vector_file, dim) if held and held["epoch"] == now.epoch and held["dim"] == dim else None
    if rows is None or held is None:
        for file in (vector_file, row_file):
            file.unlink(missing_ok=True)
        rows, held = np.zeros(0, ROW), {"generation": now.generation, "version": -1}
    if held["generation"] != now.generation:
        rows = _erase_gone(vector_file, row_file, rows, source.ids(), dim)
        if rows is None:
            return _followed(path, dim, source)  # the files are gone and are made again
    if held["version"] != now.version:
        rows = _append(vector_file, row_file, rows, source, dim)
        _write_header(row_file, now, dim, len(rows))
    return Copy.of(now, rows, _mapped(vector_file, len(rows), dim))


def _read_header(row_file: Path) -> dict | None:
    try:
        with row_file.open("rb") as file:
            held = json.loads(file.read(_HEADER))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) and held.get("format") == _FORMAT else None


def _write_header(row_file: Path, now: State, dim: int, count: int) -> None:
    held = {
        "format": _FORMAT,
        "version": now.version,
        "generation": now.generation,
        "epoch": now.epoch,
        "dim": dim,
        "count": count,
    }
    with row_file.open("r+b" if row_file.exists() else "w+b") as file:
        file.write(json.dumps(held).encode().ljust(_HEADER))
        file.flush()
        os.fsync(file.fileno())


def _read_rows(row_file: Path, held: dict, vector_file: Path, dim: int) -> np.ndarray | None:
    """The rows of the header's count; None where the files are shorter than it says."""
    count = int(held["count"])
    try:
        if vector_file.stat().st_size < count * dim * 4 or row_file.stat().st_size < _HEADER + count * ROW.itemsize:
            return None
    except OSError:
        return None
    return np.fromfile(row_file, ROW, count, offset=_HEADER)


def _erase_gone(vector_file: Path, row_file: Path, rows: np.ndarray, alive: np.ndarray, dim: int) -> np.ndarray | None:
    """Overwrite rows that the database does not hold any more; None where so many are gone that the files were removed."""
    gone = np.flatnonzero((rows["id"] > 0) & ~np.isin(rows["id"], alive))
    rows["id"][gone] = -rows["id"][gone]
    for name, nothing in (("time", np.nan), ("camera", -1), ("track", -1)):
        rows[name][gone] = nothing
    if not len(rows):
        return rows
    with vector_file.open("r+b") as file:
        for place in gone.tolist():
            file.seek(place * dim * 4)
            file.write(bytes(dim * 4))
        file.flush()
        os.fsync(file.fileno())
    with row_file.open("r+b") as file:
        for place in gone.tolist():
            file.seek(_HEADER + place * ROW.itemsize)
            file.write(rows[place].tobytes())
        file.flush()
        os.fsync(file.fileno())
    if (rows["id"] < 0).mean() > _COMPACT:
        for file in (vector_file, row_file):
            file.unlink(missing_ok=True)
        return None
    return rows


def _append(vector_file: Path, row_file: Path, rows: np.ndarray, source: Source, dim: int) -> np.ndarray:
    """What the database has beyond the last row. The header is written last: until then the new rows do not count."""
    parts = [rows]
    count = len(rows)
    last = int(np.abs(rows["id"][-1])) if count else 0
    if not row_file.exists():
        row_file.write_bytes(b" " * _HEADER)
    with vector_file.open("r+b" if vector_file.exists() else "w+b") as vectors, row_file.open("r+b") as columns:
        vectors.seek(count * dim * 4)
        columns.seek(_HEADER + count * ROW.itemsize)
        for block in source.blocks_after(last):
            vectors.write(block.vectors.tobytes())
            columns.write(block.rows.tobytes())
            parts.append(block.rows)
        for file in (vectors, columns):
            file.truncate()  # what an interrupted append left behind may have been erased from the database since
            file.flush()
            os.fsync(file.fileno())
    return np.concatenate(parts)


def _mapped(vector_file: Path, count: int, dim: int) -> np.ndarray:
    if not count:
        return np.zeros((0, dim), np.float32)
    return np.asarray(np.memmap(vector_file, np.float32, "r", shape=(count, dim)))
