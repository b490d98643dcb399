"""Changes of identities: what each one means as a patch, its inverse, and a line of the audit log. The same for all stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from passerby.errors import GalleryError, UsageError, listing
from passerby.gallery.rows import Event
from passerby.gallery.store import Patch, Store

__all__ = [
    "assign",
    "check_identities",
    "create",
    "erase",
    "erase_sightings",
    "link",
    "merge",
    "reject",
    "rename",
    "split",
    "undo",
]

_LONGEST_NAME = 200


def check_identities(store: Store, wanted: Sequence[int]) -> None:
    """Refuse numbers of no identity."""
    known = _names(store)
    gone = [number for number in wanted if number not in known]
    if gone:
        raise GalleryError(f"identity {listing(gone)}: not in this gallery. passerby gallery identities lists them.")


def create(store: Store, name: str, ids: Sequence[int], at: float) -> int:
    """See `Gallery.create_identity`."""
    name = _new_name(store, name)
    number = store.next_identity()
    assigned = _given(store, ids, number)
    rejected = _unrejected(store, number, ids)
    _change(store, Patch({number: name}, assigned, rejected), "create", [number], f'"{name}" of {_sightings(ids)}', at)
    return number


def assign(store: Store, identity: int, ids: Sequence[int], at: float) -> None:
    """See `Gallery.assign`."""
    check_identities(store, [identity])
    patch = Patch({}, _given(store, ids, identity), _unrejected(store, identity, ids))
    _change(store, patch, "assign", [identity], f'{_sightings(ids)} to "{_names(store)[identity]}"', at)


def reject(store: Store, identity: int, ids: Sequence[int], at: float) -> None:
    """See `Gallery.reject`."""
    check_identities(store, [identity])
    own = set(_current(store, ids, identity))
    patch = Patch({}, {id: None for id in ids if id in own}, {(identity, int(id)): True for id in ids})
    _change(store, patch, "reject", [identity], f'{_sightings(ids)} not "{_names(store)[identity]}"', at)


def rename(store: Store, identity: int, name: str, at: float) -> None:
    """See `Gallery.rename`."""
    check_identities(store, [identity])
    old = _names(store)[identity]
    name = _new_name(store, name, identity)
    _change(store, Patch({identity: name}), "rename", [identity], f'"{old}" to "{name}"', at)


def merge(store: Store, a: int, b: int, at: float) -> None:
    """See `Gallery.merge`."""
    check_identities(store, [a, b])
    if a == b:
        raise UsageError(f"identity {a} with itself: a merge is of two.")
    names = _names(store)
    moved, kept = store.members(b), set(store.members(a))
    # Confirmed beats rejected: what was said not to be one of them stays rejected unless it is a member of the other.
    rejected = {(b, id): False for id in store.rejected(b)}
    rejected |= {(a, id): True for id in store.rejected(b) if id not in kept}
    rejected |= {(a, id): False for id in store.rejected(a) if id in set(moved)}
    patch = Patch({b: None}, dict.fromkeys(moved, a), rejected)
    _change(store, patch, "merge", [a, b], f'"{names[b]}" ({_sightings(moved)}) into "{names[a]}"', at)


def split(store: Store, identity: int, ids: Sequence[int], name: str, at: float) -> int:
    """See `Gallery.split`."""
    check_identities(store, [identity])
    members = store.members(identity)
    foreign = sorted(set(ids) - set(members))
    if foreign:
        raise GalleryError(f"sighting {listing(foreign)}: not of identity {identity}; only its own can be split off.")
    if not ids or len(set(ids)) == len(members):
        raise UsageError(f"{len(set(ids))} of {len(members)} sightings: a split takes some of an identity and leaves some.")
    names = _names(store)
    number = store.next_identity()
    # Not named after the old one: of an erased person no name may remain in another's.
    name = _new_name(store, name) if name else _free(f"person {number}", set(names.values()))
    patch = Patch({number: name}, {int(id): number for id in ids}, {(identity, int(id)): True for id in ids})
    _change(store, patch, "split", [identity, number], f'{_sightings(ids)} of "{names[identity]}" as "{name}"', at)
    return number


def link(store: Store, groups: Sequence[Sequence[int]], into: Sequence[int | None] | None, at: float) -> list[int]:
    """See `Gallery.link`."""
    every = [int(id) for group in groups for id in group]
    if len(every) != len(set(every)):
        raise UsageError("a sighting stands in two groups: groups of one link have no sighting in common.")
    targets = [None] * len(groups) if into is None else list(into)
    if len(targets) != len(groups):
        raise UsageError(f"{len(targets)} identities for {len(groups)} groups: give one a group, or None.")
    check_identities(store, [number for number in targets if number is not None])
    _present(store, every)
    taken, number = set(_names(store).values()), store.next_identity()
    given: dict[int, str | None] = {}
    numbers: list[int] = []
    for target in targets:
        if target is None:
            given[number] = name = _free(f"person {number}", taken)
            taken.add(name)
            target, number = number, number + 1
        numbers.append(target)
    assigned: dict[int, int | None] = {int(id): to for to, group in zip(numbers, groups, strict=True) for id in group}
    pairs = {(to, id) for id, to in assigned.items()}
    rejected = {pair: False for pair in store.rejections_of(every) if pair in pairs}
    _change(store, Patch(given, assigned, rejected), "link", numbers, f"{_sightings(every)} as {len(groups)} people", at)
    return numbers


def undo(store: Store, at: float) -> Event | None:
    """See `Gallery.undo`."""
    last = store.last_change()
    if last is None:
        return None
    event, inverse = last
    store.change(inverse, None, "undo", event.identities, f"{event.action}: {event.text}", at)
    store.mark_undone(event.id)
    return event


def erase(store: Store, identity: int, at: float) -> int:
    """See `Gallery.erase`."""
    check_identities(store, [identity])
    ids = store.members(identity)
    store.forget(ids, [identity, *_emptied(store, ids, identity)], "erase", f"an identity and {_sightings(ids)}", at)
    return len(ids)


def erase_sightings(store: Store, ids: Sequence[int], action: str, at: float) -> int:
    """See `Gallery.erase_sightings`."""
    wanted = sorted({int(id) for id in ids})
    _present(store, wanted)
    emptied = _emptied(store, wanted)
    store.forget(wanted, emptied, action, f"{_sightings(wanted)} and {len(emptied)} identities", at)
    return len(wanted)


def _emptied(store: Store, ids: Sequence[int], besides: int | None = None) -> list[int]:
    """Identities that lose their last sighting with these rows."""
    losing: dict[int, int] = {}
    for row in store.sightings(ids):
        if row.identity is not None and row.identity != besides:
            losing[row.identity] = losing.get(row.identity, 0) + 1
    return [each.id for each in store.identities() if losing.get(each.id) == each.size]


def _change(store: Store, patch: Patch, action: str, identities: Sequence[int], text: str, at: float) -> None:
    store.change(patch, _inverse(store, patch), action, identities, text, at)


def _inverse(store: Store, patch: Patch) -> Patch:
    """What stands now where `patch` will write; removed identities with all that goes with them."""
    names = _names(store)
    rows = {row.id: row.identity for row in store.sightings(list(patch.assigned))}
    rejected: dict[tuple[int, int], bool] = {}
    for number in {number for number, _ in patch.rejected}:
        now = set(store.rejected(number)) if number in names else set()
        rejected |= {(n, id): id in now for n, id in patch.rejected if n == number}
    return Patch({number: names.get(number) for number in patch.names}, rows, rejected)


def _names(store: Store) -> dict[int, str]:
    return {each.id: each.name for each in store.identities()}


def _present(store: Store, ids: Sequence[int]) -> None:
    gone = sorted({int(id) for id in ids} - {row.id for row in store.sightings(ids)})
    if gone:
        raise GalleryError(f"sighting {listing(gone)}: not in this gallery; it may have been erased.")


def _given(store: Store, ids: Sequence[int], identity: int) -> dict[int, int | None]:
    _present(store, ids)
    return {int(id): identity for id in ids}


def _current(store: Store, ids: Sequence[int], identity: int) -> list[int]:
    _present(store, ids)
    return [row.id for row in store.sightings(ids) if row.identity == identity]


def _unrejected(store: Store, identity: int, ids: Sequence[int]) -> dict[tuple[int, int], bool]:
    return {pair: False for pair in store.rejections_of(ids) if pair[0] == identity}


def _new_name(store: Store, name: str, own: int | None = None) -> str:
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a name of {len(name)} characters: 1 to {_LONGEST_NAME} printable ones are needed.")
    if any(each == name and number != own for number, each in _names(store).items()):
        raise UsageError(f'an identity is called "{name}" already: choose another name, or merge the two.')
    return name


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else next(free for n in range(2, len(taken) + 3) if (free := f"{name} ({n})") not in taken)


def _sightings(ids: Iterable[int]) -> str:
    count = len(set(ids))
    return f"{count} sighting" + ("" if count == 1 else "s")
