"""From every town of Street-v1 to every other, without labels there: each part of the adaptation, in one table.

    python benchmarks/cail_mixup_street.py run --root STREET_M --out rows.jsonl
    python benchmarks/cail_mixup_street.py table --out rows.jsonl
    python benchmarks/cail_mixup_street.py table --out rows.jsonl --where epochs=8 size=64x32
    python benchmarks/cail_mixup_street.py watch --out rows.jsonl

`run` goes on where it stopped: a row that is in the file with the same settings is not made again, and a training that was cut
off is resumed. The schedule is the published one, shortened to `--epochs`. A row is the last epoch of a training, measured on the
target's query and gallery; beside it stand the epoch that the label-free estimate keeps, `home_map`, what the artefact has on the
source's own query and gallery, and `camera_bn_map`, what an adapted artefact has on the target with each camera's statistics of
the target's training images. The first seed is measured several times while it trains and has all methods; further seeds
are measured at the end, and have what the comparison is about. `table` prints means and deviations over seeds, and what each part
adds on the pairs and seeds that both sides have. `watch` prints how well the estimate follows the target's mAP, which no training
ever sees, over the epochs of each training (Spearman's rank correlation).

`direct + camera BN` takes each camera's statistics from the test images themselves (query from query, gallery from gallery), as
camera-based batch norm was published: it is transductive, and no other row has seen a test image. `direct + camera BN (train)`
takes them from the target's training images, the ones that the adaptation learns from too.
"""

from __future__ import annotations

import argparse
import hashlib
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
from passerby.embedder import Embedder, Numbering, embed
from passerby.embedder.camera_statistics import Estimation, camera_wise, with_data_statistics
from passerby.metrics import RetrievalScores, evaluate
from passerby.recipes.cail_mixup import Config, train
from passerby.records import ReidData
from passerby.training import load_history

METHODS: dict[str, dict[str, Any]] = {
    "direct": {"joint": False},
    "direct + camera BN": {"joint": False},
    "direct + camera BN (train)": {"joint": False},
    "joint BN": {"neighbours": "off", "mix": False},
    "+ intra": {"inter_weight": 0.0, "mix": False},
    "+ inter": {"mix": False},
    "+ mixup": {},
    "+ late mixup": {"mix_start": 50},
    "mixup alone": {"neighbours": "off"},
    "agnostic": {"neighbours": "camera-agnostic", "mix": False},
    "agnostic + mixup": {"neighbours": "camera-agnostic"},
}
"""What is trained; `+ mixup` is the whole method, `direct + camera BN` measures `direct` with each camera's own statistics.
Starts are in epochs of the published 70."""

STATISTICS = {"direct": None, "direct + camera BN": "own", "direct + camera BN (train)": "train"}
"""Where the cameras' statistics come from, of what is trained on the source alone."""

OF_EVERY_SEED = (
    "direct", "direct + camera BN", "direct + camera BN (train)", "+ intra", "+ inter", "+ mixup", "agnostic",
)  # fmt: skip

DIFFERENCES = (
    ("+ mixup", "direct"), ("joint BN", "direct"), ("+ intra", "joint BN"), ("+ intra", "direct"), ("+ inter", "+ intra"),
    ("+ mixup", "+ inter"), ("+ late mixup", "+ inter"), ("+ inter", "agnostic"), ("+ mixup", "direct + camera BN (train)"),
)  # fmt: skip
"""What `table` takes from each other: the whole method from direct transfer, and each part from the one before it."""

SETTINGS = ("epochs", "size", "batch", "threshold", "lr", "backbone", "weights")
"""What rows must have in common to stand in one table."""


def settings_of(row: dict[str, Any]) -> dict[str, str]:
    """The settings of a row, or of the options, as they are written for `--where`; rows of before have the usual weights."""
    found = {name: row.get(name, "auto") for name in SETTINGS}
    return {name: "x".join(map(str, value)) if name == "size" else str(value) for name, value in found.items()}


def folder_of(options: argparse.Namespace, *words: object, without: Sequence[str] = ()) -> Path:
    """The folder of a training: other settings, or another street, have another one."""
    settings = {name: value for name, value in settings_of(vars(options)).items() if name not in without}
    made = json.dumps([settings, str(options.root.resolve())], sort_keys=True)
    name = "-".join(str(word).replace(" ", "") for word in words)
    return options.work / f"{name}-{hashlib.sha256(made.encode()).hexdigest()[:10]}"


def config_of(method: str, target: Path, seed: int, options: argparse.Namespace) -> Config:
    """The published schedule, shortened."""

    def share(epoch: int) -> int:
        return round(epoch * options.epochs / 70)

    chosen = METHODS[method]
    starts: dict[str, Any] = {"mix_start": share(chosen["mix_start"])} if "mix_start" in chosen else {}
    if chosen.get("joint", True):
        if chosen.get("neighbours") == "camera-agnostic":
            starts |= {"agnostic_start": share(10), "threshold": options.threshold}
        elif chosen.get("neighbours") != "off":
            starts |= {"intra_start": share(10), "inter_start": share(30), "threshold": options.threshold}
    height, width = options.size
    every = -(-options.epochs // 7) if seed == options.seeds[0] else 0  # curves of one seed are enough
    return Config(
        target=str(target), backbone=options.backbone, weights=options.weights, height=height, width=width, pad_px=height // 25,
        batch_size=options.batch if chosen.get("joint", True) else options.batch // 2, epochs=options.epochs, lr=options.lr,
        decay_epochs=(share(60),), evaluate_every=every, features="off", seed=seed, **{**chosen, **starts},
    )  # fmt: skip


def one_row(source: str, target: str, seed: int, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train from one town to another, and take the numbers out of the run's log."""
    began, cpu = time.monotonic(), time.process_time()
    if METHODS[method].get("joint", True):
        found = adapted(source, target, seed, method, options)
    else:
        found = transferred(source, target, seed, STATISTICS[method], options)
    return {
        "source": source, "target": target, "seed": seed, "method": method, **found,
        "cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - began, "epochs": options.epochs, "batch": options.batch,
        "size": list(options.size), "backbone": options.backbone, "threshold": options.threshold, "lr": options.lr,
        "weights": options.weights,
    }  # fmt: skip


def adapted(source: str, target: str, seed: int, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Scores of a training on both towns, and what its watch said."""
    run = folder_of(options, source, target, seed, method)
    lines = load_history(trained(source, target, seed, method, run, options)).evaluations
    last = next(line for line in lines if line["epoch"] == options.epochs and "kept" not in line)
    kept = lines[-1]
    seen = ("epoch", "map", "estimate", "cycles", "crowding", "cross_camera", "agreement")
    embedder = load(run / "artefact", device=options.device)
    home = measured(embedder, datasets.read("street", options.root / source))
    by_camera = measured(embedder, datasets.read("street", options.root / target), "train")
    shutil.rmtree(run)
    return {
        "map": last["map"], "rank1": last["rank1"], "kept_epoch": kept["epoch"], "kept_map": kept["map"], "home_map": home.map,
        "camera_bn_map": by_camera.map, "watch": [{key: line.get(key) for key in seen} for line in lines if "kept" not in line],
    }  # fmt: skip


def transferred(source: str, target: str, seed: int, statistics: str | None, options: argparse.Namespace) -> dict[str, Any]:
    """Scores of a training on the source alone, which is made once for all targets and thresholds."""
    run = folder_of(options, source, seed, "direct", without=["threshold"])
    if not (run / "artefact" / "passerby.json").is_file():
        trained(source, target, seed, "direct", run, options)
    embedder, data = load(run / "artefact", device=options.device), datasets.read("street", options.root / target)
    scores = measured(embedder, data, statistics)
    home = measured(embedder, datasets.read("street", options.root / source), statistics)
    return {
        "map": scores.map, "rank1": scores.rank(1), "kept_epoch": None, "kept_map": scores.map, "home_map": home.map, "watch": [],
    }  # fmt: skip


def measured(embedder: Embedder, data: ReidData, statistics: str | None = None) -> RetrievalScores:
    """Scores on a town's query and gallery, each with its cameras' `statistics` where those are wanted."""
    splits = {"query": data.query, "gallery": data.gallery}
    ready = dict.fromkeys(splits, embedder)
    if statistics is not None:
        ready = with_data_statistics(camera_wise(embedder), splits, statistics, Estimation(batches=10), train=data.train)
    numbering = Numbering.of(*splits.values())
    query, gallery = (embed(ready[name], split, numbering=numbering) for name, split in splits.items())
    return evaluate(query, gallery)


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
    done = {_key(row["source"], row["target"], row["seed"], row["method"], row) for row in rows_of(options.out)}
    options.work.mkdir(parents=True, exist_ok=True)
    pairs = [(source, target) for source in options.towns for target in options.towns if source != target]
    for seed in options.seeds:  # one seed of everything first: a table that is cut off is a whole one of fewer seeds
        for source, target in pairs:
            for method in options.methods or (METHODS if seed == options.seeds[0] else OF_EVERY_SEED):
                if _key(source, target, seed, method, vars(options)) in done:
                    continue
                row = one_row(source, target, seed, method, options)
                add_row(options.out, row)
                shown = ("source", "target", "seed", "method", "map", "rank1", "kept_epoch", "kept_map", "cpu_s")
                print(json.dumps({key: row[key] for key in shown}), flush=True)


def _key(source: str, target: str, seed: int, method: str, settings: dict[str, Any]) -> tuple[object, ...]:
    return (source, target, seed, method, *settings_of(settings).values())


def chosen(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows that `--where` names."""
    wanted = dict(word.split("=", 1) for word in options.where)
    if unknown := sorted(set(wanted) - {*SETTINGS}):
        raise SystemExit(f"--where knows no {', '.join(unknown)}: give some of {', '.join(SETTINGS)} as NAME=VALUE")
    rows = [row for row in rows_of(options.out) if wanted.items() <= settings_of(row).items()]
    if not rows:
        raise SystemExit(f"no row in {options.out}" + (f" where {' '.join(options.where)}" if wanted else ""))
    return rows


def alike(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The chosen rows; rows of unlike settings are refused: their mean would be of nothing."""
    rows = chosen(options)
    found = {name: sorted({settings_of(row)[name] for row in rows}) for name in SETTINGS}
    if mixed := {name: values for name, values in found.items() if len(values) > 1}:
        told = "; ".join(f"{name} {' or '.join(values)}" for name, values in mixed.items())
        raise SystemExit(f"{options.out} has rows of several settings ({told}): choose with --where NAME=VALUE")
    return rows


def table(options: argparse.Namespace) -> None:
    """Print mean and deviation over seeds by pair of towns, the mean over pairs, and what each part adds."""
    rows = alike(options)
    print(", ".join(f"{name} {value}" for name, value in settings_of(rows[0]).items()) + "\n")
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    pairs = sorted({(row["source"], row["target"]) for row in rows})
    print(f"| mAP / Rank-1 | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    for pair in [*pairs, None]:
        name = " to ".join(pair) if pair else "mean of pairs"
        print(f"| {name} | " + " | ".join(_cell(rows, [pair] if pair else pairs, method) for method in methods) + " |")

    if told := _elsewhere(rows, methods):
        print("\n| mAP, mean of rows | on the target | at home | with camera BN (train) | rows |\n|---|---|---|---|---|")
        print("\n".join(told))

    print("\n| difference of mAP, in points | on average | pairs, seeds | higher in |\n|---|---|---|---|")
    for one, other in DIFFERENCES:
        if line := _difference(rows, one, other):
            print(f"| {one} minus {other} | {line} |")


def _elsewhere(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[str]:
    """What adapted artefacts have on their target, at home, and with camera statistics on the target: a line a method."""
    names, lines = ("map", "home_map", "camera_bn_map"), []
    for method in methods:
        found = [[row[name] for name in names] for row in rows if row["method"] == method and row.get(names[-1]) is not None]
        if found:
            means = " | ".join(f"{value:.1f}" for value in 100 * np.mean(found, axis=0))
            lines.append(f"| {method} | {means} | {len(found)} |")
    return lines


def _difference(rows: Sequence[dict[str, Any]], one: str, other: str) -> str:
    """Over pairs and seeds that both methods have; the deviation is that of the seeds' means, over pairs that all seeds have."""
    maps: dict[str, dict[tuple[str, str, int], float]] = {one: {}, other: {}}
    for row in rows:
        maps.get(row["method"], {})[row["source"], row["target"], row["seed"]] = row["map"]
    both = {key: 100 * (value - maps[other][key]) for key, value in maps[one].items() if key in maps[other]}
    if not both:
        return ""
    seeds, pairs = sorted({key[2] for key in both}), {key[:2] for key in both}
    whole = [pair for pair in sorted(pairs) if all((*pair, seed) in both for seed in seeds)]
    deviation = "(one seed)"
    if len(seeds) > 1:
        means = [np.mean([both[(*pair, seed)] for pair in whole]) for seed in seeds] if whole else []
        deviation = f"± {np.std(means, ddof=1):.1f}" if means else "(no pair has all seeds)"
    values = list(both.values())
    higher = sum(value > 0 for value in values)
    return f"{np.mean(values):+.1f} {deviation} | {len(pairs)}, {len(seeds)} | {higher} of {len(values)}"


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
    for row in chosen(options):
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
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(METHODS),
        help=f"default: all of the first seed; of others {', '.join(OF_EVERY_SEED)}",
    )
    parser.add_argument("--where", nargs="+", default=[], metavar="NAME=VALUE", help="of table and watch: rows of these settings")
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
