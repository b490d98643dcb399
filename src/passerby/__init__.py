"""passerby finds the same person across cameras."""

from passerby.records import Record, ReidData, Split, Trial

__all__ = ["Record", "ReidData", "Split", "Trial"]
