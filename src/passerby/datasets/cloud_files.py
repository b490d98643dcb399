"""Readers of clouds: .obj, .ply and .npz files, and rows of HDF5 files.

The .obj files of people hold one face only: common mesh libraries, which keep the points of faces, give 3 points of 8,192.
"""

from __future__ import annotations

import codecs
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Container
from functools import lru_cache
from pathlib import Path

import numpy as np

from passerby.datasets.hdf5 import hdf5_array
from passerby.datasets.walking import shown
from passerby.errors import DataError, listing

__all__ = [
    "CLOUD_SUFFIXES",
    "FARTHEST_M",
    "HDF5_SUFFIX",
    "LARGEST_M",
    "check_reach",
    "is_row",
    "read_archive",
    "read_bytes",
    "read_cloud",
    "words_by_line",
]

CLOUD_SUFFIXES = frozenset({".obj", ".ply", ".npz"})
HDF5_SUFFIX = ".h5"
FARTHEST_M = 1_000_000
LARGEST_M = 100
"""Of a cloud from end to end: a street behind the person fits, nobody whose coordinates are millimetres or centimetres does."""
_GREY = 0.5
_END = re.compile(rb"^end_header[ \t]*\r?\n", re.MULTILINE)
_DAMAGED = (
    ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError, RuntimeError,
    MemoryError, OverflowError,
)  # fmt: skip
"""What NumPy and zipfile raise at an archive with a few wrong bytes."""
_PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip


def read_cloud(path: str | os.PathLike[str], *, colours: bool = True) -> np.ndarray:
    """Read one cloud.

    Args:
        path: a .obj file with lines ``v x y z r g b``; a .ply file (text or binary) with x, y, z and red, green, blue; a .npz
            file with ``xyz`` (N, 3) and ``rgb`` (N, 3); or ``FILE.h5/ROW``, a row of the array ``data`` (M, N, 3 or 6).
        colours: refuse a cloud without colours; otherwise its points are grey.

    Returns:
        (N, 6) float32: x, y, z in metres, colours from 0 to 1, in the order of the file.

    Raises:
        DataError: no such file, no cloud, an empty one, coordinates that are not finite or out of reach (see `check_reach`),
            or colours that are missing or out of range.
        MissingDependencyError: a row of an HDF5 file without h5py.
    """
    path = Path(path)
    read = _READERS.get(HDF5_SUFFIX if is_row(path) else path.suffix.lower())
    if read is None:
        mesh = " Points of a mesh's surface are drawn with surface (--surface 1024)." if path.suffix.lower() == ".off" else ""
        raise DataError(
            f'"{shown(path)}" is no cloud of points by its name: allowed are {listing(sorted(CLOUD_SUFFIXES))}.{mesh}'
        )
    return _checked(read(path), path, colours)


def is_row(path: Path) -> bool:
    """Whether a path names a row of an HDF5 file, ``FILE.h5/ROW``."""
    return path.parent.suffix == HDF5_SUFFIX


def _checked(values: np.ndarray, path: Path, colours: bool) -> np.ndarray:
    if values.ndim != 2 or values.shape[1] not in (3, 6):
        raise DataError(f'"{shown(path)}" has an array of shape {values.shape}: a cloud has x y z and red green blue a point.')
    if len(values) == 0:
        raise DataError(f'"{shown(path)}" holds no point: make the file again, or leave it out.')
    if values.shape[1] == 3:
        if colours:
            raise DataError(
                f'"{shown(path)}" has no colours: x y z r g b are needed for each point, or a network with inputs xyz.'
            )
        values = np.concatenate([values, np.full_like(values, _GREY)], 1)
    if values.dtype.kind not in "biuf":
        raise DataError(f'"{shown(path)}" has values of type {values.dtype}: coordinates and colours must be numbers.')
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is counted below
        values = np.ascontiguousarray(values, np.float32)
    wrong = int((~np.isfinite(values)).any(1).sum())
    if wrong:
        raise DataError(f'"{shown(path)}" has {wrong} of {len(values)} points that are not finite: make the file again.')
    check_reach(values, f'"{shown(path)}"')
    low, high = values[:, 3:].min(), values[:, 3:].max()
    if low < -1e-6 or high > 1 + 1e-6:
        raise DataError(f'"{shown(path)}" has colours from {low:g} to {high:g}: they must be from 0 to 1.')
    return values


def check_reach(cloud: np.ndarray, name: str) -> None:
    """Refuse coordinates that no camera sees, between which float32 knows no person's shape any more, or of another unit.

    In millimetres every point would be alone in the balls of a network, which have their radii in metres.

    Raises:
        DataError: a coordinate beyond `FARTHEST_M`, or a cloud larger than `LARGEST_M`.
    """
    far = float(np.abs(cloud[:, :3]).max())
    if far > FARTHEST_M:
        raise DataError(
            f"{name} has a point at {far:.3g}: coordinates are metres, within {FARTHEST_M:,.0f} of the origin: move it there."
        )
    size = float(np.ptp(cloud[:, :3], axis=0).max())
    if size > LARGEST_M:
        raise DataError(
            f"{name} is {size:,.0f} from end to end: coordinates are metres, and a person with what is behind takes at most "
            f"{LARGEST_M}. Divide millimetres by 1,000, centimetres by 100."
        )


def read_bytes(path: Path) -> bytes:
    """A whole file.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'"{shown(path)}" cannot be read: {(error.strerror or str(error)).lower()}.') from None
    if not content.strip():
        raise DataError(f'"{shown(path)}" is an empty file: make it again, or leave it out.')
    return content


def read_archive(path: Path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file.

    Args:
        path: of the file.
        names: read these only, where they are there; None: all.

    Raises:
        DataError: it cannot be read, or is no .npz file that is whole.
    """
    try:
        with path.open("rb") as raw:  # NumPy does not close a damaged file that it opened
            content = np.load(raw)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise DataError(f'"{shown(path)}" cannot be read: it is a single NumPy array. Write it with numpy.savez.')
            with content:
                arrays = {name: content[name] for name in content.files if names is None or name in names}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError  # NumPy gives what is no array as bytes
            return arrays
    except OSError as error:
        reason = (error.strerror or "it is damaged").lower()
        raise DataError(f'"{shown(path)}" cannot be read: {reason}. Make it again.') from None
    except _DAMAGED:
        raise DataError(f'"{shown(path)}" cannot be read: it is no NumPy archive, or a damaged one. Make it again.') from None


def words_by_line(content: bytes) -> list[list[bytes]]:
    """The words of each line of a text file, which may begin with a byte order mark."""
    return [line.split() for line in content.removeprefix(codecs.BOM_UTF8).splitlines()]


def _read_obj(path: Path) -> np.ndarray:
    rows = [words[1:] for words in words_by_line(read_bytes(path)) if words[:1] == [b"v"]]
    widths = {len(row) for row in rows}
    if not rows:
        raise DataError(f'"{shown(path)}" holds no point: no line begins with "v ".')
    if len(widths) > 1 or not widths <= {3, 6}:
        found = " or ".join(map(str, sorted(widths)))
        raise DataError(f'"{shown(path)}" has points of {found} numbers: each line must be "v x y z r g b".')
    return _numbers(rows, path)


def _numbers(rows: list[list[bytes]], path: Path) -> np.ndarray:
    try:
        return np.array(rows, dtype=np.bytes_).astype(np.float64)
    except ValueError as error:
        raise DataError(f'"{shown(path)}" holds something that is no number: {error}.') from None


def _read_ply(path: Path) -> np.ndarray:
    content = read_bytes(path)
    end = _END.search(content)
    if not content.startswith(b"ply") or not end:
        raise DataError(f'"{shown(path)}" is no PLY file: it has no header that begins with ply and ends with end_header.')
    form, count, names, dtype = _ply_header(content[: end.start()].decode("ascii", "replace"), path)
    body = content[end.end() :]
    if form == "ascii":
        rows = [line.split()[: len(names)] for line in body.splitlines()[:count]]
        short = len(rows) < count
        fewer = next((row for row in rows if len(row) < len(names)), None)
        if fewer is not None:
            raise DataError(
                f'"{shown(path)}" has a point of {len(fewer)} numbers where its header has {len(names)} columns: make it again.'
            )
        table = _numbers(rows, path) if rows else np.zeros((0, len(names)))
        columns = dict(zip(names, table.T, strict=True))
    else:
        short = len(body) < count * dtype.itemsize
        table = np.frombuffer(body, dtype, 0 if short else count)
        with np.errstate(invalid="ignore"):  # some bit patterns are NaN that trap; NaN is counted when all is read
            columns = {name: table[name].astype(np.float64) for name in names}
    if short:
        raise DataError(f'"{shown(path)}" is cut off: its header promises {count} points. Copy it again.')
    bytewise = 255.0 if all(dtype[name] == np.uint8 for name in ("red", "green", "blue") if name in names) else 1.0
    wanted = ["x", "y", "z", *(name for name in ("red", "green", "blue") if name in names)]
    if any(name not in names for name in wanted[:3]):
        raise DataError(f'"{shown(path)}" has the columns {listing(names, 9)}: x, y and z are needed.')
    return np.stack([columns[name] / (bytewise if len(name) > 1 else 1.0) for name in wanted], 1)


def _ply_header(text: str, path: Path) -> tuple[str, int, list[str], np.dtype]:
    """Format, number of points, and the columns of a point; the points must come first, as every writer has it."""
    form, count, names, types, element = "", 0, [], [], ""
    for words in (line.split() for line in text.splitlines()):
        match words:
            case ["format", ("ascii" | "binary_little_endian" | "binary_big_endian") as form, *_]:
                pass
            case ["element", "vertex", number] if not element and number.isdecimal() and len(number) < 19:
                element, count = "vertex", int(number)
            case ["element", other, _]:
                element = other
                if not names:
                    raise DataError(f'"{shown(path)}" begins with "{shown(other)}": only files whose points come first are read.')
            case ["property", kind, name] if element == "vertex" and kind in _PLY_TYPES:
                names.append(name)
                types.append((">" if form == "binary_big_endian" else "<") + _PLY_TYPES[kind])
            case ["property", *_] if element == "vertex":
                raise DataError(f'"{shown(path)}" has the column "{shown(" ".join(words))}", which is no number a point.')
            case _:
                pass
    if not form or not names:
        raise DataError(f'"{shown(path)}" is no PLY file of points: its header names no format or no vertex.')
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f'"{shown(path)}" has the column "{shown(twice[0])}" twice: each may be there once.')
    return form, count, names, np.dtype(list(zip(names, types, strict=True)))


def _read_npz(path: Path) -> np.ndarray:
    found = read_archive(path, ("xyz", "rgb"))
    arrays = {name: found[name] for name in ("xyz", "rgb") if name in found}
    if "xyz" not in arrays:
        raise DataError(f'"{shown(path)}" has no array "xyz": a cloud has xyz (N, 3) and rgb (N, 3).')
    if any(array.ndim != 2 or array.shape[1] != 3 or len(array) != len(arrays["xyz"]) for array in arrays.values()):
        shapes = listing(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f'"{shown(path)}" has {shapes}: a cloud has xyz (N, 3) and rgb (N, 3).')
    if "rgb" in arrays and arrays["rgb"].dtype == np.uint8:
        arrays["rgb"] = arrays["rgb"] / np.float32(255)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise DataError(f'"{shown(path)}" has {name} of type {array.dtype}: coordinates and colours must be numbers.')
    return np.concatenate(list(arrays.values()), 1)


def _read_hdf5(path: Path) -> np.ndarray:
    rows = _hdf5(path.parent)
    if not path.name.isdecimal() or int(path.name) >= len(rows):
        raise DataError(f'"{shown(path.parent)}" has rows 0 to {len(rows) - 1}: there is no row "{shown(path.name)}".')
    return rows[int(path.name)]


@lru_cache(maxsize=8)
def _hdf5(path: Path) -> np.ndarray:
    """The array `data` of a file, kept for the rows to come: a file of ModelNet40 holds 2,048 clouds in 50 MB."""
    return hdf5_array(path, "data").astype(np.float32, copy=False)


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".obj": _read_obj,
    ".ply": _read_ply,
    ".npz": _read_npz,
    HDF5_SUFFIX: _read_hdf5,
}
