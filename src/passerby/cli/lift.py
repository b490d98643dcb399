"""`passerby lift`: the images of a data set, or of a folder, as coloured clouds of points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from passerby.errors import DataError, UsageError
from passerby.files import write_json

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Lift images of people to 3-D, on a CPU: a data set becomes a tree of coloured clouds that `train ognet` reads.

    A cloud has one point a pixel of a grid: the person's visible surface first, then a plane behind it. An image that cannot
    be lifted (no person, two people, too little of one) becomes no cloud; failures.csv lists each with its reason. A stopped
    call goes on where it stopped when it is given again.

    passerby lift Market-1501-v15.09.15 --out 3DMarket+bg

    passerby train ognet --preset market-ognet-small-circle --data 3DMarket+bg
    """

    source: Annotated[Path, tyro.conf.Positional]
    """folder of a data set that `passerby data check` knows, or any folder of images"""
    out: Path
    """new folder, or that of an earlier call with the same images and options"""
    dataset: str = ""
    """data set to read it as (default: what it looks like); images: any folder of images, whose tree is kept"""
    lifter: Literal["anny", "template", "vertices"] = "anny"
    """anny: a body fitted to landmarks and mask of a network that comes with passerby; template: one standing body placed on a
    mask or on the whole crop, without any network; vertices: bodies that your own tool has fitted (SMPL, SAM 3D Body)"""
    vertices: Path | None = None
    """for --lifter vertices: folder with an .npz a crop (vertices and camera; faces and mask where there are)"""
    masks: Path | None = None
    """for --lifter template: folder with a .png mask a crop"""
    tilt_deg: float = 15.0
    """for --lifter anny and template: how far the cameras look down on people, degrees; a single crop hardly shows it"""
    two_people: Literal["refuse", "lift"] = "refuse"
    """for --lifter anny: a crop with two people side by side is refused, or the one who is found is lifted, without the look for
    a second, which is a third to half of the network's time"""
    points: Literal["surface", "vertices"] = "surface"
    """surface: a point each pixel of the person; vertices: the body's visible vertices, as published, with fewer points"""
    height: int = 128
    """rows of the grid; it has half as many columns, and a cloud height x height / 2 points"""
    form: Literal["npz", "obj"] = "npz"
    """of the files: npz is small and quick, obj the published form"""
    limit: int | None = None
    """lift at most so many images, spread over the data set, for a look"""
    workers: int = 0
    """processes; 0: one a core"""
    preview: bool = False
    """also write preview.jpg: some clouds from all sides"""
    json: Path | None = None
    """write what was done to this file"""


def run(options: Options) -> None:
    """Lift, and say what became of the images."""
    from passerby.datasets.walking import files_below
    from passerby.lifting.opening import LifterOptions
    from passerby.lifting.preview import write_sheet
    from passerby.lifting.tree import FAILURES, LiftSettings, lift_folder
    from passerby.machine import available_cores

    if options.workers < 0:
        raise UsageError(f"--workers is {options.workers}: give how many processes should work, or 0 for one a core.")
    settings = LiftSettings(
        lifter=options.lifter,
        options=LifterOptions(
            tilt_deg=options.tilt_deg,
            two_people=options.two_people == "refuse",
            masks=options.masks,
            vertices=options.vertices,
        ),
        points=options.points,
        height=options.height,
        form=options.form,
    )
    report = lift_folder(
        options.source,
        options.out,
        settings,
        dataset=options.dataset,
        workers=options.workers or available_cores(),
        limit=options.limit,
    )
    kept = f" ({report.kept} were there)" if report.kept else ""
    print(f"{report.out}: {report.made + report.kept} clouds of {report.images} images{kept}")
    if report.failures:
        share = len(report.failures) / report.images
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.reasons.items())
        print(f"{len(report.failures)} images ({share:.1%}) became no cloud: {reasons}. Each is in {report.out / FAILURES}.")
    if options.json is not None:
        write_json(options.json, report.as_json())
    clouds = files_below(options.out, frozenset({f".{options.form}"}))
    if not clouds:
        raise DataError(f"none of the {report.images} images could be lifted: look at {report.out / FAILURES}.")
    if options.preview:
        print(write_sheet(clouds, options.out / "preview.jpg"))
    if report.dataset:
        print(f"To train on them: passerby train ognet --dataset {report.dataset} --data {report.out}")
