"""The pages about people: identities, one identity, erasing, the log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from passerby.errors import UsageError
from passerby.web.asking import Desk, Form, numbers, text
from passerby.web.pages import said
from passerby.web.query import LARGEST_ID
from passerby.web.rendering import page

__all__ = ["router"]

router = APIRouter()
Number = Annotated[int, Path(ge=1, le=LARGEST_ID)]
_A_PAGE = 120
_NAMES = 300  # that are offered to be merged with; any other can be typed


@router.get("/identities")
def identities(request: Request, desk: Desk, did: str = "", start: int = 0, name: str = "") -> Response:
    """Everybody who has a name, a page at a time."""
    wanted = name.strip().casefold()
    known = [each for each in desk.gallery.identities() if wanted in each.name.casefold()]
    start = max(0, min(start, len(known)))
    shown = known[start : start + _A_PAGE]
    faces = {each.id: desk.gallery.members(each.id)[:1] for each in shown}
    return page(
        request, "identities.html", identities=shown, faces=faces, event=said(desk, did), undoable=desk.deciding.undoable(),
        start=start, total=len(known), step=_A_PAGE, name=name.strip(),
    )  # fmt: skip


@router.post("/identities")
def create(desk: Desk, form: Form) -> Response:
    """A new name."""
    number, event = desk.deciding.change(
        lambda gallery: gallery.create_identity(text(form, "name"), desk.holdings.whole(numbers(form, "id")))
    )
    return RedirectResponse(f"/identities/{number}?did={event}", 303)


@router.get("/identities/{number}")
def identity(request: Request, desk: Desk, number: Number, did: str = "", start: int = 0) -> Response:
    """One person, all crops, and what can be changed."""
    found = desk.holdings.identity(number)
    members = desk.gallery.members(number)
    start = max(0, min(start, len(members)))
    rows = desk.holdings.rows(members[start : start + _A_PAGE])
    rows.sort(key=lambda row: (row.time is None, row.time or 0.0, row.id))
    others = [each for each in desk.gallery.identities() if each.id != number][:_NAMES]
    return page(
        request, "identity.html", identity=found, rows=rows, rejected=desk.holdings.rows(desk.gallery.rejected(number)[:_A_PAGE]),
        others=others, event=said(desk, did), undoable=desk.deciding.undoable(), start=start, step=_A_PAGE,
    )  # fmt: skip


@router.post("/identities/{number}/rename")
def rename(desk: Desk, number: Number, form: Form) -> Response:
    """Another name."""
    desk.holdings.identity(number)
    _, event = desk.deciding.change(lambda gallery: gallery.rename(number, text(form, "name")))
    return RedirectResponse(f"/identities/{number}?did={event}", 303)


@router.post("/identities/{number}/merge")
def merge(desk: Desk, number: Number, form: Form) -> Response:
    """Somebody else is this person too."""
    desk.holdings.identity(number)
    if not text(form, "other"):
        raise UsageError("say with whom: give the name or the number of another identity.")
    other = desk.holdings.named(text(form, "other"))
    _, event = desk.deciding.change(lambda gallery: gallery.merge(number, other.id))
    return RedirectResponse(f"/identities/{number}?did={event}", 303)


@router.post("/identities/{number}/crops")
def change_crops(desk: Desk, number: Number, form: Form) -> Response:
    """Split the ticked crops off, say that they are not this person, or that they are after all."""
    desk.holdings.identity(number)
    ids = numbers(form, "id")
    if not ids:
        raise UsageError("no crop is ticked: tick those that are meant.")
    do = text(form, "do")
    if do == "split":
        _, event = desk.deciding.change(lambda gallery: gallery.split(number, ids, text(form, "name")))
    elif do == "reject":
        _, event = desk.deciding.change(lambda gallery: gallery.reject(number, ids))
    elif do == "assign":
        _, event = desk.deciding.change(lambda gallery: gallery.assign(number, ids))
    else:
        raise UsageError("do: split, reject or assign.")
    return RedirectResponse(f"/identities/{number}?did={event}", 303)


@router.get("/identities/{number}/erase")
def ask_to_erase(request: Request, desk: Desk, number: Number) -> Response:
    """Is it really meant?"""
    members = desk.gallery.members(desk.holdings.identity(number).id)
    return page(request, "erase.html", identity=desk.holdings.identity(number), rows=desk.holdings.rows(members[:24]))


@router.post("/identities/{number}/erase")
def erase(desk: Desk, number: Number, form: Form) -> Response:
    """Erase a person for good."""
    desk.deciding.erase(number, text(form, "name"))
    return RedirectResponse(f"/identities?did={desk.gallery.audit(1)[0].id}", 303)


@router.get("/audit")
def audit(request: Request, desk: Desk) -> Response:
    """What was done."""
    return page(request, "audit.html", events=desk.gallery.audit(500), undoable=desk.deciding.undoable(), names={
        each.id: each.name for each in desk.gallery.identities()
    })  # fmt: skip


@router.get("/api")
def interface(request: Request) -> Response:
    """The JSON interface, in words."""
    return page(request, "api.html", description=request.app.openapi())
