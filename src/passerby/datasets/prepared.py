"""`dataset.json`: what a folder made by `passerby data prepare` (or by the rendered street) says about itself.

It names the data set, the layout to read it by, and the notes that must stand beside every number made from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from passerby.datasets.walking import shown
from passerby.errors import DataError
from passerby.files import write_json

__all__ = ["DATASET_FILE", "Card", "read_card", "write_card"]

DATASET_FILE = "dataset.json"
_FORMAT = "passerby-dataset"
_VERSION = 1


@dataclass(frozen=True)
class Card:
    """The content of `dataset.json`.

    Attributes:
        dataset: canonical name of the data set that the images come from.
        layout: ``manifest`` or ``market-style``: how to read the folder.
        complete: False until the last file is written.
        notes: what must be said beside every number.
        plan: fingerprint of what was asked for, so that a repeated call knows whether it goes on with the same work.
        facts: anything else worth keeping: sources, options, counts. JSON-able.
    """

    dataset: str
    layout: str
    complete: bool = True
    notes: tuple[str, ...] = ()
    plan: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_card(root: Path, card: Card) -> None:
    """Write `dataset.json` whole or not at all."""
    write_json(root / DATASET_FILE, {"format": _FORMAT, "version": _VERSION, **asdict(card)})


def read_card(root: Path) -> Card | None:
    """The card of a folder, or None where there is none, or one of another program.

    Raises:
        DataError: the file is damaged or of a later version.
    """
    path = root / DATASET_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f'"{shown(path)}" cannot be read: {error}. Prepare the folder again.') from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        return None
    if content.get("version") != _VERSION:
        raise DataError(f'"{shown(path)}" has version {content.get("version")}; this passerby reads {_VERSION}. Update passerby.')
    try:
        notes = tuple(str(note) for note in content["notes"])
        return Card(content["dataset"], content["layout"], bool(content["complete"]), notes, content["plan"], content["facts"])
    except (KeyError, TypeError) as error:
        raise DataError(f'"{shown(path)}" lacks the field {error}. Prepare the folder again.') from error
