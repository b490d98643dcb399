"""`passerby gallery audit`: who was named, put together and erased, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.cli.galleries import chosen_gallery, table
from passerby.files import write_json
from passerby.gallery.rows import clock

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Show what was done to identities and by erasing, latest first. Of erased people no name remains."""

    gallery: Annotated[str, tyro.conf.Positional] = ""
    """a file, or milvus://host:port/collection (default: what PASSERBY_GALLERY says, else people.gallery in the working
    folder)"""
    limit: int = 50
    """lines; 0 shows all"""
    json: Path | None = None
    """write them to this file too"""


def run(options: Options) -> None:
    """Show."""
    from passerby.gallery import Gallery

    name = chosen_gallery(options.gallery, there=True, naming="the gallery's name")
    with Gallery.open(name, read_only=True) as gallery:
        events = gallery.audit(options.limit or None)
    table(
        ["", "time (UTC)", "what", "identities", "", ""],
        [
            (e.id, clock(e.time), e.action, ", ".join(map(str, e.identities[:5])), e.text, "taken back" if e.undone else "")
            for e in events
        ],
    )
    if options.json is not None:
        write_json(options.json, [asdict(event) for event in events])
