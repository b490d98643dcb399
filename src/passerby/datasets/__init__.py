"""Readers: one module a data set layout; `read`, `detect`, `check` and `prepare` know them all."""

from passerby.datasets.checking import CheckReport, check
from passerby.datasets.consequences import Finding, check_evaluable
from passerby.datasets.images import decode_image, read_image
from passerby.datasets.mot_boxes import MotOptions
from passerby.datasets.preparing import HoldOut, PrepareReport, prepare
from passerby.datasets.registry import DATASETS, data_folder, detect, find_root, read, resolve
from passerby.datasets.trials import one_trial, without_trials

__all__ = [
    "DATASETS",
    "CheckReport",
    "Finding",
    "HoldOut",
    "MotOptions",
    "PrepareReport",
    "check",
    "check_evaluable",
    "data_folder",
    "decode_image",
    "detect",
    "find_root",
    "one_trial",
    "prepare",
    "read",
    "read_image",
    "resolve",
    "without_trials",
]
