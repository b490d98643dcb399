"""`passerby gallery merge`: two identities are one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted, identity_of

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Put all crops of the second identity into the first; the second is gone. `passerby gallery undo` takes it back."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    first: Annotated[str, tyro.conf.Positional]
    """name or number of the identity that stays"""
    second: Annotated[str, tyro.conf.Positional]
    """name or number of the one that goes into it"""


def run(options: Options) -> None:
    """Merge."""
    from passerby.gallery import Gallery

    with Gallery.open(options.gallery) as gallery:
        first, second = identity_of(gallery, options.first), identity_of(gallery, options.second)
        gallery.merge(first, second)
        print(f"identity {first}: {counted(len(gallery.members(first)), 'crop')}; {second} is gone")
