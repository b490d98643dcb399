"""Lifters by name, and one image in one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from passerby.datasets.walking import shown
from passerby.errors import UsageError, nearest
from passerby.lifting.colouring import Points, colour
from passerby.lifting.lifter import Crop, Lifter, Refused
from passerby.street.clouds import PointCloud

__all__ = ["LIFTERS", "LifterName", "LifterOptions", "lift", "open_lifter"]

LifterName = Literal["anny", "template", "vertices"]
LIFTERS = ("anny", "template", "vertices")


@dataclass(frozen=True)
class LifterOptions:
    """What lifters can be told.

    Attributes:
        tilt_deg: how far the cameras look down on people, degrees (anny, template).
        two_people: refuse crops that show two people side by side (anny).
        masks: folder with a mask a crop (template).
        vertices: folder with a body a crop (vertices).
    """

    tilt_deg: float = 15.0
    two_people: bool = True
    masks: Path | None = None
    vertices: Path | None = None


def open_lifter(name: str = "anny", options: LifterOptions | None = None) -> Lifter:
    """The lifter called `name`.

    Raises:
        UsageError: an unknown name, an option of another lifter, or a folder that is missing.
        MissingDependencyError: onnxruntime, which "anny" needs, is not installed.
    """
    options = options or LifterOptions()
    if name not in LIFTERS:
        raise UsageError(f'lifter "{name}" is unknown. {nearest(name, LIFTERS)}')
    if options.masks is not None and name != "template":
        raise UsageError(f'masks go with the lifter "template": "{name}" brings its own.')
    if (options.vertices is None) == (name == "vertices"):
        raise UsageError(f'a folder of vertices goes with the lifter "vertices", and only with it; the lifter is "{name}".')
    unused = LifterOptions()
    if name == "vertices" and options.tilt_deg != unused.tilt_deg:
        raise UsageError(
            f'the tilt is {options.tilt_deg:g} degrees, but bodies of your own tool bring theirs: leave it out with "vertices".'
        )
    if name != "anny" and options.two_people != unused.two_people:
        raise UsageError(f'two people are looked for with the lifter "anny" alone: leave that choice out with "{name}".')
    if not -30 <= options.tilt_deg <= 60:
        raise UsageError(f"the tilt is {options.tilt_deg:g} degrees: cameras that see whole people look down by -30 to 60.")
    if name == "vertices":
        from passerby.lifting.vertices import VerticesLifter

        assert options.vertices is not None
        return VerticesLifter(options.vertices)
    if name == "template":
        from passerby.lifting.template import TemplateLifter

        if options.masks is not None and not options.masks.is_dir():
            raise UsageError(f'"{shown(options.masks)}" is no folder: give the one that holds a .png mask a crop.')
        return TemplateLifter(options.masks, tilt_deg=options.tilt_deg)
    from passerby.lifting.anny import AnnyLifter
    from passerby.lifting.fitting import FitSettings

    return AnnyLifter(FitSettings(tilt_deg=options.tilt_deg), second=options.two_people)


def lift(
    lifter: Lifter, image: np.ndarray, *, name: str = "", width: int = 64, height: int = 128, points: Points = "surface"
) -> PointCloud | Refused:
    """Lift one crop.

    Args:
        lifter: see `open_lifter`.
        image: (H, W, 3) uint8.
        name: of its file, where the lifter reads what other tools made of it.
        width, height, points: see `colour`.

    Returns:
        The cloud, or why there is none.

    Raises:
        UsageError: an image of another shape or type; see `colour`.
    """
    (answer,) = lifter([Crop(image, name)])
    return answer if isinstance(answer, Refused) else colour(answer, image, width=width, height=height, points=points)
