"""The embedded store: one SQLite file is the truth, a memory-mapped copy beside it is searched exactly."""

# ruff: noqa: D102 (what these methods do is said once, in store.Store)

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from passerby.errors import GalleryError, listing
from passerby.gallery.database import Database
from passerby.gallery.exact import most_similar
from passerby.gallery.grouping import first_of_groups
from passerby.gallery.mapped import ROW, Copy, State, VectorBlock, follow
from passerby.gallery.rows import Model, NewSighting, Sighting, Track
from passerby.gallery.sqlite_identities import SQLiteIdentities
from passerby.gallery.store import Filter, Found
from passerby.gallery.tracks import made_tracks

__all__ = ["SQLiteStore", "open_sqlite"]

_BLOCK = 4000  # rows read at a time
_SIGHTING = """
SELECT s.id, s.key, c.name, s.time, t.name, s.identity, s.quality, o.name, s.frame, s.x, s.y, s.w, s.h
FROM sighting s JOIN camera c ON c.id = s.camera JOIN source o ON o.id = s.source LEFT JOIN track t ON t.id = s.track
"""


def open_sqlite(path: Path, create: Model | None, read_only: bool) -> SQLiteStore:
    """Open a file; with a model to create it by, make it where it is not there.

    Raises:
        GalleryError: see `Database`.
    """
    database = Database(path, create is not None, read_only)
    try:
        return SQLiteStore(database, create)
    except BaseException:
        database.close()
        raise


class SQLiteStore(SQLiteIdentities):
    """See `store.Store`."""

    def __init__(self, database: Database, create: Model | None) -> None:
        self._db, self.name = database, str(database.path)
        self._copy: Copy | None = None
        self._lock = threading.RLock()
        if create is not None and self.fact("model") is None:
            with self.writing():
                if self.fact("model") is None:
                    self.set_fact("model", asdict(create))
        if not database.read_only and self._scrubbing():
            self.scrub()  # an erasure that was interrupted

    @property
    def model(self) -> Model:
        """What made the vectors."""
        stored = self.fact("model")
        if stored is None:
            raise GalleryError(f"{self.name} does not say which model it is of: it was damaged. Restore a copy.")
        return Model(**stored)

    def close(self) -> None:
        self._copy = None
        self._db.close()

    def writing(self) -> AbstractContextManager[Any]:
        return self._db.transaction()

    def fact(self, name: str) -> Any:
        found = self._db.rows("SELECT value FROM fact WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    def set_fact(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False)))

    # ---------------------------------------------------------------------------------------------------------------- rows

    def add(self, rows: Sequence[NewSighting]) -> list[int]:
        there = self.ids_of([row.key for row in rows])
        new = {row.key: row for row in reversed(rows) if row.key not in there}
        if new:
            fresh = list(reversed(new.values()))
            cameras = self._numbers("camera", [(row.camera,) for row in fresh])
            sources = self._numbers("source", [(row.source,) for row in fresh])
            named = [(cameras[row.camera,], row.track) for row in fresh if row.track is not None]
            tracks = self._numbers("track", named)
            for row in fresh:
                there[row.key] = self._insert(row, cameras[row.camera,], sources[row.source,], tracks)
            self._db.execute("UPDATE state SET version = version + 1")
        return [there[row.key] for row in rows]

    def _insert(self, row: NewSighting, camera: int, source: int, tracks: dict[tuple, int]) -> int:
        track = None if row.track is None else tracks[camera, row.track]
        connection = self._db.connection()
        with self._db.guarded():
            values = (
                row.key, camera, row.time, track, row.identity, row.quality, source, row.frame, *(row.box or (None,) * 4)
            )  # fmt: skip
            id = connection.execute(
                "INSERT INTO sighting (key, camera, time, track, identity, quality, source, frame, x, y, w, h) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            connection.execute("INSERT INTO vector VALUES (?, ?)", (id, row.vector.astype("<f4").tobytes()))
            if row.thumbnail is not None:
                connection.execute("INSERT INTO thumbnail VALUES (?, ?)", (id, row.thumbnail))
        assert id is not None
        return id

    def _numbers(self, table: str, names: Sequence[tuple]) -> dict[tuple, int]:
        """The numbers of cameras, sources or (camera, track) pairs, new ones included."""
        columns = "camera, name" if table == "track" else "name"
        signs = ", ".join("?" * (columns.count(",") + 1))
        found = {}
        for name in dict.fromkeys(names):
            self._db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({signs})", name)
            (row,) = self._db.rows(f"SELECT id FROM {table} WHERE ({columns}) = ({signs})", name)
            found[name] = row[0]
        return found

    def bookmark(self, source: str) -> str | None:
        found = self._db.rows("SELECT state FROM bookmark WHERE source = ?", (source,))
        return found[0][0] if found else None

    def bookmarks(self) -> dict[str, str]:
        return dict(self._db.rows("SELECT source, state FROM bookmark"))

    def set_bookmark(self, source: str, state: str) -> None:
        self._db.execute("DELETE FROM bookmark WHERE source = ?", (source,))
        if state:
            self._db.execute("INSERT INTO bookmark VALUES (?, ?)", (source, state))

    def __len__(self) -> int:
        return self._db.rows("SELECT count(*) FROM sighting")[0][0]

    def sightings(self, ids: Sequence[int]) -> list[Sighting]:
        wanted = [int(id) for id in ids]
        with self._db.reading():
            rows = {row[0]: _sighting(row) for row in self._in(_SIGHTING + "WHERE s.id IN ({})", list(dict.fromkeys(wanted)))}
        return [rows[id] for id in wanted if id in rows]

    def ids_of(self, keys: Sequence[str]) -> dict[str, int]:
        return dict(self._in("SELECT key, id FROM sighting WHERE key IN ({})", list(dict.fromkeys(keys))))

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        wanted = [int(id) for id in ids]
        found = dict(self._in("SELECT id, data FROM vector WHERE id IN ({})", list(dict.fromkeys(wanted))))
        gone = [id for id in wanted if id not in found]
        if gone:
            raise GalleryError(f"sighting {listing(gone)}: not in this gallery; it may have been erased.")
        if not wanted:
            return np.zeros((0, self.model.dim), np.float32)
        return np.stack([np.frombuffer(found[id], "<f4") for id in wanted])

    def thumbnail(self, id: int) -> bytes | None:
        found = self._db.rows("SELECT t.data FROM sighting s LEFT JOIN thumbnail t ON t.id = s.id WHERE s.id = ?", (int(id),))
        if not found:
            raise GalleryError(f"sighting {id}: not in this gallery; it may have been erased.")
        return found[0][0]

    def cameras(self) -> list[str]:
        return [name for (name,) in self._db.rows("SELECT name FROM camera ORDER BY name")]

    def span(self) -> tuple[float, float] | None:
        ((first, last),) = self._db.rows("SELECT min(time), max(time) FROM sighting")
        return None if first is None else (first, last)

    def tracks(self, camera: str | None) -> list[Track]:
        only = "" if camera is None else "AND c.name = ?"
        question = (
            "SELECT c.name, t.name, s.id, s.time, s.quality FROM sighting s JOIN track t ON t.id = s.track "
            f"JOIN camera c ON c.id = t.camera WHERE s.track IS NOT NULL {only}"
        )
        return made_tracks(self._db.rows(question, () if camera is None else (camera,)))

    def listed(self, after: int, limit: int, camera: str | None, alone: bool) -> list[Sighting]:
        only = ("AND s.track IS NULL " if alone else "") + ("" if camera is None else "AND c.name = ? ")
        named = () if camera is None else (camera,)
        rows = self._db.rows(f"{_SIGHTING}WHERE s.id > ? {only}ORDER BY s.id LIMIT ?", (int(after), *named, int(limit)))
        return [_sighting(row) for row in rows]

    def older_than(self, time: float) -> list[int]:
        return [id for (id,) in self._db.rows("SELECT id FROM sighting WHERE time < ? ORDER BY id", (time,))]

    # -------------------------------------------------------------------------------------------------------------- search

    def nearest(self, vectors: np.ndarray, k: int, where: Filter, *, by_track: bool, approximate: bool) -> list[Found]:
        copy = self.copy()
        rows = copy.passing(where, self._camera_numbers)

        def search(queries: np.ndarray, count: int) -> list[Found]:
            if approximate and (found := self._accelerated(copy, rows, queries, count)) is not None:
                return found
            return most_similar(copy.vectors, rows, queries, count)

        total = len(copy) if rows is None else len(rows)
        found = first_of_groups(search, vectors, k, lambda places: copy.tracks[places], total) if by_track else search(vectors, k)
        return [Found(copy.ids[each.ids], each.similarities) for each in found]

    def _accelerated(self, copy: Copy, rows: np.ndarray | None, queries: np.ndarray, k: int) -> list[Found] | None:
        from passerby.gallery.accelerated import search_index

        return search_index(self._db.path, copy, rows, queries, k)

    def accelerate(self) -> float:
        """See `Gallery.accelerate`."""
        from passerby.gallery.accelerated import build_index

        return build_index(self._db.path, self.copy())

    def _camera_numbers(self, names: tuple[str, ...]) -> list[int]:
        return [id for (id,) in self._in("SELECT id FROM camera WHERE name IN ({})", list(names))]

    def state(self) -> State:
        """Where the database stands."""
        ((version, generation, epoch),) = self._db.rows("SELECT version, generation, epoch FROM state")
        return State(version, generation, epoch)

    def copy(self) -> Copy:
        """The searched copy, brought up to the database."""
        held = self._copy
        if held is not None and held.state == self.state():
            return held
        with self._lock:
            held = self._copy
            if held is None or held.state != self.state():
                self._copy = held = follow(self._db.path, self.model.dim, self)
            return held

    def reading(self) -> AbstractContextManager[Any]:
        """Inside, all answers to this thread are of one moment."""
        return self._db.reading()

    def ids(self) -> np.ndarray:
        """(N,) int64, rising."""
        return np.array([id for (id,) in self._db.rows("SELECT id FROM sighting ORDER BY id")], np.int64)

    def blocks_after(self, last: int) -> Iterator[VectorBlock]:
        """The rows with ids above `last`, rising."""
        dim = self.model.dim
        while True:
            found = self._db.rows(
                "SELECT s.id, s.time, s.camera, s.track, v.data FROM sighting s JOIN vector v ON v.id = s.id WHERE s.id > ? "
                "ORDER BY s.id LIMIT ?",
                (last, _BLOCK),
            )
            if not found:
                return
            last = found[-1][0]
            rows = np.empty(len(found), ROW)
            rows["id"] = [row[0] for row in found]
            rows["time"] = [np.nan if row[1] is None else row[1] for row in found]
            rows["camera"] = [row[2] for row in found]
            rows["track"] = [-1 if row[3] is None else row[3] for row in found]
            vectors = np.frombuffer(b"".join(row[4] for row in found), "<f4").reshape(-1, dim)
            yield VectorBlock(rows, vectors)

    # --------------------------------------------------------------------------------------------------------------- erase

    def forget(self, ids: Sequence[int], identities: Sequence[int], action: str, text: str, at: float) -> None:
        rows = [(int(id),) for id in ids]
        for table, column in (("thumbnail", "id"), ("vector", "id"), ("rejection", "sighting"), ("sighting", "id")):
            self._db.many(f"DELETE FROM {table} WHERE {column} = ?", rows)
        for number in identities:
            self._remove_identity(number)
        for table in ("track", "camera", "source"):
            self._db.execute(f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM sighting WHERE sighting.{table} = {table}.id)")
        self._silence(identities)
        self._db.execute("UPDATE event SET inverse = NULL WHERE inverse IS NOT NULL")
        self._log(action, identities, text, at, None)
        self._db.execute("UPDATE state SET version = version + 1, generation = generation + 1, scrubbing = 1")

    def _scrubbing(self) -> bool:
        return bool(self._db.rows("SELECT scrubbing FROM state")[0][0])

    def scrub(self) -> None:
        from passerby.gallery.accelerated import remove_index

        remove_index(self._db.path)
        self.copy()  # overwrites the erased rows of the copy
        with self._lock, self._db.guarded():
            connection = self._db.connection()
            connection.execute("VACUUM")
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:  # having waited for readers
                raise GalleryError(
                    f"erased, but somebody who reads {self.name} keeps old pages of it in {self.name}-wal: end the reader and "
                    "open the gallery once more, then they go."
                )
            connection.execute("UPDATE state SET scrubbing = 0")

    def replace_vectors(self, model: Model, ids: Sequence[int], vectors: np.ndarray) -> None:
        self._db.many(
            "UPDATE vector SET data = ? WHERE id = ?",
            ((vector.astype("<f4").tobytes(), int(id)) for id, vector in zip(ids, vectors, strict=True)),
        )
        self.set_fact("model", asdict(model))
        self.set_fact("thresholds", None)
        self._db.execute("UPDATE state SET version = version + 1, epoch = lower(hex(randomblob(16)))")

    def blocks(self, size: int) -> Iterator[list[NewSighting]]:
        last = 0
        while True:
            ids = [id for (id,) in self._db.rows("SELECT id FROM sighting WHERE id > ? ORDER BY id LIMIT ?", (last, size))]
            if not ids:
                return
            last = ids[-1]
            crops = dict(self._in("SELECT id, data FROM thumbnail WHERE id IN ({})", ids))
            yield [
                NewSighting(
                    row.key, vector, row.camera, row.time, row.track, row.identity, row.quality, row.source, row.frame, row.box,
                    crops.get(row.id),
                )
                for row, vector in zip(self.sightings(ids), self.vectors(ids), strict=True)
            ]  # fmt: skip


def _sighting(row: Sequence[Any]) -> Sighting:
    box = None if row[9] is None else (row[9], row[10], row[11], row[12])
    return Sighting(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], box)
