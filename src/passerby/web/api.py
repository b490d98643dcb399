"""The JSON interface: what the page does, for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Security, UploadFile
from fastapi import Query as InAddress
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.responses import Response

from passerby.gallery import Gallery
from passerby.web.asking import Desk
from passerby.web.guard import API_HEADER
from passerby.web.holdings import NotThereError
from passerby.web.query import LARGEST_ID, Query, camera_name
from passerby.web.service import Service
from passerby.web.shapes import (
    Done,
    EventShape,
    Found,
    GalleryFacts,
    IdentityShape,
    Judged,
    MergeWith,
    Naming,
    NewIdentity,
    PictureShape,
    Problem,
    SightingShape,
    Split,
    TrackShape,
    moment,
)

__all__ = ["DESCRIPTION", "router"]

DESCRIPTION = (
    "Times are UTC, similarities are cosines. A changing request carries the header X-Passerby (any value), which no foreign "
    "page can send; where passerby serve was given a token, every request carries Authorization: Bearer TOKEN instead. An error "
    'is one line: {"error": "..."}.'
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the request is wrong"},
    401: {"model": Problem, "description": "sign in first"},
    403: {"model": Problem, "description": "not from here"},
    404: {"model": Problem, "description": "not there"},
    409: {"model": Problem, "description": "the gallery says no"},
    413: {"model": Problem, "description": "too large"},
    422: {"model": Problem, "description": "a value is wrong"},
    503: {"model": Problem, "description": "the gallery does not answer"},
}
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "JPEG"}}

# The guard has checked these already; here they only make the description tell of them.
_BEARER = Security(HTTPBearer(auto_error=False, description="the token of passerby serve"))
_HEADER = Security(APIKeyHeader(name=API_HEADER, auto_error=False, description="any value; needed for changes"))

router = APIRouter(prefix="/api/v1", responses=_PROBLEMS, tags=["passerby"], dependencies=[_BEARER])
Number = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.get("/gallery")
def facts(desk: Desk) -> GalleryFacts:
    """What the gallery holds."""
    gallery = desk.gallery
    limits, (first, last) = gallery.thresholds, gallery.span() or (None, None)
    return GalleryFacts(
        crops=len(gallery), identities=len(gallery.identities()), cameras=gallery.cameras(), first=moment(first),
        last=moment(last), model=gallery.model.name, dim=gallery.model.dim, same=limits and limits.same,
        different=limits and limits.different,
        pictures=desk.looking.embedder is not None, finds_people=desk.looking.detector is not None,
    )  # fmt: skip


def _known(desk: Service, camera: str | None) -> None:
    if camera is not None and camera not in desk.gallery.cameras():
        raise NotThereError("no such camera in this gallery.")


@router.get("/tracks")
def tracks(
    desk: Desk,
    camera: Annotated[camera_name | None, InAddress()] = None,
    start: Annotated[int, InAddress(ge=0, le=LARGEST_ID)] = 0,
    count: Annotated[int, InAddress(ge=1, le=500)] = 100,
) -> list[TrackShape]:
    """Tracks by time, a part of them."""
    _known(desk, camera)
    return [TrackShape.of(track) for track in desk.holdings.tracks(camera)[start : start + count]]


@router.get("/sightings")
def sightings(
    desk: Desk,
    camera: Annotated[camera_name | None, InAddress()] = None,
    after: Annotated[int, InAddress(ge=0, le=LARGEST_ID, description="the last number of the part before")] = 0,
    count: Annotated[int, InAddress(ge=1, le=500)] = 100,
    alone: Annotated[bool, InAddress(description="only crops that belong to no track")] = False,
) -> list[SightingShape]:
    """Stored crops by rising number, a part of them."""
    _known(desk, camera)
    return [SightingShape.of(row) for row in desk.gallery.listed(after, count, camera=camera, alone=alone)]


@router.get("/sightings/{number}")
def sighting(desk: Desk, number: Number) -> SightingShape:
    """A stored crop."""
    return SightingShape.of(desk.holdings.rows([number])[0])


@router.get("/sightings/{number}/thumbnail", response_class=Response, responses=_JPEG)
def thumbnail(desk: Desk, number: Number) -> Response:
    """A stored crop as a picture."""
    (row,) = desk.holdings.rows([number])
    kept = desk.gallery.thumbnail(row.id)
    if kept is None:
        raise NotThereError("no picture was kept of this crop.")
    return Response(kept, media_type="image/jpeg")


@router.post("/pictures", status_code=201, dependencies=[_HEADER])
def send_picture(
    desk: Desk,
    picture: UploadFile,
    kind: Annotated[str, Form(description="auto, crop (one person, nothing else) or picture (people are found in it)")] = "auto",
    of_camera: Annotated[str | None, Form(description="whose picture it is, for a model with statistics of cameras")] = None,
) -> PictureShape:
    """Send a picture to search with: JPEG, PNG or WebP. It is held in memory for a while."""
    return PictureShape.of(desk.looking.take(picture.file.read(desk.looking.limits.bytes + 1), kind, of_camera or None))


@router.get("/search")
def search(desk: Desk, query: Annotated[Query, InAddress()]) -> Found:
    """Find who is alike: the person shown by all of `picture`, `like` and the crops of `identity` together."""
    return Found.of(desk.search(query))


@router.get("/identities")
def identities(desk: Desk) -> list[IdentityShape]:
    """Everybody who has a name."""
    return [IdentityShape.of(each) for each in desk.gallery.identities()]


@router.post("/identities", status_code=201, dependencies=[_HEADER])
def create(desk: Desk, new: NewIdentity) -> Done:
    """A new identity of these crops, which leave the one that they had."""
    ids = desk.holdings.whole(new.crops) if new.whole_tracks else [row.id for row in desk.holdings.rows(new.crops)]
    number, event = desk.deciding.change(lambda gallery: gallery.create_identity(new.name, ids))
    return Done(identity=number, event=event)


@router.get("/identities/{number}")
def identity(desk: Desk, number: Number) -> IdentityShape:
    """One identity."""
    return IdentityShape.of(desk.holdings.identity(number))


@router.get("/identities/{number}/sightings")
def members(
    desk: Desk,
    number: Number,
    start: Annotated[int, InAddress(ge=0, le=LARGEST_ID)] = 0,
    count: Annotated[int, InAddress(ge=1, le=500)] = 100,
) -> list[SightingShape]:
    """Its crops, a part of them."""
    return [
        SightingShape.of(row)
        for row in desk.holdings.rows(desk.gallery.members(desk.holdings.identity(number).id)[start : start + count])
    ]


@router.post("/identities/{number}/confirm", dependencies=[_HEADER])
def confirm(desk: Desk, number: Number, judged: Judged) -> Done:
    """These crops are this person."""
    return _judge(desk, number, judged, Gallery.assign)


@router.post("/identities/{number}/reject", dependencies=[_HEADER])
def reject(desk: Desk, number: Number, judged: Judged) -> Done:
    """These crops are not this person; searches for it leave them out."""
    return _judge(desk, number, judged, Gallery.reject)


def _judge(desk: Service, number: int, judged: Judged, say: Callable[[Gallery, int, Sequence[int]], None]) -> Done:
    desk.holdings.identity(number)
    ids = desk.holdings.whole(judged.crops) if judged.whole_tracks else [row.id for row in desk.holdings.rows(judged.crops)]
    _, event = desk.deciding.change(lambda gallery: say(gallery, number, ids))
    return Done(identity=number, event=event)


@router.patch("/identities/{number}", dependencies=[_HEADER])
def rename(desk: Desk, number: Number, naming: Naming) -> Done:
    """Another name."""
    desk.holdings.identity(number)
    _, event = desk.deciding.change(lambda gallery: gallery.rename(number, naming.name))
    return Done(identity=number, event=event)


@router.post("/identities/{number}/merge", dependencies=[_HEADER])
def merge(desk: Desk, number: Number, merging: MergeWith) -> Done:
    """Another identity is the same person: its crops come here, and it is gone."""
    for each in (number, merging.other):
        desk.holdings.identity(each)
    _, event = desk.deciding.change(lambda gallery: gallery.merge(number, merging.other))
    return Done(identity=number, event=event)


@router.post("/identities/{number}/split", status_code=201, dependencies=[_HEADER])
def split(desk: Desk, number: Number, splitting: Split) -> Done:
    """Some of its crops are another person; the answer has the number of that one."""
    desk.holdings.identity(number)
    fresh, event = desk.deciding.change(lambda gallery: gallery.split(number, splitting.crops, splitting.name))
    return Done(identity=fresh, event=event)


@router.delete("/identities/{number}", dependencies=[_HEADER])
def erase(
    desk: Desk, number: Number, name: Annotated[str, InAddress(max_length=300, description="its name, to confirm")]
) -> Done:
    """Erase a person for good: crops, vectors, name, out of the store's files too."""
    return Done(identity=number, erased=desk.deciding.erase(number, name))


@router.post("/undo", dependencies=[_HEADER])
def undo(
    desk: Desk, event: Annotated[int | None, InAddress(ge=1, le=LARGEST_ID, description="the one that is meant")] = None
) -> Done:
    """Take the latest change of identities back."""
    return Done(event=desk.deciding.undo(event).id)


@router.get("/audit")
def audit(desk: Desk, count: Annotated[int, InAddress(ge=1, le=1000)] = 100) -> list[EventShape]:
    """What was done, the latest first."""
    return [EventShape.of(event) for event in desk.gallery.audit(count)]
