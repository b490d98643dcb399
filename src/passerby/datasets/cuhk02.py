"""CUHK02: 1,816 people, five pairs of cameras, two images a person and camera. All of it is training.

Source: Li and Wang, Locally Aligned Feature Transforms across Views, CVPR 2013.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Counts, Fault, Layout, Scan, missing_folders
from passerby.datasets.walking import image_files, shown, subfolders
from passerby.errors import listing
from passerby.records import Record, ReidData, Split

__all__ = ["CUHK02"]

_PAIRS = tuple(f"P{number}" for number in range(1, 6))
_CAMERAS = ("cam1", "cam2")
_NAME = re.compile(r"(?P<pid>\d+)_\w+")
_LIKELY = re.compile(r"\d{1,4}_\w+")  # no date in front


def _recognise(root: Path) -> bool:
    """By a name that fits: folders P1/cam1 alone may be somebody's first car park."""
    folders = (root / pair / camera for pair in _PAIRS for camera in _CAMERAS)
    return any(_LIKELY.fullmatch(path.stem) for folder in folders if folder.is_dir() for path in image_files(folder, 20))


def _scan(root: Path) -> Scan:
    records, misnamed = [], []
    needed = [f"{pair}/{camera}" for pair in _PAIRS for camera in _CAMERAS]
    faults = missing_folders(root, needed, CUHK02.title)
    for place, folder in enumerate(needed):
        for path in image_files(root / folder):
            match = _NAME.fullmatch(path.stem)
            if match is None:
                misnamed.append(f"{folder}/{path.name}")
            else:
                records.append(Record(path, 10_000 * (place // 2 + 1) + int(match["pid"]), place, CUHK02.name))
    if misnamed:
        text = f'misnamed in "{shown(root)}": {listing(misnamed)}: {CUHK02.title} names its images like P1/cam1/001_0012.png.'
        faults.append(Fault("misnamed-files", text))
    if not records and not faults:
        faults.append(Fault("no-images", f'no image in the folders of "{shown(root)}", which has {listing(subfolders(root))}.'))
    return Scan(ReidData(CUHK02.name, train=Split(tuple(records))), tuple(faults))


CUHK02 = Layout(
    name="cuhk02",
    title="CUHK02",
    aliases=("C2",),
    folders=("cuhk02", "CUHK02", "Dataset"),
    needs="P1 to P5, each with cam1 and cam2",
    source="Ask its owners for it (The Chinese University of Hong Kong, Multimedia Laboratory).",
    scan=_scan,
    recognise=_recognise,
    expected={"train": Counts(7_264, 1_816, 10)},
)
