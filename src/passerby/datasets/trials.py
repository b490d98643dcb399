"""Trials: one of a small data set's repeated random splits, as a data set of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from passerby.errors import UsageError, listing
from passerby.records import ReidData

__all__ = ["one_trial", "without_trials"]


def one_trial(data: ReidData, name: str) -> ReidData:
    """The data set with the training images, queries and gallery of one trial, and with the note that belongs to it.

    Args:
        data: as read.
        name: the trial's name, or the number that ends it: ``split 3`` or ``3``. Empty: as the reader has it.

    Raises:
        UsageError: no such trial, or none named where the reader has not chosen one.
    """
    names = [trial.name for trial in data.trials]
    if not name:
        if names and not len(data.query):
            raise UsageError(f"{data.name} has {len(names)} repeated splits: choose one with --trial: {listing(names, 12)}.")
        return data
    if not names:
        raise UsageError(f"{data.name} has one fixed split, no trials: leave out --trial.")
    chosen = next((trial for trial in data.trials if name in (trial.name, trial.name.rpartition(" ")[2])), None)
    if chosen is None:
        raise UsageError(f'{data.name} has no trial "{name}": {listing(names, 12)}.')
    notes = (*without_trials(data.notes, data), *([chosen.note] if chosen.note else []))
    return replace(data, train=chosen.train, query=chosen.query, gallery=chosen.gallery, notes=notes, trial=chosen.name)


def without_trials(notes: Iterable[str], data: ReidData) -> tuple[str, ...]:
    """The notes that hold for every trial of a data set: those that belong to single ones are left out."""
    of_trials = {trial.note for trial in data.trials}
    return tuple(note for note in notes if note not in of_trials)
