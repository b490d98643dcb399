"""Any data set in the layout of Market-1501: `bounding_box_train`, `query`, `bounding_box_test`, names like ``12_c3...``.

The layout that most tools of the field write and read. The readers of Market-1501, DukeMTMC-reID and CUHK03-NP stand on this one.
"""

from __future__ import annotations

import re
from pathlib import Path

from passerby.datasets.layouts import Fault, Layout, NameRule, Scan, parse_folder, reid_data
from passerby.datasets.walking import image_files, shown
from passerby.errors import listing
from passerby.records import Record, Split

__all__ = ["FOLDERS", "MARKET_STYLE", "RULE", "has_market_folders", "holds_names", "scan_market_folders"]

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
MULTI_QUERY_FOLDER = "gt_bbox"
RULE = NameRule(
    title="a data set in Market-1501 layout",
    pattern=re.compile(r"(?P<pid>-?\d+)_c(?P<cam>\d+)(?!\d)(?:s\d+_|_f?)?(?P<frame>\d+)?"),
    example="0002_c1s1_000451_03.jpg",
    cameras=None,
)


def has_market_folders(root: Path) -> bool:
    """Whether at least one folder of the layout that no other layout has is there."""
    return any((root / FOLDERS[subset]).is_dir() for subset in ("train", "gallery"))


def holds_names(root: Path, rule: NameRule) -> bool:
    """Whether the folders of the layout are there with names of this rule, or with no image yet."""
    if not has_market_folders(root):
        return False
    folders = [root / folder for folder in FOLDERS.values()]
    return rule.fits(*folders) or not any(image_files(folder, 1) for folder in folders)


def scan_market_folders(root: Path, name: str, rule: NameRule, domain: str, *, all_needed: bool = True) -> Scan:
    """Read the three folders, and `gt_bbox` where there is one, by `rule`; one's own data may do without some of them."""
    splits: dict[str, Split] = {}
    faults: list[Fault] = []
    needed = [folder for folder in FOLDERS.values() if all_needed or (root / folder).is_dir()]
    missing = [folder for folder in needed if not image_files(root / folder, 1)]
    if missing:
        faults.append(Fault("missing-folders", _missing_text(root, missing, rule)))
    for subset, folder in FOLDERS.items():
        records, found = parse_folder(root / folder, rule, domain)
        splits[subset] = Split(tuple(records))
        faults += found
    multi, found = _multi_query(root, rule, domain, splits["query"])
    data = reid_data(name, {**splits, "multi_query": multi})
    return Scan(data, tuple(faults + found))


def _missing_text(root: Path, missing: list[str], rule: NameRule) -> str:
    return (
        f'no images in {listing(missing)} of "{shown(root)}": {rule.title} has {listing(FOLDERS.values())}. '
        "Unpack it again, or give the folder that holds these three."
    )


def _multi_query(root: Path, rule: NameRule, domain: str, query: Split) -> tuple[Split, list[Fault]]:
    """Images in `gt_bbox` of a query's person and camera; the folder also holds the training people."""
    wanted = {(record.pid, record.camid) for record in query}
    records, faults = parse_folder(root / MULTI_QUERY_FOLDER, rule, domain)

    def belongs(record: Record) -> bool:
        return (record.pid, record.camid) in wanted

    return Split(tuple(filter(belongs, records))), faults


def _scan(root: Path) -> Scan:
    return scan_market_folders(root, MARKET_STYLE.name, RULE, root.absolute().name, all_needed=False)


MARKET_STYLE = Layout(
    name="market-style",
    title="a data set in Market-1501 layout",
    aliases=("market-layout",),
    folders=(),
    needs="bounding_box_train, query and bounding_box_test, and names like 0002_c1s1_000451_03.jpg",
    source="",
    scan=_scan,
    recognise=has_market_folders,
)
