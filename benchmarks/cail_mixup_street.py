"""From every town of Street-v1 to every other, without labels there: each part of the adaptation, in one table.

    python benchmarks/cail_mixup_street.py run --root STREET_M --out rows.jsonl
    python benchmarks/cail_mixup_street.py table --out rows.jsonl
    python benchmarks/cail_mixup_street.py watch --out rows.jsonl

`run` goes on where it stopped: a row that is in the file is not made again, and a training that was cut off is resumed. The
schedule is the published one, shortened to `--epochs`. A row is the last epoch of a training, measured on the target's query and
gallery; beside it stands the epoch that the label-free estimate keeps. `watch` prints how well that estimate follows the target's
mAP, which no training ever sees, over the epochs of each training (Spearman's rank correlation).
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, rows_of

from passerby import datasets
from passerby.artefact import load
from passerby.embedder import Numbering, embed
from passerby.embedder.camera_statistics import Estimation, camera_wise, with_data_statistics
from passerby.metrics import evaluate
from passerby.recipes.cail_mixup import Config, train
from passerby.training import load_history

METHODS: dict[str, dict[str, Any]] = {
    "direct": {"joint": False},
    "direct + camera BN": {"joint": False},
    "joint BN": {"neighbours": "off", "mix": False},
    "+ intra": {"inter_weight": 0.0, "mix": False},
    "+ inter": {"mix": False},
    "+ mixup": {},
    "mixup alone": {"neighbours": "off"},
    "agnostic": {"neighbours": "camera-agnostic", "mix": False},
    "agnostic + mixup": {"neighbours": "camera-agnostic"},
}
"""What is trained; `+ mixup` is the whole method, `direct + camera BN` measures `direct` with each camera's own statistics."""


def config_of(method: str, target: Path, seed: int, options: argparse.Namespace) -> Config:
    """The published schedule, shortened."""

    def share(epoch: int) -> int:
        return round(epoch * options.epochs / 70)

    chosen = METHODS[method]
    starts: dict[str, Any] = {}
    if chosen.get("joint", True):
        if chosen.get("neighbours") == "camera-agnostic":
            starts = {"agnostic_start": share(10), "threshold": options.threshold}
        elif chosen.get("neighbours") != "off":
            starts = {"intra_start": share(10), "inter_start": share(30), "threshold": options.threshold}
    height, width = options.size
    return Config(
        target=str(target), backbone=options.backbone, weights=options.weights, height=height, width=width, pad_px=height // 25,
        batch_size=options.batch if chosen.get("joint", True) else options.batch // 2, epochs=options.epochs, lr=options.lr,
        decay_epochs=(share(60),), evaluate_every=max(1, options.epochs // 7), features="off", seed=seed, **starts, **chosen,
    )  # fmt: skip


def one_row(source: str, target: str, seed: int, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train from one town to another, and take the numbers out of the run's log."""
    began, cpu = time.monotonic(), time.process_time()
    if METHODS[method].get("joint", True):
        found = adapted(source, target, seed, method, options)
    else:
        found = transferred(source, target, seed, method == "direct + camera BN", options)
    return {
        "source": source, "target": target, "seed": seed, "method": method, **found,
        "cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - began, "epochs": options.epochs, "batch": options.batch,
        "size": list(options.size), "backbone": options.backbone, "threshold": options.threshold, "lr": options.lr,
    }  # fmt: skip


def adapted(source: str, target: str, seed: int, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Scores of a training on both towns, and what its watch said."""
    run = options.work / f"{source}-{target}-{seed}-{method.replace(' ', '')}"
    lines = load_history(trained(source, target, seed, method, run, options)).evaluations
    last = next(line for line in lines if line["epoch"] == options.epochs and "kept" not in line)
    kept = lines[-1]
    seen = ("epoch", "map", "estimate", "cycles", "crowding", "cross_camera", "agreement")
    shutil.rmtree(run)
    return {
        "map": last["map"], "rank1": last["rank1"], "kept_epoch": kept["epoch"], "kept_map": kept["map"],
        "watch": [{key: line.get(key) for key in seen} for line in lines if "kept" not in line],
    }  # fmt: skip


def transferred(source: str, target: str, seed: int, by_camera: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Scores of a training on the source alone, which is made once for all targets."""
    run = options.work / f"{source}-{seed}-direct"
    if not (run / "artefact" / "passerby.json").is_file():
        trained(source, target, seed, "direct", run, options)
    embedder, data = load(run / "artefact", device=options.device), datasets.read("street", options.root / target)
    splits = {"query": data.query, "gallery": data.gallery}
    ready = dict.fromkeys(splits, embedder)
    if by_camera:
        ready = with_data_statistics(camera_wise(embedder), splits, "own", Estimation(batches=10))
    numbering = Numbering.of(*splits.values())
    query, gallery = (embed(ready[name], split, numbering=numbering) for name, split in splits.items())
    scores = evaluate(query, gallery)
    return {"map": scores.map, "rank1": scores.rank(1), "kept_epoch": None, "kept_map": scores.map, "watch": []}


def trained(source: str, target: str, seed: int, method: str, run: Path, options: argparse.Namespace) -> Path:
    """Train, or go on with a training that was cut off; the run's folder."""
    config, data = config_of(method, options.root / target, seed, options), datasets.read("street", options.root / source)
    train(config, data, run, device=options.device, workers=options.workers, resume=run.is_dir())
    return run


def run(options: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    absent = [town for town in options.towns if not (options.root / town / "street.json").is_file()]
    if absent:
        raise SystemExit(f"no town {', '.join(absent)} in {options.root}: passerby street render makes them")
    done = {(row["source"], row["target"], row["seed"], row["method"]) for row in rows_of(options.out)}
    options.work.mkdir(parents=True, exist_ok=True)
    pairs = [(source, target) for source in options.towns for target in options.towns if source != target]
    for seed in options.seeds:  # one seed of everything first: a table that is cut off is a whole one of fewer seeds
        for source, target in pairs:
            for method in options.methods:
                if (source, target, seed, method) in done:
                    continue
                row = one_row(source, target, seed, method, options)
                add_row(options.out, row)
                shown = ("source", "target", "seed", "method", "map", "rank1", "kept_epoch", "kept_map", "cpu_s")
                print(json.dumps({key: row[key] for key in shown}), flush=True)


def table(options: argparse.Namespace) -> None:
    """Print mean and deviation over seeds by pair of towns, and the mean over pairs."""
    rows = rows_of(options.out)
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    pairs = sorted({(row["source"], row["target"]) for row in rows})
    print(f"| mAP / Rank-1 | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    for pair in [*pairs, None]:
        name = " to ".join(pair) if pair else "mean of pairs"
        print(f"| {name} | " + " | ".join(_cell(rows, [pair] if pair else pairs, method) for method in methods) + " |")


def _cell(rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]], method: str) -> str:
    """Of seeds that have all these pairs: the deviation is that of a seed's mean."""
    seeds: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if (row["source"], row["target"]) in pairs and row["method"] == method:
            seeds.setdefault(row["seed"], []).append((row["map"], row["rank1"]))
    whole = [np.mean(found, axis=0) for found in seeds.values() if len(found) == len(pairs)]
    if not whole:
        return ""
    mean = 100 * np.mean(whole, axis=0)
    if len(whole) == 1:
        return f"{mean[0]:.1f} / {mean[1]:.1f} (one seed)"
    std = 100 * np.std(whole, axis=0, ddof=1)
    return f"{mean[0]:.1f} ± {std[0]:.1f} / {mean[1]:.1f} ± {std[1]:.1f}"


def watch(options: argparse.Namespace) -> None:
    """Print how the label-free numbers follow the target's mAP, and what keeping by them costs or gains."""
    from scipy.stats import spearmanr

    print("| training | epochs measured | rank correlation of estimate and mAP | last mAP | kept epoch, mAP | best mAP |")
    print("|---|---|---|---|---|---|")
    for row in rows_of(options.out):
        seen = [(at["estimate"], at["map"]) for at in row["watch"] if at["map"] is not None and at["estimate"] is not None]
        if len(seen) < 3:
            continue
        estimates, measured = map(list, zip(*seen, strict=True))
        together, best = float(spearmanr(estimates, measured)[0]), max(measured)  # pyright: ignore[reportArgumentType]
        print(
            f"| {row['source']} to {row['target']}, {row['method']}, seed {row['seed']} | {len(seen)} | {together:.2f} | "
            f"{100 * row['map']:.1f} | {row['kept_epoch']}, {100 * row['kept_map']:.1f} | {100 * best:.1f} |"
        )


def main() -> None:
    """Read the words and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table", "watch"])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--root", type=Path, help="folder with a folder a town")
    parser.add_argument("--work", type=Path, default=Path("cail-mixup-street"), help="folder for runs")
    parser.add_argument("--towns", nargs="+", default=["campus", "market", "station", "winter"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--size", nargs=2, type=int, default=[128, 64], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=64, help="both halves; trainings on the source alone take half of it")
    parser.add_argument("--epochs", type=int, default=35)
    parser.add_argument("--lr", type=float, default=0.0125, help="published 0.05 at batch 256")
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.what == "run" and options.root is None:
        parser.error("run needs --root")
    {"run": run, "table": table, "watch": watch}[options.what](options)


if __name__ == "__main__":
    main()
