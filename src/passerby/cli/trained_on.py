"""What must be said beside a number where people of the queries were classes of the training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passerby.records import ReidData

__all__ = ["trained_on"]


def trained_on(artefact: Path, data: ReidData, trial: str = "") -> list[str]:
    """One note, or none.

    Args:
        artefact: the model's folder; its label map says who was trained on.
        data: whose queries are counted.
        trial: named in the note where several trials are evaluated.
    """
    from passerby.artefact import read_description

    known = set(read_description(artefact).label_map)
    people = data.query.identities
    seen = sum(person in known for person in people)
    of = f" of {trial}" if trial else ""
    return [f"{seen} of {len(people)} query people{of} were trained on: the numbers are too high"] if seen else []
