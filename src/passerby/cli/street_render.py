"""`passerby street render`: rendered people of one town, or the Street-v1 benchmark, as a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from passerby.errors import UsageError
from passerby.files import write_json
from passerby.machine import available_cores
from passerby.street.folder import Order, read_manifest
from passerby.street.output import Rendered, preview, render_set

__all__ = ["Options", "run", "size_of"]


@dataclass(frozen=True)
class Options:
    """Render people who walk through a town's cameras, in Market-1501's layout with everything known about each crop.

    Half of the people are for training, half for testing; nobody is in both. A run that was killed goes on where it stopped.
    """

    out: Path
    """New or empty folder, or the one of an earlier run of the same command."""
    town: str = ""
    """arcade, campus, harbour, market, station or winter; `passerby street list` describes them; or random-1, random-2, ...:
    towns put together by chance."""
    ids: int | None = None
    """How many people (200 where not given)."""
    views: int | None = None
    """Crops of each person, over at least two cameras (6 where not given)."""
    seed: int | None = None
    """Who comes, and when (0 where not given)."""
    benchmark: str = ""
    """S or M: render Street-v1 instead, all towns or the one of --town, each in a folder of its own."""
    population: str = ""
    """house or house-large: render the people that the house model is trained on, 16 or 28 towns, all for training."""
    clouds: str = "none"
    """Also write each crop's coloured point cloud: none, obj, npz or both."""
    cloud_height: int = 128
    """Rows of the cloud's grid of points; it has half as many columns."""
    size: str = "128x256"
    """Width x height of the stored crops, pixels."""
    renderer: str = "auto"
    """gl, numba, or auto: gl where a GPU draws it, else numba, which is the faster one on CPUs."""
    workers: int = 0
    """Processes that draw; 0: one a core."""
    preview: bool = False
    """Also write preview.jpg, a sheet to look at."""
    json: Path | None = None
    """Write what was done to this file."""


def run(options: Options) -> None:
    """Render, and say what was made."""
    workers = options.workers or available_cores()
    if options.benchmark and options.population:
        raise UsageError("--benchmark and --population were both given: render one, then the other, into folders of their own.")
    if options.benchmark:
        done = _benchmark(options, workers)
    elif options.population:
        done = _population(options, workers)
    else:
        done = [_one_town(options, workers)]
    for made in done:
        kept = f" ({made.crops - made.made} were there)" if made.made < made.crops else ""
        print(f"{made.folder}: {made.people} people, {made.crops} crops{kept}, renderer {made.renderer}")
    drawn = sum(made.made for made in done)
    if drawn:
        print(f"{drawn} crops drawn in {done[0].seconds:.1f} s, {drawn / done[0].seconds:.1f}/s with {workers} processes")
    if options.renderer == "auto" and done and done[0].renderer == "numba":
        print("Drawn with numba: OpenGL is not there or has no GPU here. Both draw the same pictures, within 2/255.")
    if options.json is not None:
        write_json(options.json, [{**asdict(made), "folder": str(made.folder)} for made in done])


def _benchmark(options: Options, workers: int) -> list[Rendered]:
    from passerby.street.benchmark import render_benchmark

    _only_fixed(options, "--benchmark: Street-v1 is fixed.")
    towns = (options.town,) if options.town else ()
    return render_benchmark(
        options.benchmark, options.out, towns=towns, renderer=options.renderer, workers=workers, sheets=options.preview
    )


def _population(options: Options, workers: int) -> list[Rendered]:
    from passerby.street.populations import render_population

    _only_fixed(options, "--population: who lives in it is fixed.")
    if options.town or options.preview:
        extra = "--town" if options.town else "--preview"
        raise UsageError(f"{extra} cannot be given with --population: it is rendered whole; look at one town by --town alone.")
    return render_population(options.population, options.out, renderer=options.renderer, workers=workers)


def _only_fixed(options: Options, why: str) -> None:
    """Refuse what would make another set of a fixed one."""
    given = {
        "--ids": options.ids is not None,
        "--views": options.views is not None,
        "--seed": options.seed is not None,
        "--clouds": options.clouds != "none",
        "--size": options.size != "128x256",
    }
    extra = [flag for flag, was in given.items() if was]
    if extra:
        raise UsageError(f"{', '.join(extra)} cannot be given with {why}")


def _one_town(options: Options, workers: int) -> Rendered:
    from passerby.street.towns import TOWNS

    if not options.town:
        raise UsageError(f"--town is missing: give one of {', '.join(TOWNS)}, or --benchmark S.")
    ids = 200 if options.ids is None else options.ids
    if ids < 1:
        raise UsageError(f"--ids is {ids}: there must be at least one person to render.")
    width, height = size_of(options.size)
    order = Order(
        options.town,
        train_ids=(ids + 1) // 2,
        test_ids=ids // 2,
        views=6 if options.views is None else options.views,
        seed=options.seed or 0,
        width=width,
        height=height,
        clouds=options.clouds,
        cloud_height=options.cloud_height,
    )
    made = render_set(order, options.out, renderer=options.renderer, workers=workers)
    if options.preview:
        print(preview(options.out, read_manifest(options.out)))
    return made


def size_of(text: str) -> tuple[int, int]:
    """ "640x360" -> (640, 360).

    Raises:
        UsageError: it is not of that form.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise UsageError(f'size is "{text}": give width x height in pixels, for instance 128x256.')
    return int(parts[0]), int(parts[1])
