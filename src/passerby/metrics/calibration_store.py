"""A calibration beside the weights it belongs to: in the `passerby.json` of an artefact, under "calibration".

Vectors with camera statistics are others than those without. What was found for a model with the statistics of some data set's
cameras stands under "calibration_by_camera" until `passerby adapt` makes a model with statistics of its own, whose calibration
it becomes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from passerby.errors import ArtefactError
from passerby.files import write_json
from passerby.metrics.calibration import Calibration, CameraThreshold
from passerby.metrics.intervals import Interval

__all__ = ["check_maker", "find_calibration", "handed_on", "read_calibration", "store_calibration"]

_FILE = "passerby.json"
_KEY, _BY_CAMERA = "calibration", "calibration_by_camera"


def to_dict(calibration: Calibration) -> dict[str, Any]:
    """JSON-able; a rate that could not be measured becomes null."""
    made = asdict(calibration)
    for name in ("threshold_interval", "far_interval", "frr_interval"):
        made[name] = list(made[name])
    made["identification"] = _or_none(calibration.identification)
    made["cameras"] = [{**each, "camids": list(each["camids"]), "frr": _or_none(each["frr"])} for each in made["cameras"]]
    return made


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def from_dict(made: dict[str, Any]) -> Calibration:
    """What `to_dict` gave.

    Raises:
        ArtefactError: it is something else.
    """
    try:
        values = {field.name: made[field.name] for field in fields(Calibration)}
        for name in ("threshold_interval", "far_interval", "frr_interval"):
            values[name] = Interval(*map(float, values[name]))
        for name in ("similarity", "far_curve", "frr_curve", "notes"):
            values[name] = tuple(values[name])
        values["identification"] = math.nan if values["identification"] is None else values["identification"]
        values["cameras"] = tuple(
            CameraThreshold(
                tuple(each["camids"]), each["threshold"], math.nan if each["frr"] is None else each["frr"],
                each["num_genuine"], each["num_impostor"],
            )
            for each in values["cameras"]
        )  # fmt: skip
        if not len(values["similarity"]) == len(values["far_curve"]) == len(values["frr_curve"]) > 1:
            raise ValueError("its curves are of unequal length")
        return Calibration(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"a calibration that this passerby cannot use ({type(error).__name__}: {error}). Make it again: passerby calibrate."
        ) from error


def _described(folder: Path) -> dict[str, Any]:
    path = folder / _FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{folder} is no artefact: {_FILE} is missing or damaged ({error}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("weights_sha256"), str):
        raise ArtefactError(f"{path} describes no artefact: it lacks weights_sha256.")
    return content


def store_calibration(
    folder: str | os.PathLike[str], calibration: Calibration, made_by: str, *, statistics: object = None
) -> None:
    """Write a calibration into an artefact, in place of an older one; the file is whole before and after.

    That of vectors with camera statistics, for an artefact that has none, is kept for the models that are adapted from it.

    Args:
        folder: the artefact.
        calibration: what was found.
        made_by: the artefact that made the vectors, as ``meta["artefact"]`` of embeddings names it.
        statistics: which camera statistics the vectors were made with, as ``meta["camera_statistics"]`` of embeddings says; None:
            without.

    Raises:
        ArtefactError: no artefact, or another one than that which made the vectors; or an artefact with camera statistics, and
            vectors that were made without these; or vectors with statistics of a whole set.
    """
    content = check_maker(folder, made_by, statistics=statistics)
    key = _BY_CAMERA if statistics and not _statistics(content) else _KEY
    write_json(Path(folder) / _FILE, {**content, key: to_dict(calibration)})


def handed_on(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What of an artefact's calibrations holds for a model that is adapted from it, as entries of that model's description."""
    content = _described(Path(folder))
    kept = {_BY_CAMERA: content[_BY_CAMERA]} if _BY_CAMERA in content else {}
    own = _KEY if _statistics(content) else _BY_CAMERA
    return {**kept, _KEY: content[own]} if own in content else kept


def _statistics(content: Mapping[str, Any]) -> str:
    """Name of an artefact's own camera statistics, as embeddings tell it."""
    return str(content.get("cameras_sha256") or "")[:12]


def check_maker(folder: str | os.PathLike[str], made_by: str, *, statistics: object = None) -> dict[str, Any]:
    """What an artefact says of itself, where it made the vectors.

    Args:
        folder: the artefact.
        made_by, statistics: as in `store_calibration`.

    Raises:
        ArtefactError: see `store_calibration`.
    """
    content = _described(Path(folder))
    own = content["weights_sha256"][:12]
    if made_by != own:
        who = f"artefact {made_by}" if made_by else "an unknown model"
        raise ArtefactError(
            f"the vectors were made by {who}, {folder} is {own}: thresholds of one model mean nothing for another."
        )
    if isinstance(statistics, Mapping) and statistics.get("source") == "whole-set":
        raise ArtefactError(
            "the vectors were made with statistics of the whole set, whatever the camera: models that passerby adapt makes use "
            "those of single cameras. Embed with --camera-statistics own, pooled or train."
        )
    if _statistics(content) not in ("", statistics):
        what = "other camera statistics" if statistics else "no camera statistics"
        raise ArtefactError(
            f"the vectors were made with {what}, {folder} uses those of its own cameras: their thresholds are not its own. Embed "
            "with this artefact, or store them in the one that it was adapted from."
        )
    return content


def find_calibration(folder: str | os.PathLike[str], *, by_camera: bool = False) -> Calibration | None:
    """The calibration of an artefact, or with `by_camera` that of models adapted from it; None where it has none.

    Raises:
        ArtefactError: one that is damaged.
    """
    key = _BY_CAMERA if by_camera else _KEY
    if not (Path(folder) / _FILE).is_file() or key not in (content := _described(Path(folder))):
        return None
    return from_dict(content[key])


def read_calibration(folder: str | os.PathLike[str]) -> Calibration:
    """The calibration of an artefact.

    Raises:
        ArtefactError: no artefact, none stored, or one that is damaged.
    """
    content = _described(Path(folder))
    if _KEY not in content:
        raise ArtefactError(
            f"{folder} has no calibration: its thresholds are not known. Make one: passerby calibrate {folder} --data DIR"
        )
    return from_dict(content[_KEY])
