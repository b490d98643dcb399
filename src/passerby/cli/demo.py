"""`passerby demo`: the whole way on the rendered street: people, a check, training, vectors, a number, a search, a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.embeddings import Embeddings
    from passerby.metrics import RetrievalScores
    from passerby.recipes.baseline import Config
    from passerby.records import ReidData

__all__ = ["Options", "run"]

_HISTOGRAM = "colour histogram"


@dataclass(frozen=True)
class Options:
    """Render the people of a town, train a small network on some of them, and find the others again across its cameras.

    Beside it stand the model that comes with passerby and a colour histogram. Everything is written into one folder. Nothing is
    downloaded. Two CPU cores need two to three minutes. The same command given again goes on where it was stopped.
    """

    out: Path = Path("demo")
    """folder for data, run, vectors and pictures"""
    town: str = "campus"
    """arcade, campus, harbour, market, station or winter; `passerby street list` describes them"""
    epochs: int = 12
    """passes over the training images; 0 only renders the people"""
    train_people: int = 64
    """people to train on"""
    test_people: int = 40
    """people to find, none of them trained on"""
    views: int = 8
    """crops of each person"""
    workers: int = 0
    """processes that render; 0: one a core"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ... to train and embed on"""
    seed: int = 0
    """of the people, the network and the order of the images"""
    json: Path | None = None
    """write the scores to this file too"""


@contextmanager
def _stage(number: int, what: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"[{number}/8] {what} ...", flush=True)
    yield
    print(f"[{number}/8] {what}: {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread.

    A network this small gains a fifth from a second one on an idle machine and loses half or more to it on a busy one, where
    threads wait for each other; and the last digits differ with the number of threads.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(options: Options) -> None:
    """Go the whole way, one stage after the other."""
    if options.epochs < 0:
        raise UsageError(f"--epochs is {options.epochs}: 0 only renders the people, 1 or more trains.")
    if options.train_people < 2 or options.test_people < 2:
        raise UsageError(
            f"--train-people is {options.train_people}, --test-people {options.test_people}: each needs 2 or more to tell apart."
        )
    started = time.monotonic()
    out = options.out
    with _stage(1, f"render people who walk through the town of {options.town}"):
        data = _render(options)
    with _stage(2, "check the data"):
        _check(out / "data")
    if options.epochs == 0:
        print(f"rendered: {out / 'data'}")
        return
    config = _config(options)
    with _stage(3, f"train the plain recipe, {_start(config)}"), _one_thread():
        artefact = _train(options, config, data)
    with _stage(4, "embed the test people"), _one_thread():
        query, gallery = _embed(options, data, artefact)
    with _stage(5, "evaluate, beside the house model and a colour histogram"), _one_thread():
        from passerby.metrics import evaluate

        scores, rivals = (
            evaluate(query, gallery),
            {"house model": _house_scores(options, data), _HISTOGRAM: _histogram_scores(data)},
        )
    with _stage(6, "draw pictures"):
        _pictures(out, query, gallery, scores, f"baseline ({_start(config)}) on the rendered street, {options.town}")
    with _stage(7, "index the test people, and look for one of them in the other cameras"), _one_thread():
        _search(options, data, artefact)
    with _stage(8, "write the report"):
        _report(options, scores, rivals)
    _tell(options, data, scores, rivals, time.monotonic() - started)


def _render(options: Options) -> ReidData:
    from passerby import datasets
    from passerby.machine import available_cores
    from passerby.street.folder import Order, read_manifest
    from passerby.street.output import preview, render_set

    order = Order(options.town, options.train_people, options.test_people, options.views, options.seed)
    folder = options.out / "data"
    render_set(order, folder, workers=options.workers or available_cores())
    preview(folder, read_manifest(folder))
    return datasets.read("street", folder)


def _check(folder: Path) -> None:
    from passerby.cli import data_check

    data_check.run(data_check.Options(folder))


def _config(options: Options) -> Config:
    """A network that two cores train in a minute: from ImageNet weights where a package carries them, else from scratch."""
    from passerby.models.weights import find_installed_weights
    from passerby.recipes.baseline import Config

    small = Config(
        height=128, width=64, head="bnneck", losses=("triplet-hard",), batch_size=32, schedule="cosine", warmup_epochs=1,
        optimizer="adamw", backbone="osnet_x0_25", weights="scratch", lr=2e-3, backbone_lr_factor=1.0,
        epochs=max(options.epochs, 1), evaluate_every=max(options.epochs // 4, 1), seed=options.seed,
    )  # fmt: skip
    if find_installed_weights("mobilenet_v2") is None:
        return small
    return replace(small, backbone="mobilenet_v2", weights="auto", lr=3.5e-4)


def _start(config: Config) -> str:
    return "OSNet x0.25 from scratch" if config.weights == "scratch" else "MobileNetV2 from ImageNet weights"


def _train(options: Options, config: Config, data: ReidData) -> Path:
    from passerby.recipes import baseline

    run_dir = options.out / "run"
    # a demo that was stopped goes on; one that is finished is only shown again
    begun = any((run_dir / "checkpoints").glob("*.pt"))
    return baseline.train(config, data, run_dir, resume=begun, device=options.device, workers=0)


def _embed(options: Options, data: ReidData, artefact: Path) -> tuple[Embeddings, Embeddings]:
    from passerby.artefact import load
    from passerby.embedder import embed

    embedder = load(artefact, device=options.device)
    sets = []
    for subset, split in (("query", data.query), ("gallery", data.gallery)):
        meta = {"data": data.name, "subset": subset, "notes": list(data.notes)}
        sets.append(embed(embedder, split, root=options.out / "data", meta=meta))
        sets[-1].save(options.out / "embeddings" / f"{subset}.npz")
    return sets[0], sets[1]


def _house_scores(options: Options, data: ReidData) -> RetrievalScores:
    """What comes out where no model is named."""
    from passerby.artefact import load
    from passerby.embedder import embed
    from passerby.metrics import evaluate

    embedder = load(device=options.device)
    return evaluate(embed(embedder, data.query), embed(embedder, data.gallery))


def _house_note(town: str) -> str:
    from passerby.street.populations import HELD_OUT

    saw = "has never seen this town" if town in HELD_OUT else "was trained on other people of this town and of 15 others"
    return f"the house model, which is used where no model is named, {saw}"


def _histogram_scores(data: ReidData) -> RetrievalScores:
    from passerby.cli.colour_histogram import embed_histograms
    from passerby.metrics import evaluate

    return evaluate(embed_histograms(data.query), embed_histograms(data.gallery))


def _pictures(out: Path, query: Embeddings, gallery: Embeddings, scores: RetrievalScores, title: str) -> None:
    from passerby.plots import plot_curves, plot_ranking

    plot_ranking(query, gallery, out / "data", out / "ranking.png", scores=scores, each=2, title=title)
    plot_curves([out / "run"], out / "curves.png", title=title)


def _search(options: Options, data: ReidData, artefact: Path) -> None:
    from passerby.cli import index, search

    out, wanted = options.out, data.query[0]
    gallery = str(out / "street.gallery")
    index.run(index.Options((out / "data",), gallery, dataset="street", model=artefact, device=options.device))
    seen_by = f"{wanted.domain}/{wanted.camid + 1}"
    search.run(
        search.Options(
            (wanted.path,), gallery, model=artefact, not_camera=(seen_by,), k=10, out=out / "search.png", device=options.device
        )
    )


def _report(options: Options, scores: RetrievalScores, rivals: dict[str, RetrievalScores]) -> None:
    from passerby.report import read_run, write_report

    out = options.out
    run = read_run(out / "run", name="network", embeddings=out / "embeddings", images=out / "data")
    write_report(
        [run], out / "report.html", convention=scores.convention, references=rivals,
        title=f"passerby demo: rendered people of the town {options.town}",
    )  # fmt: skip


def _tell(options: Options, data: ReidData, scores: RetrievalScores, rivals: dict[str, RetrievalScores], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.files import write_json

    out, console = options.out, Console()
    epochs = f"{options.epochs} epoch{'s' if options.epochs > 1 else ''}"
    found = {f"trained network, {epochs}": scores, **rivals}
    notes = [*data.notes, _house_note(options.town)]
    table = Table("%", "Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
    for name, row in found.items():
        table.add_row(name, *(f"{100 * value:.1f}" for value in row.summary().values()))
    console.print(table)
    console.print(f"convention: {scores.convention.in_words()}", soft_wrap=True, highlight=False)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    files = {
        "the report": "report.html",
        "what was found": "ranking.png",
        "a search": "search.png",
        "the gallery": "street.gallery",
        "how it learned": "curves.png",
        "the trained model": "run/artefact",
        "the people": "data/preview.jpg",
    }
    for what, name in files.items():
        console.print(f"{what + ':':20} {out / name}", soft_wrap=True, highlight=False)
    console.print(f"{seconds:.0f} s in all. Open {out / 'report.html'} first.", soft_wrap=True, highlight=False)
    if options.json is not None:
        facts: dict[str, Any] = {
            name: row.to_dict() for name, row in zip(("network", "house", "histogram"), found.values(), strict=True)
        }
        write_json(options.json, {"out": str(out), "seconds": round(seconds, 1), "notes": notes, **facts})
