"""What a gallery knows besides its rows, as the sum of all entries of a log: facts, bookmarks, identities, events.

For stores that can add a row whole or not at all, but cannot change several rows in one step: each change is one entry, and
everybody who reads the log comes to the same sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from passerby.gallery.rows import Event, Identity
from passerby.gallery.store import Patch

__all__ = ["Sum"]


@dataclass
class Sum:
    """The state after all entries so far. Entries are (number, kind, body), numbers rise, bodies are JSON-able."""

    facts: dict[str, Any] = field(default_factory=dict)
    bookmarks: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)  # sighting -> identity
    refused: set[tuple[int, int]] = field(default_factory=set)  # (identity, sighting)
    events: list[dict[str, Any]] = field(default_factory=list)
    next_identity: int = 1

    def enter(self, number: int, kind: str, body: Any) -> None:
        """Add one entry."""
        if kind == "fact":
            self.facts[body[0]] = body[1]
        elif kind == "bookmark":
            self._bookmark(*body)
        elif kind == "change":
            self._apply(Patch.from_json(body.pop("patch")))
            if body["action"]:  # rows that come with an identity are no event
                self.events.append({**body, "id": number, "undone": False})
        elif kind == "undone":
            for event in self.events:
                if event["id"] == body:
                    event["undone"], event["inverse"] = True, None
        elif kind == "snapshot":
            self._replace(body)

    def _bookmark(self, source: str, state: str) -> None:
        self.bookmarks.pop(source, None)
        if state:
            self.bookmarks[source] = state

    def _apply(self, patch: Patch) -> None:
        for number, name in patch.names.items():
            if name is None:
                self.names.pop(number, None)
                self.owner = {id: of for id, of in self.owner.items() if of != number}
                self.refused = {pair for pair in self.refused if pair[0] != number}
            else:
                self.names[number] = name
                self.next_identity = max(self.next_identity, number + 1)
        for id, to in patch.assigned.items():
            self.owner.pop(id, None)
            if to is not None:
                self.owner[id] = to
        for pair, on in patch.rejected.items():
            if on and pair[0] in self.names:
                self.refused.add(pair)
            else:
                self.refused.discard(pair)

    def snapshot(self) -> dict[str, Any]:
        """Everything, as the body of an entry that stands for all before it."""
        return {
            "facts": self.facts, "bookmarks": self.bookmarks, "names": list(self.names.items()),
            "owner": list(self.owner.items()), "refused": sorted(self.refused), "events": self.events,
            "next_identity": self.next_identity,
        }  # fmt: skip

    def _replace(self, body: dict[str, Any]) -> None:
        self.facts, self.bookmarks = dict(body["facts"]), dict(body["bookmarks"])
        self.names = {int(number): name for number, name in body["names"]}
        self.owner = {int(id): int(of) for id, of in body["owner"]}
        self.refused = {(int(identity), int(id)) for identity, id in body["refused"]}
        self.events, self.next_identity = list(body["events"]), int(body["next_identity"])

    def identities(self) -> list[Identity]:
        """By number."""
        size = dict.fromkeys(self.names, 0)
        for of in self.owner.values():
            size[of] += 1
        rejected = dict.fromkeys(self.names, 0)
        for of, _ in self.refused:
            rejected[of] += 1
        return [Identity(number, name, size[number], rejected[number]) for number, name in sorted(self.names.items())]

    def latest(self, limit: int | None = None) -> list[Event]:
        """The audit log, latest first."""
        chosen = self.events[::-1][: len(self.events) if limit is None else limit]
        return [_event(each) for each in chosen]

    def last_change(self) -> tuple[Event, Patch] | None:
        """The latest event that can be taken back, with what takes it back."""
        for each in reversed(self.events):
            if each["inverse"] is not None and not each["undone"]:
                return _event(each), Patch.from_json(each["inverse"])
        return None

    def forget(self, ids: Sequence[int], identities: Sequence[int]) -> None:
        """Drop rows and identities, the words of events that speak of these, and the means to take events back."""
        gone_rows = {int(id) for id in ids}
        self._apply(Patch(dict.fromkeys(identities), dict.fromkeys(gone_rows)))
        self.refused = {pair for pair in self.refused if pair[1] not in gone_rows}
        gone = set(identities)
        merges = [set(each["identities"]) for each in self.events if each["action"] == "merge" and not each["undone"]]
        while more := {number for pair in merges if pair & gone for number in pair} - gone - set(self.names):
            gone |= more
        for each in self.events:
            each["inverse"] = None
            if gone & set(each["identities"]):
                each["text"] = "(erased)"


def _event(each: dict[str, Any]) -> Event:
    return Event(each["id"], each["time"], each["action"], tuple(each["identities"]), each["text"], each["undone"])
