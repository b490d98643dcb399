"""The SQLite file of a gallery: its tables, its connections (one a thread), and SQLite's errors on one line."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from passerby.errors import GalleryError

__all__ = ["FORMAT", "PATIENCE_S", "Database"]

FORMAT = 1
PATIENCE_S = 20.0
"""How long a writer waits for another one."""
_APPLICATION = 0x70617362  # "pasb"
_TABLES = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (version INTEGER, generation INTEGER, epoch TEXT, next_identity INTEGER, scrubbing INTEGER);
CREATE TABLE camera (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE track (id INTEGER PRIMARY KEY, camera INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (camera, name));
CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE sighting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, camera INTEGER NOT NULL, time REAL, track INTEGER,
    identity INTEGER, quality REAL, source INTEGER NOT NULL, frame INTEGER, x REAL, y REAL, w REAL, h REAL
);
CREATE INDEX sighting_track ON sighting (track) WHERE track IS NOT NULL;
CREATE INDEX sighting_identity ON sighting (identity) WHERE identity IS NOT NULL;
CREATE INDEX sighting_time ON sighting (time);
CREATE INDEX sighting_camera ON sighting (camera);
CREATE TABLE vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE thumbnail (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE identity (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE rejection (identity INTEGER, sighting INTEGER, PRIMARY KEY (identity, sighting)) WITHOUT ROWID;
CREATE INDEX rejection_sighting ON rejection (sighting);
CREATE TABLE bookmark (source TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, action TEXT NOT NULL, identities TEXT NOT NULL, text TEXT NOT NULL,
    inverse TEXT, undone INTEGER NOT NULL DEFAULT 0
);
"""


class Database:
    """One SQLite file, used from any number of threads.

    Args:
        path: the file.
        create: make it where it is not there.
        read_only: change nothing.

    Raises:
        GalleryError: no such file, no gallery, a damaged one, or one of a newer passerby.
    """

    def __init__(self, path: Path, create: bool, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self._own = threading.local()
        self._every: list[sqlite3.Connection] = []
        self._lock = threading.RLock()  # among the writers of this process
        self.closed, self._creating = False, create
        if not path.is_file() and not create:
            what = "is a folder" if path.is_dir() else "does not exist"
            raise GalleryError(f"{path} {what}: a gallery is one file, which passerby index makes.")
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise GalleryError(f"{path} cannot be made: give the name of a file in a folder that exists.")
        try:
            with self.guarded():
                if create:
                    self._create()
                self._check()
            self._creating = False
        except GalleryError:
            self.close()
            raise

    def _create(self) -> None:
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute("ROLLBACK")
            return
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO state VALUES (0, 0, lower(hex(randomblob(16))), 1, 0)")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")

    def _check(self) -> None:
        connection = self.connection()
        own = connection.execute("PRAGMA application_id").fetchone()[0]
        number = connection.execute("PRAGMA user_version").fetchone()[0]
        if own != _APPLICATION:
            raise GalleryError(f"{self.path} is a database, but no gallery: give a file that passerby index made.")
        if number > FORMAT:
            raise GalleryError(f"{self.path} has format {number}; this passerby reads up to {FORMAT}. Update passerby.")

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        if self.closed:
            raise GalleryError(f"{self.path} was closed: open it again.")
        found = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = self._connect()
            with self._lock:
                self._every.append(found)
        return found

    def _connect(self) -> sqlite3.Connection:
        name = quote(str(self.path.absolute()))
        # Only the first connection may make the file: a later one would put an empty one in the place of a file that is gone.
        mode = "ro" if self.read_only else "rwc" if self._creating else "rw"
        made = sqlite3.connect(
            f"file:{name}?mode={mode}", uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        if self.read_only:
            made.execute("PRAGMA query_only = ON")
            try:
                made.execute("SELECT count(*) FROM sqlite_master")
            except sqlite3.OperationalError:  # a folder in which SQLite may not put its own files
                made.close()
                made = sqlite3.connect(
                    f"file:{name}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
                )
        else:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")
            made.execute("PRAGMA secure_delete = ON")
        return made

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """SQLite's errors as one line that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise GalleryError(self._in_words(error)) from error

    def _in_words(self, error: sqlite3.Error) -> str:
        said = str(error)
        if "locked" in said:
            return (
                f"{self.path} is being written by another process for more than {PATIENCE_S:g} s: wait until it is done, or open "
                "it for reading only."
            )
        if "disk is full" in said or "disk I/O" in said:
            return f"{self.path}: the disk is full or fails ({said}); nothing of this step was kept. Make room and do it again."
        if "malformed" in said or "not a database" in said:
            return f"{self.path} is no gallery, or a damaged one ({said}): give another file, or restore a copy."
        if "readonly" in said:
            return f"{self.path} cannot be written ({said}): open it for reading only, or change its permissions."
        return f"{self.path}: {said}. Is the file still there and yours to read?"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Be the only writer; everything inside stands afterwards, or nothing. May be nested, the outermost one counts.

        Raises:
            GalleryError: opened for reading; another writer does not finish; a full disk.
        """
        if self.read_only:
            raise GalleryError(f"{self.path} was opened for reading only: open it without read_only to change it.")
        with self._lock, self.guarded():
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the database for several questions."""
        with self.guarded():
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("COMMIT")

    def rows(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of an answer."""
        with self.guarded():
            return self.connection().execute(question, values).fetchall()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Change something."""
        with self.guarded():
            self.connection().execute(statement, values)

    def many(self, statement: str, values: Any) -> None:
        """Change something for each of `values`."""
        with self.guarded():
            self.connection().executemany(statement, values)

    def close(self) -> None:
        """Close the connections of all threads."""
        self.closed = True
        with self._lock:
            for connection in self._every:
                with suppress(sqlite3.Error):
                    connection.close()
            self._every.clear()
