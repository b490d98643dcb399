"""Look at a folder, name its data set, count it, and say what an evaluation on it will mean."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from passerby.datasets.consequences import Finding, consequences
from passerby.datasets.contents import cloud_findings, content_findings, look_at_clouds, look_at_images, mesh_findings
from passerby.datasets.counts import differences, split_counts
from passerby.datasets.layouts import Counts, Fault, Layout, Scan
from passerby.datasets.registry import DATASETS, find_root, locate, resolve, scan_root
from passerby.datasets.walking import shown
from passerby.errors import DataError
from passerby.records import DISTRACTOR_PID, JUNK_PID, ReidData, Split

__all__ = ["CheckReport", "Sample", "Subset", "check"]

_NO_PROBLEM = {"not-prepared"}


@dataclass(frozen=True)
class Sample:
    """How one file name was read."""

    subset: str
    file: str
    pid: int
    camid: int
    frame: int | None
    domain: str


@dataclass(frozen=True)
class Subset:
    """One row of the table: counts, and those of the public release where they are known.

    `ids` counts persons; `junk` (-1) and `distractors` (0) are images.
    """

    name: str
    images: int
    ids: int
    cameras: int
    junk: int
    distractors: int
    expected: Counts | None


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes:
        dataset: canonical name.
        title: the name as people write it.
        path: the folder of the data set.
        samples: one parsed file name a subset.
        subsets: the table.
        trials: number of repeated random splits.
        decoded: number of images that were opened; 0 in a quick check.
        clouds: number of clouds that were read, 0 in a quick check; None where the data set has none.
        findings: problems first, then consequences, then notes.
        notes: what must be said beside every number from this data.
    """

    dataset: str
    title: str
    path: Path
    samples: tuple[Sample, ...]
    subsets: tuple[Subset, ...]
    trials: int
    decoded: int
    clouds: int | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that make a number wrong or impossible."""
        return tuple(finding for finding in self.findings if finding.severity == "problem")

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "path": shown(self.path)}


def check(path: str | os.PathLike[str] | None = None, name: str | None = None, *, quick: bool = False) -> CheckReport:
    """Check a data set.

    Args:
        path: its folder, or one that holds it; default: the folder in `PASSERBY_DATA`.
        name: any name of the data set; default: what the folder looks like.
        quick: open no image and no cloud; zero bytes are still found, damaged files, equal pictures and clouds of unequal
            numbers of points are not.

    Returns:
        The report; its `problems` are what makes a number wrong.

    Raises:
        DataError: there is nothing to check: no folder, or no data set in it.
        UsageError: an unknown name, or no folder given.
    """
    if name is None:
        layout, root = locate(path)
    else:
        layout = DATASETS[resolve(name)]
        root = find_root(layout, path)
    scan = _scan(layout, root)
    looks = look_at_images(scan.data, quick=quick)
    clouds = look_at_clouds(scan.data, quick=quick)
    findings = [
        *(Finding(f.kind, "consequence" if f.kind in _NO_PROBLEM else "problem", f.text, 1) for f in scan.faults),
        *content_findings(scan.data, looks),
        *cloud_findings(clouds),
        *mesh_findings(scan.data),
        *consequences(scan.data),
        *_count_findings(layout, scan.data),
    ]
    order = ["problem", "consequence", "note"]
    return CheckReport(
        dataset=layout.name,
        title=layout.title,
        path=root,
        samples=tuple(_sample(subset, split, root) for subset, split in scan.data.splits().items()),
        subsets=_table(layout, scan.data),
        trials=len(scan.data.trials),
        decoded=sum(bool(look.digest) for look in looks),
        clouds=sum(look.points > 0 for look in clouds) if clouds else None,
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
        notes=scan.data.notes,
    )


def _scan(layout: Layout, root: Path) -> Scan:
    """Scan; where nothing at all can be read, that is the one fault."""
    try:
        return scan_root(layout, root)
    except DataError as error:
        return Scan(ReidData(layout.name), (Fault("unreadable", str(error)),))


def _count_findings(layout: Layout, data: ReidData) -> list[Finding]:
    """A changed test set changes the number; a changed training set changes what is learnt."""
    if not data.splits():
        return []
    return [
        Finding(
            "unexpected-counts",
            "note" if difference.harmless else "problem" if difference.subset in ("query", "gallery") else "consequence",
            difference.text + ".",
            1,
        )
        for difference in differences(layout, data)
    ]


def _sample(subset: str, split: Split, root: Path) -> Sample:
    record = split[0]
    file = os.path.relpath(record.path, root if root.is_dir() else root.parent)
    return Sample(subset, shown(file), record.pid, record.camid, record.frame, record.domain)


def _table(layout: Layout, data: ReidData) -> tuple[Subset, ...]:
    splits = data.splits()
    names = list(dict.fromkeys((*layout.expected, *splits)))
    rows = []
    for name in names:
        split = splits.get(name, Split())
        counts = split_counts(split)
        junk, distractors = (sum(record.pid == pid for record in split) for pid in (JUNK_PID, DISTRACTOR_PID))
        rows.append(
            Subset(name, counts.images, counts.ids or 0, counts.cameras or 0, junk, distractors, layout.expected.get(name))
        )
    return tuple(rows)
