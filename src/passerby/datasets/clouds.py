"""People as clouds of points: the published trees `3D*+bg`, any other tree of that form, and the clouds of the rendered street.

A tree has `train_all` (or `train` and `val`), `query`, `gallery` and perhaps `multi-query`, each with one folder a person and in
it one cloud an image, named after it: `3DMarket+bg/query/0001/0001_c1s1_001051_00.jpg.obj`. Pids and cameras are read as those of
folders of images. In the published trees `train_all` is `train` and `val` in one, so where it is absent both are training images.

Source: layumi/person-reid-3d. The tree of MSMT17 counts people from 0, in training and test alike: here training people are their
number + 1, test people their number + 1,042, as in the reader of its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from passerby.datasets.cloud_files import CLOUD_SUFFIXES
from passerby.datasets.cuhk03 import CUHK03_NP_DETECTED
from passerby.datasets.dukemtmc import DUKEMTMC
from passerby.datasets.folder import folder_pids, named_cameras
from passerby.datasets.layouts import Counts, Fault, Layout, Scan, absent_fault, reid_data
from passerby.datasets.market1501 import MARKET1501
from passerby.datasets.msmt17 import MSMT17_TRAINVAL
from passerby.datasets.street import STREET
from passerby.datasets.walking import files_below, shown, subfolders
from passerby.records import Record, ReidData, Split

__all__ = ["CLOUDS", "CUHK03_3D", "DUKEMTMC_3D", "LIFTED", "MARKET1501_3D", "MSMT17_3D", "STREET_3D"]

LIFTED = "lift.json"
"""Beside a tree that `passerby lift` has made: how it was made."""

_SUBTREES = {"train": "train_all", "query": "query", "gallery": "gallery", "multi_query": "multi-query"}
_PARTS = {"train": "train", "val": "val"}  # where train_all is absent
_OTHERS = (
    f"the clouds were made by passerby lift ({LIFTED} says how) and are not the published ones: published figures are of other "
    "clouds"
)


@dataclass(frozen=True)
class _Tree:
    """What one published tree has of its own."""

    name: str
    domain: str = ""
    first_pids: Mapping[str, int] = field(default_factory=dict)


def _subtrees(root: Path) -> dict[str, Path]:
    named = _SUBTREES if (root / _SUBTREES["train"]).is_dir() else {**_SUBTREES, **_PARTS}
    return {subset: root / folder for subset, folder in named.items() if (root / folder).is_dir()}


def _recognise(root: Path) -> bool:
    return any(any(files_below(person, CLOUD_SUFFIXES)) for tree in _subtrees(root).values() for person in subfolders(tree)[:20])


def _scan(root: Path, tree: _Tree) -> Scan:
    people = {subset: subfolders(folder) for subset, folder in _subtrees(root).items()}
    numbers = folder_pids(person.name for persons in people.values() for person in persons)
    first = {} if (root / LIFTED).is_file() else tree.first_pids  # `passerby lift` writes the people's own numbers
    files = {
        subset: [(path, numbers[person.name] + first.get(subset, 0)) for person in persons for path in _clouds(person)]
        for subset, persons in people.items()
    }
    if tree.domain and "val" in files:
        files["train"] = _joined(files.get("train", []), files.pop("val"))
    cameras, notes, faults = named_cameras([path for rows in files.values() for path, _ in rows], root)
    domain = tree.domain or root.absolute().name
    splits = {
        subset: Split(tuple(Record(path, pid, cameras[path], domain) for path, pid in rows if path in cameras))
        for subset, rows in files.items()
    }
    if not any(files.values()):
        faults.append(Fault("no-clouds", f'no clouds (.obj, .ply, .npz) in the folders of "{shown(root)}". {_NEEDS}'))
    if tree.domain and (root / LIFTED).is_file():
        notes = [*notes, _OTHERS]
    data = reid_data(tree.name, splits, tuple(notes))
    return Scan(replace(data, multi_query=_of_queries(splits.get("multi_query", Split()), data)), tuple(faults))


def _clouds(person: Path) -> list[Path]:
    """One cloud an image: where a folder holds it in several forms, the quickest to read."""
    found: dict[Path, Path] = {}
    for path in sorted(files_below(person, CLOUD_SUFFIXES), key=lambda path: path.suffix == ".obj"):
        found.setdefault(path.with_suffix(""), path)
    return sorted(found.values())


def _joined(train: list[tuple[Path, int]], val: list[tuple[Path, int]]) -> list[tuple[Path, int]]:
    """Both parts; an image that was copied into `val`, not moved, counts once."""
    known = {(pid, path.with_suffix("").name) for path, pid in train}
    return [*train, *((path, pid) for path, pid in val if (pid, path.with_suffix("").name) not in known)]


def _of_queries(split: Split, data: ReidData) -> Split:
    wanted = {(record.pid, record.camid) for record in data.query}
    return split.where(lambda record: (record.pid, record.camid) in wanted)


_NEEDS = "One folder a person with one cloud an image, below train_all (or train and val), query and gallery, is needed."


def _layout(
    tree: _Tree, title: str, aliases: tuple[str, ...], folders: tuple[str, ...], expected: Mapping[str, Counts] | None = None
) -> Layout:
    return Layout(
        name=tree.name,
        title=title,
        aliases=aliases,
        folders=folders,
        needs="train_all (or train and val), query and gallery, in each one folder a person, one cloud an image",
        source="Make clouds from images, or copy the tree of somebody who holds one: the published downloads are gone.",
        scan=partial(_scan, tree=tree),
        recognise=_recognise,
        typical=None if tree.name == "clouds" else lambda root: root.name in folders and _recognise(root),
        expected=expected or {},
    )


CLOUDS = _layout(_Tree("clouds"), "a tree of clouds of points", ("3d", "point-clouds"), ("3DVIP+bg",))

MARKET1501_3D = _layout(
    _Tree("market1501-3d", "market1501"), "Market-1501 in 3-D", ("3dmarket", "market-3d", "3dmarket+bg"),
    ("3DMarket+bg", "3DMarket"), MARKET1501.expected,
)  # fmt: skip

DUKEMTMC_3D = _layout(
    _Tree("dukemtmc-3d", "dukemtmc"), "DukeMTMC-reID in 3-D", ("3dduke", "duke-3d", "3dduke+bg"), ("3DDuke+bg", "3DDuke"),
    DUKEMTMC.expected,
)  # fmt: skip

CUHK03_3D = _layout(
    _Tree("cuhk03-np-3d", "cuhk03"), "CUHK03 (new protocol, detected) in 3-D", ("3dcuhk", "cuhk-3d", "3dcuhk+bg"),
    ("3DCUHK+bg",), CUHK03_NP_DETECTED.expected,
)  # fmt: skip

MSMT17_3D = _layout(
    _Tree("msmt17-3d", "msmt17", {"train": 1, "val": 1, "query": 1_042, "gallery": 1_042}),
    "MSMT17 in 3-D", ("3dmsmt", "msmt-3d", "3dmsmt+bg"), ("3DMSMT+bg",), MSMT17_TRAINVAL.expected,
)  # fmt: skip


def _scan_street(root: Path) -> Scan:
    scan = STREET.scan(root)
    data, faults = scan.data, list(scan.faults)
    splits = {
        name: Split(tuple(replace(record, path=_of_crop(record.path)) for record in split))
        for name, split in data.splits().items()
    }
    faults += absent_fault("the town's manifest", [record.path for split in splits.values() for record in split], root)
    return Scan(replace(data, name=STREET_3D.name, **splits), tuple(faults))


def _of_crop(path: Path) -> Path:
    folder = path.parent.parent / "clouds" / path.parent.name
    quick = folder / f"{path.name}.npz"
    return quick if quick.is_file() else folder / f"{path.name}.obj"


def _recognise_street(root: Path) -> bool:
    return STREET.recognise(root) and any((town / "clouds").is_dir() for town in (root, *subfolders(root)))


STREET_3D = Layout(
    name="street-3d",
    title="the rendered street in 3-D",
    aliases=("street-clouds",),
    folders=STREET.folders,
    needs=f"{STREET.needs}, and a cloud of each crop in clouds",
    source="Make it with `passerby street render --town campus --out DIR --clouds npz`.",
    scan=_scan_street,
    recognise=_recognise_street,
    typical=lambda root: False,  # as long as nobody asks for it by name, such a folder is one of images
)
