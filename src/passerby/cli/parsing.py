"""Words to options: tyro's help without what says nothing, tyro's errors as one line."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

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
        with contextlib.redirect_stderr(said), contextlib.ExitStack() as until:
            if not {"-h", "--help"}.isdisjoint(words):
                _explain(options, until)
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


def _explain(options: type, until: contextlib.ExitStack) -> None:
    """Write each field's help into its annotation for a while: in one piece, and with a default only where that is a value.

    tyro keeps the line breaks of indented docstrings, and says "(default: '')" or "(default: None)" behind a text that tells what
    happens then.
    """
    import tyro

    def default_of(label: str) -> str:
        return "" if label in ("", "''", "None") else f"(default: {label})"

    for owner in (one for one in options.__mro__ if is_dataclass(one)):
        told, own = _docstrings(owner), owner.__annotations__
        until.callback(own.update, dict(own))
        hints = get_type_hints(owner, include_extras=True)
        for name in (field.name for field in fields(owner) if field.name in own):
            for nested in (hints[name], *get_args(hints[name])):
                if isinstance(nested, type) and is_dataclass(nested):
                    _explain(nested, until)
                    break
            else:
                text = " ".join(told.get(name, "").split())
                own[name] = Annotated[hints[name], tyro.conf.arg(help=text or None, help_behavior_hint=default_of)]


def _docstrings(owner: type) -> dict[str, str]:
    """By field: the string below it in the source of the class."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    except (OSError, TypeError, SyntaxError):  # made by a program
        return {}
    lines = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: below.value.value
        for field, below in pairwise(lines)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


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
