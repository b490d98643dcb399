"""The rendered street: folders that `passerby street render` made, one town or several beside each other (Street-v1).

A town's folder holds `street.json` (what was rendered), `manifest.jsonl` (one line a crop) and the images in Market-1501's
layout. The domain of a town is ``street-TOWN``. Where several towns are read together, person p of the n-th town (sorted by
name, from 1) becomes pid 10000 * n + p, so that no two people share a number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import passerby
from passerby.datasets.layouts import Fault, Layout, Scan, absent_fault, reid_data
from passerby.datasets.walking import shown, subfolders
from passerby.errors import DataError
from passerby.records import Record, Split

__all__ = ["STREET", "Passage", "passages"]

_HEADER, _MANIFEST, _FORMAT = "street.json", "manifest.jsonl", "passerby street 1"
_SUBSETS = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
_PIDS_A_TOWN = 10_000


@dataclass(frozen=True)
class Passage:
    """When a crop was taken: the second of the town's day, and the number of the person's way through the picture."""

    time_s: float
    track: int


def passages(records: Iterable[Record]) -> dict[Path, Passage]:
    """Path -> when it was taken, of images of rendered towns, from the manifests beside them.

    Raises:
        DataError: a manifest or header that is damaged, or does not list an image.
    """
    wanted = {record.path for record in records}
    found: dict[Path, Passage] = {}
    for folder in sorted({path.parent.parent for path in wanted}):
        lines, damage = _lines(folder, _header(folder))
        if damage:
            raise DataError(damage[0].text)
        for line in lines:
            found[folder / line["folder"] / line["name"]] = Passage(float(line["time_s"]), int(line["track"]))
    lost = sorted(wanted - set(found))
    if lost:
        raise DataError(f'"{shown(lost[0])}" is not in the {_MANIFEST} of its town.')
    return {path: found[path] for path in wanted}


def _towns(root: Path) -> list[Path]:
    """The town folders: the root itself, or those directly in it."""
    if (root / _HEADER).is_file():
        return [root]
    return [folder for folder in subfolders(root) if (folder / _HEADER).is_file()]


def _recognise(root: Path) -> bool:
    return bool(_towns(root))


def _scan(root: Path) -> Scan:
    splits: dict[str, list[Record]] = {subset: [] for subset in _SUBSETS.values()}
    faults: list[Fault] = []
    notes: list[str] = []
    towns = _towns(root)
    for number, folder in enumerate(towns, start=1):
        header = _header(folder)
        lines, damage = _lines(folder, header)
        faults += damage
        records = [_record(folder, header["town"], line, number if len(towns) > 1 else 0) for line in lines]
        missing = absent_fault(_MANIFEST, [record.path for _, record in records], folder)
        if missing:
            text = (
                f'"{shown(folder)}" is unfinished or damaged: {missing[0].text} Or run the same `passerby street render` again.'
            )
            faults.append(Fault(missing[0].kind, text))
        for subset, record in records:
            splits[subset].append(record)
        notes.append(_note(header))
    return Scan(reid_data(STREET.name, {name: Split(tuple(kept)) for name, kept in splits.items()}, tuple(notes)), tuple(faults))


def _header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise DataError(f'"{shown(path)}" has format "{content["format"]}": this version reads "{_FORMAT}".')
        return {"town": content["town"], "list_sha256": content["list_sha256"], **content}
    except (ValueError, KeyError, TypeError):
        raise DataError(f'"{shown(path)}" is damaged. Delete the folder and render it again.') from None


def _lines(folder: Path, header: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Fault]]:
    """The manifest, if it is the list that the header was written for."""
    path = folder / _MANIFEST
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    if hashlib.sha256("\n".join(lines).encode()).hexdigest() == header.get("list_sha256"):
        return [json.loads(line) for line in lines], []
    what = f"its {len(lines)} lines are not the list that {_HEADER} was written for" if lines else "it is missing or empty"
    text = f'"{shown(path)}" is corrupted: {what}. Delete it and run the same `passerby street render` again; images are kept.'
    return [], [Fault("corrupted-manifest", text)]


def _record(folder: Path, town: str, line: dict[str, Any], number: int) -> tuple[str, Record]:
    pid = line["pid"] + number * _PIDS_A_TOWN
    path = folder / line["folder"] / line["name"]
    return _SUBSETS[line["folder"]], Record(path, pid, line["camid"], f"street-{town}", line["frame"])


def _note(header: dict[str, Any]) -> str:
    town, people = header["town"], f"{header.get('train_ids')} + {header.get('test_ids')} people"
    for size, lists in _frozen()["lists"].items():
        if lists.get(town) == header["list_sha256"]:
            return f"Street-v1 {size}, {town}: rendered people, {people}, frozen list"
    return f"rendered people: town {town}, {people}, seed {header.get('seed')}; no part of Street-v1"


@lru_cache(maxsize=1)
def _frozen() -> dict[str, Any]:
    """The hashes of Street-v1, as the street itself pins them."""
    path = Path(passerby.__file__).parent / "street" / "street_v1.json"
    return json.loads(path.read_text(encoding="utf-8"))


STREET = Layout(
    name="street",
    title="the rendered street",
    aliases=("street-v1", "rendered-street"),
    folders=("street-v1", "street"),
    needs="street.json, manifest.jsonl, bounding_box_train, query and bounding_box_test, or with such folders in it",
    source="Make it with `passerby street render --town campus --out DIR`.",
    scan=_scan,
    recognise=_recognise,
)
