"""Thresholds of an artefact, or of a file that was exported from one, whose vectors are others where it is not fp32.

Those of a file lie in the report beside it, FILE.json, under "calibration", with the SHA-256 of the file that they are of.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from passerby.artefact import DESCRIPTION_FILE, read_description
from passerby.errors import ArtefactError
from passerby.files import write_json
from passerby.metrics.calibration import Calibration
from passerby.metrics.calibration_store import find_calibration, from_dict, read_calibration, store_calibration, to_dict
from passerby.models.exported_files import exported_files, is_exported

__all__ = ["find_thresholds", "read_thresholds", "store_thresholds"]

_KEY, _OF = "calibration", "calibration_of"


def find_thresholds(model: Path) -> Calibration | None:
    """The calibration of an artefact or of an exported file; None where it has none.

    Raises:
        ArtefactError: one that is damaged, or of another file.
    """
    file = _file(model)
    if file is None:
        return find_calibration(model)
    report = _report(file)
    if _KEY not in report:
        return None
    if report.get(_OF) != _sha256(file):
        raise ArtefactError(
            f"{_beside(file)} has thresholds of another file than {file.name}: make them again with passerby calibrate {file} "
            "--data DIR."
        )
    return from_dict(report[_KEY])


def read_thresholds(model: Path) -> Calibration:
    """The calibration of an artefact or of an exported file.

    Raises:
        ArtefactError: no model, none stored, one that is damaged, or of another file.
    """
    file = _file(model)
    if file is None:
        return read_calibration(model)
    found = find_thresholds(model)
    if found is None:
        raise ArtefactError(
            f"{file} has no calibration: an exported network has other vectors than its artefact, and needs thresholds of its "
            f"own. Make them with passerby calibrate {file} --data DIR, or name the artefact."
        )
    return found


def store_thresholds(model: Path, calibration: Calibration, made_by: str, *, statistics: object = None) -> Path:
    """Keep a calibration with what made the vectors.

    Args:
        model: an artefact folder or an exported file.
        calibration: what was found.
        made_by: the artefact that made the vectors, as ``meta["artefact"]`` of embeddings names it.
        statistics: see `store_calibration`; a file takes its cameras from its export.

    Returns:
        What it is kept in.

    Raises:
        ArtefactError: no model, or another one than that which made the vectors.
    """
    file = _file(model)
    if file is None:
        store_calibration(model, calibration, made_by, statistics=statistics)
        return model
    own = read_description(file).short_id
    if made_by != own:
        who = f"artefact {made_by}" if made_by else "an unknown model"
        raise ArtefactError(
            f"the vectors were made by {who}, {file} is of {own}: thresholds of one model mean nothing for another."
        )
    write_json(_beside(file), {**_report(file), _KEY: to_dict(calibration), _OF: _sha256(file)})
    return _beside(file)


def _file(model: Path) -> Path | None:
    """The exported file that is meant; None for an artefact."""
    if is_exported(model):
        return model
    found = [] if (model / DESCRIPTION_FILE).is_file() else exported_files(model)
    return found[0] if len(found) == 1 else None


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _report(file: Path) -> dict[str, Any]:
    path = _beside(file)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtefactError(f"{path} is no JSON: {error}. Remove it, or export the network again.") from error
    return content if isinstance(content, dict) else {}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
