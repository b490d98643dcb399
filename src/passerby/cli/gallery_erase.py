"""`passerby gallery erase`: a person, crops, or what is too old, for good."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted, identity_of, seconds_of
from passerby.errors import UsageError

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Erase a person, single crops, or everything older than a span, so that nothing of it stays in the files of the gallery.

    Without --yes it is only said what would go. It cannot be undone, and takes back the means to undo what was done before.
    Copies of the gallery elsewhere are not touched.
    """

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    identity: str = ""
    """name or number of a person: all crops and the name"""
    sightings: tuple[int, ...] = ()
    """numbers of crops; an identity that none is left of goes too"""
    older_than: str = ""
    """everything seen longer ago than 30d, 12h, 2w ...; crops without a time stay"""
    yes: bool = False
    """do it"""


def run(options: Options) -> None:
    """Erase what the options name."""
    from passerby.gallery import Gallery

    ways = [name for name in ("identity", "sightings", "older_than") if getattr(options, name)]
    if len(ways) != 1:
        raise UsageError(
            f"{len(ways)} things to erase are named: give one of --identity NAME, --sightings NUMBERS, --older-than SPAN."
        )
    age = seconds_of(options.older_than, "--older-than") if options.older_than else 0.0
    with Gallery.open(options.gallery, read_only=not options.yes) as gallery:
        if options.identity:
            number = identity_of(gallery, options.identity)
            count = gallery.erase(number) if options.yes else len(gallery.members(number))
        elif options.sightings:
            count = gallery.erase_sightings(options.sightings) if options.yes else len(gallery.sightings(options.sightings))
        else:
            now = time.time()
            count = gallery.retain(age, now) if options.yes else len(gallery.older_than(now - age))
        left = len(gallery)
    if options.yes:
        print(f"{options.gallery}: {counted(count, 'crop')} erased, {left:,} left; nothing of them is in its files")
    else:
        print(f"{count:,} of {counted(left, 'crop')} would be erased for good. Do it: add --yes")
