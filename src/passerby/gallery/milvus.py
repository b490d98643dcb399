"""A gallery in a Milvus server, standalone or cluster: rows in one collection, everything else in a log beside it.

Milvus adds a row whole or not at all, but has no transaction over several. So rows carry what never changes, and what changes
(identities, rejections, bookmarks, thresholds, the audit log) is a log whose entries are single steps; every client sums it up in
memory (`folding.Sum`). An id is made of the key, so that a row that is inserted twice after an interruption is one row.

A search scans all rows that pass, exactly, until `accelerate` has built a graph. Differences from the embedded store, all of them
the engine's: there is no lock between machines, so writers must all run on one; what other clients change is seen after a second;
the files of erased rows are removed by the server's own garbage collection.
"""

# ruff: noqa: D102 (what these methods do is said once, in store.Store)

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from passerby.errors import GalleryError, UsageError, listing
from passerby.gallery.breadth import BREADTHS, NEAREST, SAMPLES, noisy, settle
from passerby.gallery.folding import Sum
from passerby.gallery.grouping import first_of_groups
from passerby.gallery.milvus_engine import Engine, Log
from passerby.gallery.rows import Event, Identity, Model, NewSighting, Sighting, Track
from passerby.gallery.store import Filter, Found, Patch
from passerby.gallery.tracks import made_tracks

__all__ = ["MilvusStore", "open_milvus"]

_UNKNOWN = -1e18  # a time, quality or frame that is not known: Milvus has no nulls
_FIELDS = ("id", "key", "camera", "time", "track", "quality", "source", "frame", "box")
_TEXTS = {"key": 1024, "camera": 256, "track": 512, "source": 2048, "box": 200, "thumbnail": 65_535}
_IDS = 1000  # of one question
_QUERIES = 128  # of one search
_MOST_HITS = 16_000  # that Milvus gives for a query
_FEW = 8  # queries whose hits are read whole
_WIDEST = 4096  # of a walk that shall miss nothing
_EXACT: tuple[str, dict[str, Any]] = ("FLAT", {})
_GRAPH: tuple[str, dict[str, Any]] = ("HNSW", {"M": 32, "efConstruction": 200})
_FRESH_S = 1.0  # how long what is known of the log is taken for current


def open_milvus(address: str, create: Model | None, read_only: bool) -> MilvusStore:
    """Open ``host:port/collection``; with a model to create it by, make it where it is not there.

    Raises:
        GalleryError: no such collection, or a server that does not answer.
        UsageError: an address that is none.
        MissingDependencyError: pymilvus is not installed.
    """
    engine = Engine(address, read_only)
    return MilvusStore(engine, create)


class MilvusStore:
    """See `store.Store`."""

    def __init__(self, engine: Engine, create: Model | None) -> None:
        self._engine, self.name = engine, engine.name
        self._log = Log(engine, f"{engine.collection}_log")
        self._sum, self._read_at = Sum(), -np.inf
        self._lock = threading.RLock()
        if not engine.call(engine.client.has_collection, self._log.collection):
            if create is None:
                raise GalleryError(f"{self.name} does not exist: passerby index makes it.")
            Log.create(engine, self._log.collection)
        engine.call(engine.client.load_collection, self._log.collection)
        self._refresh()
        if create is not None and self.fact("rows") is None:
            with self.writing():
                self._switch(create, self._make_rows(create.dim))
        if self.fact("rows") is None:
            raise GalleryError(f"{self.name} is no gallery, or was never finished: create it with passerby index.")
        if not engine.read_only and not engine.call(engine.client.list_indexes, self._rows):
            engine.index(self._rows, *_EXACT)  # somebody was interrupted while it was exchanged
        engine.call(engine.client.load_collection, self._rows)
        if not engine.read_only and self.fact("erasing"):
            with self.writing():
                self._finish_erasing()

    # ---------------------------------------------------------------------------------------------------- what it knows of itself

    @property
    def model(self) -> Model:
        """What made the vectors."""
        return Model(**self.fact("model"))

    @property
    def _rows(self) -> str:
        return self.fact("rows")

    def close(self) -> None:
        self._engine.close()

    def _refresh(self, now: bool = True) -> Sum:
        with self._lock:
            if now or time.monotonic() - self._read_at > _FRESH_S:
                for entry in self._log.new():
                    self._sum.enter(*entry)
                self._read_at = time.monotonic()
            return self._sum

    def _append(self, kind: str, body: Any) -> None:
        with self._lock:
            number = self._log.append(kind, body)
            self._sum.enter(number, kind, json.loads(json.dumps(body)))

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        with self._engine.writing():
            self._refresh()
            yield

    def writing(self) -> AbstractContextManager[None]:
        return self._only_writer()

    def fact(self, name: str) -> Any:
        return self._refresh(False).facts.get(name)

    def set_fact(self, name: str, value: Any) -> None:
        self._append("fact", [name, value])

    def _make_rows(self, dim: int) -> str:
        from pymilvus import DataType  # pyright: ignore[reportMissingImports]

        client = self._engine.client
        name = f"{self._engine.collection}_rows_{self._log.last}"
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for field, length in _TEXTS.items():
            schema.add_field(field, DataType.VARCHAR, max_length=length)
        for field in ("time", "quality"):
            schema.add_field(field, DataType.DOUBLE)
        schema.add_field("frame", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = client.prepare_index_params()
        index.add_index("vector", _EXACT[0], metric_type="IP", params=_EXACT[1])
        self._engine.call(client.create_collection, name, schema=schema, index_params=index, consistency_level="Strong")
        return name

    def _switch(self, model: Model, rows: str) -> None:
        """From now on the rows are in another collection: one entry of the log, so it is so for everybody or for nobody."""
        facts = {**self._sum.facts, "model": asdict(model), "rows": rows, "breadth": None}
        if facts.get("model") != self._sum.facts.get("model"):
            facts["thresholds"] = None
        self._append("snapshot", {**self._sum.snapshot(), "facts": facts})

    # ---------------------------------------------------------------------------------------------------------------- rows

    def add(self, rows: Sequence[NewSighting]) -> list[int]:
        there = self._numbered([row.key for row in rows])
        known = set(self.ids_of(list(there)))
        fresh = {row.key: row for row in reversed(rows) if row.key not in known}
        if fresh:
            packed = [_packed(there[key], row) for key, row in reversed(fresh.items())]
            cameras = sorted({*(self.fact("cameras") or []), *(row.camera for row in fresh.values())})
            if cameras != self.fact("cameras"):
                self.set_fact("cameras", cameras)  # before the rows: a camera too many is found out, one too few is not
            sizes = [len(row["thumbnail"]) + 4 * len(row["vector"]) + 500 for row in packed]
            self._engine.insert(self._rows, packed, sizes)
            owned = {there[key]: row.identity for key, row in fresh.items() if row.identity is not None}
            if owned:
                self._append("change", _change(Patch({}, owned), None, "", [], "", 0.0))
        return [there[row.key] for row in rows]

    def _numbered(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> the id that it has or would have: made of the key, or the next free number where two keys make the same."""
        found: dict[str, int] = {}
        waiting = {key: _number(key) for key in dict.fromkeys(keys)}
        given: dict[int, str] = {}
        while waiting:
            held = {row["id"]: row["key"] for row in self._by_ids(list(waiting.values()), ["id", "key"])}
            again = {}
            for key, number in waiting.items():
                if held.get(number, key) == key and given.get(number, key) == key:
                    found[key] = number
                    given[number] = key
                else:
                    again[key] = number + 1
            waiting = again
        return found

    def _by_ids(self, ids: Sequence[int], fields: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for start in range(0, len(ids), _IDS):
            part = [int(id) for id in ids[start : start + _IDS]]
            rows += self._engine.some(self._rows, f"id in {part}", fields)
        return rows

    def bookmark(self, source: str) -> str | None:
        return self._refresh().bookmarks.get(source)

    def bookmarks(self) -> dict[str, str]:
        return dict(self._refresh().bookmarks)

    def set_bookmark(self, source: str, state: str) -> None:
        self._append("bookmark", [source, state])

    def __len__(self) -> int:
        (row,) = self._engine.call(self._engine.client.query, self._rows, filter="", output_fields=["count(*)"])
        return int(row["count(*)"])

    def sightings(self, ids: Sequence[int]) -> list[Sighting]:
        wanted = [int(id) for id in ids]
        owner = self._refresh(False).owner
        rows = {row["id"]: row for row in self._by_ids(list(dict.fromkeys(wanted)), _FIELDS)}
        return [_sighting(rows[id], owner.get(id)) for id in wanted if id in rows]

    def ids_of(self, keys: Sequence[str]) -> dict[str, int]:
        numbers = {_number(key): key for key in keys}
        found = {row["key"]: row["id"] for row in self._by_ids(list(numbers), ["id", "key"])}
        wanted = set(keys)
        moved = [key for number, key in numbers.items() if key not in found and number in found.values()]
        for key in moved:  # another key has its number: it stands under the next free one, if at all
            row = self._engine.some(self._rows, f"key == {_text(key)}", ["id", "key"], 1)
            found |= {each["key"]: each["id"] for each in row}
        return {key: id for key, id in found.items() if key in wanted}

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        wanted = [int(id) for id in ids]
        rows = {row["id"]: row["vector"] for row in self._by_ids(list(dict.fromkeys(wanted)), ["id", "vector"])}
        gone = [id for id in wanted if id not in rows]
        if gone:
            raise GalleryError(f"sighting {listing(gone)}: not in this gallery; it may have been erased.")
        return np.array([rows[id] for id in wanted], np.float32).reshape(-1, self.model.dim)

    def thumbnail(self, id: int) -> bytes | None:
        rows = self._by_ids([id], ["thumbnail"])
        if not rows:
            raise GalleryError(f"sighting {id}: not in this gallery; it may have been erased.")
        return base64.b64decode(rows[0]["thumbnail"]) or None

    def cameras(self) -> list[str]:
        return list(self.fact("cameras") or [])

    def span(self) -> tuple[float, float] | None:
        times = [row["time"] for rows in self._read(f"time > {_UNKNOWN}", ["time"]) for row in rows]
        return (min(times), max(times)) if times else None

    def _read(self, where: str, fields: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        return self._engine.read(self._rows, where, fields)

    def tracks(self, camera: str | None) -> list[Track]:
        where = 'track != ""' + ("" if camera is None else f" and camera == {_text(camera)}")
        rows = [row for part in self._read(where, ["id", "camera", "track", "time", "quality"]) for row in part]
        return made_tracks(
            (row["camera"], row["track"][1:], row["id"], _known(row["time"]), _known(row["quality"])) for row in rows
        )

    def listed(self, after: int, limit: int, camera: str | None, alone: bool) -> list[Sighting]:
        where = [
            f"id > {int(after)}",
            *(['track == ""'] if alone else []),
            *([] if camera is None else [f"camera == {_text(camera)}"]),
        ]
        owner, found = self._refresh(False).owner, []
        for rows in self._read(" and ".join(where), _FIELDS):
            found += [_sighting(row, owner.get(row["id"])) for row in rows]
            if len(found) >= limit:
                break
        return found[:limit]

    def older_than(self, time: float) -> list[int]:
        where = f"time > {_UNKNOWN} and time < {time!r}"
        return [row["id"] for rows in self._read(where, ["id"]) for row in rows]

    # -------------------------------------------------------------------------------------------------------------- search

    def nearest(self, vectors: np.ndarray, k: int, where: Filter, *, by_track: bool, approximate: bool) -> list[Found]:
        expression = self._expression(where)
        fields = _FIELDS if len(vectors) <= _FEW else ("id", "camera", "track")  # of few all at once, which saves a question
        rows: dict[int, dict[str, Any]] = {}
        group_of: dict[int, int] = {}
        numbers: dict[tuple[str, str], int] = {}

        def search(queries: np.ndarray, count: int) -> list[Found]:
            found = []
            for start in range(0, len(queries), _QUERIES):
                for hits in self._search(queries[start : start + _QUERIES], count, expression, approximate, fields):
                    for hit in hits:
                        rows[hit["id"]] = hit["entity"]
                        own = (hit["entity"]["camera"], hit["entity"]["track"])
                        group_of[hit["id"]] = numbers.setdefault(own, len(numbers)) if own[1] else -1
                    near = Found(
                        np.array([hit["id"] for hit in hits], np.int64), np.array([hit["distance"] for hit in hits], np.float32)
                    )
                    order = np.lexsort((near.ids, -near.similarities))
                    found.append(Found(near.ids[order], near.similarities[order]))
            return found

        def groups(ids: np.ndarray) -> np.ndarray:
            return np.array([group_of[int(id)] for id in ids], np.int64)

        found = first_of_groups(search, vectors, k, groups, _MOST_HITS) if by_track else search(vectors, k)
        if fields is not _FIELDS:
            return found
        owner = self._refresh(False).owner
        return [replace(each, rows=[_sighting(rows[id], owner.get(id)) for id in each.ids.tolist()]) for each in found]

    def _search(self, queries: np.ndarray, count: int, expression: str, approximate: bool, fields: Sequence[str]) -> Any:
        count, breadth = min(count, _MOST_HITS), self.fact("breadth")
        walk = {} if breadth is None else {"ef": max(count, breadth if approximate else _WIDEST)}
        return self._engine.call(
            self._engine.client.search, self._rows, data=list(queries), anns_field="vector", filter=expression, limit=count,
            search_params={"metric_type": "IP", "params": walk}, output_fields=list(fields),
        )  # fmt: skip

    def accelerate(self) -> float:
        def walk(breadth: int | None) -> list[Found]:
            self.set_fact("breadth", breadth)
            return self.nearest(asked, NEAREST, Filter(), by_track=False, approximate=True)

        with self.writing():
            asked = noisy(self.vectors([row.id for row in self.listed(0, 10 * SAMPLES, None, False)][::10]))
            self._engine.index(self._rows, *_EXACT)
            right = walk(None) if len(asked) else []
            self.set_fact("breadth", BREADTHS[-1])  # before the graph is there: who is interrupted leaves one that can be walked
            self._engine.index(self._rows, *_GRAPH)
            breadth, share = settle(right, walk)
            self.set_fact("breadth", breadth)
            return share

    def _expression(self, where: Filter) -> str:
        parts = []
        if where.cameras is not None:
            parts.append(f"camera in [{', '.join(map(_text, where.cameras))}]")
        if where.not_cameras:
            parts.append(f"camera not in [{', '.join(map(_text, where.not_cameras))}]")
        if where.since is not None or where.until is not None:
            parts.append(f"time > {_UNKNOWN}")
        if where.since is not None:
            parts.append(f"time >= {float(where.since)!r}")
        if where.until is not None:
            parts.append(f"time < {float(where.until)!r}")
        if where.without:
            parts.append(f"id not in {list(where.without)}")
            for row in self.sightings(where.without):
                if row.track is not None:
                    parts.append(f"not (camera == {_text(row.camera)} and track == {_text('t' + row.track)})")
        return " and ".join(dict.fromkeys(parts))

    # ---------------------------------------------------------------------------------------------------------- identities

    def identities(self) -> list[Identity]:
        return self._refresh(False).identities()

    def members(self, identity: int) -> list[int]:
        return sorted(id for id, of in self._refresh(False).owner.items() if of == identity)

    def rejected(self, identity: int) -> list[int]:
        return sorted(id for of, id in self._refresh(False).refused if of == identity)

    def rejections_of(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        wanted = {int(id) for id in ids}
        return sorted(pair for pair in self._refresh(False).refused if pair[1] in wanted)

    def next_identity(self) -> int:
        return self._refresh(False).next_identity

    def change(self, patch: Patch, inverse: Patch | None, action: str, identities: Sequence[int], text: str, at: float) -> None:
        self._append("change", _change(patch, inverse, action, identities, text, at))

    def last_change(self) -> tuple[Event, Patch] | None:
        return self._refresh(False).last_change()

    def mark_undone(self, event: int) -> None:
        self._append("undone", event)

    def events(self, limit: int | None = None) -> list[Event]:
        return self._refresh(False).latest(limit)

    # --------------------------------------------------------------------------------------------------------------- erase

    def forget(self, ids: Sequence[int], identities: Sequence[int], action: str, text: str, at: float) -> None:
        wanted = [int(id) for id in ids]
        # First, so that whoever comes after an interruption knows what must go.
        self._append("fact", ["erasing", {"ids": wanted, "identities": [int(number) for number in identities]}])
        self._finish_erasing()
        self._append("change", _change(Patch(), None, action, identities, text, at))

    def _finish_erasing(self) -> None:
        gone = self.fact("erasing")
        self._engine.delete(self._rows, gone["ids"])
        self._sum.forget(gone["ids"], gone["identities"])
        left = [camera for camera in self.cameras() if self._engine.some(self._rows, f"camera == {_text(camera)}", ["id"], 1)]
        facts = {**self._sum.facts, "cameras": left, "erasing": None}
        self._append("snapshot", {**self._sum.snapshot(), "facts": facts})
        self._log.drop_before(self._log.last)

    def scrub(self) -> None:
        for collection in (self._rows, self._log.collection):
            self._engine.call(self._engine.client.flush, collection)
            self._engine.call(self._engine.client.compact, collection)

    def replace_vectors(self, model: Model, ids: Sequence[int], vectors: np.ndarray) -> None:
        old, new = self._rows, self._make_rows(model.dim)
        place = {int(id): n for n, id in enumerate(ids)}
        for rows in self._read("id >= 0", [*_FIELDS, "thumbnail"]):
            moved = [{**row, "vector": vectors[place[row["id"]]]} for row in rows]
            self._engine.insert(new, moved, [len(row["thumbnail"]) + 4 * model.dim + 500 for row in moved])
        self._engine.call(self._engine.client.load_collection, new)
        self._switch(model, new)
        self._engine.call(self._engine.client.drop_collection, old)

    def blocks(self, size: int) -> Iterator[list[NewSighting]]:
        owner = self._refresh(False).owner
        for rows in self._read("id >= 0", [*_FIELDS, "thumbnail", "vector"]):
            for start in range(0, len(rows), size):
                yield [_unpacked(row, owner.get(row["id"])) for row in rows[start : start + size]]


def _number(key: str) -> int:
    """53 bits of a hash: whole in a JavaScript number."""
    return (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 11) or 1


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _known(value: float) -> float | None:
    return None if value <= _UNKNOWN else value


def _change(patch: Patch, inverse: Patch | None, action: str, identities: Sequence[int], text: str, at: float) -> dict[str, Any]:
    return {
        "patch": patch.to_json(), "inverse": inverse and inverse.to_json(), "action": action, "text": text, "time": at,
        "identities": [int(number) for number in identities],
    }  # fmt: skip


def _packed(id: int, row: NewSighting) -> dict[str, Any]:
    made = {
        "id": id, "key": row.key, "camera": row.camera, "time": _UNKNOWN if row.time is None else float(row.time),
        "track": "" if row.track is None else "t" + row.track, "quality": _UNKNOWN if row.quality is None else float(row.quality),
        "source": row.source, "frame": -1 if row.frame is None else row.frame, "box": json.dumps(row.box and list(row.box)),
        "thumbnail": base64.b64encode(row.thumbnail or b"").decode(), "vector": row.vector,
    }  # fmt: skip
    for field, most in _TEXTS.items():
        if len(made[field].encode()) > most:
            raise UsageError(f"sighting {row.key[:80]}: {field} has {len(made[field].encode())} bytes, Milvus takes {most}.")
    return made


def _sighting(row: dict[str, Any], identity: int | None) -> Sighting:
    box = json.loads(row["box"])
    return Sighting(
        row["id"], row["key"], row["camera"], _known(row["time"]), row["track"][1:] if row["track"] else None, identity,
        _known(row["quality"]), row["source"], None if row["frame"] < 0 else row["frame"], box and tuple(box),
    )  # fmt: skip


def _unpacked(row: dict[str, Any], identity: int | None) -> NewSighting:
    plain = _sighting(row, identity)
    return NewSighting(
        plain.key, np.asarray(row["vector"], np.float32), plain.camera, plain.time, plain.track, identity, plain.quality,
        plain.source, plain.frame, plain.box, base64.b64decode(row["thumbnail"]) or None,
    )  # fmt: skip
