"""MSMT17: 4,101 people, fifteen cameras, four list files. V2 is V1 with blurred faces and other folder names.

The lists count people from 0, in training and test alike. Here 0 means distractor and one number means one person, so training
people are numbered 1 to 1,041 (number in the list + 1) and test people follow from 1,042 (number in the list + 1,042).

Source: Wei et al., Person Transfer GAN to Bridge Domain Gap for Person Re-Identification, CVPR 2018.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from passerby.datasets.layouts import Counts, Fault, Layout, NameRule, Scan, absent_fault, duplicate_paths, parse_names, reid_data
from passerby.datasets.walking import absent, is_clutter, shown, subfolders
from passerby.errors import listing
from passerby.records import Split

__all__ = ["MSMT17", "MSMT17_TRAINVAL", "MSMT17_V2", "MSMT17_V2_TRAINVAL", "RULE"]

RULE = NameRule(
    title="MSMT17",
    pattern=re.compile(r"(?P<pid>\d{4})_\d{3}_(?P<cam>\d{2})_\d+[a-z]+_(?P<frame>\d+)"),
    example="0000_000_01_0303morning_0015_0.jpg",
    cameras=15,
)
_DOMAIN = "msmt17"
_V1, _V2 = ("train", "test"), ("mask_train_v2", "mask_test_v2")
_LISTS = {"train": "list_train.txt", "val": "list_val.txt", "query": "list_query.txt", "gallery": "list_gallery.txt"}
_TRAIN_PERSONS = 1_041
_LINE = re.compile(r"(?P<path>.*\S)\s+(?P<pid>\d{1,18})\s*")


def _recognise(folders: tuple[str, str], root: Path) -> bool:
    if not any((root / folder).is_dir() for folder in folders):
        return False
    if any((root / name).is_file() for name in _LISTS.values()):
        return True
    persons = [person for folder in folders for person in subfolders(root / folder)[:3]]
    return RULE.fits(*persons)


def _scan(folders: tuple[str, str], name: str, merge_val: bool, root: Path) -> Scan:
    splits: dict[str, Split] = {}
    faults: list[Fault] = []
    lists_missing = [list_name for list_name in _LISTS.values() if not (root / list_name).is_file()]
    if lists_missing:
        text = (
            f'{listing(lists_missing)} missing from "{shown(root)}": MSMT17 keeps its split in {listing(_LISTS.values())}. '
            "Some copies lack them; take them from the original archive."
        )
        faults.append(Fault("missing-lists", text))
    for subset, list_name in _LISTS.items():
        trains = subset in ("train", "val")
        if list_name in lists_missing:
            splits[subset] = Split()
            continue
        images = root / folders[0 if trains else 1]
        splits[subset], found = _read_list(root / list_name, images, 1 if trains else 1 + _TRAIN_PERSONS)
        faults += found
    if merge_val:
        splits["train"] = Split(tuple(sorted(splits["train"].records + splits.pop("val").records, key=lambda r: r.path)))
    return Scan(reid_data(name, splits), tuple(faults))


def _read_list(path: Path, images: Path, first_pid: int) -> tuple[Split, list[Fault]]:
    """Read lines of `RELATIVE_PATH PID`; the camera comes from the file name."""
    listed: dict[Path, int] = {}
    rows, broken = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            broken += [f'line {number} "{shown(line[:60])}"'] if line.strip() else []
        elif not any(map(is_clutter, Path(match["path"]).parts)):
            image = images / match["path"]
            rows.append(image)
            listed[image] = first_pid + int(match["pid"])
    faults = absent_fault(path.name, list(listed), images.parent)
    if broken:
        faults.append(Fault("broken-list", f"{path.name}, {listing(broken)}: a line of MSMT17 is a path, a blank and a number."))
    faults += duplicate_paths(rows, path.name)
    gone = set(absent(listed)) if faults else set()
    records, misfits = parse_names(sorted(set(listed) - gone), RULE, _DOMAIN, images)
    return Split(tuple(replace(record, pid=listed[record.path]) for record in records)), faults + misfits


_TEST = {"query": Counts(11_659, 3_060, 15), "gallery": Counts(82_161, 3_060, 15)}
_SEPARATE = {"train": Counts(30_248, 1_041, 15), "val": Counts(2_373), **_TEST}
_MERGED = {"train": Counts(32_621, 1_041, 15), **_TEST}

MSMT17 = Layout(
    name="msmt17",
    title="MSMT17",
    aliases=("msmt", "MSMT17_V1", "msmt17-v1"),
    folders=("MSMT17_V1", "MSMT17", "msmt17", "msmt"),
    needs="train, test, list_train.txt, list_val.txt, list_query.txt and list_gallery.txt",
    source="Sign the agreement of its authors for it (Shiliang Zhang's group, Peking University).",
    scan=partial(_scan, _V1, "msmt17", False),
    recognise=partial(_recognise, _V1),
    expected=_SEPARATE,
    causes={("train", 32_621): "list_val.txt was merged into list_train.txt"},
)
MSMT17_TRAINVAL = replace(
    MSMT17,
    name="msmt17-trainval",
    title="MSMT17 (train + val)",
    aliases=("msmt-trainval", "MSMT17_V1-trainval"),
    scan=partial(_scan, _V1, "msmt17-trainval", True),
    expected=_MERGED,
    causes={("train", 30_248): "list_val.txt is empty"},
)
MSMT17_V2 = replace(
    MSMT17,
    name="msmt17-v2",
    title="MSMT17 V2",
    aliases=("msmt-v2",),
    folders=("MSMT17_V2", *MSMT17.folders),
    needs="mask_train_v2, mask_test_v2, list_train.txt, list_val.txt, list_query.txt and list_gallery.txt",
    scan=partial(_scan, _V2, "msmt17-v2", False),
    recognise=partial(_recognise, _V2),
)
MSMT17_V2_TRAINVAL = replace(
    MSMT17_V2,
    name="msmt17-v2-trainval",
    title="MSMT17 V2 (train + val)",
    aliases=("msmt-v2-trainval",),
    scan=partial(_scan, _V2, "msmt17-v2-trainval", True),
    expected=_MERGED,
    causes=MSMT17_TRAINVAL.causes,
)
