"""What the verbs that open a gallery have in common: which gallery, identities by name, spans of time, tables."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passerby.errors import UsageError, listing, nearest

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.gallery import Gallery

__all__ = ["GALLERY", "VARIABLE", "chosen_gallery", "counted", "identity_of", "seconds_of", "table", "tell_stand_ins"]

GALLERY, VARIABLE = "people.gallery", "PASSERBY_GALLERY"
"""Where people are kept when no gallery is named, and what names another one for all calls."""

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def tell_stand_ins(embedder: Embedder, cameras: Sequence[str]) -> None:
    """Say which cameras the model has no statistics of, where those of all cameras together stood in."""
    if embedder.cameras is None or not embedder.camera_agnostic:
        return
    known = set(embedder.cameras.cameras)
    if absent := [camera for camera in cameras if camera not in known]:
        print(
            f"note: the model has no statistics of camera {listing(absent)}: those of all its cameras together stand in, until "
            "passerby adapt --gallery makes it anew"
        )


def chosen_gallery(named: str, *, there: bool = False, naming: str = "--gallery") -> str:
    """The gallery of a call; one that was not named is told.

    Args:
        named: by the call; empty takes the variable PASSERBY_GALLERY, and without it people.gallery in the working folder.
        there: whether it must be there already.
        naming: how a call names it.

    Raises:
        UsageError: none is named, and the usual one is not there.
    """
    if named:
        return named
    by_variable = os.environ.get(VARIABLE, "").strip()
    if by_variable:
        print(f"gallery {by_variable}, as {VARIABLE} says")
        return by_variable
    if there and not Path(GALLERY).exists():
        raise UsageError(
            f"no gallery is named, and {GALLERY} is not in this folder: make it with passerby index FILM, or give {naming}, a "
            f"file that passerby index made or milvus://host:port/collection, or set {VARIABLE}."
        )
    print(f"gallery {GALLERY} in this folder; {naming} or {VARIABLE} names another")
    return GALLERY


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what it counts.

    >>> counted(1, "crop"), counted(2000, "crop"), counted(0, "identity", "identities")
    ('1 crop', '2,000 crops', '0 identities')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def identity_of(gallery: Gallery, wanted: str) -> int:
    """The number of an identity that was given by number or by name.

    Raises:
        UsageError: there is none.
    """
    known = {each.name: each.id for each in gallery.identities()}
    if wanted in known:
        return known[wanted]
    if wanted.isdecimal() and int(wanted) in known.values():
        return int(wanted)
    raise UsageError(f'no identity "{wanted}" in this gallery. {nearest(wanted, known) if known else "It has none yet."}')


def seconds_of(text: str, flag: str) -> float:
    """Seconds of a span like ``30d``, ``12h``, ``2w``, ``90min``.

    Raises:
        UsageError: it is none.

    >>> seconds_of("1.5h", "--older-than")
    5400.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text.strip())
    if not found:
        raise UsageError(f'{flag} is "{text}": a span of time is written like 30d, 12h, 2w, 90min or 45s.')
    return float(found[1]) * _UNITS[found[2]]


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print a table without the columns that are empty; what comes out of a gallery is text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    kept = [place for place in range(len(columns)) if not rows or any(row[place] is not None for row in rows)]
    made = Table(title=Text(title) if title else None, title_justify="left", pad_edge=False)
    for place in kept:
        made.add_column(columns[place], no_wrap="UTC" in columns[place] or columns[place] == "similarity", overflow="fold")
    for row in rows:
        made.add_row(*(Text("-" if row[place] is None else str(row[place])) for place in kept))
    Console().print(made)
