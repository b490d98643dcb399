"""`passerby gallery set`: thresholds of a calibration, and the least times between cameras."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from passerby.errors import DataError, UsageError

if TYPE_CHECKING:
    from passerby.gallery import Gallery

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Give a gallery the thresholds of its model's calibration, or the least seconds of the ways between its cameras."""

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    model: Path | None = None
    """artefact folder or exported file that passerby calibrate was run on, or house: its thresholds give hits the words same,
    unsure and different"""
    transitions: Path | None = None
    """CSV with the columns from, to, seconds: the least time of the way from one camera to the other, 0 where their views
    overlap. A pair counts for both directions unless both stand there"""


def run(options: Options) -> None:
    """Set what is given."""
    from passerby.artefact import named_model
    from passerby.export.thresholds import read_thresholds
    from passerby.gallery import Gallery, Thresholds

    if options.model is None and options.transitions is None:
        raise UsageError("nothing to set: give --model for thresholds, or --transitions for the ways between cameras.")
    ways = None if options.transitions is None else _ways(options.transitions)
    model = None if options.model is None else named_model(options.model)
    limits = None if model is None else Thresholds.of(read_thresholds(model))
    with Gallery.open(options.gallery) as gallery:
        if model is not None and limits is not None:
            _check_model(gallery, options.gallery, model)
            gallery.set_thresholds(limits)
            print(f"thresholds: same from {limits.same:.4f} on, different below {limits.different:.4f}")
        if ways is not None:
            known = set(gallery.cameras())
            for camera in dict.fromkeys(camera for pair in ways for camera in pair):
                if camera not in known:
                    print(f'note: no crop of camera "{camera}" is in this gallery yet')
            gallery.set_transitions(ways)
            print(f"ways between cameras: {len(ways)}")


def _check_model(gallery: Gallery, name: str, model: Path) -> None:
    """Refuse another model than the gallery's: other weights, and the int8 form of the same weights."""
    from passerby.artefact import load
    from passerby.errors import GalleryError
    from passerby.gallery import Model
    from passerby.training.precision import PRECISIONS

    embedder = load(model, device="cpu")
    forms = [Model.of(embedder, precision=precision) for precision in PRECISIONS]
    if gallery.model.fingerprint not in {form.fingerprint for form in forms}:
        raise GalleryError(
            f"{name} is of {gallery.model.name} ({gallery.model.fingerprint}), {model} is {forms[0].name} "
            f"({forms[0].fingerprint}): thresholds of one model mean nothing for another."
        )


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
