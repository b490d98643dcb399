"""Bind to an address and serve: only this machine, unless a token says who may come."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import uvicorn

from passerby.errors import UsageError
from passerby.web.app import make_app
from passerby.web.service import Service

__all__ = ["LEAST_TOKEN", "address", "check_reach", "serve"]

LEAST_TOKEN = 16


def check_reach(host: str, token: str | None) -> bool:
    """Whether `host` is this machine only.

    Raises:
        UsageError: others can reach it and no token keeps them out, or the token is short.
    """
    try:
        alone = ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = host == "localhost"
    if token is not None and len(token) < LEAST_TOKEN:
        raise UsageError(f"the token has {len(token)} characters: {LEAST_TOKEN} are the least, or it can be guessed.")
    if not alone and token is None:
        raise UsageError(
            f"{host} can be reached from other machines: give a --token that visitors must show "
            f"({LEAST_TOKEN} characters or more), or stay with --host 127.0.0.1."
        )
    return alone


def serve(service: Service, host: str, port: int, token: str | None = None, names: tuple[str, ...] = ()) -> None:
    """Serve until interrupted.

    Args:
        service: what is shown.
        host: name or address to bind to.
        port: 0 takes a free one.
        token: that visitors must show; needed beyond this machine.
        names: further host names under which the page is reached.

    Raises:
        UsageError: see `check_reach`; a port that is taken or forbidden, or a host that is not this machine's.
    """
    alone = check_reach(host, token)
    bound = _bound(host, port)
    with bound:
        number = bound.getsockname()[1]
        own = {"localhost", "127.0.0.1", "::1", host, *names} | ({socket.gethostname()} if not alone else set())
        app = make_app(service, token=token, names=sorted(own), any_address=not alone, port=number)
        # Not the server's own log of requests: addresses tell who was looked for.
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
        service.warm()
        print(f"passerby: {address(host, number)} (end with Ctrl-C)", flush=True)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
            uvicorn.Server(config).run(sockets=[bound])


def address(host: str, port: int) -> str:
    """What to open in a browser."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"{host}:{port}: {getattr(error, 'strerror', None) or error}. Give an address of this machine."
        ) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(2048)
    except OSError as error:
        made.close()
        raise UsageError(
            f"{host}:{port} cannot be served: {error.strerror}. Give another --port (0 takes a free one)."
        ) from error
    return made
