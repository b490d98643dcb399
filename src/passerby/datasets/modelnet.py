"""ModelNet40: objects in 40 classes, to train networks of points as classifiers. A class stands where a person stands elsewhere.

Two layouts: HDF5 (`train_files.txt`, `test_files.txt`, files with `data` (M, 2048, 3) and `label`), and meshes in folders
`CLASS/{train,test}/*.off`. The second takes .obj as well, so that objects of one's own can be classified. Test objects are `val`.

Source: Wu et al., 3D ShapeNets, CVPR 2015; the HDF5 files are those of Qi et al. (PointNet).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from passerby.datasets.cloud_files import is_row
from passerby.datasets.hdf5 import hdf5_array
from passerby.datasets.layouts import Fault, Layout, Scan, reid_data
from passerby.datasets.walking import files_below, shown, subfolders
from passerby.errors import DataError
from passerby.records import Record, Split

__all__ = ["MODELNET40", "class_names"]

_LISTS = {"train": "train_files.txt", "val": "test_files.txt"}
_FOLDERS = {"train": "train", "val": "test"}
_MESHES = frozenset({".off", ".obj"})
_DOMAIN = "modelnet40"


def _has_lists(root: Path) -> bool:
    return all((root / name).is_file() for name in _LISTS.values())


def _recognise(root: Path) -> bool:
    return _has_lists(root) or any(files_below(kind / "train", _MESHES) for kind in subfolders(root)[:60])


def _scan(root: Path) -> Scan:
    splits, faults = _rows(root) if _has_lists(root) else _meshes(root)
    note = "objects, not people: a class stands where a person stands"
    return Scan(
        reid_data(MODELNET40.name, {name: Split(tuple(records)) for name, records in splits.items()}, (note,)), tuple(faults)
    )


def _meshes(root: Path) -> tuple[dict[str, list[Record]], list[Fault]]:
    splits: dict[str, list[Record]] = {name: [] for name in _FOLDERS}
    for number, kind in enumerate(subfolders(root), start=1):
        for name, folder in _FOLDERS.items():
            splits[name] += [Record(path, number, 0, _DOMAIN) for path in files_below(kind / folder, _MESHES)]
    absent = [name for name, records in splits.items() if not records]
    text = f'no meshes (.off, .obj) in CLASS/{_FOLDERS[absent[0]]} of "{shown(root)}". Unpack it again.' if absent else ""
    return splits, [Fault("missing-folders", text)] if absent else []


def _rows(root: Path) -> tuple[dict[str, list[Record]], list[Fault]]:
    """A record a row; its path is the file's path with the number of the row behind it."""
    splits, faults = {}, []
    for name, list_name in _LISTS.items():
        files = [root / Path(line).name for line in _text(root / list_name).split()]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            text = f'{list_name} of "{shown(root)}" names {shown(missing[0])}, which is absent. Unpack it again.'
            faults.append(Fault("absent-files", text))
        splits[name] = [
            Record(path / str(row), int(label) + 1, 0, _DOMAIN)
            for path in files if path.name not in missing for row, label in enumerate(_labels(path))
        ]  # fmt: skip
    return splits, faults


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'"{shown(path)}" cannot be read as a list of files: {error}. Unpack it again.') from None


def _labels(path: Path) -> np.ndarray:
    """(M,) of the M clouds of a file."""
    labels = hdf5_array(path, "label")
    if labels.size != len(labels) or not (np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels))).all():
        raise DataError(f'"{shown(path)}" has labels that are not one whole number of 0 or more a cloud: make the file again.')
    return labels.reshape(-1)


MODELNET40 = Layout(
    name="modelnet40",
    title="ModelNet40",
    aliases=("modelnet",),
    folders=("modelnet40_ply_hdf5_2048", "ModelNet40"),
    needs="train_files.txt, test_files.txt and their HDF5 files, or one folder a class with train and test in it",
    source="Its HDF5 form (415 MB) is given out by Stanford University with PointNet, its meshes by Princeton University.",
    scan=_scan,
    recognise=_recognise,
)


def class_names(split: Split) -> dict[tuple[str, int], str]:
    """What classes are called: by ModelNet40's folders of meshes, by the lines of ``shape_names.txt`` beside its HDF5 files, else
    by the data set's own numbers.

    Args:
        split: objects, or images of people.
    """
    found: dict[tuple[str, int], str] = {}
    for record in split:
        if (record.domain, record.pid) not in found:
            found[record.domain, record.pid] = _name_of(record)
    return found


def _name_of(record: Record) -> str:
    number, file = str(record.pid), record.path
    if record.domain != _DOMAIN:
        return number
    if not is_row(file):
        return file.parent.parent.name  # CLASS/train/FILE
    names = file.parent.with_name("shape_names.txt")
    lines = names.read_text(encoding="utf-8", errors="replace").split() if names.is_file() else []
    return lines[record.pid - 1] if record.pid <= len(lines) else number
