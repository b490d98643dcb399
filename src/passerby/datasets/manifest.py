"""A manifest: one CSV or Parquet table that names every image, for data that has its own layout.

Columns: ``path`` (relative to the table, or absolute), ``pid``, ``camid`` (from 0), ``split`` (train, val, query, gallery or
multi_query), and if wanted ``time`` (a whole number: frame or time stamp) and ``domain`` (default: the name of the folder).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from passerby.datasets.layouts import Fault, Layout, Scan, absent_fault, duplicate_paths, reid_data
from passerby.datasets.walking import absent, shown
from passerby.errors import DataError, MissingDependencyError, listing, nearest
from passerby.files import replacing
from passerby.records import LARGEST_NUMBER, Record, Split

__all__ = ["MANIFEST", "MANIFEST_NAMES", "find_manifest", "scan_manifest", "write_manifest"]

MANIFEST_NAMES = ("manifest.csv", "manifest.parquet")
_REQUIRED = ("path", "pid", "camid", "split")
_OPTIONAL = ("time", "domain")
_SPLITS = ("train", "val", "query", "gallery", "multi_query")


def find_manifest(root: Path) -> Path | None:
    """The table in `root`, or `root` itself where it is one."""
    if root.is_file():
        return root if root.suffix.lower() in (".csv", ".parquet") else None
    return next((root / name for name in MANIFEST_NAMES if (root / name).is_file()), None)


def scan_manifest(table: Path, name: str) -> Scan:
    """Read the table; every row that does not fit becomes a part of a fault.

    Raises:
        DataError: the table cannot be read at all, or lacks a column.
        MissingDependencyError: a Parquet table without pyarrow.
    """
    rows = _parquet_rows(table) if table.suffix.lower() == ".parquet" else _csv_rows(table)
    splits: dict[str, list[Record]] = {split: [] for split in _SPLITS}
    broken: list[str] = []
    for where, row in rows:
        try:
            split, record = _record(row, table.parent)
        except ValueError as error:
            broken.append(f"{where}: {error}")
        else:
            splits[split].append(record)
    faults = [Fault("broken-rows", f'"{shown(table)}", {broken[0]}{_further(len(broken))}.')] if broken else []
    listed = [record.path for records in splits.values() for record in records]
    faults += absent_fault(table.name, listed, table.parent)
    for split, records in splits.items():
        faults += duplicate_paths([record.path for record in records], f"{table.name} ({split})")
    gone = set(absent(listed)) if faults else set()
    kept = {split: Split(tuple(r for r in records if r.path not in gone)) for split, records in splits.items()}
    return Scan(reid_data(name, kept), tuple(faults))


def _further(count: int) -> str:
    return f", and {count - 1} more rows that do not fit" if count > 1 else ""


def _record(row: Mapping[str, Any], folder: Path) -> tuple[str, Record]:
    split = str(row["split"]).strip()
    if split not in _SPLITS:
        raise ValueError(f'split "{shown(split)}". {nearest(split, _SPLITS)[:-1]}')
    path = str(row["path"] or "")
    if not path.strip():
        raise ValueError("the path is empty")
    pid, camid = _whole(row, "pid", -1), _whole(row, "camid", 0)
    time = row.get("time")
    time = None if time is None or time == "" or time != time else _whole(row, "time", None)  # pandas writes no time as NaN
    domain = str(row.get("domain") or "") or folder.absolute().name
    return split, Record(Path(os.path.normpath(folder / path)), pid, camid, domain, time)


def _whole(row: Mapping[str, Any], column: str, least: int | None) -> int:
    value = row[column]
    try:
        number = int(value)
        if not isinstance(value, str) and number != value:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f'{column} "{shown(str(value)[:60])}" is no whole number') from None
    if least is not None and number < least:
        raise ValueError(f"{column} {number} is below {least}")
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"{column} {str(number)[:60]} is out of range: numbers go up to {LARGEST_NUMBER}")
    return number


def _check_columns(columns: list[str], table: Path) -> None:
    missing = [column for column in _REQUIRED if column not in columns]
    if missing:
        raise DataError(
            f'"{shown(table)}" lacks the columns {listing(missing)}; it has {listing(columns, 10) or "none"}. '
            f"A manifest has {listing(_REQUIRED)} and may have {listing(_OPTIONAL)}."
        )


def _csv_rows(table: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns([str(name).strip() for name in reader.fieldnames or ()], table)
            reader.fieldnames = [str(name).strip() for name in reader.fieldnames or ()]
            for row in reader:
                if None in row or None in [row[column] for column in _REQUIRED]:
                    raise DataError(f'"{shown(table)}", line {reader.line_num}: {len(reader.fieldnames)} columns are expected.')
                yield f"line {reader.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'"{shown(table)}" is no CSV table in UTF-8: {error}.') from error


def _parquet_rows(table: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependencyError('A Parquet manifest needs pyarrow: pip install "passerby[parquet]"') from error
    try:
        content = parquet.read_table(table)
    except (arrow.ArrowInvalid, OSError) as error:
        raise DataError(f'"{shown(table)}" is no Parquet table: {" ".join(str(error).split())}.') from error
    _check_columns(content.column_names, table)
    columns = [column for column in (*_REQUIRED, *_OPTIONAL) if column in content.column_names]
    for number, row in enumerate(content.select(columns).to_pylist(), 1):
        yield f"row {number}", row


def write_manifest(table: Path, splits: Mapping[str, Split], place: Callable[[Record], str]) -> None:
    """Write records as a CSV manifest, whole or not at all; `place` gives the path that the table shows."""
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_REQUIRED, *_OPTIONAL))
        for split, records in splits.items():
            for record in records:
                time = "" if record.frame is None else record.frame
                writer.writerow((place(record), record.pid, record.camid, split, time, record.domain))


def _recognise(root: Path) -> bool:
    return find_manifest(root) is not None


def _scan(root: Path) -> Scan:
    table = find_manifest(root)
    if table is None:
        raise DataError(f'"{shown(root)}" holds none of {listing(MANIFEST_NAMES)}.')
    return scan_manifest(table, MANIFEST.name)


MANIFEST = Layout(
    name="manifest",
    title="a manifest",
    aliases=("csv", "parquet"),
    folders=(),
    needs="manifest.csv or manifest.parquet (columns path, pid, camid, split, if wanted time and domain), or that file itself",
    source="",
    scan=_scan,
    recognise=_recognise,
)
