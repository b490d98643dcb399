"""`passerby report`: one web page about one or several runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.report import Run

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Write one HTML file that needs nothing else: what was trained on what and by which convention it is measured, scores with
    intervals beside published ones, curves, ranked galleries, the surest mistakes, the hardest cameras with what might help, and
    the command that makes it again. Several runs are compared with the first, query by query.

    A run without embeddings is embedded where --data names its data set; without both, the page says what its log knows.

    Examples: passerby report runs/market --data DIR; passerby report runs/plain runs/tricks --data DIR --out both.html;
    passerby report demo
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """run folders, as `passerby train` makes them, or the folder of `passerby demo`"""
    out: Path = Path("report.html")
    """page to write"""
    data: Path | None = None
    """folder that holds the data set: its images are shown, and runs without embeddings are embedded (into RUN/embeddings)"""
    dataset: str = ""
    """data set to embed (default: what lies in --data)"""
    images: Path | None = None
    """folder of the images, where it is another than --data"""
    embeddings: tuple[Path, ...] = ()
    """folders that `passerby embed` wrote, one a run (default: RUN/embeddings)"""
    names: tuple[str, ...] = ()
    """what to call the runs (default: as little of their paths as tells them apart)"""
    convention: str = ""
    """rules of ranking and counting: market1501, layumi, any-camera ... (default: the usual one of the data set)"""
    preset: str = ""
    """show the published figures of this preset (default: the nearest preset of the same recipe and data)"""
    each: int = 2
    """how many of the best, the median and the worst queries to show of each run"""
    top: int = 10
    """gallery images of each"""
    failures: int = 8
    """how many of the surest mistakes to show of each run"""
    bootstrap: int = 1000
    """draws for the 95 % intervals"""
    seed: int = 0
    """of the intervals"""
    title: str = ""
    """heading (default: what was trained on what)"""
    json: Path | None = None
    """write the scores to this file too"""


def run(options: Options) -> None:
    """Write what the options name."""
    from passerby.files import write_json
    from passerby.metrics.conventions import resolve
    from passerby.recipes import load_preset
    from passerby.report import check_request, write_report

    check_request(options.out, options.each, options.top, options.failures, options.bootstrap)
    convention = resolve(options.convention) if options.convention else None
    if options.preset:
        load_preset(options.preset)
    runs = _runs(options)
    scores = write_report(
        runs, options.out, convention=convention, preset=options.preset,
        each=options.each, top=options.top, failures=options.failures, samples=options.bootstrap, seed=options.seed,
        title=options.title,
    )  # fmt: skip
    print(f"{options.out}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {options.out.stat().st_size / 1e6:.1f} MB")
    for each in runs:
        found = scores.get(each.name)
        told = f"Rank-1 {found.rank(1):.2%}, mAP {found.map:.2%} ({found.convention.in_words()})" if found else "no embeddings"
        print(f"{each.name}: {told}")
    if options.json is not None:
        write_json(options.json, {"page": str(options.out), "runs": {name: found.to_dict() for name, found in scores.items()}})


def _runs(options: Options) -> list[Run]:
    from passerby.plots.curves import short_names

    if options.embeddings and len(options.embeddings) != len(options.runs):
        raise UsageError(
            f"{len(options.embeddings)} folders of embeddings for {len(options.runs)} runs: give one a run, or none."
        )
    if options.names and len(options.names) != len(options.runs):
        raise UsageError(f"{len(options.names)} names for {len(options.runs)} runs: give one name a run, or none.")
    if options.dataset and options.data is None:
        raise UsageError(f"--dataset is {options.dataset}, but it acts only with --data. Leave it out, or add that.")
    if not options.runs:
        raise UsageError("no run to report: give one or more run folders.")
    names = options.names or tuple(short_names(list(options.runs)))
    return [_run(options, number, name) for number, name in enumerate(names)]


def _run(options: Options, number: int, name: str) -> Run:
    from passerby.report import read_run
    from passerby.training.history import HISTORY_FILE

    given = options.runs[number]
    demo = not (given / HISTORY_FILE).is_file() and (given / "run" / HISTORY_FILE).is_file()
    folder = given / "run" if demo else given
    embeddings = options.embeddings[number] if options.embeddings else given / "embeddings"
    if not options.embeddings and not embeddings.is_dir():
        embeddings = _embedded(options, folder)
    found = read_run(folder, name=name, embeddings=embeddings)
    images = options.images or options.data or (given / "data" if demo else None)
    if found.sets is None or images is None or not found.sees_images:
        return found
    return replace(found, images=_folder_of(images, found))


def _embedded(options: Options, folder: Path) -> Path | None:
    """Embed the run's data set, where it is named and there is a model."""
    from passerby.artefact import DESCRIPTION_FILE
    from passerby.cli import embed
    from passerby.configs import read_yaml

    if options.data is None or not (folder / "artefact" / DESCRIPTION_FILE).is_file():
        return None
    settings = read_yaml(folder / "config.yaml") if (folder / "config.yaml").is_file() else {}
    trial = str(settings.get("trial", ""))
    out = folder / "embeddings"
    embed.run(embed.Options(model=folder / "artefact", out=out, dataset=options.dataset, data=options.data, trial=trial))
    return out


def _folder_of(images: Path, found: Run) -> Path:
    from passerby.cli.plot_ranking import image_folder

    assert found.sets is not None
    if not images.is_dir():
        raise UsageError(f"{images} is no folder of images: give that of the data set, --data or --images.")
    return image_folder(images, [str(name) for part in (found.sets.query, found.sets.gallery) for name in part.names])
