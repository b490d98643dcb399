"""Templates to pages. Everything that is put into one is escaped unless a template wrote it itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from passerby.gallery import Hit, clock

__all__ = ["page"]


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("passerby.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["clock"] = clock
    made.filters["count"] = lambda number, one, many="": f"{number:,} {one if number == 1 else many or one + 's'}"
    made.globals["sign"] = {"same": "✓", "unsure": "?", "different": "✕"}
    made.globals["described"] = _described
    return made


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page.

    Args:
        request: who asks.
        template: file name.
        status: of the answer.
        values: what the template shows.
    """
    state = request.app.state
    given = {
        "session": request.state.session,
        "path": request.url.path,
        "guarded": state.sessions.guarded,
        "status": status,
        **values,
    }
    given.setdefault("pictures_on", state.service.looking.embedder is not None)
    return HTMLResponse(_templates().get_template(template).render(given), status)


def _described(hits: Sequence[Hit], place: int) -> str:
    """A hit in a few words, for those who do not see it."""
    hit = hits[place - 1]
    word = f", {hit.word}" if hit.word else ""
    return f"result {place}: {hit.sighting.camera}, {clock(hit.sighting.time)}, similarity {hit.similarity:.3f}{word}"
