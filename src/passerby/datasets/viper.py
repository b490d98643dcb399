"""VIPeR: 632 people, one image from each of two cameras; ten splits in halves, each read four ways: 1a to 10d.

Training on one half, testing on the other: ``a`` searches the second half's first camera in its second; ``b`` does so in the
first half; ``c`` and ``d`` search the other way round. Split folders that the field's MATLAB script made are read as they are;
from the release the same splits are made here.

Source: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and Tracking, PETS 2007.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Fault, Layout, Scan, missing_folders
from passerby.datasets.small_trials import trial_list
from passerby.datasets.trial_data import absent_people, data_of_trials
from passerby.datasets.walking import image_files, shown, subfolders
from passerby.errors import listing
from passerby.records import Record, ReidData, Split, Trial

__all__ = ["VIPER"]

_FOLDERS = ("cam_a", "cam_b")
_PEOPLE = 632
_RELEASE_NAME = re.compile(r"(?P<pid>\d+)_\d+")  # 001_45.bmp: person and angle
_SPLIT_NAME = re.compile(r"p(?P<pid>\d+)_c(?P<cam>[12])_d\d+")
_SPLIT = re.compile(r"split_(\d+)([abcd])")


def _splits(root: Path) -> list[Path]:
    found = [path for path in subfolders(root) if _SPLIT.fullmatch(path.name)]
    return sorted(found, key=lambda path: (int(path.name[6:-1]), path.name[-1]))


def _base(root: Path) -> Path:
    return root / "VIPeR" if (root / "VIPeR" / _FOLDERS[0]).is_dir() else root


def _recognise(root: Path) -> bool:
    if _splits(root):
        return True
    folders = [_base(root) / folder for folder in _FOLDERS]
    return all(any(_RELEASE_NAME.fullmatch(path.stem) for path in image_files(folder, 5)) for folder in folders)


def _scan(root: Path) -> Scan:
    return _scan_splits(root) if _splits(root) else _scan_release(root)


def _scan_release(root: Path) -> Scan:
    base = _base(root)
    faults = missing_folders(base, _FOLDERS, VIPER.title)
    cameras: list[dict[int, Record]] = []
    for camid, folder in enumerate(_FOLDERS):
        found = [(_RELEASE_NAME.fullmatch(path.stem), path) for path in image_files(base / folder)]
        wrong = [path.name for match, path in found if match is None]
        if wrong:
            text = f'misnamed in "{shown(base / folder)}": {listing(wrong)}: VIPeR names its images like 001_45.bmp.'
            faults.append(Fault("misnamed-files", text))
        # Person 0 exists: numbers move up by one, 0 being kept for distractors.
        cameras.append({int(m["pid"]): Record(path, int(m["pid"]) + 1, camid, VIPER.name) for m, path in found if m})
    if faults:
        return Scan(ReidData(VIPER.name), tuple(faults))
    one, two = cameras
    faults = absent_people("the release of VIPeR", one.keys() | two.keys(), one.keys() & two.keys())
    people = sorted(one.keys() & two.keys())
    if not faults and len(people) != _PEOPLE:
        text = (
            f'"{shown(base)}" shows {len(people)} people, VIPeR has {_PEOPLE}: the splits are made for these. Is the copy whole?'
        )
        faults.append(Fault("absent-people", text))
    trials = (
        [] if faults else [trial for n, row in enumerate(trial_list("viper"), 1) for trial in _four(n, row, people, one, two)]
    )
    return Scan(data_of_trials(VIPER.name, trials, f"{_NOTE}; {_MADE_HERE}"), tuple(faults))


def _four(number: int, row: list[int], people: list[int], one: dict[int, Record], two: dict[int, Record]) -> list[Trial]:
    order = [people[i] for i in row]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    found = []
    for letter, test, query, gallery in (("a", 1, one, two), ("b", 0, one, two), ("c", 1, two, one), ("d", 0, two, one)):
        own, others = sorted(halves[test]), sorted(halves[1 - test])
        found.append(
            Trial(
                f"{number}{letter}",
                query=Split(tuple(query[person] for person in own)),
                gallery=Split(tuple(gallery[person] for person in own)),
                train=Split(tuple(camera[person] for camera in (one, two) for person in others)),
            )
        )
    return found


def _scan_splits(root: Path) -> Scan:
    faults: list[Fault] = []
    trials = []
    for folder in _splits(root):
        faults += missing_folders(folder, ("train", "query", "gallery"), VIPER.title)
        parts = {}
        for part in ("train", "query", "gallery"):
            found = [(_SPLIT_NAME.fullmatch(path.stem), path) for path in image_files(folder / part)]
            wrong = [f"{folder.name}/{part}/{path.name}" for match, path in found if match is None]
            if wrong:
                faults.append(
                    Fault("misnamed-files", f"misnamed: {listing(wrong)}: split folders hold names like p001_c1_d045.png.")
                )
            records = [Record(path, int(m["pid"]) + 1, int(m["cam"]) - 1, VIPER.name) for m, path in found if m]
            parts[part] = Split(tuple(records))
        faults += absent_people(f"query of {folder.name}", parts["query"].pids.tolist(), parts["gallery"].pids.tolist())
        trials.append(Trial(folder.name.removeprefix("split_"), **parts))
    return Scan(data_of_trials(VIPER.name, trials, _NOTE), tuple(faults))


_NOTE = "VIPeR: splits 1a to 10d; published means are over 1a to 10a"
_MADE_HERE = "these are drawn as MATLAB's rng(0) does, which could be compared with MATLAB for short lists only"

VIPER = Layout(
    name="viper",
    title="VIPeR",
    aliases=(),
    folders=("VIPeR", "viper", "VIPeR.v1.0"),
    needs="cam_a and cam_b, or split_1a, split_1b ...",
    source="Ask its owners for it (University of California, Santa Cruz).",
    scan=_scan,
    recognise=_recognise,
)
