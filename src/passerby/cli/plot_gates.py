"""`passerby plot gates`: how the gates between batch and instance norm moved in a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw the mean gate of each layer over the epochs, and histograms of all layers at a few of them."""

    run: Annotated[Path, tyro.conf.Positional]
    """run folder of `passerby train metabin`"""
    out: Path = Path("gates.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    moments: int = 4
    """epochs whose histograms are drawn, the first and the last among them"""
    title: str = ""
    """heading (default: the run)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write the drawn epochs' mean gate of each layer to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.files import write_json
    from passerby.plots import plot_gates

    states = plot_gates(options.run, options.out, moments=options.moments, title=options.title, dpi=options.dpi)
    print(f"{options.out}: {len(states[-1].mean)} layers, epochs {', '.join(str(state.epoch) for state in states)}")
    if options.json is not None:
        write_json(options.json, {"picture": str(options.out), "means": {str(state.epoch): dict(state.mean) for state in states}})
