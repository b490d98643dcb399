"""Stored embeddings named on a command line: a file with both sets, a query and a gallery file, or a folder of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from passerby import embeddings
from passerby.embeddings import SUFFIXES, Embeddings, QueryGallery
from passerby.errors import DataError, listing

__all__ = ["check_present", "holds_both", "is_model", "is_shipped", "named_inputs", "read_columns", "read_sets"]


def check_present(paths: Sequence[Path]) -> None:
    """Refuse what does not exist.

    Raises:
        DataError: naming what is gone.
    """
    gone = [path for path in paths if not path.exists()]
    if gone:
        raise DataError(f"{listing(gone)}: no such file or folder. Give embeddings, or the artefact folder that training wrote.")


def named_inputs(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Paths, with models that come with the package by their names (``house``, ``house-int8``, ``house-scratch``).

    Raises:
        ArtefactError: see `artefact.named_model`.
    """
    if not any(path.name.lower().startswith("hous") for path in paths):
        return tuple(paths)  # stored embeddings need no torch
    from passerby.artefact import named_model

    return tuple(named_model(path) for path in paths)


def is_shipped(path: Path) -> bool:
    """Whether a path is a model that comes with the package, or lies in its folder."""
    import passerby

    return path.resolve().is_relative_to(Path(passerby.__file__).resolve().parent)


def is_model(path: Path) -> bool:
    """Whether a path is an artefact folder, or a file that was exported from one."""
    from passerby.models.exported_files import is_exported

    return (path / "passerby.json").is_file() or (is_exported(path) and path.is_file())


def read_sets(inputs: Sequence[Path], more: Path | None = None) -> QueryGallery:
    """Query and gallery from one or two paths, with the multi-query images of `more` where it is given.

    Raises:
        DataError: a path that is not there, or a folder without embeddings.
        EmbeddingsError: a damaged file, or one that holds something else.
    """
    check_present(inputs)
    if len(inputs) == 2:
        sets = QueryGallery(*(Embeddings.load(path) for path in inputs))
    else:
        sets = _of_folder(inputs[0]) if inputs[0].is_dir() else QueryGallery.load(inputs[0])
    return replace(sets, multi_query=Embeddings.load(more)) if more else sets


def _of_folder(folder: Path) -> QueryGallery:
    found = {name: _set_file(folder, name) for name in ("query", "gallery", "multi_query")}
    missing = [name for name in ("query", "gallery") if found[name] is None]
    if missing and (folder / "artefact").is_dir():
        raise DataError(f"{folder} is a run; its model is in it: passerby evaluate {folder / 'artefact'} --data DIR")
    if missing:
        raise DataError(
            f"{folder} is no artefact (no passerby.json) and lacks {listing(f'{name}.npz' for name in missing)}: give what "
            "training or passerby embed wrote."
        )
    return QueryGallery(**{name: Embeddings.load(path) for name, path in found.items() if path is not None})


def _set_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()), None)


def holds_both(path: Path) -> bool:
    """Whether a path is a run of its own, with query and gallery in it, and not one of two files that belong together."""
    return path.is_dir() or embeddings.holds_both(path)


def read_columns(table: Path) -> dict[str, dict[str, object]]:
    """What a table says of each image: by the image's name, its columns.

    Args:
        table: a CSV file with a column ``path`` or ``name``, or JSON lines with a key ``image``, ``path`` or ``name``, as a
            rendered street has. Boxes of four numbers become ``height_px`` and ``width_px``.

    Raises:
        DataError: no such file, no rows, or rows without a name.
    """
    if not table.is_file():
        raise DataError(f"{table}: no such file. Give a CSV with a column path, or the manifest.jsonl of a rendered street.")
    rows = _json_rows(table) if table.suffix == ".jsonl" else _csv_rows(table)
    found = {}
    for number, row in enumerate(rows, 1):
        name = next((str(row[key]) for key in ("path", "name", "image", "file") if row.get(key)), "")
        if not name:
            raise DataError(f"{table}, row {number}: no path, name, image or file; it holds {listing(row, 12)}.")
        found[name] = _flat(row)
    if not found:
        raise DataError(f"{table} has no rows.")
    return found


def _csv_rows(table: Path) -> list[dict[str, object]]:
    import csv

    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return [dict(row) for row in csv.DictReader(file)]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{table} is no CSV file in UTF-8: {error}.") from error


def _json_rows(table: Path) -> list[dict[str, object]]:
    try:
        rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise DataError(f"{table} is no file of JSON lines: {error}.") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{table}, row {number}: {listing([json.dumps(row)])} is no object with columns by name.")
    return rows


def _flat(row: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, (str, int, float, bool)) or value is None:
            flat[key] = value
        elif key == "box" and isinstance(value, list) and len(value) == 4 and np.isreal(value).all():
            flat["width_px"], flat["height_px"] = value[2], value[3]
    return flat
