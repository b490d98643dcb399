"""Every error that passerby raises on purpose.

    PasserbyError
    ├── UsageError             the call is wrong: a flag, a config key, a value out of range          (exit 2)
    ├── DataError              a folder, a list or an image is not what was promised                  (exit 1)
    │   └── ImageError         one image cannot be decoded
    ├── EmbeddingsError        vectors that cannot be compared: NaN, zero, unequal dimensions         (exit 1)
    ├── ArtefactError          weights, checkpoints or an artefact folder that do not fit             (exit 1)
    ├── GalleryError           a store that is damaged, gone, locked or made by another model         (exit 1)
    ├── TrainingError          a run that must not go on: the loss is NaN, the evaluation fails       (exit 1)
    └── MissingDependencyError an optional part of the installation is needed and absent              (exit 1)

A message says what was checked, what arrived, what is allowed and what to do, on one line. It is raised before work starts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArtefactError",
    "DataError",
    "EmbeddingsError",
    "GalleryError",
    "ImageError",
    "MissingDependencyError",
    "PasserbyError",
    "TrainingError",
    "UsageError",
    "listing",
    "nearest",
]


class PasserbyError(Exception):
    """Root of the tree: `except PasserbyError` catches all that passerby raises on purpose."""

    exit_code = 1


class UsageError(PasserbyError):
    """The call itself is wrong: an unknown name, a value out of range, options that contradict each other."""

    exit_code = 2


class DataError(PasserbyError):
    """A folder, a list file, a manifest or a video does not hold what its layout promises."""


class ImageError(DataError):
    """One image cannot be decoded: truncated, zero bytes, or no image at all."""


class EmbeddingsError(PasserbyError):
    """Vectors that cannot be compared: NaN, all zero, unequal dimensions, columns of unequal length."""


class ArtefactError(PasserbyError):
    """Weights, a checkpoint or an artefact folder that is damaged or belongs to something else."""


class GalleryError(PasserbyError):
    """A gallery that cannot be used as asked: damaged, gone, being written by another, or of another model."""


class TrainingError(PasserbyError):
    """A run that must not go on, for instance because its loss is NaN."""


class MissingDependencyError(PasserbyError):
    """An optional dependency is needed; the message names the extra that installs it."""


def listing(offenders: Iterable[object], limit: int = 5) -> str:
    """Name at most `limit` offenders and count the rest.

    >>> listing(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    names = [str(item) for item in offenders]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for a misspelt name: the closest allowed one, or the list of all.

    >>> nearest("markt", ["market1501", "msmt17"])
    'Did you mean "market1501"? Allowed: market1501, msmt17.'
    """
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f'Did you mean "{close[0]}"? ' if close else ""
    return f"{hint}Allowed: {listing(names, 40)}."
