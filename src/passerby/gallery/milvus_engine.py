"""Milvus behind a few calls: what it needs to be asked, retries with a limit, and its errors on one line."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from passerby.errors import GalleryError, MissingDependencyError, UsageError

__all__ = ["MOST_ROWS", "PATIENCE_S", "Engine", "Log"]

T = TypeVar("T")
MOST_ROWS = 5000
"""Rows a call; more are refused by message size, or slow."""
PATIENCE_S = 60.0
"""How long a call is tried again while the server loads a collection or comes up."""
_MOST_BYTES = 16_000_000  # of a call; a server takes 64 MB
_CALL_S = 60.0
_INDEX_S = 4 * 3600.0
_PIECE = 60_000  # bytes of a text field; Milvus takes 65,535
_PIECES = 4096  # of one entry of the log
_ANSWER = 16_384  # rows that Milvus gives at once
_WINDOW = 1000  # entries of the log that are asked for together
_BUSY = (
    "not loaded",
    "not ready",
    "not fully loaded",
    "no available",
    "channel not",
    "rate limit",
    "deny to",
    "unhealthy",
    "retry",
)


class Engine:
    """A connection to one server.

    Args:
        address: ``host:port/collection``.
        read_only: change nothing.

    Raises:
        UsageError: an address that is none.
        GalleryError: the server does not answer.
        MissingDependencyError: pymilvus is not installed.
    """

    def __init__(self, address: str, read_only: bool) -> None:
        server, slash, collection = address.partition("/")
        if not slash or not collection.replace("_", "").isalnum() or collection[0].isdigit() or not server:
            raise UsageError(
                f'"milvus://{address}": write milvus://host:port/collection; a collection is named by letters, digits and _.'
            )
        try:
            from pymilvus import MilvusClient  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingDependencyError(
                'a gallery in Milvus needs pymilvus. Install it with: pip install "passerby[milvus]"'
            ) from None
        self.name, self.collection, self.read_only = f"milvus://{address}", collection, read_only
        host, _, port = server.partition(":")
        with self._guarded():
            self.client = MilvusClient(uri=f"http://{host}:{port or 19530}", timeout=_CALL_S)
        self._threads = threading.RLock()
        self._deep = 0

    def call(self, ask: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Ask the server; while it says that it is busy or loads, ask again, for `PATIENCE_S` at most.

        Raises:
            GalleryError: it does not answer, or refuses.
        """
        deadline, wait = time.monotonic() + PATIENCE_S, 0.2
        with self._guarded():
            while True:
                try:
                    return ask(*arguments, timeout=_CALL_S, **named)
                except self._errors() as error:
                    if not any(sign in str(error).lower() for sign in _BUSY) or time.monotonic() + wait > deadline:
                        raise
                time.sleep(wait)
                wait = min(2 * wait, 5.0)

    @staticmethod
    def _errors() -> tuple[type[Exception], ...]:
        import grpc
        from pymilvus.exceptions import MilvusException  # pyright: ignore[reportMissingImports]

        return (MilvusException, grpc.RpcError)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._errors() as error:
            said = " ".join(str(getattr(error, "message", "") or error).split())[:200]
            raise GalleryError(
                f"{self.name}: the server does not answer or refuses ({said}). Does it run, and is it loaded?"
            ) from error

    def read(self, collection: str, where: str, fields: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        """All rows that fit, by rising id, some thousand at a time; on an older server without those of the last moment."""
        logging.getLogger("pymilvus.orm.iterator").setLevel(logging.ERROR)  # it warns of every older server
        with self._guarded():
            cursor = self.client.query_iterator(
                collection, batch_size=1000, filter=where, output_fields=list(fields), timeout=_CALL_S
            )
            try:
                while rows := cursor.next():
                    yield list(rows)
            finally:
                cursor.close()

    def some(self, collection: str, where: str, fields: Sequence[str], limit: int = _ANSWER) -> list[dict[str, Any]]:
        """At most `limit` rows that fit."""
        return list(self.call(self.client.query, collection, filter=where, output_fields=list(fields), limit=limit))

    def insert(self, collection: str, rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> None:
        """Insert rows of these sizes in bytes, in calls that the server takes."""
        start = 0
        while start < len(rows):
            stop, weight = start, 0
            while stop < len(rows) and stop - start < MOST_ROWS and (stop == start or weight + sizes[stop] <= _MOST_BYTES):
                weight += sizes[stop]
                stop += 1
            self.call(self.client.insert, collection, list(rows[start:stop]))
            start = stop

    def delete(self, collection: str, ids: Sequence[int]) -> None:
        """Delete rows by id."""
        for start in range(0, len(ids), MOST_ROWS):
            self.call(self.client.delete, collection, ids=list(ids[start : start + MOST_ROWS]))

    def index(self, collection: str, kind: str, params: dict[str, Any]) -> None:
        """Put another index in the place of that of the vectors, and wait until the server searches by it."""
        client = self.client
        self.call(client.flush, collection)
        self.call(client.release_collection, collection)
        for name in self.call(client.list_indexes, collection):
            self.call(client.drop_index, collection, name)
        wanted = client.prepare_index_params()
        wanted.add_index("vector", kind, metric_type="IP", params=params)
        self.call(client.create_index, collection, wanted)
        deadline = time.monotonic() + _INDEX_S
        while self.call(client.describe_index, collection, "vector").get("pending_index_rows"):
            if time.monotonic() > deadline:
                raise GalleryError(f"{self.name}: the server did not make its index within {_INDEX_S / 3600:g} hours.")
            time.sleep(0.5)
        self.call(client.load_collection, collection)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer on this machine. Milvus has no locks: writers on two machines are the user's to avoid.

        Raises:
            GalleryError: opened for reading, or another writer does not finish.
        """
        if self.read_only:
            raise GalleryError(f"{self.name} was opened for reading only: open it without read_only to change it.")
        with self._threads:
            self._deep += 1
            try:
                if self._deep > 1:
                    yield
                else:
                    with self._locked():
                        yield
            finally:
                self._deep -= 1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            import fcntl
        except ImportError:
            yield
            return
        named = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        with (Path(tempfile.gettempdir()) / f"passerby-{named}.lock").open("a") as lock:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise GalleryError(
                            f"{self.name} is being written by another process for more than {PATIENCE_S:g} s: wait until it is "
                            "done."
                        ) from None
                    time.sleep(0.05)
            yield

    def close(self) -> None:
        """Let the connection go."""
        with self._guarded():
            self.client.close()


class Log:
    """A log in a collection: entries that are there whole or not at all.

    An entry that is longer than a field of Milvus is several rows; it counts when all of them are there.
    """

    def __init__(self, engine: Engine, collection: str) -> None:
        self._engine, self.collection, self.last = engine, collection, 0

    @staticmethod
    def create(engine: Engine, collection: str) -> None:
        """Make the collection."""
        from pymilvus import DataType  # pyright: ignore[reportMissingImports]

        schema = engine.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("pieces", DataType.INT64)
        schema.add_field("kind", DataType.VARCHAR, max_length=20)
        schema.add_field("body", DataType.VARCHAR, max_length=65_535)
        schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # every collection must have a vector
        index = engine.client.prepare_index_params()
        index.add_index("nothing", index_type="FLAT", metric_type="L2")
        engine.call(engine.client.create_collection, collection, schema=schema, index_params=index, consistency_level="Strong")

    def append(self, kind: str, body: Any) -> int:
        """Add an entry; its number."""
        text = json.dumps(body)
        pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
        if len(pieces) > _PIECES:
            raise GalleryError(
                f"{self._engine.name}: a change of {len(text):,} bytes is more than one step takes; do it in parts."
            )
        number = self.last + 1
        rows = [
            {"id": number * _PIECES + place, "pieces": len(pieces), "kind": kind, "body": piece, "nothing": [0.0, 0.0]}
            for place, piece in enumerate(pieces)
        ]
        self._engine.insert(self.collection, rows, [len(row["body"]) for row in rows])
        self.last = number
        return number

    def new(self) -> list[tuple[int, str, Any]]:
        """Entries since the last call: (number, kind, body). Pieces of an entry that was never finished are passed over."""
        held: dict[int, list[dict[str, Any]]] = {}
        start = self._begin()
        while rows := self._range(start, _WINDOW):
            for row in rows:
                held.setdefault(row["id"] // _PIECES, []).append(row)
            start = max(held) + 1
        found = []
        for number, rows in sorted(held.items()):
            self.last = max(self.last, number)
            if len(rows) == rows[0]["pieces"]:
                text = "".join(row["body"] for row in sorted(rows, key=lambda row: row["id"]))
                found.append((number, rows[0]["kind"], json.loads(text)))
        return found

    def _begin(self) -> int:
        """Where to go on, or the first number that is there: what stands before a snapshot is dropped."""
        if self.last:
            return self.last + 1
        rows = self._engine.some(self.collection, 'kind == "snapshot"', ["id"])
        return max((row["id"] // _PIECES for row in rows), default=1)

    def _range(self, start: int, count: int) -> list[dict[str, Any]]:
        """The rows of `count` numbers from `start` on; of fewer where these are more rows than one answer holds."""
        where = f"id >= {start * _PIECES} and id < {(start + count) * _PIECES}"
        rows = self._engine.some(self.collection, where, ["id", "pieces", "kind", "body"], _ANSWER)
        return rows if len(rows) < _ANSWER or count == 1 else self._range(start, count // 2)

    def drop_before(self, number: int) -> None:
        """Delete the entries before one."""
        where = f"id < {number * _PIECES}"
        while rows := self._engine.some(self.collection, where, ["id"]):
            self._engine.delete(self.collection, [row["id"] for row in rows])
