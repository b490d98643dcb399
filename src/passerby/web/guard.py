"""Stands before every request: whose page it is, who asks, how much they send; and says to browsers what they may do.

A page on one's own machine is reached by every site that one's browser visits. What keeps them out: only known names of this
page are answered (a foreign name that is made to point here is not), requests that another site makes are refused, forms carry a
token, programs a header that no form can send, and no answer may be framed, guessed at or kept.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from passerby.web.sessions import Session, Sessions

__all__ = ["API_HEADER", "Guard"]

API_HEADER = "x-passerby"
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/login", "/static/")
_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": with that a browser would not say whose form it sends.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_KEPT = "no-store"  # what was erased must not stay in a browser either


class Guard:
    """ASGI middleware; see the module.

    Args:
        app: what is guarded.
        sessions: who may ask.
        names: of this page, without ports; others are refused.
        any_address: addresses (not names) of any kind are taken as well, for a page that is bound to all of a machine's.
        cookie: name of the cookie.
        most_bytes: of a body.
        most_upload_bytes: of a body that carries a picture.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        names: Iterable[str],
        any_address: bool,
        cookie: str,
        most_bytes: int,
        most_upload_bytes: int,
    ) -> None:
        self._app, self._sessions, self._cookie = app, sessions, cookie
        self._names, self._any_address = {name.lower() for name in names}, any_address
        self._most = (most_bytes, most_upload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        session, fresh = self._session(headers)
        scope.setdefault("state", {})["session"] = session
        scope["state"]["cookie"] = self._cookie

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer[name] = value
                answer.setdefault("cache-control", _KEPT)
                if fresh and path != "/login" and answer.get("content-type", "").startswith("text/html"):
                    answer.append("set-cookie", f"{self._cookie}={session.cookie}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        refused = self._refused(scope, headers, session)
        if refused is not None:
            await refused(scope, receive, sending)
            return
        most = self._most[path in ("/upload", "/api/v1/pictures")]
        await self._app(scope, _bounded(receive, most), sending)

    def _session(self, headers: Headers) -> tuple[Session, bool]:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            morsel = None
        found = self._sessions.read(morsel.value) if morsel else None
        return (found, False) if found else (self._sessions.new(), True)

    def _refused(self, scope: Scope, headers: Headers, session: Session) -> Response | None:
        path, changing = scope["path"], scope["method"] not in _SAFE
        api = path.startswith("/api/")
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _no(api, 421, "this page is not known by that name: open it by the address that passerby serve printed.")
        site = headers.get("sec-fetch-site", "none")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if site in ("cross-site", "same-site") and (changing or headers.get("sec-fetch-mode") != "navigate"):
            foreign = True
        if foreign:
            return _no(api, 403, "another site has sent this request: it was not done.")
        bearer = headers.get("authorization", "")
        by_token = bearer.lower().startswith("bearer ") and self._sessions.is_token(bearer[7:].strip())
        if not (session.signed_in or by_token or path.startswith(_OPEN)):
            if api or changing:
                return _no(api, 401, "sign in first: this page asks for its token (Authorization: Bearer TOKEN).")
            return RedirectResponse("/login?to=" + quote(_address(scope)), 303)
        if api and changing and not by_token and API_HEADER not in headers:
            return _no(api, 403, "a changing request needs the header X-Passerby (any value), which no foreign page can send.")
        length = headers.get("content-length", "0")
        most = self._most[path in ("/upload", "/api/v1/pictures")]
        if not length.isdecimal() or int(length) > most:
            return _no(api, 413, f"more was sent than is taken: up to {most:,} bytes.")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit("//" + host).hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address


def _address(scope: Scope) -> str:
    asked = scope.get("query_string", b"").decode("latin-1")
    return scope["path"] + (f"?{asked}" if asked else "")


def _no(api: bool, status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status) if api else PlainTextResponse(f"passerby: {text}\n", status)


def _bounded(receive: Receive, most: int) -> Receive:
    """Also bodies that do not say how long they are end at the limit."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413, f"more was sent than is taken: up to {most:,} bytes.")
        return message

    return bounded
