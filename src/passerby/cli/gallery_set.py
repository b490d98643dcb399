"""`passerby gallery set`: thresholds of a calibration, and the least times between cameras."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.errors import DataError, UsageError

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Give a gallery the thresholds of its model's calibration, or the least seconds of the ways between its cameras."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    model: Path | None = None
    """artefact folder that passerby calibrate was run on: its thresholds give hits the words same, unsure and different"""
    transitions: Path | None = None
    """CSV with the columns from, to, seconds: the least time of the way from one camera to the other, 0 where their views
    overlap. A pair counts for both directions unless both stand there"""


def run(options: Options) -> None:
    """Set what is given."""
    from passerby.artefact import named_model, read_description
    from passerby.errors import GalleryError
    from passerby.export.thresholds import read_thresholds
    from passerby.gallery import Gallery, Thresholds

    if options.model is None and options.transitions is None:
        raise UsageError("nothing to set: give --model for thresholds, or --transitions for the ways between cameras.")
    ways = None if options.transitions is None else _ways(options.transitions)
    limits = None if options.model is None else Thresholds.of(read_thresholds(named_model(options.model)))
    with Gallery.open(options.gallery) as gallery:
        if options.model is not None and limits is not None:
            made_by = read_description(options.model).short_id
            if not gallery.model.fingerprint.startswith(made_by):
                raise GalleryError(
                    f"{options.gallery} is of {gallery.model.name}, {options.model} is {made_by}: thresholds of one model mean "
                    "nothing for another."
                )
            gallery.set_thresholds(limits)
            print(f"thresholds: same from {limits.same:.4f} on, different below {limits.different:.4f}")
        if ways is not None:
            known = set(gallery.cameras())
            for camera in dict.fromkeys(camera for pair in ways for camera in pair):
                if camera not in known:
                    print(f'note: no crop of camera "{camera}" is in this gallery yet')
            gallery.set_transitions(ways)
            print(f"ways between cameras: {len(ways)}")


def _ways(path: Path) -> dict[tuple[str, str], float]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {(row["from"], row["to"]): float(row["seconds"]) for row in rows}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no list of ways ({type(error).__name__}: {error}): give a CSV with the columns from, to, seconds."
        ) from error
