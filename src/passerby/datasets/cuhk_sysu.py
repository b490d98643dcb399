"""CUHK-SYSU for re-identification: 11,934 people cut out of street pictures and film stills. All of it is training.

The release is one of person search: whole pictures in ``Image/SSM`` and boxes in ``annotation/Person.mat``. They are cut here,
once, into ``cropped_image``, under the names that the field's MATLAB script gives; a folder of that script's is read as it is.

Source: Xiao et al., Joint Detection and Identification Feature Learning for Person Search, CVPR 2017.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from passerby.datasets.images import read_image
from passerby.datasets.layouts import Counts, Fault, Layout, Scan
from passerby.datasets.matlab import reading_matlab
from passerby.datasets.unpacking import made_once, place_for
from passerby.datasets.walking import image_files, shown
from passerby.errors import DataError, listing
from passerby.records import Record, ReidData, Split

__all__ = ["CUHK_SYSU", "boxes_of", "cropped"]

CROPS = "cropped_image"
ANNOTATION = Path("annotation") / "Person.mat"
PICTURES = Path("Image") / "SSM"
_NAME = re.compile(r"p(?P<pid>\d+)_n(?P<number>\d+)_s(?P<scene>\d+)_hard(?P<hard>\d)")


def boxes_of(root: Path) -> Iterator[tuple[int, int, str, tuple[int, int, int, int], bool]]:
    """(person, number of the appearance from 1, picture, (left, top, right, bottom) as PIL has it, whether it is hard).

    Boxes are x, y, w, h from pixel 1 and include the pixel at x + w and y + h.

    Raises:
        DataError: the annotation is no MATLAB file, or lacks a field.
    """
    from scipy.io import loadmat

    path = root / ANNOTATION
    with reading_matlab(path, "an annotation of CUHK-SYSU"):
        people = np.atleast_1d(loadmat(path, squeeze_me=True, struct_as_record=False)["Person"])
        for person in people:
            for number, scene in enumerate(np.atleast_1d(person.scene), 1):
                x, y, w, h = (round(float(value)) for value in np.ravel(scene.idlocate))
                yield (
                    int(str(person.idname).lstrip("p")),
                    number,
                    str(scene.imname),
                    (x - 1, y - 1, x + w, y + h),
                    bool(scene.ishard),
                )


def cropped(root: Path) -> Path:
    """The folder of crops, made on first use, beside the pictures or under `PASSERBY_CACHE`.

    Raises:
        DataError: a picture that the annotation names is absent, or the folder cannot be written.
    """
    if (root / CROPS).is_dir():
        return root / CROPS
    return made_once(place_for("cuhk-sysu", root, root / ANNOTATION) / CROPS, CUHK_SYSU.title, lambda: _crops(root))


def _crops(root: Path) -> Iterator[tuple[str, Any]]:
    rows = sorted(boxes_of(root), key=lambda row: row[2])  # every picture is decoded once
    absent = sorted({row[2] for row in rows if not (root / PICTURES / row[2]).is_file()})
    if absent:
        raise DataError(
            f'{ANNOTATION} names {len(absent)} pictures that "{shown(root / PICTURES)}" does not hold: {listing(absent)}. '
            "Unpack the release again."
        )
    opened, picture = "", None
    for pid, number, name, box, hard in rows:
        if picture is None or name != opened:
            opened, picture = name, read_image(root / PICTURES / name)
        left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(picture.width, box[2]), min(picture.height, box[3])
        if left >= right or top >= bottom:
            raise DataError(f"{ANNOTATION} has a box outside {name} ({picture.width}x{picture.height} px): {box}.")
        scene = int(re.sub(r"\D", "", Path(name).stem))
        yield f"p{pid:05d}_n{number:02d}_s{scene:05d}_hard{int(hard)}.png", picture.crop((left, top, right, bottom))


def _recognise(root: Path) -> bool:
    return (root / ANNOTATION).is_file() or any(_NAME.fullmatch(path.stem) for path in image_files(root / CROPS, 5))


def _scan(root: Path) -> Scan:
    if not (root / CROPS).is_dir() and not (root / PICTURES).is_dir():
        text = f'"{PICTURES}" missing from "{shown(root)}": the pictures that {ANNOTATION} cuts people out of. Or give {CROPS}.'
        return Scan(ReidData(CUHK_SYSU.name), (Fault("missing-folders", text),))
    records, misnamed = [], []
    for path in image_files(cropped(root)):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            misnamed.append(path.name)
        else:
            records.append(Record(path, int(match["pid"]), int(match["scene"]), CUHK_SYSU.name))
    faults = []
    if misnamed:
        text = f"misnamed in {CROPS}: {listing(misnamed)}: crops are named like p00001_n01_s00123_hard0.png."
        faults.append(Fault("misnamed-files", text))
    return Scan(ReidData(CUHK_SYSU.name, train=Split(tuple(records))), tuple(faults))


CUHK_SYSU = Layout(
    name="cuhk-sysu",
    title="CUHK-SYSU",
    aliases=("CS", "cuhksysu"),
    folders=("CUHK-SYSU", "cuhk-sysu", "cuhk_sysu", "CUHK-SYSU_nomacosx"),
    needs=f"{ANNOTATION} and {PICTURES}, or {CROPS}",
    source="Ask its authors for it (Tong Xiao and others; The Chinese University of Hong Kong).",
    scan=_scan,
    recognise=_recognise,
    expected={"train": Counts(34_574, 11_934, None)},
)
