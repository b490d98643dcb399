"""A gallery from one store into another."""

from __future__ import annotations

from dataclasses import replace

from passerby.errors import GalleryError
from passerby.gallery.store import Patch, Store
from passerby.progress import meter

__all__ = ["copy_gallery"]

_BLOCK = 1000
_FACTS = ("thresholds", "transitions")
_RUNNING = "copying_from"


def copy_gallery(source: Store, target: Store) -> int:
    """Copy rows, identities, bookmarks, facts and the words of the audit log; how many rows.

    Ids of sightings are the target's own. What was done before the copy cannot be taken back in the target. A copy that was
    interrupted goes on when it is called again.

    Raises:
        GalleryError: the target is of another model, or holds something else.
    """
    if source.model != target.model:
        raise GalleryError(
            f"{source.name} holds vectors of {source.model.name}, {target.name} is for {target.model.name}: both need one model."
        )
    if len(target) and target.fact(_RUNNING) != source.name:
        raise GalleryError(f"{target.name} holds {len(target)} sightings already: copy into a gallery that is not there yet.")
    with target.writing():
        target.set_fact(_RUNNING, source.name)
    numbers: dict[int, int] = {}  # of the source -> of the target
    with meter("copying", len(source), "sightings") as shown:
        for rows in source.blocks(_BLOCK):
            ids = source.ids_of([row.key for row in rows])
            with target.writing():
                given = target.add([replace(row, identity=None) for row in rows])
            numbers |= {ids[row.key]: id for row, id in zip(rows, given, strict=True)}
            shown.advance(len(rows))
    with target.writing():
        for name in _FACTS:
            target.set_fact(name, source.fact(name))
        for of, state in source.bookmarks().items():
            target.set_bookmark(of, state)
        for event in reversed(source.events()):
            said = f"{event.text} (taken back)" if event.undone else event.text
            target.change(Patch(), None, event.action, event.identities, said, event.time)
        _identities(source, target, numbers)
        target.set_fact(_RUNNING, None)
    return len(numbers)


def _identities(source: Store, target: Store, numbers: dict[int, int]) -> None:
    names: dict[int, str | None] = {}
    assigned: dict[int, int | None] = {}
    rejected: dict[tuple[int, int], bool] = {}
    for each in source.identities():
        names[each.id] = each.name
        assigned |= {numbers[id]: each.id for id in source.members(each.id)}
        rejected |= {(each.id, numbers[id]): True for id in source.rejected(each.id)}
    if names:
        from time import time

        target.change(Patch(names, assigned, rejected), None, "copy", sorted(names), f"{len(names)} identities", time())
