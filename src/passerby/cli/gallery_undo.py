"""`passerby gallery undo`: take the latest change of identities back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Take the latest change of identities back; called again, the one before it. Erasing cannot be taken back."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""


def run(options: Options) -> None:
    """Undo."""
    from passerby.gallery import Gallery

    with Gallery.open(options.gallery) as gallery:
        event = gallery.undo()
        print("nothing to take back" if event is None else f"taken back: {event.action}, {event.text}")
