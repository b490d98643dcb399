"""What a request brings along: the service, the session, a form whose token was checked."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import FormData

from passerby.errors import UsageError
from passerby.web.query import LARGEST_ID
from passerby.web.service import Service
from passerby.web.sessions import Session

__all__ = ["Desk", "Form", "Who", "numbers", "text"]


async def _service(request: Request) -> Service:
    return request.app.state.service


async def _session(request: Request) -> Session:
    return request.state.session


async def _form(request: Request) -> AsyncIterator[FormData]:
    async with request.form(max_files=1, max_fields=600) as form:
        given = form.get("csrf")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), request.state.session.csrf.encode()):
            raise HTTPException(403, "this form is out of date, or does not come from this page: load the page again.")
        yield form


Desk = Annotated[Service, Depends(_service)]
Who = Annotated[Session, Depends(_session)]
Form = Annotated[FormData, Depends(_form)]


def numbers(form: FormData, name: str) -> list[int]:
    """The numbers that a form has under a name.

    Raises:
        UsageError: one that is none.
    """
    given = [value for value in form.getlist(name) if isinstance(value, str) and value]
    if any(not value.isdecimal() or not 1 <= int(value[:20]) <= LARGEST_ID for value in given):
        raise UsageError(f"{name}: numbers from 1 on are needed.")
    return [int(value) for value in given]


def text(form: FormData, name: str) -> str:
    """What a form says under a name; empty where it says nothing."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""
