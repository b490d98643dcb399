"""`passerby gallery name`: make an identity, name it anew, confirm or reject crops of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted, identity_of
from passerby.errors import UsageError

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Make an identity of crops, confirm or reject crops of one, or give one another name."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    name: Annotated[str, tyro.conf.Positional]
    """of an identity: one that is there is changed, another one is made"""
    sightings: tuple[int, ...] = ()
    """numbers of crops that show this person"""
    reject: tuple[int, ...] = ()
    """numbers of crops that do not"""
    to: str = ""
    """the new name"""


def run(options: Options) -> None:
    """Do what is asked."""
    from passerby.gallery import Gallery

    with Gallery.open(options.gallery) as gallery:
        there = options.name in {each.name for each in gallery.identities()} or options.name.isdecimal()
        if not there and (options.to or options.reject):
            identity_of(gallery, options.name)  # says which names there are
        if there and not (options.sightings or options.reject or options.to):
            raise UsageError(f'"{options.name}" is there already: give --sightings, --reject or --to.')
        number = identity_of(gallery, options.name) if there else gallery.create_identity(options.name, options.sightings)
        if there and options.sightings:
            gallery.assign(number, options.sightings)
        if options.reject:
            gallery.reject(number, options.reject)
        if options.to:
            gallery.rename(number, options.to)
        (now,) = [each for each in gallery.identities() if each.id == number]
        print(f'identity {number} "{now.name}": {counted(now.size, "crop")}, {now.rejected} rejected')
