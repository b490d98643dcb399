"""What visitors say of people: the same, somebody else, taken back, erased."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from passerby.errors import UsageError
from passerby.gallery import Event, Gallery, Identity, Sighting
from passerby.web.holdings import Holdings, no_identity
from passerby.web.query import Query

__all__ = ["Deciding", "whose"]


class Deciding:
    """Changes identities, as the only writer of this process. Safe to be called by threads.

    Args:
        holdings: what stands in the gallery.
    """

    def __init__(self, holdings: Holdings) -> None:
        self.holdings = holdings
        self._writer = threading.RLock()

    def change(self, do: Callable[[Gallery], Any]) -> tuple[Any, int]:
        """Change something as the only writer of this process; what `do` gave, and the number of the event that tells of it."""
        with self._writer:
            gallery = self.holdings.gallery
            given = do(gallery)
            latest = gallery.audit(1)
            return given, latest[0].id if latest else 0

    def confirm(self, query: Query, ids: Sequence[int], name: str = "") -> tuple[Query, int]:
        """These crops are the person of the query: they go to its identity, a new one where it has none, and join the query.

        Args:
            query: what was searched for.
            ids: crops; where the query groups by track, their tracks go with them.
            name: of the new identity; empty: ``person N``.

        Returns:
            The query that goes on, and the number of the event.

        Raises:
            NotThereError: a crop or the identity is gone.
            UsageError: no crop; the crops of the query belong to several people.
        """
        with self._writer:
            wanted = self._grouped(query, ids)
            number, own = self._target(query)
            members = list(dict.fromkeys([*own, *wanted]))
            if number is not None:
                _, event = self.change(lambda gallery: gallery.assign(number, members))
                return query.but(identity=number, like=()), event
            number, event = self.change(lambda gallery: gallery.create_identity(name or _free_name(gallery), members))
            not_they = [id for id in self._grouped(query, query.hidden) if id not in members] if query.hidden else []
            if not_they:
                self.change(lambda gallery: gallery.reject(number, not_they))
            return query.but(identity=number, like=(), hidden=()), event

    def reject(self, query: Query, ids: Sequence[int]) -> tuple[Query, int]:
        """These crops are not the person of the query: its identity keeps that, or the query where it has none yet.

        Returns and raises as `confirm`; the event is 0 where only the query changed.
        """
        with self._writer:
            wanted = self._grouped(query, ids)
            number, _ = self._target(query)
            if number is None:
                hidden = tuple(dict.fromkeys([*query.hidden, *ids]))
                return Query.model_validate(query.but(hidden=hidden).model_dump()), 0
            _, event = self.change(lambda gallery: gallery.reject(number, wanted))
            return query, event

    def _grouped(self, query: Query, ids: Sequence[int]) -> list[int]:
        if not ids:
            raise UsageError("no crop was named: nothing was changed.")
        return self.holdings.whole(ids) if query.group == "track" else [row.id for row in self.holdings.rows(ids)]

    def _target(self, query: Query) -> tuple[int | None, list[int]]:
        """The identity that the query's person is, and its stored crops."""
        own = self.holdings.rows(query.like)
        numbers = {row.identity for row in own} - {None}
        if query.identity is None and len(numbers) > 1:
            raise UsageError(
                f"the crops that are searched with belong to {len(numbers)} identities: merge those first, or search with one."
            )
        known = {each.id: each for each in self.holdings.gallery.identities()}
        found = whose(query, own, known)
        ids = [row.id for row in own]
        return (found.id if found else None), (self.holdings.whole(ids) if query.group == "track" and ids else ids)

    def undoable(self) -> Event | None:
        """The change that `undo` takes back next."""
        for event in self.holdings.gallery.audit(200):
            if event.action in ("erase", "retain", "re-embed"):
                return None
            if event.action != "undo" and not event.undone:
                return event
        return None

    def undo(self, expected: int | None = None) -> Event:
        """Take the latest change back.

        Args:
            expected: the event that is meant; None: whichever is the latest.

        Raises:
            UsageError: nothing can be taken back, or somebody else has changed something since.
        """
        with self._writer:
            latest = self.undoable()
            if latest is None:
                raise UsageError("there is nothing to take back: nothing was changed yet, or something was erased since.")
            if expected is not None and latest.id != expected:
                raise UsageError(f"something else was done since ({latest.action}): look at the log, and take that back first.")
            undone = self.holdings.gallery.undo()
            if undone is None:
                raise UsageError("there is nothing to take back.")
            return undone

    def erase(self, number: int, name: str) -> int:
        """Erase a person for good; how many crops.

        Args:
            number: the identity.
            name: its name, written out, so that nobody is erased by mistake.

        Raises:
            NotThereError: no such identity.
            UsageError: another name.
        """
        with self._writer:
            if self.holdings.identity(number).name != " ".join(name.split()):
                raise UsageError("the name that was written is not that of the identity: nobody was erased.")
            self.holdings.forget()
            return self.holdings.gallery.erase(number)


def whose(query: Query, rows: Sequence[Sighting], known: dict[int, Identity]) -> Identity | None:
    """Whom the crops of a query belong to; None where they belong to nobody, or not to one person.

    Raises:
        NotThereError: the identity that the query names is gone.
    """
    if query.identity is not None:
        if query.identity not in known:
            raise no_identity(query.identity)
        return known[query.identity]
    numbers = {row.identity for row in rows} - {None}
    return known.get(numbers.pop() or 0) if len(numbers) == 1 else None


def _free_name(gallery: Gallery) -> str:
    known = gallery.identities()
    taken, number = {each.name for each in known}, max((each.id for each in known), default=0) + 1
    while f"person {number}" in taken:
        number += 1
    return f"person {number}"
