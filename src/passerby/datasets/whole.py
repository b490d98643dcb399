"""All images of a data set as training images, for training on many data sets at once: nothing of it is left to test on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from passerby.datasets.cuhk03 import CUHK03_DETECTED, CUHK03_LABELED
from passerby.datasets.dukemtmc import DUKEMTMC
from passerby.datasets.layouts import Counts, Layout, Scan
from passerby.datasets.market1501 import MARKET1501
from passerby.datasets.msmt17 import MSMT17
from passerby.records import Record, ReidData, Split

__all__ = ["CUHK03_ALL_DETECTED", "CUHK03_ALL_LABELED", "DUKEMTMC_ALL", "MARKET1501_ALL", "MSMT17_ALL"]


def _whole(layout: Layout, name: str, aliases: tuple[str, ...], images: int | None, ids: int | None, cameras: int) -> Layout:
    """The variant of a data set in which every image of a person is for training; junk and distractors are left out."""

    def scan(root: Path) -> Scan:
        found = layout.scan(root)
        data = found.data
        parts = [data.train, data.val, data.query, data.gallery]
        parts += [split for trial in data.trials for split in (trial.train, trial.query, trial.gallery)]
        images: dict[Path, Record] = {record.path: record for split in parts for record in split if record.pid > 0}
        train = Split(tuple(images[path] for path in sorted(images)))
        note = f"{layout.title}: all images are training images, so no number on {layout.title} would mean anything"
        return Scan(ReidData(name, train=train, notes=(note,)), found.faults)

    expected = {"train": Counts(images, ids, cameras)} if images is not None else {}
    return replace(
        layout, name=name, title=f"{layout.title}, all images", aliases=aliases, scan=scan, typical=_never, expected=expected,
        causes={}, harmless=frozenset(),
    )  # fmt: skip


def _never(root: Path) -> bool:
    """A folder is its usual variant unless this one is asked for by name."""
    return False


MARKET1501_ALL = _whole(MARKET1501, "market1501-all", ("dg-market1501",), 29_419, 1_501, 6)
DUKEMTMC_ALL = _whole(DUKEMTMC, "dukemtmc-all", ("dg-dukemtmc",), 36_411, 1_812, 8)
CUHK03_ALL_DETECTED = _whole(CUHK03_DETECTED, "cuhk03-all-detected", ("C3", "dg-cuhk03-detected"), 14_097, 1_467, 2)
CUHK03_ALL_LABELED = _whole(CUHK03_LABELED, "cuhk03-all-labeled", ("dg-cuhk03-labeled",), None, None, 2)
MSMT17_ALL = _whole(MSMT17, "msmt17-all", ("MS", "dg-msmt17"), 126_441, 4_101, 15)
