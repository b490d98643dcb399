"""`passerby plot data`: a data set on one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw some people of a data set across its cameras, and how many images there are of each camera and of each person."""

    data: Annotated[Path, tyro.conf.Positional]
    """folder that holds the data set"""
    dataset: str = ""
    """data set: market1501, msmt17, ... (default: what lies there)"""
    trial: str = ""
    """one of a small data set's repeated splits, by its name or its number"""
    people: int = 6
    """how many people to show, those whom most cameras see"""
    out: Path = Path("data.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    title: str = ""
    """heading (default: the data set)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write who is shown, and the sizes of the splits, to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby import datasets
    from passerby.files import write_json
    from passerby.plots import plot_data
    from passerby.plots.style import check_format

    check_format(options.out, options.dpi)
    data = datasets.one_trial(datasets.read(options.dataset or datasets.detect(options.data), options.data), options.trial)
    shown = plot_data(data, options.out, people=options.people, title=options.title, dpi=options.dpi)
    print(f"{options.out}: {data.name}, {len(shown)} of its people")
    if options.json is not None:
        sizes = {name: {"images": len(split), "people": len(split.identities)} for name, split in data.splits().items()}
        write_json(options.json, {"picture": str(options.out), "shown": [list(person) for person in shown], "splits": sizes})
