"""Identities, rejections and the audit log in SQLite."""

# ruff: noqa: D102 (what these methods do is said once, in store.Store)

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from passerby.gallery.database import Database
from passerby.gallery.rows import Event, Identity
from passerby.gallery.store import Patch

__all__ = ["SQLiteIdentities"]

_PARAMETERS = 900  # of one statement; SQLite takes 999 everywhere


class SQLiteIdentities:
    """The part of the embedded store that is about people."""

    _db: Database

    def _in(self, question: str, values: Sequence[Any]) -> list[Any]:
        """Answers to a question with ``{}`` where a list of `values` goes, however long."""
        found: list[Any] = []
        for start in range(0, len(values), _PARAMETERS):
            part = list(values[start : start + _PARAMETERS])
            found += self._db.rows(question.format(", ".join("?" * len(part))), part)
        return found

    def identities(self) -> list[Identity]:
        return [
            Identity(*row)
            for row in self._db.rows(
                "SELECT i.id, i.name, (SELECT count(*) FROM sighting s WHERE s.identity = i.id), "
                "(SELECT count(*) FROM rejection r WHERE r.identity = i.id) FROM identity i ORDER BY i.id"
            )
        ]

    def members(self, identity: int) -> list[int]:
        return [id for (id,) in self._db.rows("SELECT id FROM sighting WHERE identity = ? ORDER BY id", (identity,))]

    def rejected(self, identity: int) -> list[int]:
        found = self._db.rows("SELECT sighting FROM rejection WHERE identity = ? ORDER BY sighting", (identity,))
        return [id for (id,) in found]

    def rejections_of(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        return self._in("SELECT identity, sighting FROM rejection WHERE sighting IN ({})", [int(id) for id in ids])

    def next_identity(self) -> int:
        return self._db.rows("SELECT next_identity FROM state")[0][0]

    def change(self, patch: Patch, inverse: Patch | None, action: str, identities: Sequence[int], text: str, at: float) -> None:
        for number, name in patch.names.items():
            if name is None:
                self._remove_identity(number)
            else:
                self._db.execute("INSERT OR REPLACE INTO identity VALUES (?, ?)", (number, name))
                self._db.execute("UPDATE state SET next_identity = max(next_identity, ?)", (number + 1,))
        self._db.many("UPDATE sighting SET identity = ? WHERE id = ?", [(to, id) for id, to in patch.assigned.items()])
        on = [pair for pair, said in patch.rejected.items() if said]
        off = [pair for pair, said in patch.rejected.items() if not said]
        self._db.many("DELETE FROM rejection WHERE identity = ? AND sighting = ?", off)
        self._db.many("INSERT OR IGNORE INTO rejection SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM identity WHERE id = ?1)", on)
        taken_back = None if inverse is None else json.dumps(inverse.to_json(), ensure_ascii=False)
        self._log(action, identities, text, at, taken_back)

    def _remove_identity(self, number: int) -> None:
        self._db.execute("DELETE FROM identity WHERE id = ?", (number,))
        self._db.execute("UPDATE sighting SET identity = NULL WHERE identity = ?", (number,))
        self._db.execute("DELETE FROM rejection WHERE identity = ?", (number,))

    def _log(self, action: str, identities: Sequence[int], text: str, at: float, inverse: str | None) -> None:
        self._db.execute(
            "INSERT INTO event (time, action, identities, text, inverse) VALUES (?, ?, ?, ?, ?)",
            (at, action, json.dumps([int(number) for number in identities]), text, inverse),
        )

    def last_change(self) -> tuple[Event, Patch] | None:
        found = self._db.rows(
            "SELECT id, time, action, identities, text, undone, inverse FROM event WHERE inverse IS NOT NULL AND NOT undone "
            "ORDER BY id DESC LIMIT 1"
        )
        return (_event(found[0][:6]), Patch.from_json(json.loads(found[0][6]))) if found else None

    def mark_undone(self, event: int) -> None:
        self._db.execute("UPDATE event SET undone = 1, inverse = NULL WHERE id = ?", (event,))

    def events(self, limit: int | None = None) -> list[Event]:
        question = "SELECT id, time, action, identities, text, undone FROM event ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in self._db.rows(question, (-1 if limit is None else limit,))]

    def _silence(self, identities: Sequence[int]) -> None:
        """Take the words out of events that speak of erased identities, or of those that were merged into them."""
        events = [(event, set(json.loads(of)), action) for event, of, action in self._db.rows(
            "SELECT id, identities, action FROM event WHERE action = 'merge' AND NOT undone"
        )]  # fmt: skip
        gone = set(identities)
        while more := {n for _, of, _ in events if of & gone for n in of} - gone - self._living():
            gone |= more
        concerned = [(event,) for event, of in self._db.rows("SELECT id, identities FROM event") if gone & set(json.loads(of))]
        self._db.many("UPDATE event SET text = '(erased)' WHERE id = ?", concerned)

    def _living(self) -> set[int]:
        return {id for (id,) in self._db.rows("SELECT id FROM identity")}


def _event(row: Sequence[Any]) -> Event:
    id, at, action, identities, text, undone = row
    return Event(id, at, action, tuple(json.loads(identities)), text, bool(undone))
