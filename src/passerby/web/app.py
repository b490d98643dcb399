"""The page and the JSON interface as one ASGI application."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files

import anyio.to_thread
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as PlainHTTPException
from starlette.responses import JSONResponse, Response

from passerby.errors import EmbeddingsError, GalleryError, ImageError, MissingDependencyError, PasserbyError, UsageError
from passerby.web import api, pages, people
from passerby.web.guard import Guard
from passerby.web.holdings import NotThereError
from passerby.web.query import one_line
from passerby.web.rendering import page
from passerby.web.service import Service
from passerby.web.sessions import Sessions

__all__ = ["make_app"]

_THREADS = 80  # requests wait for the model or the disk in threads; pictures of crops must not wait behind them
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "nobody.svg": "image/svg+xml", "icon.svg": "image/svg+xml"}
_ROOM_FOR_FORM = 64_000
_MOST_BYTES = 256_000


def make_app(
    service: Service, *, token: str | None = None, names: Sequence[str] = (), any_address: bool = False, port: int = 0
) -> Guard:
    """The application, with the guard around it.

    Args:
        service: what it shows.
        token: that must be shown first; None: none.
        names: host names and addresses under which the page is reached.
        any_address: see `guard.Guard`.
        port: of the page; pages on one machine share their cookies, which are told apart by it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        yield

    app = FastAPI(
        title="passerby", version="1", summary="Find a person in a gallery.", docs_url=None, redoc_url=None, lifespan=lifespan,
        openapi_url="/api/v1/openapi.json", description=api.DESCRIPTION,
    )  # fmt: skip
    app.state.service, app.state.sessions = service, Sessions(token)
    app.include_router(pages.router, include_in_schema=False)
    app.include_router(people.router, include_in_schema=False)
    app.include_router(api.router)
    app.get("/static/{name}", include_in_schema=False)(_static)
    for kind in (PasserbyError, PlainHTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _failed)
    # Around everything, so that also what an unforeseen error answers is guarded.
    return Guard(
        app, sessions=app.state.sessions, names=names or ("localhost", "127.0.0.1", "::1"), any_address=any_address,
        cookie=f"passerby_{port}", most_bytes=_MOST_BYTES, most_upload_bytes=service.looking.limits.bytes + _ROOM_FOR_FORM,
    )  # fmt: skip


async def _static(name: str, request: Request) -> Response:
    """A file of the package; only those that are named here."""
    if name not in _STATIC:
        raise HTTPException(404, "no such file.")
    content = (files("passerby.web") / "static" / name).read_bytes()
    mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"etag": mark, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_STATIC[name], headers=headers)


def _failed(request: Request, error: Exception) -> Response:
    """Any error as one line, in the form that was asked for."""
    status, text = _in_words(error, request.app.state.service)
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": text}, status)
    return page(request, "error.html", status=status, text=text)


def _in_words(error: Exception, service: Service) -> tuple[int, str]:
    if isinstance(error, PlainHTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, RequestValidationError):
        return 422, one_line(error.errors())
    if isinstance(error, PasserbyError):
        return _status(error, service), str(error)
    # The server prints the traceback; who asks gets no inside of the program.
    print(f"passerby: {type(error).__name__} while answering; see the traceback", file=sys.stderr)
    return 500, "something went wrong inside the program; what stands in the gallery was not harmed. The server's log says more."


def _status(error: PasserbyError, service: Service) -> int:
    kinds: list[tuple[type[PasserbyError], int]] = [
        (NotThereError, 404), (UsageError, 400), (ImageError, 422), (EmbeddingsError, 422), (MissingDependencyError, 501),
    ]  # fmt: skip
    for kind, status in kinds:
        if isinstance(error, kind):
            return status
    if isinstance(error, GalleryError):
        # The store says no because something is not there (any more), or it says nothing at all.
        return 409 if service.opened.answers() else 503
    return 500
