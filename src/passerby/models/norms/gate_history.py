"""How the gates of a run moved: one line an epoch in ``gates.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from passerby.errors import DataError
from passerby.files import write_text
from passerby.models.norms.batch_instance import gates

__all__ = ["BINS", "FILE", "GateState", "read_gates", "record_gates"]

FILE = "gates.jsonl"
BINS = 20


@dataclass(frozen=True)
class GateState:
    """The gates of all layers after so many epochs.

    Attributes:
        epoch: finished epochs; 0 before training.
        mean: layer -> mean gate.
        std: layer -> population standard deviation.
        histogram: layer -> `BINS` counts of equal bins from 0 to 1.
    """

    epoch: int
    mean: Mapping[str, float]
    std: Mapping[str, float]
    histogram: Mapping[str, list[int]]


@torch.no_grad()
def record_gates(run_dir: Path, epoch: int, model: nn.Module) -> None:
    """Add a line to ``gates.jsonl``, in place of any of this epoch or a later one; without gates nothing is written.

    Args:
        run_dir: folder of the run.
        epoch: finished epochs.
        model: holds batch-instance norms.
    """
    found = gates(model)
    if not found:
        return
    path = Path(run_dir) / FILE
    before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in before if json.loads(line)["epoch"] < epoch]
    layers = {name.removesuffix(".gate"): gate.detach().float().cpu() for name, gate in found.items()}
    row = {
        "epoch": epoch,
        "mean": {name: round(float(gate.mean()), 6) for name, gate in layers.items()},
        "std": {name: round(float(gate.std(correction=0)), 6) for name, gate in layers.items()},
        "histogram": {name: torch.histc(gate, BINS, 0, 1).int().tolist() for name, gate in layers.items()},
    }
    write_text(path, "\n".join([*kept, json.dumps(row)]) + "\n")


def read_gates(run_dir: Path) -> list[GateState]:
    """The recorded epochs of a run, ascending.

    Raises:
        DataError: the run recorded none.
    """
    path = Path(run_dir) / FILE
    if not path.is_file():
        raise DataError(f"{path} is not there: only runs with batch-instance norms record gates (passerby train metabin).")
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [GateState(**row) for row in rows]
