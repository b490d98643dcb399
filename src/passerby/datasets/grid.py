"""GRID: 250 people seen twice in a station, 775 people seen once, ten official partitions.

Source: Loy, Xiang and Gong, Multi-Camera Activity Correlation Analysis, CVPR 2009 (QMUL underGround Re-IDentification).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from passerby.datasets.layouts import Fault, Layout, NameRule, Scan, missing_folders, parse_folder
from passerby.datasets.matlab import reading_matlab
from passerby.datasets.trial_data import absent_people, data_of_trials
from passerby.datasets.walking import shown
from passerby.records import Record, ReidData, Split, Trial

__all__ = ["GRID"]

PARTITIONS = "features_and_partitions.mat"
_FOLDERS = ("probe", "gallery")
_TRAINING_IDS = 2  # the third field of each partition


def _rule() -> NameRule:
    import re

    return NameRule("GRID", re.compile(r"(?P<pid>\d+)_(?P<cam>\d+)_"), "0001_1_25004_107_32_106_221.jpeg", cameras=None)


def partitions(root: Path) -> list[set[int]]:
    """The training people of each official partition.

    Raises:
        DataError: the file is no MATLAB file, or holds something else.
    """
    from scipy.io import loadmat

    path = root / PARTITIONS
    with reading_matlab(path, "a file of GRID"):
        found: Any = loadmat(path)["trainIdxAll"][0]
        return [{int(number) for number in np.ravel(partition[0][0][_TRAINING_IDS])} for partition in found]


def _recognise(root: Path) -> bool:
    return all((root / folder).is_dir() for folder in _FOLDERS) and (
        (root / PARTITIONS).is_file() or _rule().fits(*(root / folder for folder in _FOLDERS))
    )


def _scan(root: Path) -> Scan:
    faults = missing_folders(root, _FOLDERS, GRID.title)
    if not (root / PARTITIONS).is_file():
        text = (
            f'{PARTITIONS} missing from "{shown(root)}": it holds the ten official partitions, without which no number could be '
            "compared. It comes with the data set; put it beside probe and gallery."
        )
        faults.append(Fault("missing-lists", text))
    if faults:
        return Scan(ReidData(GRID.name), tuple(faults))
    (probe, of_probe), (gallery, of_gallery) = (parse_folder(root / folder, _rule(), GRID.name) for folder in _FOLDERS)
    trials = []
    there = {record.pid for record in probe} & {record.pid for record in gallery}
    lists = partitions(root)
    for number, training in enumerate(lists, 1):
        faults += absent_people(f"partition {number} of {PARTITIONS}", training, there)
        trials.append(_trial(f"{number}", probe, gallery, training))
    return Scan(data_of_trials(GRID.name, trials, "GRID: ten official partitions"), (*faults, *of_probe, *of_gallery))


def _trial(name: str, probe: list[Record], gallery: list[Record], training: Collection[int]) -> Trial:
    return Trial(
        name,
        query=Split(tuple(record for record in probe if record.pid not in training)),
        gallery=Split(tuple(record for record in gallery if record.pid not in training)),
        train=Split(tuple(record for record in (*probe, *gallery) if record.pid in training)),
    )


GRID = Layout(
    name="grid",
    title="GRID",
    aliases=("qmul-grid", "underground_reid"),
    folders=("GRID", "underground_reid", "QMUL-GRID"),
    needs=f"probe, gallery and {PARTITIONS}",
    source="Ask its owners for it (Queen Mary University of London).",
    scan=_scan,
    recognise=_recognise,
)
