"""`passerby link`: one identity over all cameras, from tracks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.files import write_json

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Put the tracks of one person together, over all cameras, by looks and by what one person can have walked.

    Identities that exist stay, and tracks may join them. `passerby gallery undo` takes the whole linking back. Tell the least
    times between cameras first (`passerby gallery set --transitions`): without them, tracks that overlap in time at two cameras
    are two people, and nothing else is known of the ways.
    """

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    similarity: float | None = None
    """mean similarity of crops from which on tracks are one person (default: the middle between the gallery's thresholds for
    "same" and "different")"""
    no_time: bool = False
    """go by looks alone"""
    singles: bool = False
    """make identities of tracks too that nothing was linked to"""
    json: Path | None = None
    """write what was done to this file"""


def run(options: Options) -> None:
    """Link, and say what came of it."""
    from passerby.gallery import Gallery
    from passerby.gallery.linking import Linking, link

    settings = Linking(options.similarity, use_time=not options.no_time, singles=options.singles)
    with Gallery.open(options.gallery) as gallery:
        report = link(gallery, settings)
    print(
        f"{options.gallery}: {report.linked:,} of {report.tracks:,} tracks linked; {report.people:,} identities "
        f"({report.new:,} new), {report.across:,} of them over several cameras"
    )
    if options.json is not None:
        write_json(options.json, asdict(report))
