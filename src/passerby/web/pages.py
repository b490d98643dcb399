"""The pages about searching: the gallery, pictures that are sent, whom to pick, hits, confirm and reject, crops."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from passerby.errors import UsageError
from passerby.gallery import Event
from passerby.web.asking import Desk, Form, Who, numbers, text
from passerby.web.query import LARGEST_ID, Query
from passerby.web.rendering import page
from passerby.web.service import Service
from passerby.web.strips import strips

__all__ = ["after_change", "router", "said"]

router = APIRouter()
_A_PAGE = 48
_SHOWN = 24
_MARKS = 300  # of the crops that are searched with, on the axis of time
_WRONG_TOKEN_S = 1.0


@router.get("/")
def home(request: Request, desk: Desk) -> Response:
    """What the gallery holds, and the ways to search it."""
    gallery = desk.gallery
    identities = gallery.identities()
    looking = desk.looking
    return page(
        request, "home.html", gallery=gallery, count=len(gallery), cameras=gallery.cameras(), span=gallery.span(),
        identities=len(identities), thresholds=gallery.thresholds, finds=looking.detector is not None,
        model_cameras=looking.cameras, latest=desk.holdings.tracks()[-12:][::-1], limits=looking.limits,
    )  # fmt: skip


@router.post("/upload")
def upload(desk: Desk, form: Form) -> Response:
    """A picture to search with."""
    sent = form.get("picture")
    if not isinstance(sent, UploadFile):
        raise UsageError("no picture was sent: choose a file, or drag one onto the page.")
    taken = desk.looking.take(
        sent.file.read(desk.looking.limits.bytes + 1), text(form, "kind") or "auto", text(form, "of_camera") or None
    )
    query = Query.of(form).but(picture=(taken.token,))
    if taken.chosen is None:
        return RedirectResponse(query.address.replace("/search", "/pick", 1), 303)
    return RedirectResponse(query.but(picture=(f"{taken.token}.{taken.chosen}",)).address, 303)


@router.get("/pick")
def pick(request: Request, desk: Desk) -> Response:
    """Who of the people in a picture is meant?"""
    query = Query.of(request.query_params)
    if not query.picture:
        raise UsageError("no picture is named: send one first.")
    held = desk.looking.upload(query.picture[-1].partition(".")[0])
    choices = [query.but(picture=(f"{held.token}.{number}",)).address for number in range(len(held.people))]
    return page(request, "pick.html", upload=held, choices=choices)


@router.get("/search")
def search(request: Request, desk: Desk, did: str = "") -> Response:
    """Hits."""
    query = Query.of(request.query_params)
    result = desk.search(query)
    own_cameras = tuple(dict.fromkeys(row.camera for row in result.rows))
    return page(
        request, "search.html", result=result, query=result.query, hits=result.hits, cameras=desk.gallery.cameras(),
        strips=strips(result.hits, result.rows[:_MARKS]), shown_rows=result.rows[:_SHOWN], thresholds=desk.gallery.thresholds,
        own_cameras=own_cameras, event=said(desk, did), undoable=desk.deciding.undoable(),
        was=request.query_params.getlist("was")[:_SHOWN],
    )  # fmt: skip


def said(desk: Service, did: str) -> Event | None:
    """The change that has just been made, as the log tells it."""
    if not did.isdecimal():
        return None
    return next((event for event in desk.gallery.audit(20) if str(event.id) == did), None)


def after_change(query: Query, event: int, was: Query | None = None) -> Response:
    """On to the hits that the changed query has; `was` is what to go back to."""
    told = f"&did={event}" if event else ""
    earlier = "".join(f"&was={id}" for id in was.like[:_SHOWN]) if was else ""
    return RedirectResponse(query.address + told + earlier + "#hits", 303)


@router.post("/confirm")
def confirm(desk: Desk, form: Form) -> Response:
    """These crops are the person."""
    query = Query.of(form)
    return after_change(*desk.deciding.confirm(query, numbers(form, "id"), text(form, "name")), query)


@router.post("/reject")
def reject(desk: Desk, form: Form) -> Response:
    """These crops are not the person."""
    return after_change(*desk.deciding.reject(Query.of(form), numbers(form, "id")))


@router.post("/undo")
def undo(desk: Desk, form: Form) -> Response:
    """Take the latest change back, and go on with what was searched for as far as it is still there."""
    wanted = numbers(form, "event")
    desk.deciding.undo(wanted[0] if wanted else None)
    query = Query.of(form)
    if query.identity is not None and query.identity not in {each.id for each in desk.gallery.identities()}:
        query = query.but(identity=None, like=tuple(numbers(form, "was"))[:_SHOWN])
    if query.empty:
        return RedirectResponse("/audit", 303)
    return after_change(query, desk.gallery.audit(1)[0].id)


@router.get("/crops")
def crops(request: Request, desk: Desk, camera: str = "", start: int = 0) -> Response:
    """Everything that is stored, a page at a time: tracks, then crops that stand alone."""
    cameras = desk.gallery.cameras()
    if camera and camera not in cameras:
        raise UsageError("no such camera in this gallery.")
    wanted = camera or None
    tracks = desk.holdings.tracks(wanted)
    start = max(0, min(start, LARGEST_ID))
    shown = tracks[start : start + _A_PAGE]
    single, room = len(desk.gallery) - desk.holdings.tracked(), _A_PAGE - len(shown)
    rows = desk.holdings.alone(max(0, start - len(tracks)), room + 1, wanted) if single > 0 else []
    more = start + _A_PAGE < len(tracks) or len(rows) > room
    total = len(tracks) + single if not camera or single <= 0 else None  # of one camera they are not counted
    return page(
        request, "crops.html", tracks=shown, rows=rows[:room], cameras=cameras, camera=camera, start=start, total=total,
        step=_A_PAGE, more=more,
    )  # fmt: skip


@router.get("/thumbnails/{id}.jpg")
def thumbnail(desk: Desk, id: int = Path(ge=1, le=LARGEST_ID)) -> Response:
    """A stored crop."""
    (row,) = desk.holdings.rows([id])
    kept = desk.gallery.thumbnail(row.id)
    if kept is None:
        return Response((files("passerby.web") / "static" / "nobody.svg").read_bytes(), media_type="image/svg+xml")
    return Response(kept, media_type="image/jpeg")


@router.get("/pictures/{token}.jpg")
def picture(desk: Desk, token: str) -> Response:
    """An uploaded picture, written anew."""
    return Response(desk.looking.upload(token).jpeg, media_type="image/jpeg")


@router.get("/pictures/{token}/{person}.jpg")
def picture_person(desk: Desk, token: str, person: int = Path(ge=0, le=999)) -> Response:
    """Somebody in an uploaded picture."""
    picked = desk.looking.picked(f"{token}.{person}")
    return Response(picked.upload.people[picked.person].jpeg, media_type="image/jpeg")


@router.get("/login")
def login_page(request: Request, to: str = "/") -> Response:
    """Ask for the token."""
    return page(request, "login.html", to=_inside(to), wrong=False)


@router.post("/login")
async def login(request: Request, who: Who) -> Response:
    """Look at the token. No form token is needed: there is no session yet that could be misused."""
    form = await request.form(max_files=0, max_fields=5)
    sessions = request.app.state.sessions
    to = _inside(text(form, "to"))
    if not sessions.is_token(text(form, "token")):
        await asyncio.sleep(_WRONG_TOKEN_S)
        return page(request, "login.html", status=401, to=to, wrong=True)
    answer = RedirectResponse(to, 303)
    answer.set_cookie(request.state.cookie, sessions.new(signed_in=True).cookie, httponly=True, samesite="lax", path="/")
    return answer


@router.post("/logout")
def logout(request: Request, form: Form) -> Response:
    """Forget the session."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(request.state.cookie, path="/")
    return answer


def _inside(to: str) -> str:
    """Where to go after signing in: a path of this page and nowhere else."""
    if not to.startswith("/") or to.startswith(("//", "/\\")) or any(ord(sign) < 32 for sign in to):
        return "/"
    return to


@router.get("/healthz")
def healthz(desk: Desk) -> Response:
    """Whether the store answers."""
    if not desk.opened.answers():
        raise HTTPException(503, "the gallery does not answer.")
    return Response("ok\n", media_type="text/plain")
