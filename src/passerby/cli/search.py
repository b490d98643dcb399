"""`passerby search`: who is this, where else were they, and when?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from passerby.cli.galleries import chosen_gallery, identity_of, table
from passerby.cli.moments import moment
from passerby.errors import DataError, UsageError, listing
from passerby.gallery.rows import clock

if TYPE_CHECKING:
    from PIL import Image

    from passerby.gallery import Gallery, Hit

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Find a person in a gallery: by images of them, or by what the gallery holds already.

    Several images are one person. Of each track the most similar crop is shown. The words "same", "unsure" and "different" are
    those of the model's calibration; without one there are none. Hits that contradict each other in time get a note.
    """

    images: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """crops of one person; or none, with --like, --track or --identity"""
    gallery: str = ""
    """a file, or milvus://host:port/collection (default: what PASSERBY_GALLERY says, else people.gallery in the working
    folder)"""
    model: Path | None = None
    """the gallery's model, for images: artefact folder or exported file (default: house, the model that comes with passerby;
    house-int8 is its quick form, house-scratch one that never saw a real person)"""
    like: tuple[int, ...] = ()
    """numbers of stored crops of one person, instead of images"""
    track: str = ""
    """search with all crops of a track, by its name, instead of images"""
    identity: str = ""
    """search with all crops of an identity, by name or number, instead of images"""
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 20
    """how many hits"""
    camera: tuple[str, ...] = ()
    """only these cameras"""
    not_camera: tuple[str, ...] = ()
    """none of these cameras"""
    since: str = ""
    """from this time on: 2026-11-21T09:00:00, UTC unless it says otherwise (+02:00)"""
    until: str = ""
    """before this time"""
    seen: tuple[str, ...] = ()
    """where the person was for certain, as CAMERA@TIME: hits that nobody could have walked to get a note"""
    rows: bool = False
    """show every crop, not one a track"""
    rerank: bool = False
    """order the nearest candidates by their mutual neighbours (k-reciprocal)"""
    approximate: bool = False
    """use the index that `passerby gallery accelerate` built; a few hits may be missed"""
    query_camera: str = ""
    """for a model with camera statistics: the camera of the images (default: no camera in particular, if the model has statistics
    of all together)"""
    out: Path | None = Path("search.png")
    """picture of the hits to write; None writes none"""
    device: str = "auto"
    """for the model: auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the model: the one that the gallery was indexed with"""
    json: Path | None = None
    """write the hits to this file too"""


def run(options: Options) -> None:
    """Search, tell, draw."""
    _check(options)
    from passerby.gallery import Gallery

    where = chosen_gallery(options.gallery, there=True)
    with Gallery.open(where, read_only=True) as gallery:
        shown, hits = _hits(options, gallery)
        _tell(options, gallery, hits)
        if options.out is not None and hits:
            _draw(options.out, gallery, shown, hits)
        if options.json is not None:
            from passerby.files import write_json

            write_json(options.json, {"gallery": where, "hits": [_plain(hit) for hit in hits]})


def _check(options: Options) -> None:
    ways = [name for name in ("images", "like", "track", "identity") if getattr(options, name)]
    if len(ways) != 1:
        what = " and ".join(ways) or "nothing"
        raise UsageError(
            f"searched for is {what}: give images of one person, or --like NUMBERS, or --track NAME, or --identity NAME."
        )
    gone = [path for path in options.images if not path.is_file()]
    if gone:
        raise DataError(f"{listing(gone)}: no such image.")
    if options.out is not None:
        from passerby.plots.style import check_format

        check_format(options.out)


def _hits(options: Options, gallery: Gallery) -> tuple[list[Any], list[Hit]]:
    """What is searched for, to be shown, and what was found."""
    since, until = (
        moment(text, flag) if text else None for text, flag in ((options.since, "--since"), (options.until, "--until"))
    )
    how: dict[str, Any] = {
        "cameras": options.camera or None, "not_cameras": options.not_camera or None, "since": since, "until": until,
        "group": "row" if options.rows else "track", "rerank": options.rerank, "approximate": options.approximate,
    }  # fmt: skip
    seen = [_seen(text, gallery) for text in options.seen]
    if options.images:
        vectors, shown = _embedded(options, gallery)
        (hits,) = gallery.search(vectors, options.k, as_one=True, seen=seen, **how)
        return shown, hits
    ids = _stored(options, gallery)
    rows = gallery.sightings(ids)
    seen += [(row.camera, row.time) for row in rows if row.time is not None]
    (hits,) = gallery.search(gallery.vectors(ids), options.k, as_one=True, without=ids, seen=seen, **how)
    return [crop for id in ids[:4] if (crop := _crop(gallery, id)) is not None], hits


def _stored(options: Options, gallery: Gallery) -> list[int]:
    """The stored crops that are searched with."""
    if options.like:
        return list(options.like)
    if options.track:
        found = {track.camera: track.ids for track in gallery.tracks() if track.name == options.track}
        if len(found) != 1:
            where = f"is in several cameras ({listing(found)})" if found else "is not in this gallery"
            raise UsageError(f'track "{options.track}" {where}: search with the numbers of its crops, --like NUMBERS.')
        (ids,) = found.values()
        return list(ids)
    members = gallery.members(identity_of(gallery, options.identity))
    if not members:
        raise UsageError(f'identity "{options.identity}" has no sightings: there is nothing to search with.')
    return members


def _embedded(options: Options, gallery: Gallery) -> tuple[np.ndarray, list[Image.Image]]:
    from passerby import artefact
    from passerby.datasets import read_image
    from passerby.gallery import Model
    from passerby.gallery.gallery import check_model

    shown = [read_image(path) for path in options.images]
    embedder = artefact.load(options.model, device=options.device, precision=options.precision)
    check_model(gallery, Model.of(embedder))
    if not options.query_camera:
        embedder = embedder.for_any_camera()
        if embedder.camera_agnostic:
            print("no --query-camera: the images are embedded with the statistics of all cameras together")
    return embedder(shown, options.query_camera or None), shown[:4]


def _seen(text: str, gallery: Gallery) -> tuple[str, float]:
    camera, sign, when = text.partition("@")
    if not sign or camera not in gallery.cameras():
        raise UsageError(f'--seen is "{text}": give CAMERA@TIME with a camera of the gallery ({listing(gallery.cameras(), 12)}).')
    return camera, moment(when, "--seen")


def _crop(gallery: Gallery, id: int) -> Image.Image | None:
    from passerby.datasets import decode_image

    kept = gallery.thumbnail(id)
    return None if kept is None else decode_image(kept, f"thumbnail of sighting {id}")


def _tell(options: Options, gallery: Gallery, hits: list[Hit]) -> None:
    if not hits:
        print(
            f"nobody found: no other of the {len(gallery):,} crops passes the filters."
            if len(gallery)
            else "no crop is there yet."
        )
        return
    names = {each.id: each.name for each in gallery.identities()}
    rows = [
        (
            place, f"{hit.similarity:.3f}", hit.word, hit.sighting.camera, clock(hit.sighting.time), hit.sighting.track,
            hit.sighting.id, names.get(hit.sighting.identity or 0), hit.note,
        )
        for place, hit in enumerate(hits, 1)
    ]  # fmt: skip
    how = "cosine, exact" if not options.approximate else "cosine, accelerated"
    title = f"{len(hits)} of {len(gallery):,} crops ({how}{', k-reciprocal order' if options.rerank else ''})"
    table(["", "similarity", "word", "camera", "time (UTC)", "track", "number", "identity", "note"], rows, title)
    limits = gallery.thresholds
    if limits is None:
        print(
            "no words: the gallery has no thresholds. passerby gallery set GALLERY --model ARTEFACT takes those of a calibration"
        )


def _draw(out: Path, gallery: Gallery, shown: list[Any], hits: list[Hit]) -> None:
    from passerby.plots.hits import plot_hits

    plot_hits(shown, [(hit, _crop(gallery, hit.sighting.id)) for hit in hits], out)
    print(f"picture: {out}")


def _plain(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit.sighting), "similarity": hit.similarity, "word": hit.word, "note": hit.note}
