"""CUHK03: 1,467 people, two views. Read from the release (`cuhk-03.mat`) or from the pre-extracted folder in Market-1501 layout.

Two protocols. The *new* one (767 training, 700 test people; Zhong et al., CVPR 2017) needs `cuhk03_new_protocol_config_*.mat`
beside the release. The *classic* one (Li et al., CVPR 2014) has 20 random splits of 100 test people; they are the `trials`, and
their query and gallery hold the same images, because the protocol draws its gallery anew from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from passerby.datasets.cuhk03_release import RELEASE, extracted, find_file, new_protocol, test_people
from passerby.datasets.layouts import Counts, Fault, Layout, NameRule, Scan, reid_data
from passerby.datasets.market_style import has_market_folders, holds_names, scan_market_folders
from passerby.datasets.walking import shown
from passerby.errors import listing
from passerby.records import Record, ReidData, Split, Trial

__all__ = ["CUHK03_DETECTED", "CUHK03_LABELED", "CUHK03_NP_DETECTED", "CUHK03_NP_LABELED", "RULE"]

Boxes = Literal["detected", "labeled"]
RULE = NameRule("CUHK03", re.compile(r"(?P<pid>\d+)_c(?P<cam>\d)(?![\ds]|_f)"), "0001_c1_1.png", cameras=2)
EXTRACTED = re.compile(r"\d+_\d+_[12]_\d+\.png")  # camera pair, person, view, image
_DOMAIN = "cuhk03"
_SUBSETS = ("train", "query", "gallery")


def config_name(boxes: Boxes) -> str:
    """The file that holds the new protocol."""
    return f"cuhk03_new_protocol_config_{boxes}.mat"


def _prepared_folder(boxes: Boxes, root: Path) -> Path | None:
    """The pre-extracted folder of these boxes: ``root/detected`` or ``root`` itself."""
    other = "labeled" if boxes == "detected" else "detected"
    if has_market_folders(root / boxes):
        return root / boxes
    return root if has_market_folders(root) and other not in root.name.lower() else None


def _recognise_new(boxes: Boxes, root: Path) -> bool:
    return find_file(root, RELEASE) is not None or _has_config(boxes, root) or _has_folders(boxes, root)


def _typical_new(boxes: Boxes, root: Path) -> bool:
    """Names like 0001_c1_1.png could be anybody's, so a folder of them must be called after the data set."""
    called = any("cuhk" in name.lower() for name in (root.name, root.parent.name))
    return _has_config(boxes, root) or (called and _has_folders(boxes, root))


def _has_folders(boxes: Boxes, root: Path) -> bool:
    folder = _prepared_folder(boxes, root)
    return folder is not None and holds_names(folder, RULE)


def _has_config(boxes: Boxes, root: Path) -> bool:
    return find_file(root, config_name(boxes)) is not None


def _recognise_classic(root: Path) -> bool:
    return find_file(root, RELEASE) is not None


def _scan_new(boxes: Boxes, name: str, root: Path) -> Scan:
    folder = _prepared_folder(boxes, root)
    if folder is not None and find_file(root, RELEASE) is None:
        return scan_market_folders(folder, name, RULE, _DOMAIN)
    missing = [wanted for wanted in (RELEASE, config_name(boxes)) if find_file(root, wanted) is None]
    if missing:
        text = (
            f'{listing(missing)} missing from "{shown(root)}": the new protocol needs {RELEASE} and {config_name(boxes)}. '
            "The first is the release of its owners, the second comes with the new protocol (Zhun Zhong and others)."
        )
        return Scan(ReidData(name), (Fault("missing-lists", text),))
    protocol = new_protocol(root, config_name(boxes))  # before the slow part, which it may spare
    images = extracted(root, boxes)
    splits: dict[str, Split] = {}
    faults: list[Fault] = []
    for subset, rows in protocol.items():
        paths = {image: images / f"{Path(image).stem}.png" for image, _ in rows}
        gone = {image for image, path in paths.items() if not (EXTRACTED.fullmatch(path.name) and path.is_file())}
        faults += _absent(config_name(boxes), gone, len(rows))
        splits[subset] = Split(tuple(sorted((_record(paths[i], pid) for i, pid in rows if i not in gone), key=_by_path)))
    return Scan(reid_data(name, splits), tuple(faults))


def _by_path(record: Record) -> Path:
    return record.path


def _absent(config: str, gone: Iterable[str], total: int) -> list[Fault]:
    names = sorted(gone)
    if not names:
        return []
    text = (
        f"{config} names {len(names)} of {total:,} images that {RELEASE} does not hold: {listing(names)}. "
        "Are both files of one release?"
    )
    return [Fault("absent-files", text)]


def _record(path: Path, pid: int | None = None) -> Record:
    """A record of an extracted image; without `pid` the person is camera pair and number: 10000 * pair + person."""
    pair, person, view, image = map(int, path.stem.split("_"))
    return Record(path, 10_000 * pair + person if pid is None else pid, view - 1, _DOMAIN, image)


def _scan_classic(boxes: Boxes, name: str, root: Path) -> Scan:
    folder = extracted(root, boxes)
    images = [_record(path) for path in sorted(folder.iterdir()) if EXTRACTED.fullmatch(path.name)]
    trials = []
    tests = test_people(root)
    for number, people in enumerate(tests, 1):
        held_out = {10_000 * pair + person for pair, person in people}
        test = Split(tuple(record for record in images if record.pid in held_out))
        train = Split(tuple(record for record in images if record.pid not in held_out))
        note = f"train, query and gallery are those of split {number} of {len(tests)}"
        trials.append(Trial(f"split {number}", query=test, gallery=test, train=train, note=note))
    first = trials[0]
    notes = (
        f"classic CUHK03 protocol: a result is the mean over {len(trials)} trials, each trained on its own people",
        first.note,
    )
    data = ReidData(name, train=first.train, query=first.query, gallery=first.gallery, trials=tuple(trials), notes=notes)
    return Scan(data)


def _counts(train: int, query: int, gallery: int) -> dict[str, Counts]:
    return dict(zip(_SUBSETS, (Counts(train, 767, 2), Counts(query, 700, 2), Counts(gallery, 700, 2)), strict=True))


def _layout(name: str, title: str, boxes: Boxes, aliases: tuple[str, ...], expected: dict[str, Counts], *, new: bool) -> Layout:
    release = f"{RELEASE} and {config_name(boxes)}" if new else RELEASE
    prepared = f", or with {boxes}/bounding_box_train, {boxes}/query and {boxes}/bounding_box_test" if new else ""
    return Layout(
        name=name,
        title=title,
        aliases=aliases,
        folders=("CUHK03-NP", "cuhk03", "cuhk03_release", "cuhk03np", boxes)
        if new
        else ("cuhk03", "cuhk03_release", "CUHK03-NP"),
        needs=release + prepared,
        source="Ask its owners for it (The Chinese University of Hong Kong, Multimedia Laboratory).",
        scan=partial(_scan_new if new else _scan_classic, boxes, name),
        recognise=partial(_recognise_new, boxes) if new else _recognise_classic,
        typical=partial(_typical_new, boxes) if new else None,
        expected=expected,
    )


CUHK03_NP_DETECTED = _layout(
    "cuhk03-np-detected",
    "CUHK03-NP (detected)",
    "detected",
    ("cuhk03", "cuhk03-np", "cuhk03d"),
    _counts(7_365, 1_400, 5_332),
    new=True,
)
CUHK03_NP_LABELED = _layout(
    "cuhk03-np-labeled",
    "CUHK03-NP (labeled)",
    "labeled",
    ("cuhk03l", "cuhk03-np-labelled"),
    _counts(7_368, 1_400, 5_328),
    new=True,
)
CUHK03_DETECTED = _layout("cuhk03-classic-detected", "CUHK03 (detected)", "detected", ("cuhk03-detected",), {}, new=False)
CUHK03_LABELED = _layout("cuhk03-classic-labeled", "CUHK03 (labeled)", "labeled", ("cuhk03-labeled",), {}, new=False)
