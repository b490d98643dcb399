"""`passerby plot curves`: what one or several runs have logged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw loss, accuracy and evaluation over the epochs; several runs share the axes, a colour each."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """run folders, as `passerby train` makes them"""
    out: Path = Path("curves.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    names: tuple[str, ...] = ()
    """what to call the runs (default: as little of their paths as tells them apart)"""
    title: str = ""
    """heading (default: the names)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write each run's last epoch and last evaluation to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.files import write_json
    from passerby.plots import plot_curves
    from passerby.training import load_history

    plot_curves(options.runs, options.out, names=options.names, title=options.title, dpi=options.dpi)
    print(f"{options.out}: {len(options.runs)} run{'s' if len(options.runs) > 1 else ''}")
    if options.json is not None:
        found = {}
        for folder in options.runs:
            history = load_history(folder)
            found[str(folder)] = {"epoch": history.epochs[-1], "evaluation": (history.evaluations or (None,))[-1]}
        write_json(options.json, {"picture": str(options.out), "runs": found})
