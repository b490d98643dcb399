"""`passerby gallery info`: what a gallery holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.cli.galleries import chosen_gallery, counted, table
from passerby.files import write_json
from passerby.gallery.rows import clock

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Say what a gallery holds: model, crops a camera, times, identities, thresholds, ways between cameras."""

    gallery: Annotated[str, tyro.conf.Positional] = ""
    """a file, or milvus://host:port/collection (default: what PASSERBY_GALLERY says, else people.gallery in the working
    folder)"""
    json: Path | None = None
    """write it to this file too"""


def run(options: Options) -> None:
    """Look and tell."""
    from passerby.gallery import Gallery

    name = chosen_gallery(options.gallery, there=True, naming="the gallery's name")
    with Gallery.open(name, read_only=True) as gallery:
        span, limits, ways = gallery.span(), gallery.thresholds, gallery.transitions
        tracks = gallery.tracks()
        people = gallery.identities()
        facts = {
            "gallery": name, "crops": len(gallery), "model": asdict(gallery.model), "cameras": gallery.cameras(),
            "tracks": len(tracks), "span": list(span) if span else None, "identities": len(people),
            "thresholds": {"same": limits.same, "different": limits.different, "far": limits.far} if limits else None,
            "transitions": ways.to_json(),
        }  # fmt: skip
    by_camera = {camera: [track for track in tracks if track.camera == camera] for camera in facts["cameras"]}
    table(
        ["camera", "tracks", "crops in tracks", "first (UTC)", "last (UTC)"],
        [
            (
                camera, len(own), sum(len(track.ids) for track in own),
                clock(min((t.start for t in own if t.start is not None), default=None)),
                clock(max((t.end for t in own if t.end is not None), default=None)),
            )
            for camera, own in by_camera.items()
        ],
        f"{counted(len(tracks), 'track')}, {counted(facts['crops'], 'crop')}, {counted(len(people), 'identity', 'identities')}",
    )  # fmt: skip
    print(f"model: {facts['model']['name']}, {facts['model']['dim']} dimensions ({facts['model']['fingerprint']})")
    if limits is None:
        print("thresholds: none, hits get no word; passerby gallery set GALLERY --model ARTEFACT takes those of a calibration")
    else:
        rate = "" if limits.far is None else f" ({100 * limits.far:.3g} % of pairs of different people pass)"
        print(f"thresholds: same from {limits.same:.4f} on{rate}, different below {limits.different:.4f}")
    print(f"ways between cameras: {len(facts['transitions'])} known" + ("" if facts["transitions"] else "; no way is too fast"))
    if options.json is not None:
        write_json(options.json, facts)
