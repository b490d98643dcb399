"""Progress of work that takes more than two seconds: a bar on a terminal, plain lines elsewhere, nothing on short work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Meter", "meter", "track"]

T = TypeVar("T")
_PATIENCE_S = 2.0
_LINE_EVERY_S = 10.0


class Meter:
    """Counts finished units; what it shows depends on where the output goes."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, 0
        self._start = time.monotonic()
        self._shown = self._start + _PATIENCE_S - _LINE_EVERY_S
        self._bar: Progress | None = None
        self._said = False

    def advance(self, count: int = 1) -> None:
        """Say that `count` more units are finished."""
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done)
        elif now - self._shown >= _LINE_EVERY_S:
            self._shown = now
            if sys.stderr.isatty():
                self._open_bar()
            else:
                self._line(now)

    def _open_bar(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._bar.start()
        self._bar.add_task(self.label, total=self.total, completed=self.done)

    def _line(self, now: float) -> None:
        self._said = True
        rate = self.done / max(now - self._start, 1e-9)
        of_total = f"/{self.total}" if self.total is not None else ""
        print(f"{self.label}: {self.done}{of_total} {self.unit}, {rate:.1f}/s", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar down; a plain log gets a last line if it had others."""
        if self._bar is not None:
            self._bar.stop()
        elif self._said:
            self._line(time.monotonic())


@contextmanager
def meter(label: str, total: int | None = None, unit: str = "images") -> Iterator[Meter]:
    """A `Meter` that is closed whatever happens."""
    shown = Meter(label, total, unit)
    try:
        yield shown
    finally:
        shown.close()


def track(items: Iterable[T], label: str, total: int | None = None, unit: str = "images") -> Iterator[T]:
    """Iterate over `items` and show how far the work is."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with meter(label, total, unit) as shown:
        for item in items:
            yield item
            shown.advance()
