"""OG-Net on the rendered street: colours and shape apart and together, beside a 2-D network, also at headings never seen.

    python benchmarks/ognet_street.py run --work WORK [--town campus] [--epochs 60] [--seeds 0 1 2] [--device cpu]
    python benchmarks/ognet_street.py table --work WORK

A town is rendered once, with the true clouds of its crops, and all crops are lifted (`passerby lift`), so that networks which
learned from true clouds are measured on lifted ones too. Training sees one of two sets of equally many crops: `any`, drawn from
all headings, and `front`, people who turn at most 60 degrees from the camera. A row is one network trained on one set with one
seed: `both` (OG-Net Small), `xyz` (no colours), `rgb` (no depth), and `2-D` (OSNet x0.75, 1.3 M parameters, on the images). Its
mAP is over all test queries, and over those with a heading that `front` never shows (more than 90 degrees), against all of the
gallery; AP by the rank rule, same camera left out.

`run` goes on where it stopped: a row in WORK/rows.jsonl is not made again, and a run that was stopped is resumed. The sizes that
stand here as defaults take about 40 CPU minutes for a row of points and 15 for one of images, on one core that nobody else uses.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, rows_of

from passerby.artefact import load
from passerby.datasets import read
from passerby.embedder import Numbering, embed
from passerby.lifting.tree import LiftSettings, lift_folder
from passerby.metrics import evaluate
from passerby.records import Record, ReidData, Split
from passerby.street.folder import Order, read_manifest
from passerby.street.output import render_set

SMALL = (48, 96, 192, 384)
INPUTS: dict[str, dict[str, Any]] = {"both": {}, "xyz": {"inputs": "xyz"}, "rgb": {"flat": True}}
METHODS = (*INPUTS, "2-D")
SETS = ("any", "front")
FRONT_DEG, NEVER_DEG = 60.0, 90.0


def prepared(options: argparse.Namespace) -> tuple[Path, Path]:
    """The rendered town and the lifted test crops; made once."""
    town, clouds = options.work / options.town, options.work / f"{options.town}-lifted"
    order = Order(
        options.town, train_ids=options.ids, test_ids=options.ids, views=options.views, seed=0, clouds="npz",
        cloud_height=options.height,
    )  # fmt: skip
    render_set(order, town, workers=options.workers)
    if not options.no_lift:
        report = lift_folder(town, clouds, LiftSettings(height=options.height), dataset="street", workers=options.workers)
        print(f"lifted: {report.made + report.kept} of {report.images}, not {report.reasons}")
    return town, clouds


def turn_of(town: Path) -> dict[str, float]:
    """Name of a crop -> degrees from facing the camera, 0 to 180."""
    return {crop.name: abs((crop.facing_deg + 180) % 360 - 180) for crop in read_manifest(town)}


def crop_name(record: Record) -> str:
    return record.path.name.removesuffix(".npz")


def chosen(train: Split, turns: dict[str, float], which: str) -> Split:
    """Crops of people who face the camera, or as many of all headings, from each person as many."""
    front: dict[int, list[Record]] = {}
    everyone: dict[int, list[Record]] = {}
    for record in train:
        everyone.setdefault(record.pid, []).append(record)
        if turns[crop_name(record)] <= FRONT_DEG:
            front.setdefault(record.pid, []).append(record)
    front = {pid: records for pid, records in front.items() if len({record.camid for record in records}) > 1}
    if which == "front":
        return Split(tuple(record for records in front.values() for record in records))
    picked = []
    for pid, records in front.items():
        own = everyone[pid]
        picked += [own[at] for at in np.linspace(0, len(own) - 1, len(records)).round().astype(int)]
    return Split(tuple(dict.fromkeys(picked)))


def trained(method: str, train: Split, seed: int, options: argparse.Namespace, run: Path) -> Path:
    """The artefact of a network; a stopped run is resumed."""
    data = ReidData("street", train=train)
    resume = (run / "checkpoints").is_dir()
    if method == "2-D":
        from passerby.recipes.baseline import Config
        from passerby.recipes.baseline import train as train_images

        config = Config(
            backbone="osnet_x0_75", weights="scratch", height=128, width=64, batch_size=options.batch, epochs=options.epochs,
            seed=seed,
        )  # fmt: skip
        return train_images(config, data, run, resume=resume, device=options.device, workers=0)
    from passerby.recipes.ognet import Config as PointConfig
    from passerby.recipes.ognet import train as train_points

    points = PointConfig(
        feature_dims=SMALL, circle=True, batch_size=options.batch, epochs=options.epochs, sampler="identity",
        warmup_epochs=options.epochs / 20, init_points=options.height * options.height // 2 // 10, seed=seed, **INPUTS[method],
    )  # fmt: skip
    return train_points(points, data, run, resume=resume, device=options.device, workers=0)


def scores(path: Path, data: ReidData, turns: dict[str, float], device: str) -> dict[str, float]:
    """mAP of all queries and of those at headings never trained on."""
    embedder, numbering = load(path, device=device), Numbering.of(data.query, data.gallery)
    query, gallery = (embed(embedder, split, numbering=numbering) for split in (data.query, data.gallery))
    never = np.array([turns[crop_name(record)] > NEVER_DEG for record in data.query])
    found, seldom = evaluate(query, gallery), evaluate(query[never], gallery)
    return {"map": found.map, "rank1": found.rank(1), "never_map": seldom.map, "never_queries": int(never.sum())}


def run(options: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    town, clouds = prepared(options)
    turns, rows = turn_of(town), options.work / "rows.jsonl"
    points, images = read("street-3d", town), read("street", town)
    lifted = None if options.no_lift else read("clouds", clouds)
    done = {(row["method"], row["set"], row["seed"]) for row in rows_of(rows)}
    for seed in options.seeds:
        for which in SETS:
            for method in options.methods:
                if (method, which, seed) in done:
                    continue
                data = images if method == "2-D" else points
                train = chosen(data.train, turns, which)
                began, cpu = time.monotonic(), time.process_time()
                path = trained(method, train, seed, options, options.work / f"{method}-{which}-{seed}")
                row: dict[str, Any] = {"method": method, "set": which, "seed": seed, "crops": len(train)}
                row |= {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - began, "epochs": options.epochs}
                row |= scores(path, data, turns, options.device)
                if lifted is not None and method != "2-D":
                    # Both sides of the comparison: the same crops, as true clouds and as lifted ones.
                    kept = {crop_name(record) for split in (lifted.query, lifted.gallery) for record in split}
                    same = {
                        name: getattr(data, name).where(lambda record, kept=kept: crop_name(record) in kept)
                        for name in ("query", "gallery")
                    }
                    row["true_of_lifted_map"] = scores(path, replace(data, **same), turns, options.device)["map"]
                    row["lifted_map"] = scores(path, lifted, turns, options.device)["map"]
                add_row(rows, row)
                print(json.dumps(row), flush=True)


def table(options: argparse.Namespace) -> None:
    """Mean and deviation over seeds, per cent."""
    rows = rows_of(options.work / "rows.jsonl")
    columns = {
        "map": "mAP",
        "never_map": "mAP, headings beyond 90 degrees",
        "true_of_lifted_map": "true clouds that could be lifted",
        "lifted_map": "the same, lifted",
    }
    print("| trained on | input | " + " | ".join(columns.values()) + " | seeds |\n|---|---|" + "---|" * (len(columns) + 1))
    for which in SETS:
        for method in METHODS:
            mine = [row for row in rows if (row["set"], row["method"]) == (which, method)]
            if mine:
                print(f"| {which} | {method} | " + " | ".join(_cell(mine, key) for key in columns) + f" | {len(mine)} |")


def _cell(rows: Sequence[dict[str, Any]], key: str) -> str:
    values = [100 * row[key] for row in rows if key in row]
    return f"{np.mean(values):.1f} +- {np.std(values):.1f}" if values else ""


def main() -> None:
    """Read the words and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--work", type=Path, required=True, help="folder for the town, the runs and rows.jsonl")
    parser.add_argument("--town", default="campus")
    parser.add_argument("--ids", type=int, default=60, help="people in each half")
    parser.add_argument("--views", type=int, default=10)
    parser.add_argument(
        "--height", type=int, default=64, help="rows of a cloud: half as many columns, half of the points are used"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-lift", action="store_true", help="leave the lifted test crops out")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    (run if options.what == "run" else table)(options)


if __name__ == "__main__":
    main()
