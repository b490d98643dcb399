"""Market-1501: 1,501 people, six cameras, detected boxes, with junk (-1), distractors (0) and 500,000 more distractors if wanted.

Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from passerby.datasets.layouts import Counts, Fault, Layout, NameRule, Scan, parse_names
from passerby.datasets.market_style import RULE as MARKET_STYLE_RULE
from passerby.datasets.market_style import holds_names, scan_market_folders
from passerby.datasets.walking import images_below, shown
from passerby.errors import listing
from passerby.records import DISTRACTOR_PID, Split

__all__ = ["MARKET1501", "MARKET1501_500K", "RULE"]

RULE = NameRule(
    title="Market-1501",
    pattern=re.compile(r"(?P<pid>-?\d+)_c(?P<cam>\d+)s\d+_(?P<frame>\d+)_\d+"),
    example="0002_c1s1_000451_03.jpg",
    cameras=6,
)
_DISTRACTOR_RULE = replace(RULE, pattern=MARKET_STYLE_RULE.pattern)  # all that every tool of the field relies on
_DOMAIN = "market1501"
_DISTRACTOR_FOLDERS = ("images", "distractors_500k", "distractors")
_NAMES = ("Market-1501-v15.09.15", "market1501", "Market-1501", "market")


def _recognise(root: Path) -> bool:
    return holds_names(root, RULE)


def _scan(root: Path) -> Scan:
    return scan_market_folders(root, MARKET1501.name, RULE, _DOMAIN)


def _scan_500k(root: Path) -> Scan:
    scan = _scan(root)
    folder = next((root / name for name in _DISTRACTOR_FOLDERS if (root / name).is_dir()), None)
    images = images_below(folder) if folder else []
    if folder is None or not images:
        text = (
            f'no images in {listing(_DISTRACTOR_FOLDERS)} of "{shown(root)}": the 500,000 distractors are a download of '
            f"their own. Put them there, or use the name {MARKET1501.name}."
        )
        return replace(scan, faults=(*scan.faults, Fault("missing-folders", text)))
    records, faults = parse_names(images, _DISTRACTOR_RULE, _DOMAIN, folder)
    extra = tuple(replace(record, pid=DISTRACTOR_PID) for record in records)
    data = replace(scan.data, name=MARKET1501_500K.name, gallery=Split(scan.data.gallery.records + extra))
    return Scan(data, (*scan.faults, *faults))


_TRAIN_AND_QUERY = {"train": Counts(12_936, 751, 6), "query": Counts(3_368, 750, 6)}
_JUNK_REMOVED = ("gallery", 15_913)

MARKET1501 = Layout(
    name="market1501",
    title="Market-1501",
    aliases=("market", "M"),
    folders=_NAMES,
    needs="bounding_box_train, query and bounding_box_test",
    source="Ask its authors for it (Liang Zheng and others, then at Tsinghua University).",
    scan=_scan,
    recognise=_recognise,
    expected={**_TRAIN_AND_QUERY, "gallery": Counts(19_732, 750, 6)},
    causes={
        ("train", 12_185): "751 images, one a person, are probably set apart for validation",
        _JUNK_REMOVED: "the 3,819 junk images (pid -1) were removed; they never count, so the numbers are the same",
    },
    harmless=frozenset({_JUNK_REMOVED}),
)

MARKET1501_500K = replace(
    MARKET1501,
    name="market1501-500k",
    title="Market-1501 with 500k distractors",
    aliases=("market500k", "market-500k"),
    needs="bounding_box_train, query, bounding_box_test, and the distractors in images or distractors_500k",
    scan=_scan_500k,
    expected=_TRAIN_AND_QUERY,
)
