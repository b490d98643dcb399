"""QMUL i-LIDS: 476 images of 119 people in an airport, two to eight each; ten shipped random splits.

The number after a person's counts images, not cameras. It stands as the camera here, as in the published code, so that no image
is left out for coming from a query's own camera.

Source: Zheng, Gong and Xiang, Associating Groups of People, BMVC 2009.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Fault, Layout, Scan
from passerby.datasets.small_trials import trial_list, two_images
from passerby.datasets.trial_data import data_of_trials
from passerby.datasets.walking import image_files, shown
from passerby.errors import listing
from passerby.records import Record, ReidData, Split, Trial

__all__ = ["ILIDS"]

_PEOPLE = 119
_MOST = 20  # images of a person; i-LIDS has 8 at most
_NAME = re.compile(r"(?P<pid>\d{4})(?P<index>\d{3})")


def _folder(root: Path) -> Path:
    return next(
        (path for path in (root / "images", root / "i-LIDS_Pedestrian" / "Persons", root / "Persons") if path.is_dir()), root
    )


def _recognise(root: Path) -> bool:
    """By most of the first names; numbered frames have seven digits too, but show nobody (0000001), or far more than `_MOST`."""
    found = [_NAME.fullmatch(path.stem) for path in image_files(_folder(root), 20)]
    likely = [match for match in found if match and int(match["pid"]) and 1 <= int(match["index"]) <= _MOST]
    return 2 * len(likely) > len(found)


def _scan(root: Path) -> Scan:
    people: dict[int, list[Record]] = {}
    misnamed = []
    for path in image_files(_folder(root)):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            misnamed.append(path.name)
        else:
            pid = int(match["pid"])
            people.setdefault(pid, []).append(Record(path, pid, max(0, int(match["index"]) - 1), ILIDS.name))
    faults = []
    if misnamed:
        text = f'misnamed in "{shown(_folder(root))}": {listing(misnamed)}: i-LIDS names its images like 0001002.jpg.'
        faults.append(Fault("misnamed-files", text))
    few = sorted(pid for pid, own in people.items() if len(own) < 2)
    if len(people) != _PEOPLE or few:
        what = f"{len(people)} people" + (f", {len(few)} of them with one image ({listing(few)})" if few else "")
        text = f'"{shown(root)}" shows {what}: the trials are made for {_PEOPLE} people of two images or more. Is the copy whole?'
        return Scan(ReidData(ILIDS.name), (*faults, Fault("absent-people", text)))
    order = sorted(people)
    trials = [_trial(f"{number}", people, order, rows) for number, rows in enumerate(trial_list("ilids"), 1)]
    return Scan(data_of_trials(ILIDS.name, trials, "i-LIDS: ten random splits shipped with passerby"), tuple(faults))


def _trial(name: str, people: dict[int, list[Record]], order: list[int], rows: list[list[int]]) -> Trial:
    query, gallery = [], []
    for person, first, second in rows:
        own = people[order[person]]
        one, other = two_images(len(own), first, second)
        query.append(own[one])
        gallery.append(own[other])
    test = {record.pid for record in query}
    train = tuple(record for pid, own in people.items() if pid not in test for record in own)
    return Trial(name, query=Split(tuple(query)), gallery=Split(tuple(gallery)), train=Split(train))


ILIDS = Layout(
    name="ilids",
    title="QMUL i-LIDS",
    aliases=("i-lids", "qmul-ilids"),
    folders=("QMUL-iLIDS", "ilids", "i-LIDS", "QMUL_iLIDS"),
    needs="images named PPPPNNN.jpg, in it or in images",
    source="Ask its owners for it (Queen Mary University of London).",
    scan=_scan,
    recognise=_recognise,
)
