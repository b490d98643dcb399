"""Any sequence of adding, searching, merging, splitting, undoing and erasing leaves what a plain-Python gallery would hold.

`benchmarks/gallery.py` runs the same machine for 10,000 steps.
"""

import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from passerby.gallery import Gallery, Identity, Model, NewSighting

CAMERAS = ("lobby", "yard", "gate")
NOW = 1000.0


class Plain:
    """What a gallery is, without any store: dictionaries, and a stack of copies for undoing."""

    def __init__(self) -> None:
        self.rows: dict[int, dict] = {}
        self.names: dict[int, str] = {}
        self.refused: set[tuple[int, int]] = set()
        self.before: list[tuple[dict, dict, set]] = []
        self.next = 1

    def remember(self) -> None:
        owners = {id: row["identity"] for id, row in self.rows.items()}
        self.before.append((owners, deepcopy(self.names), set(self.refused)))

    def of(self, identity: int) -> list[int]:
        return sorted(id for id, row in self.rows.items() if row["identity"] == identity)

    def erase(self, ids: list[int], identity: int | None = None) -> None:
        losing = {self.rows[id]["identity"] for id in ids} - {None, identity}
        for id in ids:
            del self.rows[id]
        gone = {number for number in losing if not self.of(number)} | ({identity} if identity else set())
        for number in gone:
            self.names.pop(number)
        for row in self.rows.values():
            if row["identity"] in gone:
                row["identity"] = None
        self.refused = {(who, id) for who, id in self.refused if who in self.names and id in self.rows}
        self.before.clear()


class GalleryMachine(RuleBasedStateMachine):
    """The store beside `Plain`."""

    gallery: Gallery

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.gallery"
        self.gallery = Gallery.open(self.path, create=True, model=Model("m", "m", 4))
        self.plain, self.count = Plain(), 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.gallery.close()
            self.folder.cleanup()

    def pick(self, data: st.DataObject, least: int = 1, of: list[int] | None = None) -> list[int]:
        among = sorted(self.plain.rows) if of is None else of
        return data.draw(st.lists(st.sampled_from(among), min_size=least, max_size=5, unique=True))

    def someone(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.plain.names)))

    @rule(count=st.integers(1, 5), camera=st.sampled_from(CAMERAS), timed=st.booleans(), seed=st.integers(0, 99))
    def add(self, count: int, camera: str, timed: bool, seed: int) -> None:
        vectors = np.random.default_rng(seed).standard_normal((count, 4)).astype(np.float32)
        rows = [
            NewSighting(
                f"k{self.count + n}", vector, camera, float(seed) if timed else None, f"t{seed % 5}" if seed % 2 else None
            )
            for n, vector in enumerate(vectors)
        ]
        ids = self.gallery.add(rows)
        for id, row in zip(ids, rows, strict=True):
            assert id not in self.plain.rows
            unit = row.vector / np.linalg.norm(row.vector)
            self.plain.rows[id] = {"vector": unit, "camera": camera, "time": row.time, "track": row.track, "identity": None}
        self.count += count

    @precondition(lambda self: self.plain.rows)
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        ids = self.pick(data, 0)
        self.plain.remember()
        number = self.gallery.create_identity(f"name {self.plain.next}", ids)
        assert number == self.plain.next
        self.plain.names[number] = f"name {number}"
        self.plain.next += 1
        self.give(ids, number)

    def give(self, ids: list[int], number: int | None) -> None:
        for id in ids:
            self.plain.rows[id]["identity"] = number
            self.plain.refused.discard((number, id))

    @precondition(lambda self: self.plain.rows and self.plain.names)
    @rule(data=st.data())
    def assign(self, data: st.DataObject) -> None:
        number, ids = self.someone(data), self.pick(data)
        self.plain.remember()
        self.gallery.assign(number, ids)
        self.give(ids, number)

    @precondition(lambda self: self.plain.rows and self.plain.names)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        number, ids = self.someone(data), self.pick(data)
        self.plain.remember()
        self.gallery.reject(number, ids)
        for id in ids:
            if self.plain.rows[id]["identity"] == number:
                self.plain.rows[id]["identity"] = None
            self.plain.refused.add((number, id))

    @precondition(lambda self: self.plain.names)
    @rule(data=st.data(), suffix=st.integers(0, 10**6))
    def rename(self, data: st.DataObject, suffix: int) -> None:
        number, name = self.someone(data), f"new {suffix}"
        if name in self.plain.names.values():
            return
        self.plain.remember()
        self.gallery.rename(number, name)
        self.plain.names[number] = name

    @precondition(lambda self: len(self.plain.names) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        a, b = data.draw(st.lists(st.sampled_from(sorted(self.plain.names)), min_size=2, max_size=2, unique=True))
        self.plain.remember()
        self.gallery.merge(a, b)
        own, moved = set(self.plain.of(a)), set(self.plain.of(b))
        refused = {id for who, id in self.plain.refused if who in (a, b)} - own - moved
        self.give(sorted(moved), a)
        self.plain.refused = {pair for pair in self.plain.refused if pair[0] not in (a, b)} | {(a, id) for id in refused}
        del self.plain.names[b]

    @precondition(lambda self: any(len(self.plain.of(number)) > 1 for number in self.plain.names))
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([number for number in sorted(self.plain.names) if len(self.plain.of(number)) > 1]))
        ids = self.pick(data, of=self.plain.of(number)[:-1])
        self.plain.remember()
        made = self.gallery.split(number, ids)
        assert made == self.plain.next
        self.plain.next += 1
        self.plain.names[made] = f"person {made}"
        self.give(ids, made)
        self.plain.refused |= {(number, id) for id in ids}

    @rule()
    def undo(self) -> None:
        event = self.gallery.undo()
        assert (event is None) == (not self.plain.before)
        if event is not None:
            owners, self.plain.names, self.plain.refused = self.plain.before.pop()
            for id, row in self.plain.rows.items():
                row["identity"] = owners.get(id)

    @precondition(lambda self: self.plain.names)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        number = self.someone(data)
        ids = self.plain.of(number)
        assert self.gallery.erase(number) == len(ids)
        self.plain.erase(ids, number)

    @precondition(lambda self: self.plain.rows)
    @rule(data=st.data())
    def erase_some(self, data: st.DataObject) -> None:
        ids = self.pick(data)
        assert self.gallery.erase_sightings(ids) == len(ids)
        self.plain.erase(ids)

    @rule(age=st.integers(900, 1000))
    def retain(self, age: int) -> None:
        old = [id for id, row in self.plain.rows.items() if row["time"] is not None and row["time"] < NOW - age]
        assert self.gallery.retain(age, NOW) == len(old)
        if old:
            self.plain.erase(old)

    @rule()
    def open_again(self) -> None:
        self.gallery.close()
        self.gallery = Gallery.open(self.path)

    @rule(
        seed=st.integers(0, 99), k=st.integers(1, 6), cameras=st.none() | st.sets(st.sampled_from(CAMERAS), min_size=1),
        since=st.none() | st.integers(0, 50), group=st.sampled_from(["row", "track"]),
    )  # fmt: skip
    def search(self, seed: int, k: int, cameras: set[str] | None, since: int | None, group: str) -> None:
        query = np.random.default_rng(seed).standard_normal(4).astype(np.float32)
        query /= np.linalg.norm(query)
        known = {row["camera"] for row in self.plain.rows.values()}
        assert set(self.gallery.cameras()) == known
        only = None if cameras is None else sorted(cameras & known)
        (hits,) = self.gallery.search(query, k, cameras=only, since=since, group=group)  # pyright: ignore[reportArgumentType]
        expected, seen = [], set()
        for similarity, id in sorted((-float(row["vector"] @ query), id) for id, row in self.plain.rows.items()):
            row = self.plain.rows[id]
            track = (row["camera"], row["track"]) if row["track"] and group == "track" else id
            if (only is None or row["camera"] in only) and (since is None or (row["time"] is not None and row["time"] >= since)):
                if track not in seen:
                    expected.append((id, -similarity))
                seen.add(track)
        assert np.allclose([hit.similarity for hit in hits], [value for _, value in expected[:k]], atol=1e-5)
        assert all(abs(dict(expected)[hit.sighting.id] - hit.similarity) < 1e-5 for hit in hits)
        assert all(hit.sighting.identity == self.plain.rows[hit.sighting.id]["identity"] for hit in hits)

    @rule(after=st.integers(0, 40), limit=st.integers(1, 9), camera=st.none() | st.sampled_from(CAMERAS), alone=st.booleans())
    def listing(self, after: int, limit: int, camera: str | None, alone: bool) -> None:
        expected = [
            id
            for id, row in sorted(self.plain.rows.items())
            if id > after and camera in (None, row["camera"]) and not (alone and row["track"])
        ]
        assert [row.id for row in self.gallery.listed(after, limit, camera=camera, alone=alone)] == expected[:limit]

    @invariant()
    def same_people(self) -> None:
        if not hasattr(self, "plain"):
            return
        refused = {number: sorted(id for who, id in self.plain.refused if who == number) for number in self.plain.names}
        assert self.gallery.identities() == [
            Identity(number, name, len(self.plain.of(number)), len(refused[number]))
            for number, name in sorted(self.plain.names.items())
        ]
        assert len(self.gallery) == len(self.plain.rows)
        for number in self.plain.names:
            assert self.gallery.members(number) == self.plain.of(number)
            assert self.gallery.rejected(number) == refused[number]


TestGallery = GalleryMachine.TestCase
TestGallery.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False
)
