"""`passerby gallery split`: some crops of an identity are another person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import identity_of

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
        print(f"identity {number}: {len(gallery.members(number))} crops; identity {made}: {len(gallery.members(made))} crops")
