"""PRID-2011, single shot: 200 people seen by two cameras, 549 more by the second one alone; ten shipped random splits.

Source: Hirzer et al., Person Re-Identification by Descriptive and Discriminative Classification, SCIA 2011.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Fault, Layout, Scan, missing_folders
from passerby.datasets.small_trials import trial_list
from passerby.datasets.trial_data import absent_people, data_of_trials
from passerby.datasets.walking import image_files, shown
from passerby.errors import listing
from passerby.records import Record, ReidData, Split, Trial

__all__ = ["PRID2011"]

_FOLDERS = ("cam_a", "cam_b")
_SHARED = 200
_NAME = re.compile(r"person_(?P<pid>\d+)")


def _base(root: Path) -> Path:
    return next((path for path in (root / "single_shot", root / "prid_2011" / "single_shot") if path.is_dir()), root)


def _recognise(root: Path) -> bool:
    folders = [_base(root) / folder for folder in _FOLDERS]
    return all(any(_NAME.fullmatch(path.stem) for path in image_files(folder, 5)) for folder in folders)


def _scan(root: Path) -> Scan:
    base = _base(root)
    faults = missing_folders(base, _FOLDERS, PRID2011.title)
    by_camera: list[dict[int, Record]] = []
    for camid, folder in enumerate(_FOLDERS):
        own, misnamed = {}, []
        for path in image_files(base / folder):
            match = _NAME.fullmatch(path.stem)
            if match is None:
                misnamed.append(path.name)
            else:
                # Only the first 200 are the same people in both cameras.
                pid = int(match["pid"])
                own[pid] = Record(path, pid if pid <= _SHARED else 1000 * (camid + 1) + pid, camid, PRID2011.name)
        if misnamed:
            text = f'misnamed in "{shown(base / folder)}": {listing(misnamed)}: PRID-2011 names its images like person_0001.png.'
            faults.append(Fault("misnamed-files", text))
        by_camera.append(own)
    if faults:
        return Scan(ReidData(PRID2011.name), tuple(faults))
    a, b = by_camera
    faults = absent_people("the list of PRID-2011", range(1, _SHARED + 1), a.keys() & b.keys())
    trials = [] if faults else [_trial(f"{n}", a, b, set(test)) for n, test in enumerate(trial_list("prid2011"), 1)]
    return Scan(data_of_trials(PRID2011.name, trials, "PRID-2011: ten random splits shipped with passerby"), tuple(faults))


def _trial(name: str, a: dict[int, Record], b: dict[int, Record], test: set[int]) -> Trial:
    others = [record for pid, record in b.items() if pid > _SHARED]
    return Trial(
        name,
        query=Split(tuple(a[pid] for pid in sorted(test))),
        gallery=Split((*(b[pid] for pid in sorted(test)), *others)),
        train=Split(tuple(camera[pid] for camera in (a, b) for pid in range(1, _SHARED + 1) if pid not in test)),
    )


PRID2011 = Layout(
    name="prid2011",
    title="PRID-2011",
    aliases=("prid", "prid_2011"),
    folders=("prid_2011", "prid2011", "PRID2011", "prid"),
    needs="single_shot/cam_a and single_shot/cam_b",
    source="Ask its owners for it (Austrian Institute of Technology).",
    scan=_scan,
    recognise=_recognise,
)
