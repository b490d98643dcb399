"""MATLAB files of data sets: whatever is wrong with one is told in one line that names it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passerby.datasets.walking import shown
from passerby.errors import DataError

__all__ = ["reading_matlab"]


@contextmanager
def reading_matlab(path: Path, kind: str) -> Iterator[None]:
    """Turn what `scipy.io.loadmat` and a look into its result raise for damaged and foreign files into one error.

    Args:
        path: the file.
        kind: what it should be, with its article: "a file of GRID".

    Raises:
        DataError: the file is absent, cut short, damaged, or lacks a variable or a field.
    """
    from scipy.io.matlab import MatReadError

    try:
        yield
    except (KeyError, AttributeError) as error:
        raise DataError(f'"{shown(path)}" lacks the variable {_named(error)}; it is not {kind}.') from error
    except OSError as error:
        raise DataError(f'"{shown(path)}" cannot be read as {kind}: {error.strerror or error}. Is the copy whole?') from error
    except (
        MatReadError, ValueError, TypeError, IndexError, NotImplementedError, EOFError, OverflowError, MemoryError, zlib.error,
        struct.error,
    ) as error:  # fmt: skip
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f'"{shown(path)}" cannot be read as {kind}: {text}. Is the copy whole?') from error


def _named(error: KeyError | AttributeError) -> str:
    return repr(error.name) if isinstance(error, AttributeError) and error.name else str(error)
