"""`passerby plot turntable`: a cloud of coloured points from all sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw a cloud of coloured points from all sides: views side by side, or an animation where --out ends in .gif."""

    cloud: Annotated[Path, tyro.conf.Positional]
    """cloud of points: .obj, .ply or .npz"""
    out: Path = Path("turntable.png")
    """picture to write: .png, .pdf, .svg or .jpg; or .gif, which turns"""
    views: int = 8
    """how many sides, evenly round; an animation is smooth from about 36"""
    height: int = 220
    """px of one view"""
    up: Literal["-y", "y", "z"] = "-y"
    """which axis points up; clouds of crops have y pointing down"""
    title: str = ""
    """heading of the strip (default: the file)"""
    dpi: int = 130
    """dots an inch of the strip"""
    json: Path | None = None
    """write the number of points and their extent to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.datasets.cloud_files import read_cloud
    from passerby.files import write_json
    from passerby.plots import plot_turntable

    cloud = read_cloud(options.cloud, colours=False)
    title = options.title or f"{options.cloud.name} from all sides"
    views = plot_turntable(
        cloud, options.out, views=options.views, height_px=options.height, up=options.up, title=title, dpi=options.dpi
    )
    print(f"{options.out}: {len(cloud):,} points, {len(views)} views")
    if options.json is not None:
        low, high = cloud[:, :3].min(0).tolist(), cloud[:, :3].max(0).tolist()
        write_json(options.json, {"picture": str(options.out), "points": len(cloud), "low": low, "high": high})
