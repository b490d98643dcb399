"""Words to options: tyro's help as it is, tyro's errors as one line."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from passerby.errors import UsageError

__all__ = ["check_report", "parse"]

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


def check_report(path: Path | None, flag: str = "--json") -> None:
    """Refuse a file that could not be written, before the work that it would report.

    Raises:
        UsageError: it is a folder, or lies where nothing can be written.
    """
    if path is None:
        return
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{flag} {path} cannot be written: give a file name in a folder that can.")


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
