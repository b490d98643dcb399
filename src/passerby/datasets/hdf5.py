"""Arrays of HDF5 files; h5py is an optional dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from passerby.datasets.walking import shown
from passerby.errors import DataError, MissingDependencyError

__all__ = ["hdf5_array"]


def hdf5_array(path: Path, name: str) -> np.ndarray:
    """A whole array of numbers of a file.

    Raises:
        DataError: the file is damaged, or has no such array of numbers.
        MissingDependencyError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError(
            f"\"{shown(path)}\" is read with h5py, which is not installed. Try: pip install 'passerby[cuhk03]'"
        ) from None
    try:
        with h5py.File(path) as file:
            found: Any = file[name]
            if not isinstance(found, h5py.Dataset) or found.ndim == 0 or found.dtype.kind not in "biuf":
                raise DataError(f'"{shown(path)}" has "{name}", but not as an array of numbers: make it again.')
            return np.asarray(found[:])
    except (OSError, KeyError) as error:
        raise DataError(f'"{shown(path)}" cannot be read as HDF5 with an array "{name}": {str(error).splitlines()[0]}.') from None
