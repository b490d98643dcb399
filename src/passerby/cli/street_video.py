"""`passerby street video`: films of a town's cameras with ground truth for detection, tracking and cross-camera search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from passerby.cli.street_render import size_of
from passerby.files import write_json
from passerby.street.video import ClipOrder, render_video

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Film whole frames of a town's cameras as MP4, with MOT ground truth and one numbering of people over all cameras."""

    town: str
    """arcade, campus, harbour, market, station or winter."""
    out: Path
    """Folder for TOWN-cN.mp4, TOWN-cN.gt.txt and TOWN-cN.json."""
    cameras: tuple[int, ...] = ()
    """Camera numbers, from 1; all where not given."""
    seconds: float = 20.0
    """Length of each film, s."""
    people: int | None = None
    """People who pass all the cameras; where not given, as many as usually crowd the town."""
    seed: int = 0
    """Who comes, and when."""
    size: str = "640x360"
    """Width x height of the frames, pixels."""
    fps: int = 25
    """Frames a second."""
    renderer: str = "auto"
    """gl, numba, or auto: gl where a GPU draws it, else numba, which is the faster one on CPUs."""
    json: Path | None = None
    """Write what was done to this file."""


def run(options: Options) -> None:
    """Film, and say what was made."""
    width, height = size_of(options.size)
    order = ClipOrder(options.town, options.cameras, options.seconds, options.people, options.seed, width, height, options.fps)
    clips = render_video(order, options.out, renderer=options.renderer)
    for clip in clips:
        print(f"{clip.video}: {clip.frames} frames, {clip.people} people, {clip.boxes} boxes in {clip.truth.name}")
    if options.json is not None:
        write_json(options.json, [{**asdict(clip), "video": str(clip.video), "truth": str(clip.truth)} for clip in clips])
