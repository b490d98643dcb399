"""Leave one town of Street-v1 out: plain BN, IN, BIN without meta updates, and MetaBIN on a town that training never saw.

    python benchmarks/metabin_street.py run --root STREET_M --out rows.jsonl
    python benchmarks/metabin_street.py table --out rows.jsonl

`run` goes on where it stopped: a row that is in the file with the same settings is not made again. All methods of a town and a
seed start from the same weights and see the same base batches, of which MetaBIN has nine more at its start; a row is the artefact
of the last epoch, measured once on the town that was left out. BN is measured again with statistics of the town's own unlabelled
images, all together and by camera: how much of what is lost in a new place is style.

    python benchmarks/metabin_street.py run --alone --root STREET_M --out alone.jsonl --towns campus --batch 48 \
        --images-per-identity 2 --epochs 30

trains on one town alone, its cameras being the domains, and measures on each of the others.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, rows_of

METHODS: dict[str, dict[str, Any]] = {
    "BN": {"norm": "batch", "meta": False},
    "IN": {"norm": "instance", "meta": False},
    "BIN joint": {"norm": "bin", "meta": False},
    "MetaBIN": {"norm": "bin", "meta": True},
    "half": {"norm": "half", "meta": False},
}
"""What is trained; half: batch norm on half of each norm's channels and instance norm on the others, nothing learnt about it."""

USUAL = ("BN", "IN", "BIN joint", "MetaBIN")


SETTINGS = ("size", "views", "batch", "images_per_identity", "epochs", "lr", "gate_lr", "backbone", "weights")
"""Options that a row is of, beside town, seed and method."""


def is_of(row: dict[str, Any], options: argparse.Namespace) -> bool:
    """Whether a row was made with these settings."""
    return all(row.get(name) == getattr(options, name) for name in SETTINGS) and ("alone" in row) == options.alone


def small_copy(data: Any, cache: Path, size: tuple[int, int], views: int) -> Any:
    """The data set with a few evenly spread training images of each person, all images resized once."""
    from PIL import Image

    from passerby.records import Split

    def resized(split: Split) -> Split:
        found = []
        for record in split:
            path = cache / f"{record.domain}-{record.path.stem}.png"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(record.path) as image:
                    image.convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC).save(path)
            found.append(replace(record, path=path))
        return Split(tuple(found))

    def few(split: Split) -> Split:
        people: dict[tuple[str, int], list[Any]] = {}
        for record in split:
            people.setdefault((record.domain, record.pid), []).append(record)
        return Split(
            tuple(own[i] for own in people.values() for i in np.linspace(0, len(own) - 1, min(views, len(own))).astype(int))
        )

    return replace(data, train=resized(few(data.train)), query=resized(data.query), gallery=resized(data.gallery))


def config_of(method: str, seed: int, options: argparse.Namespace) -> Any:
    """The recipe's options: what the methods differ in, and what all of them share."""
    from passerby.recipes.metabin import Config

    height, width = options.size
    own = dict(METHODS[method])
    if own["norm"] == "bin":
        own["gate_lr"] = options.gate_lr
    if own["meta"]:
        own |= {"meta_batch_size": options.batch, "inner_period": max(1, options.epochs // 20)}
        own |= {"domains": "cameras", "meta_classification": True} if options.alone else {}
    return Config(
        backbone=options.backbone, weights=options.weights, height=height, width=width, pad_px=height // 25,
        batch_size=options.batch, images_per_identity=options.images_per_identity, epochs=options.epochs,
        milestones=(max(1, 2 * options.epochs // 3),), warmup_epochs=options.epochs / 10, seed=seed, lr=options.lr, **own,
    )  # fmt: skip


def one_row(data: Any, town: str, seed: int, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train on all towns but one and measure on that one; or with --alone the other way round."""
    from passerby.artefact import load
    from passerby.models.norms.gate_history import FILE, read_gates
    from passerby.recipes.metabin import train
    from passerby.records import ReidData
    from passerby.training import load_history

    own = data.train.where(lambda record: record.domain == f"street-{town}")
    others = data.train.where(lambda record: record.domain != f"street-{town}")
    sources = ReidData("street", train=own if options.alone else others)
    run = options.work / f"{town}-{seed}-{method.replace(' ', '-')}"
    shutil.rmtree(run, ignore_errors=True)
    began, cpu = time.monotonic(), time.process_time()
    embedder = load(
        train(config_of(method, seed, options), sources, run, device=options.device, workers=0), device=options.device
    )
    unseen = sorted({record.domain for record in others}) if options.alone else [f"street-{town}"]
    found = {place: measured(embedder, data, place, statistics=method == "BN") for place in unseen}
    mean = {key: float(np.mean([scores[key] for scores in found.values()])) for key in next(iter(found.values()))}
    gate = read_gates(run)[-1].mean if (run / FILE).is_file() else {}
    row = {
        "town": town, "seed": seed, "method": method, **mean, "ce": load_history(run).epochs[-1]["ce"],
        "gate_mean": float(np.mean(list(gate.values()))) if gate else None,
        "cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - began, "images": len(sources.train),
        **{name: getattr(options, name) for name in SETTINGS}, **({"alone": found} if options.alone else {}),
    }  # fmt: skip
    if not options.keep:
        shutil.rmtree(run)
    return row


def measured(embedder: Any, data: Any, place: str, *, statistics: bool) -> dict[str, float]:
    """mAP and Rank-1 in one town; mAP with batch statistics of the town's own images in the place of those of the training."""
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import Estimation, camera_wise, with_data_statistics
    from passerby.metrics import evaluate

    splits = {name: getattr(data, name).where(lambda record: record.domain == place) for name in ("query", "gallery")}
    numbering = Numbering.of(*splits.values())

    def scores(ready: dict[str, Any]) -> Any:
        query, gallery = (embed(ready[name], split, numbering=numbering) for name, split in splits.items())
        return evaluate(query, gallery)

    plain = scores(dict.fromkeys(splits, embedder))
    kinds = ("whole-set", "own") if statistics else ()
    more = {
        f"map_{kind}": scores(with_data_statistics(camera_wise(embedder), splits, kind, Estimation(flip=False))).map
        for kind in kinds
    }
    return {"map": plain.map, "rank1": plain.rank(1), **more}


def run(options: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    from passerby import datasets

    data = small_copy(
        datasets.read("street", options.root),
        options.work / "images-{}x{}".format(*options.size),
        tuple(options.size),
        options.views,
    )
    domains = sorted({record.domain for record in data.train})
    absent = [town for town in options.towns if f"street-{town}" not in domains]
    if absent:
        raise SystemExit(f"no town {', '.join(absent)} in {options.root}: there are {', '.join(domains)}")
    done = {(row["town"], row["seed"], row["method"]) for row in rows_of(options.out) if is_of(row, options)}
    for town in options.towns:
        for seed in options.seeds:
            for method in options.methods:
                if (town, seed, method) in done:
                    continue
                row = one_row(data, town, seed, method, options)
                add_row(options.out, row)
                print(
                    json.dumps({key: row[key] for key in ("town", "seed", "method", "map", "rank1", "cpu_s", "gate_mean")}),
                    flush=True,
                )


def table(options: argparse.Namespace) -> None:
    """Print mean and deviation over seeds by town, what the methods differ in, and how much of that could be style."""
    rows = rows_of(options.out)
    mixed = [name for name in SETTINGS if len({str(row.get(name)) for row in rows}) > 1]
    mixed += ["alone"] if len({"alone" in row for row in rows}) > 1 else []
    if mixed:
        raise SystemExit(f"{options.out} has rows of several settings ({', '.join(mixed)}): keep each in a file of its own")
    towns = sorted({row["town"] for row in rows})
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    print(f"| mAP / Rank-1 | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    for town in [*towns, None]:
        shown = towns if town is None else [town]
        print(f"| {town or f'mean of {len(towns)} towns'} | " + " | ".join(_cell(rows, shown, m) for m in methods) + " |")

    found = {(row["method"], row["town"], row["seed"]): row for row in rows}
    print("\n| difference of mAP, in points | on average | higher in |\n|---|---|---|")
    for one, other in (("MetaBIN", "BN"), ("BIN joint", "BN"), ("MetaBIN", "BIN joint"), ("BN", "IN"), ("BIN joint", "half")):
        if line := _difference(found, towns, one, other):
            print(f"| {one} minus {other} | {line} |")

    print("\n| left out | BN | + the town's statistics | + by camera | MetaBIN minus BN |\n|---|---|---|---|---|")
    style, gain = [], []
    for town in towns:
        both = [
            (row, found[("MetaBIN", town, row["seed"])])
            for row in rows
            if row["method"] == "BN" and row["town"] == town and "map_own" in row and ("MetaBIN", town, row["seed"]) in found
        ]
        if not both:
            continue
        told = [[row["map"], row["map_whole-set"], row["map_own"], meta["map"] - row["map"]] for row, meta in both]
        plain, whole, own, more = 100 * np.mean(told, axis=0)
        print(f"| {town} | {plain:.1f} | {whole - plain:+.1f} | {own - plain:+.1f} | {more:+.1f} |")
        style += [row["map_own"] - row["map"] for row, _ in both]
        gain += [meta["map"] - row["map"] for row, meta in both]
    if len(style) > 3:
        print(f"\nrank correlation of the last two columns over {len(style)} trainings: {_rank_correlation(style, gain):+.2f}")
    joint = [(row, found[("BIN joint", *key[1:])]) for key, row in found.items()
             if key[0] == "MetaBIN" and ("BIN joint", *key[1:]) in found]  # fmt: skip
    if len(joint) > 3:
        maps, losses = ([meta[name] - plain[name] for meta, plain in joint] for name in ("map", "ce"))
        ends, gates = ([np.mean([pair[side][name] for pair in joint]) for side in (0, 1)] for name in ("ce", "gate_mean"))
        print(f"\nMetaBIN beside BIN joint over {len(joint)} trainings: last cross-entropy {ends[0]:.2f} and {ends[1]:.2f}, "
              f"mean gate {gates[0]:.3f} and {gates[1]:.3f}; rank correlation of the differences of cross-entropy and of mAP "
              f"{_rank_correlation(losses, maps):+.2f}")  # fmt: skip


def _rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other)[0])  # pyright: ignore[reportArgumentType]


def _difference(found: dict[tuple[str, str, int], dict[str, Any]], towns: Sequence[str], one: str, other: str) -> str:
    """Over towns and seeds that both methods have; the deviation is that of the seeds' means, over towns that all seeds have."""
    both = {key[1:]: 100 * (row["map"] - found[(other, *key[1:])]["map"]) for key, row in found.items()
            if key[0] == one and (other, *key[1:]) in found}  # fmt: skip
    if not both:
        return ""
    seeds = sorted({seed for _, seed in both})
    whole = [town for town in towns if all((town, seed) in both for seed in seeds)]
    means = [np.mean([both[town, seed] for town in whole]) for seed in seeds] if whole else []
    deviation = f" +- {np.std(means, ddof=1):.1f} over {len(seeds)} seeds" if len(means) > 1 else ""
    values = list(both.values())
    return f"{np.mean(values):+.1f}{deviation} | {sum(value > 0 for value in values)} of {len(values)}"


def _cell(rows: Sequence[dict[str, Any]], towns: Sequence[str], method: str) -> str:
    """Of seeds that have all these towns: the deviation is that of a seed's mean, where there are several."""
    seeds: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row["town"] in towns and row["method"] == method:
            seeds.setdefault(row["seed"], []).append((row["map"], row["rank1"]))
    whole = [np.mean(found, axis=0) for found in seeds.values() if len(found) == len(towns)]
    if not whole:
        return ""
    mean = 100 * np.mean(whole, axis=0)
    if len(whole) == 1:
        return f"{mean[0]:.1f} / {mean[1]:.1f} (one seed)"
    std = 100 * np.std(whole, axis=0, ddof=1)
    return f"{mean[0]:.1f} +- {std[0]:.1f} / {mean[1]:.1f} +- {std[1]:.1f} ({len(whole)} seeds)"


def main() -> None:
    """Read the words and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--root", type=Path, help="folder of Street-v1 M")
    parser.add_argument("--work", type=Path, default=Path("metabin-street"), help="folder for resized images and runs")
    parser.add_argument("--towns", nargs="+", default=["winter", "station"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=USUAL)
    parser.add_argument("--backbone", default="mobilenet_v2_x1_0")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--size", nargs=2, type=int, default=[96, 48], metavar=("H", "W"))
    parser.add_argument("--views", type=int, default=4, help="training images a person")
    parser.add_argument(
        "--alone", action="store_true", help="train on each of the towns alone, cameras as domains; measure on the others"
    )
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--images-per-identity", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--gate-lr", type=float, default=0.1)
    parser.add_argument("--keep", action="store_true", help="keep the run folders, with their artefacts")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    (run if options.what == "run" else table)(options)


if __name__ == "__main__":
    main()
