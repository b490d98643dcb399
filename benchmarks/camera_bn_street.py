"""Camera-based batch norm against plain batch norm on Street-v1: every town as source, every town as target, several seeds.

    python benchmarks/camera_bn_street.py run --data street-v1 --work work      # goes on where it was killed
    python benchmarks/camera_bn_street.py table --work work

One recipe for both arms, `camera-bn` with ``norm`` camera or batch: MobileNetV2 from ImageNet weights at 96x48 px, 3 epochs, so
that 36 trainings and 216 tests fit into forty minutes of one core. The absolute numbers are those of a small network that was
trained shortly; what counts is the difference between the arms. Results are JSON lines, one (source, target, seed, norm in
training, norm at test) a line.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rows import add_row, rows_of

from passerby import datasets
from passerby.artefact import load
from passerby.embedder import Embedder, EmbeddingRule, embed
from passerby.embedder.camera_statistics import Estimation, with_data_statistics
from passerby.metrics import evaluate
from passerby.recipes.camera_bn import Config, train
from passerby.records import ReidData, Split

SIZE = (96, 48)
TOWNS = ("arcade", "campus", "harbour", "market", "station", "winter")
CONFIG = Config(
    backbone="mobilenet_v2", height=SIZE[0], width=SIZE[1], last_stride=2, pad_px=4, epochs=3, decay_epoch=2, optimizer="adam",
    lr=1e-3,
)  # fmt: skip
HOW = Estimation(flip=False)
PLAIN = EmbeddingRule(flip=False)


def shrunk(data: ReidData, folder: Path) -> ReidData:
    """The same data with images that are small already: decoding would otherwise cost as much as the network."""

    def small(split: Split) -> Split:
        records = []
        for record in split:
            path = folder / record.path.parent.parent.name / record.path.parent.name / f"{record.path.stem}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(record.path) as image:
                    image.convert("RGB").resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR).save(path, compress_level=1)
            records.append(replace(record, path=path))
        return Split(tuple(records))

    return replace(data, train=small(data.train), query=small(data.query), gallery=small(data.gallery))


def scores(embedder: Embedder, data: ReidData, test: str) -> dict[str, float]:
    """mAP and Rank-1 with plain or camera-wise norms at test."""
    splits = {"query": data.query, "gallery": data.gallery}
    ready = dict.fromkeys(splits, embedder)
    if test != "batch":
        ready = with_data_statistics(embedder, splits, "own" if test == "camera" else "whole-set", HOW)
    found = evaluate(*(embed(ready[name], split) for name, split in splits.items()))
    return {"map": found.map, "rank1": found.rank(1)}


def run(options: argparse.Namespace) -> None:
    """Train and measure what is not finished."""
    torch.set_num_threads(options.threads)
    data = {town: shrunk(datasets.read("street", options.data / town), options.work / "small") for town in options.towns}
    results = options.work / "results.jsonl"
    finished = {(row["source"], row["seed"], row["train"], row["test"], row["target"]) for row in rows_of(results)}
    for seed in range(options.seeds):
        for source in options.sources or options.towns:
            for norm in ("batch", "camera"):
                tests = [norm] + (["camera", "whole-set"] if norm == "batch" and seed < options.crossed else [])
                open_ = [
                    (test, target) for test in tests for target in data if (source, seed, norm, test, target) not in finished
                ]
                if open_:
                    measure(options, data, source, seed, norm, open_, results)


def measure(options, data, source, seed, norm, wanted, results: Path) -> None:
    """One training and its measurements."""
    folder = options.work / f"{source}-{norm}-{seed}"
    config = replace(
        CONFIG, norm=norm, seed=seed, epochs=options.epochs, decay_epoch=max(1, 2 * options.epochs // 3), lr=options.lr,
        optimizer=options.optimizer, batch_size=options.batch,
    )  # fmt: skip
    started = time.process_time()
    own = replace(data[source], query=Split(), gallery=Split())
    artefact = folder / "artefact"
    if not (artefact / "passerby.json").is_file():
        train(config, own, folder, resume=True, device="cpu", workers=0)
    seconds = time.process_time() - started
    embedder = load(artefact, device="cpu", rule=PLAIN, workers=1)
    for test, target in wanted:
        began = time.process_time()
        row = {
            "source": source,
            "target": target,
            "seed": seed,
            "train": norm,
            "test": test,
            **scores(embedder, data[target], test),
        }
        row |= {"train_cpu_s": round(seconds, 1), "test_cpu_s": round(time.process_time() - began, 1)}
        add_row(results, row)
        print(row, flush=True)


def table(options: argparse.Namespace) -> None:
    """Mean and standard deviation over seeds, at home and away, and by source and target."""
    rows = rows_of(options.work / "results.jsonl")
    kinds = sorted({(row["train"], row["test"]) for row in rows})
    print("| source | place | " + " | ".join(f"{a}/{b} mAP" for a, b in kinds) + " |")
    print("|---|---|" + "---|" * len(kinds))
    for source in (*TOWNS, "mean"):
        for place in ("home", "away"):
            cells = [cell(rows, source, place, *kind) for kind in kinds]
            print(f"| {source} | {place} | " + " | ".join(cells) + " |")
    print("\nmAP by source (rows) and target (columns), mean over seeds: plain -> camera-wise")
    print("| |" + "|".join(TOWNS) + "|\n|---|" + "---|" * len(TOWNS))
    for source in TOWNS:
        pairs = []
        for target in TOWNS:
            found = [
                np.mean(
                    [r["map"] for r in rows if (r["source"], r["target"], r["train"], r["test"]) == (source, target, n, n)]
                    or [np.nan]
                )
                for n in ("batch", "camera")
            ]
            pairs.append("" if np.isnan(found).any() else " -> ".join(f"{value:.3f}" for value in found))
        print(f"| {source} | " + " | ".join(pairs) + " |")


def cell(rows: list[dict], source: str, place: str, train_norm: str, test_norm: str) -> str:
    """Mean over targets for each seed, then mean and deviation over seeds."""
    chosen = [
        row for row in rows
        if (row["train"], row["test"]) == (train_norm, test_norm) and source in (row["source"], "mean")
        and (row["source"] == row["target"]) == (place == "home")
    ]  # fmt: skip
    seeds = sorted({row["seed"] for row in chosen})
    means = [np.mean([row["map"] for row in chosen if row["seed"] == seed]) for seed in seeds]
    return f"{np.mean(means):.3f} ± {np.std(means):.3f} ({len(seeds)})" if means else ""


def main() -> None:
    """Read the words and run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("--data", type=Path, default=Path("street-v1"), help="folder with the six towns, size M")
    parser.add_argument("--work", type=Path, default=Path("camera-bn-street"), help="small images, runs, results.jsonl")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--crossed", type=int, default=0, help="seeds in which the plain network is tested by camera and whole-set too"
    )
    parser.add_argument("--towns", nargs="+", default=list(TOWNS))
    parser.add_argument("--sources", nargs="+", default=[], help="train on these only, so that two processes can share the work")
    parser.add_argument("--batch", type=int, default=CONFIG.batch_size, help="images a step")
    parser.add_argument("--epochs", type=int, default=CONFIG.epochs)
    parser.add_argument("--lr", type=float, default=CONFIG.lr)
    parser.add_argument("--optimizer", default=CONFIG.optimizer)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    {"run": run, "table": table}[options.verb](options)


if __name__ == "__main__":
    main()
