"""What a run has measured: one JSON object a line in ``history.jsonl``, and the same numbers for TensorBoard.

A line has ``kind`` (``step``, ``epoch`` or ``evaluation``), ``step`` (optimisation steps finished), ``epoch`` (1-based) and
the measured values. A resumed run first drops every line beyond its checkpoint, so that no step occurs twice.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.errors import DataError
from passerby.files import write_text

__all__ = ["HISTORY_FILE", "TENSORBOARD_FOLDER", "History", "HistoryWriter", "load_history"]

HISTORY_FILE = "history.jsonl"
TENSORBOARD_FOLDER = "tensorboard"
KINDS = ("step", "epoch", "evaluation")


@dataclass(frozen=True)
class History:
    """The lines of one run, by kind, in the order of the run."""

    lines: tuple[dict[str, Any], ...] = ()

    def of(self, kind: str) -> tuple[dict[str, Any], ...]:
        """The lines of one kind: ``step``, ``epoch`` or ``evaluation``."""
        return tuple(line for line in self.lines if line["kind"] == kind)

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """Values of single steps, every so many steps."""
        return self.of("step")

    @property
    def epochs(self) -> tuple[dict[str, Any], ...]:
        """Means over epochs, with ``seconds`` and ``images_per_s``."""
        return self.of("epoch")

    @property
    def evaluations(self) -> tuple[dict[str, Any], ...]:
        """What the evaluation returned, as fractions."""
        return self.of("evaluation")

    def column(self, kind: str, name: str) -> tuple[list[int], list[float]]:
        """The steps and the values of one measured name."""
        found = [(line["step"], line[name]) for line in self.of(kind) if line.get(name) is not None]
        return [step for step, _ in found], [value for _, value in found]


def load_history(run_dir: str | os.PathLike[str]) -> History:
    """Read what a run has measured so far. A last line that a kill has torn is left out.

    Raises:
        DataError: the folder holds no history, or a line in the middle is no JSON.
    """
    path = Path(run_dir) / HISTORY_FILE
    if not path.is_file():
        raise DataError(f"no {HISTORY_FILE} in {run_dir}: this is not the folder of a training run.")
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        try:
            line = json.loads(row)
        except json.JSONDecodeError:
            if number == len(rows):
                break
            raise DataError(f"line {number} of {path} is no JSON: the file was edited or damaged.") from None
        if row.endswith("\n"):
            lines.append(line)
    return History(tuple(lines))


class HistoryWriter:
    """Appends to the history and to TensorBoard's events.

    Args:
        run_dir: folder of the run.
        step: lines beyond this step are dropped first; 0 starts afresh.
        tensorboard: also write events for TensorBoard, under ``tensorboard/``.
    """

    def __init__(self, run_dir: Path, step: int, *, tensorboard: bool) -> None:
        path = run_dir / HISTORY_FILE
        kept = load_history(run_dir).lines if step and path.is_file() else ()
        write_text(path, "".join(_row(line) for line in kept if line["step"] <= step))
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._events: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(run_dir / TENSORBOARD_FOLDER), purge_step=step + 1)

    def write(self, kind: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Append one line; `epoch` counts from 1, and values are plain numbers."""
        self._file.write(_row({"kind": kind, "step": step, "epoch": epoch, **values}))
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)
            if kind != "step":
                self._events.flush()

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        if self._events is not None:
            self._events.close()


def _row(line: Mapping[str, Any]) -> str:
    """One line of JSON; NaN and infinity, which JSON does not have, become null."""
    plain = {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in line.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"
