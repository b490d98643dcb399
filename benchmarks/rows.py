"""Rows of a benchmark in a file of JSON lines, so that it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["add_row", "rows_of"]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows that are there; one that was being written when the benchmark was stopped is not."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def add_row(path: Path, row: dict[str, Any]) -> None:
    """Append a row, on a line of its own even behind one that was not finished."""
    with path.open("a+") as file:
        file.seek(0)
        ended = file.read()[-1:] in ("", "\n")
        file.write(("" if ended else "\n") + json.dumps(row) + "\n")
