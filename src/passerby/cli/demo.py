"""`passerby demo`: the whole way on drawn people: data, a check, training, vectors, a number, pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.embeddings import Embeddings
    from passerby.metrics import RetrievalScores
    from passerby.records import ReidData

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw people, train a small network from scratch on some of them, and find the others again across cameras.

    Everything is written into one folder. Nothing is downloaded. Two CPU cores need two to three minutes. The same command given
    again goes on where it was stopped.
    """

    out: Path = Path("demo")
    """folder for data, run, vectors and pictures"""
    epochs: int = 18
    """passes over the training images; 0 only draws the people"""
    train_people: int = 64
    """people to train on"""
    test_people: int = 40
    """people to find, none of them trained on"""
    cameras: int = 4
    """cameras that they pass, 2 to 6"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    seed: int = 0
    """of the people, the network and the order of the images"""
    json: Path | None = None
    """write the scores to this file too"""


@contextmanager
def _stage(number: int, what: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"[{number}/6] {what} ...", flush=True)
    yield
    print(f"[{number}/6] {what}: {time.monotonic() - started:.1f} s", flush=True)


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
        raise UsageError(f"--epochs is {options.epochs}: 0 only draws the people, 1 or more trains.")
    started = time.monotonic()
    out = options.out
    with _stage(1, "draw people"):
        data = _draw(options)
    with _stage(2, "check the data"):
        _check(out / "data")
    if options.epochs == 0:
        print(f"drawn: {out / 'data'}")
        return
    with _stage(3, "train a small network from scratch"), _one_thread():
        artefact = _train(options, data)
    with _stage(4, "embed the test people"), _one_thread():
        query, gallery = _embed(options, data, artefact)
    with _stage(5, "evaluate, beside a colour histogram"):
        from passerby.metrics import evaluate

        scores, plain = evaluate(query, gallery), _histogram_scores(data)
    with _stage(6, "draw pictures"):
        _pictures(out, query, gallery, scores)
    _tell(options, data, scores, plain, time.monotonic() - started)


def _draw(options: Options) -> ReidData:
    from passerby.datasets.drawn import DrawnOptions, make_drawn

    wanted = DrawnOptions(options.train_people, options.test_people, options.cameras, seed=options.seed)
    return make_drawn(options.out / "data", wanted)


def _check(folder: Path) -> None:
    from passerby.cli import data_check

    data_check.run(data_check.Options(folder))


def _train(options: Options, data: ReidData) -> Path:
    from passerby.recipes import baseline

    config = baseline.Config(
        backbone="osnet_x0_25", weights="scratch", height=128, width=64, head="bnneck", losses=("triplet-hard",), batch_size=32,
        optimizer="adamw", lr=2e-3, backbone_lr_factor=1.0, schedule="cosine", warmup_epochs=1, epochs=options.epochs,
        evaluate_every=6, seed=options.seed,
    )  # fmt: skip
    run_dir = options.out / "run"
    begun = any(
        (run_dir / "checkpoints").glob("*.pt")
    )  # a demo that was stopped goes on; one that is finished is only shown again
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


def _histogram_scores(data: ReidData) -> RetrievalScores:
    from passerby.cli.colour_histogram import embed_histograms
    from passerby.metrics import evaluate

    return evaluate(embed_histograms(data.query), embed_histograms(data.gallery))


def _pictures(out: Path, query: Embeddings, gallery: Embeddings, scores: RetrievalScores) -> None:
    from passerby.plots import plot_curves, plot_ranking

    plot_ranking(query, gallery, out / "data", out / "ranking.png", scores=scores, each=2, title=_TITLE)
    plot_curves([out / "run"], out / "curves.png", title=_TITLE)


_TITLE = "baseline (OSNet x0.25, from scratch) on drawn people"


def _tell(options: Options, data: ReidData, scores: RetrievalScores, plain: RetrievalScores, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.files import write_json

    out, console = options.out, Console()
    epochs = f"{options.epochs} epoch{'s' if options.epochs > 1 else ''}"
    found = {f"trained network, {epochs}": scores, "colour histogram": plain}
    table = Table("%", "Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
    for name, row in found.items():
        table.add_row(name, *(f"{100 * value:.1f}" for value in row.summary().values()))
    console.print(table)
    console.print(f"convention: {scores.convention.in_words()}", soft_wrap=True, highlight=False)
    for note in data.notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    files = {
        "what was found": "ranking.png",
        "how it learned": "curves.png",
        "the trained model": "run/artefact",
        "the people": "data",
    }
    for what, name in files.items():
        console.print(f"{what + ':':20} {out / name}", soft_wrap=True, highlight=False)
    console.print(f"{seconds:.0f} s in all. Open {out / 'ranking.png'} first.", soft_wrap=True, highlight=False)
    if options.json is not None:
        facts: dict[str, Any] = {name: row.to_dict() for name, row in zip(("network", "histogram"), found.values(), strict=True)}
        write_json(options.json, {"out": str(out), "seconds": round(seconds, 1), "notes": list(data.notes), **facts})
