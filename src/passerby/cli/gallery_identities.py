"""`passerby gallery identities`: the people of a gallery."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.cli.galleries import chosen_gallery, counted, identity_of, table
from passerby.files import write_json
from passerby.gallery.rows import clock

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """List the identities of a gallery, or the crops of one."""

    gallery: Annotated[str, tyro.conf.Positional] = ""
    """a file, or milvus://host:port/collection (default: what PASSERBY_GALLERY says, else people.gallery in the working
    folder)"""
    of: str = ""
    """name or number: the crops of this one"""
    json: Path | None = None
    """write the list to this file too"""


def run(options: Options) -> None:
    """List."""
    from passerby.gallery import Gallery

    name = chosen_gallery(options.gallery, there=True, naming="the gallery's name")
    with Gallery.open(name, read_only=True) as gallery:
        if options.of:
            number = identity_of(gallery, options.of)
            rows = sorted(gallery.sightings(gallery.members(number)), key=lambda row: (row.time is None, row.time or 0, row.id))
            refused = gallery.rejected(number)
            table(
                ["number", "camera", "time (UTC)", "track", "source"],
                [(row.id, row.camera, clock(row.time), row.track, row.source) for row in rows],
                f"identity {number}: {counted(len(rows), 'crop')}; {len(refused)} rejected",
            )
            listed = [asdict(row) for row in rows]
        else:
            people = gallery.identities()
            table(["identity", "name", "crops", "rejected"], [(p.id, p.name, p.size, p.rejected) for p in people])
            listed = [asdict(person) for person in people]
    if options.json is not None:
        write_json(options.json, listed)
