"""Words to options: tyro's help as it is, tyro's errors as one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from passerby.errors import UsageError

__all__ = ["parse"]

T = TypeVar("T")
_BOX = re.compile(r"[╭╮╰╯│─]+")


def parse(options: type[T], prog: str, words: Sequence[str], default: Any = None) -> T:
    """Fill a dataclass of options from words.

    Args:
        options: frozen dataclass; its docstrings are the help.
        prog: what the help calls the command.
        words: what stands after it.
        default: an instance whose values stand where no flag is given.

    Raises:
        UsageError: a flag or value that does not fit, on one line.
        SystemExit: help was asked for and has been printed.
    """
    import tyro

    said = io.StringIO()
    given = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, prog=prog, args=list(words), **given)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{_one_line(said.getvalue(), prog)} See: {prog} --help") from None


def _one_line(box: str, prog: str) -> str:
    """The message inside tyro's box, without its frame, a heading that the next line repeats, and its own hint at the help."""
    lines = [_BOX.sub("", line).strip() for line in box.splitlines()]
    hints = ("For full helptext", f"{prog} --help")
    heading, *message = [line for line in lines if line and not line.startswith(hints)] or ["wrong usage"]
    repeated = bool(message) and (
        message[0].startswith(heading) or heading in ("Value error", "Missing argument", "Required options")
    )
    text = " ".join(message if repeated else [heading, *message])
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else text + "."
