"""`passerby gallery split`: some crops of an identity are another person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted, identity_of

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Make an identity of its own of some crops of another one. `passerby gallery undo` takes it back."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    identity: Annotated[str, tyro.conf.Positional]
    """name or number of the identity that they leave"""
    sightings: tuple[int, ...]
    """numbers of the crops"""
    name: str = ""
    """of the new identity (default: made of its number)"""


def run(options: Options) -> None:
    """Split."""
    from passerby.gallery import Gallery

    with Gallery.open(options.gallery) as gallery:
        number = identity_of(gallery, options.identity)
        made = gallery.split(number, options.sightings, options.name)
        left, taken = (counted(len(gallery.members(each)), "crop") for each in (number, made))
        print(f"identity {number}: {left}; identity {made}: {taken}")
