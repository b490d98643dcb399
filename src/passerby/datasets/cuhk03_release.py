"""The CUHK03 release: one MATLAB 7.3 (HDF5) file full of pictures, unpacked once into a folder of PNG files.

`cuhk-03.mat` holds, for `labeled` and `detected`, five cells (camera pairs); each is a cell array of people by ten images, the
first five from one view; a missing image is an empty array. `testsets` holds 20 arrays of (camera pair, person), counted from 1.
HDF5 stores every MATLAB array transposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from passerby.datasets.matlab import reading_matlab
from passerby.datasets.unpacking import made_once, place_for
from passerby.datasets.walking import shown
from passerby.errors import DataError, MissingDependencyError

__all__ = ["RELEASE", "extracted", "find_file", "new_protocol", "test_people"]

RELEASE = "cuhk-03.mat"
_IMAGES_A_VIEW = 5


def find_file(root: Path, name: str) -> Path | None:
    """The file in `root`, or in the folder that the release's archive makes."""
    return next((path for path in (root / name, root / "cuhk03_release" / name) if path.is_file()), None)


def _open(root: Path) -> Any:
    path = find_file(root, RELEASE)
    if path is None:
        raise DataError(f'{RELEASE} missing from "{shown(root)}".')
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(f'{RELEASE} is an HDF5 file, which needs h5py: pip install "passerby[cuhk03]"') from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f'"{shown(path)}" is no HDF5 file, or truncated: {error}. Unpack the release again.') from error


def extracted(root: Path, boxes: str) -> Path:
    """The folder of PNG files, made on first use and whole or absent, whatever happens meanwhile.

    It lies beside the release, or under `PASSERBY_CACHE` where that is set. Files are named PAIR_PERSON_VIEW_IMAGE.png.

    Raises:
        DataError: the release is damaged, or the folder cannot be written.
    """
    folder = place_for("cuhk03", root, find_file(root, RELEASE)) / f"images_{boxes}"
    return made_once(folder, RELEASE, lambda: ((name, Image.fromarray(pixels)) for name, pixels in _pictures(root, boxes)))


def _pictures(root: Path, boxes: str) -> Iterator[tuple[str, np.ndarray]]:
    with _open(root) as release:
        if boxes not in release:
            raise DataError(f'{RELEASE} holds no "{boxes}", only {", ".join(release)}. Is this the CUHK03 release?')
        for pair, pair_reference in enumerate(np.ravel(release[boxes][()]), 1):
            cells = np.asarray(release[pair_reference][()]).T  # (people, 10) references
            for person, image in np.ndindex(*cells.shape):
                pixels = np.asarray(release[cells[person, image]][()]).T
                if pixels.ndim == 3:  # an empty MATLAB array is stored as its size, two zeros
                    view = 1 if image < _IMAGES_A_VIEW else 2
                    name = f"{pair}_{person + 1:03d}_{view}_{image + 1:02d}.png"
                    yield name, np.ascontiguousarray(pixels.astype(np.uint8))


def test_people(root: Path) -> list[list[tuple[int, int]]]:
    """The test people of each classic split, as (camera pair, person), both counted from 1."""
    with _open(root) as release:
        if "testsets" not in release:
            raise DataError(f'{RELEASE} holds no "testsets", only {", ".join(release)}. Is this the CUHK03 release?')
        references = np.ravel(release["testsets"][()])
        arrays = [np.asarray(release[reference][()]).T.astype(int) for reference in references]
    return [[(int(pair), int(person)) for pair, person in rows] for rows in arrays]


def new_protocol(root: Path, config: str) -> dict[str, list[tuple[str, int]]]:
    """The new protocol: subset -> (image name, pid) rows.

    Raises:
        DataError: the file is no MATLAB file or lacks a variable.
    """
    from scipy.io import loadmat

    path = find_file(root, config)
    if path is None:
        raise DataError(f'{config} missing from "{shown(root)}".')
    with reading_matlab(path, "a CUHK03 new-protocol file"):
        content = loadmat(path, squeeze_me=True)
        names, labels = np.ravel(content["filelist"]), np.ravel(content["labels"])
        indices = {subset: np.ravel(content[f"{subset}_idx"]) - 1 for subset in ("train", "query", "gallery")}
        return {subset: [(str(names[i]), int(labels[i])) for i in rows] for subset, rows in indices.items()}
