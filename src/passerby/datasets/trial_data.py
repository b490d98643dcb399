"""Data sets that are nothing but repeated random splits."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from passerby.datasets.layouts import Fault
from passerby.errors import listing
from passerby.records import ReidData, Trial

__all__ = ["absent_people", "data_of_trials"]


def data_of_trials(name: str, trials: Sequence[Trial], note: str) -> ReidData:
    """A data set without a split of its own: its numbers are means over `trials`."""
    notes = (f"{note}; a result is the mean over the trials",)
    return ReidData(name, trials=tuple(trials), notes=notes)


def absent_people(what: str, wanted: Collection[int], there: Collection[int]) -> list[Fault]:
    """A fault that names the people whom a trial asks for and the images do not show."""
    gone = sorted(set(wanted) - set(there))
    if not gone:
        return []
    text = (
        f"{what} names {len(gone)} of {len(wanted)} people whom the images do not show twice: {listing(gone)}. Is the copy whole?"
    )
    return [Fault("absent-people", text)]
