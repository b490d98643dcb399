"""Who is asking: a signed cookie, and from it the token that a form must carry."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

__all__ = ["Session", "Sessions"]

_LASTS_S = 12 * 3600


@dataclass(frozen=True)
class Session:
    """One browser.

    Attributes:
        cookie: what it keeps.
        csrf: what its forms carry, so that no other site can send them.
        signed_in: it has shown the token of the page.
    """

    cookie: str
    csrf: str
    signed_in: bool


class Sessions:
    """Signed with a key that nobody but this process has: when it ends, all sessions do.

    Args:
        token: that must be shown before anything else; None: none is needed.
    """

    def __init__(self, token: str | None) -> None:
        self._token, self._key = token, secrets.token_bytes(32)

    @property
    def guarded(self) -> bool:
        """A token is needed."""
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """Whether it is the right token; takes as long for a wrong one."""
        return self._token is not None and hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    def new(self, signed_in: bool = False) -> Session:
        """A session that begins now."""
        value = f"{secrets.token_urlsafe(16)}.{int(time.time())}.{int(signed_in)}"
        return self._session(value, signed_in)

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is not ours, or too old."""
        value, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign("cookie", value).encode()):
            return None
        _, began, signed_in = value.split(".")
        return self._session(value, signed_in == "1") if time.time() - int(began) < _LASTS_S else None

    def _session(self, value: str, signed_in: bool) -> Session:
        cookie = f"{value}.{self._sign('cookie', value)}"
        return Session(cookie, self._sign("csrf", value), signed_in or not self.guarded)

    def _sign(self, purpose: str, value: str) -> str:
        return hmac.new(self._key, f"{purpose} {value}".encode(errors="replace"), hashlib.sha256).hexdigest()
