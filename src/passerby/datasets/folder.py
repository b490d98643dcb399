"""One folder an identity: `ROOT/PERSON/*.jpg`, or the tree with `train`, `val`, `query` and `gallery` that older tools prepare.

Persons: if every folder name is a whole number, that is the pid (-1 junk, 0 distractors); otherwise pids count from 1 in sorted
order of the names, over all sub-trees together. Cameras: `_cN` or `camN` in the file name (`0002_c1s1_...`, `7_c012.png`,
`cam3_0001.jpg`), or the third number of MSMT17's names; N - 1 is the camid, or N where some image has camera 0. If no image
names a camera, all of them count as one, and nothing can be evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from passerby.datasets.camera_names import cameras_in_names
from passerby.datasets.layouts import Fault, Layout, Scan, reid_data
from passerby.datasets.market_style import RULE as MARKET_RULE
from passerby.datasets.walking import image_files, images_below, shown, subfolders
from passerby.errors import listing
from passerby.records import DISTRACTOR_PID, JUNK_PID, Record, Split

__all__ = ["FOLDER", "folder_pids", "named_cameras"]

_SUBTREES = {"train": "train", "val": "val", "query": "query", "gallery": "gallery", "multi_query": "multi-query"}
_WHOLE_TRAIN = "train_all"
# Sub-folders of other layouts: their names are no persons.
_OTHER_LAYOUTS = {
    "bounding_box_train",
    "bounding_box_test",
    "gt_bbox",
    "image_train",
    "image_query",
    "image_test",
    "img1",
    "crops",
}


def _scan(root: Path) -> Scan:
    trees = _trees(root)
    people = {subset: subfolders(tree) for subset, tree in trees.items()}
    numbers = folder_pids(folder.name for folders in people.values() for folder in folders)
    images = {
        subset: [(path, numbers[f.name]) for f in folders for path in images_below(f)] for subset, folders in people.items()
    }
    cameras, notes, faults = named_cameras([path for rows in images.values() for path, _ in rows], root)
    domain = root.absolute().parent.name if root.name == "pytorch" else root.absolute().name
    splits = {
        subset: Split(tuple(Record(path, pid, cameras[path], domain, _frame(path)) for path, pid in rows if path in cameras))
        for subset, rows in images.items()
    }
    faults += [fault for tree in trees.values() for fault in _loose_images(tree)]
    if not any(images.values()):
        faults.append(
            Fault("no-images", f'no images in the folders of "{shown(root)}". One folder a person, with its images, is needed.')
        )
    zero = sorted(name for name, pid in numbers.items() if pid == DISTRACTOR_PID)
    if zero:
        notes.append(f'the folder "{zero[0]}" is read as distractors (pid 0), which match nobody; rename it if it is one person')
    return Scan(reid_data(FOLDER.name, splits, tuple(notes)), tuple(faults))


def _trees(root: Path) -> dict[str, Path]:
    """Subset -> its tree; a folder without sub-trees is all training images."""
    trees = {subset: root / name for subset, name in _SUBTREES.items() if _holds_people(root / name)}
    if "train" not in trees and _holds_people(root / _WHOLE_TRAIN):
        trees["train"] = root / _WHOLE_TRAIN  # where both are there, train_all is train and val once more
    return trees or {"train": root}


def _holds_people(tree: Path) -> bool:
    return any(image_files(folder, 1) for folder in subfolders(tree)[:50])


def folder_pids(names: Iterable[str]) -> dict[str, int]:
    """Name of a person's folder -> pid, as the module's docstring says."""
    found = sorted(set(names))
    if all(re.fullmatch(r"-1|[0-9]{1,18}", name) for name in found):
        numbers = {name: int(name) for name in found}
        if len(set(numbers.values())) == len(numbers):  # "1" and "01" would become one person
            return numbers
    special = {"-1": JUNK_PID, "0000": DISTRACTOR_PID}
    people = [name for name in found if name not in special]
    return {name: pid for name, pid in special.items() if name in found} | {name: n for n, name in enumerate(people, 1)}


def named_cameras(paths: list[Path], root: Path) -> tuple[dict[Path, int], list[str], list[Fault]]:
    """Path -> camid by the first rule that fits any name; the names that it then does not fit are a fault."""
    cameras = cameras_in_names(paths)
    without = [path for path in paths if path not in cameras]
    if cameras and without:
        names = listing(f'"{shown(path.relative_to(root))}"' for path in without)
        text = (
            f"no camera in the names {names} ({len(without)} of {len(paths):,} images), while others name one, like "
            f'"{shown(next(iter(cameras)).name)}": write _cN into all names or into none.'
        )
        return cameras, [], [Fault("unknown-cameras", text)]
    if cameras:
        return cameras, [], []
    note = "no camera in the file names (_cN): all images count as one camera, so nothing can be evaluated"
    return dict.fromkeys(paths, 0), [note] if paths else [], []


def _frame(path: Path) -> int | None:
    numbers = MARKET_RULE.numbers(path.name)
    return None if numbers is None else numbers[2]


def _loose_images(tree: Path) -> list[Fault]:
    loose = image_files(tree)
    if not loose:
        return []
    names = listing(f'"{shown(path.name)}"' for path in loose)
    return [
        Fault(
            "misnamed-files", f'{names} in "{shown(tree)}" lie in no folder of a person. Move each into the folder of its person.'
        )
    ]


def _recognise(root: Path) -> bool:
    if any(_holds_people(root / name) for name in (*_SUBTREES.values(), _WHOLE_TRAIN)):
        return True
    return _holds_people(root) and not any((root / name).is_dir() for name in _OTHER_LAYOUTS)


FOLDER = Layout(
    name="folder",
    title="a folder of one folder an identity",
    aliases=("imagefolder", "folders"),
    folders=("pytorch",),
    needs="one folder of images a person, or with train, query and gallery that each hold such folders",
    source="",
    scan=_scan,
    recognise=_recognise,
)
