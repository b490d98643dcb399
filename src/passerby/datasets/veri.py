"""VeRi-776: 776 vehicles, twenty cameras with three-digit numbers. Vehicles, not people: the protocol is the same.

Source: Liu et al., A Deep Learning-Based Approach to Progressive Vehicle Re-identification, ECCV 2016.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Counts, Fault, Layout, NameRule, Scan, absent_fault, duplicate_paths, parse_names, reid_data
from passerby.datasets.walking import image_files, is_clutter, shown
from passerby.errors import listing
from passerby.records import Split

__all__ = ["RULE", "VERI776"]

RULE = NameRule(
    title="VeRi-776",
    pattern=re.compile(r"(?P<pid>\d+)_c(?P<cam>\d{3})_(?P<frame>\d+)"),
    example="0002_c002_00030600_0.jpg",
    cameras=20,
)
_FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
_LISTS = {"train": "name_train.txt", "query": "name_query.txt", "gallery": "name_test.txt"}


def _recognise(root: Path) -> bool:
    return any((root / folder).is_dir() for folder in _FOLDERS.values())


def _scan(root: Path) -> Scan:
    splits: dict[str, Split] = {}
    faults: list[Fault] = []
    missing = [folder for folder in _FOLDERS.values() if not image_files(root / folder, 1)]
    if missing:
        text = f'no images in {listing(missing)} of "{shown(root)}": VeRi-776 has {listing(_FOLDERS.values())}. Unpack it again.'
        faults.append(Fault("missing-folders", text))
    for subset, folder in _FOLDERS.items():
        paths, found = _paths(root, root / folder, root / _LISTS[subset])
        records, misfits = parse_names(paths, RULE, VERI776.name, root / folder)
        splits[subset] = Split(tuple(records))
        faults += [*found, *misfits, *duplicate_paths(paths, _LISTS[subset])]
    return Scan(reid_data(VERI776.name, splits), tuple(faults))


def _paths(root: Path, folder: Path, name_list: Path) -> tuple[list[Path], list[Fault]]:
    """The images that the list names, or all of the folder where there is no list."""
    if not name_list.is_file():
        return image_files(folder), []
    names = name_list.read_text(encoding="utf-8", errors="replace").split()
    paths = [folder / name for name in names if not is_clutter(name)]
    faults = absent_fault(name_list.name, paths, root)
    there = set(image_files(folder)) if faults else set(paths)
    return sorted(path for path in paths if path in there), faults


VERI776 = Layout(
    name="veri776",
    title="VeRi-776",
    aliases=("veri", "veri-776"),
    folders=("VeRi", "VeRi-776", "veri776", "VeRi776"),
    needs="image_train, image_query and image_test",
    source="Ask its authors for it (Xinchen Liu and others, Beijing University of Posts and Telecommunications).",
    scan=_scan,
    recognise=_recognise,
    expected={"train": Counts(37_778, None, 20), "query": Counts(1_678, 200), "gallery": Counts(11_579, 200)},
    causes={
        ("train", 51_035): "train, query and gallery were merged: every number from this is made on training images",
        ("train", 49_357): "training and test images were merged: every number from this is made on training images",
    },
)
