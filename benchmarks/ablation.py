"""What rendered people teach about real ones, and which ingredient of the street, of the population and of training does it.

    passerby street render --benchmark M --out street-v1
    python benchmarks/ablation.py run --root street-v1 --work WORK --out ROWS [--seeds 0 1 2] [--only everything texture ...]
    python benchmarks/ablation.py table --out ROWS

One condition is one change against `everything`: an ingredient is taken out of the rendering (`street_ablations.ABLATIONS`), the
population is cut (half the people; two of six crops a person; two of four towns, which is half of the people too, and is to be
held against that), or training is changed. All train MobileNetV2
from ImageNet weights with cross-entropy and triplet loss on 400 people of arcade, campus, market and station (six crops each) at
96x48, for equally many steps (MetaBIN for twice as many: an epoch of its balanced batches is longer). A row is one condition with
one seed of training: mAP and Rank-1 among the test people of harbour and winter (Street-v1 M), which nothing here trains on, and
among real people (the two TUD videos of ../shared/data as in `street.py real`). To choose by the former and report the latter is
the rule: nothing is chosen on real people.

`run` goes on where it stopped: a row in ROWS is not made again, and a training that was stopped is resumed. Two calls with
different `--only` may share a WORK and ROWS, and so may two with different `--ids`, `--views`, `--epochs` or `--average`: each
row keeps them, and `table` prints one table for each. One training takes about 2.5 CPU minutes, MetaBIN 14, and measuring a row
one.

Every row is measured plainly and `adapted`, with the statistics of each test camera's own images (no label of theirs is read).
camera-bn is measured adapted alone, as its recipe wants; it has no colour jitter, and metabin no erasing: their recipes know
none.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, rows_of
from street_ablations import ABLATIONS, render_without

from passerby import artefact, datasets
from passerby.embedder import Embedder, Numbering, embed
from passerby.embedder.camera_statistics import Estimation, with_data_statistics
from passerby.metrics import RetrievalScores, evaluate
from passerby.recipes import baseline, camera_bn, metabin
from passerby.records import Record, ReidData, Split
from passerby.street.populations import HELD_OUT
from street import by_network, config, real_test

TOWNS = ("arcade", "campus", "market", "station")
SIZE = (96, 48)


def _half_of_people(train: Split) -> Split:
    return train.where(lambda record: record.pid % 2 == 0)


def _two_crops(train: Split) -> Split:
    """The first and the last crop of each person, which are of two cameras wherever the person was seen by two."""
    own: dict[tuple[str, int], list[Record]] = {}
    for record in train:
        own.setdefault((record.domain, record.pid), []).append(record)
    return Split(tuple(record for records in own.values() for record in (records[0], records[-1])))


def _two_towns(train: Split) -> Split:
    return train.where(lambda record: record.domain in ("street-arcade", "street-campus"))


POPULATIONS: dict[str, Callable[[Split], Split]] = {
    "half of the people": _half_of_people,
    "two of six crops a person": _two_crops,
    "two of four towns": _two_towns,
}
# Changes of the baseline recipe; `everything` has crops, mirroring, colour jitter and erasing.
TRAININGS: dict[str, dict[str, Any]] = {
    "no colour jitter": {"color_jitter": False},
    "no erasing": {"random_erasing": 0.0},
    "RandAugment too": {"auto_augment": "randaugment"},
    "no triplet loss": {"losses": (), "sampler": "identity"},
    "weights averaged": {"average": "ema", "ema_decay": 0.99},
    "64x32 px": {"height": 64, "width": 32},
    "128x64 px": {"height": 128, "width": 64},
}
RECIPES = ("camera-bn", "metabin")
ADAPTED_ONLY = ("camera-bn",)
CONDITIONS = ("everything", *ABLATIONS, *POPULATIONS, *TRAININGS, *RECIPES)


def padding(height: int) -> int:
    """Pixels around the image before the random crop: the same share at every size, 5 at 128x64."""
    return height // 25


def trained(condition: str, train: Split, seed: int, epochs: int, run: Path, average: str) -> Path:
    """The artefact of one condition; a stopped run is resumed."""
    data, resume = ReidData("street", train=train), (run / "checkpoints").is_dir()
    height, width = SIZE
    if condition == "camera-bn":
        cameras = camera_bn.Config(
            backbone="mobilenet_v2", height=height, width=width, pad_px=padding(height), epochs=epochs,
            decay_epoch=max(1, 2 * epochs // 3), optimizer="adam", lr=1e-3, triplet=1.0, label_smoothing=0.1, random_erasing=0.5,
            seed=seed,
        )  # fmt: skip
        return camera_bn.train(cameras, data, run, resume=resume, device="cpu", workers=0)
    if condition == "metabin":
        meta = metabin.Config(
            backbone="mobilenet_v2_x1_0", height=height, width=width, pad_px=padding(height), color_jitter=True, batch_size=64,
            meta_batch_size=64, epochs=epochs,
            milestones=(max(1, 2 * epochs // 3),), warmup_epochs=epochs / 10, inner_period=1, lr=0.03, gate_lr=0.1, seed=seed,
        )  # fmt: skip
        return metabin.train(meta, data, run, resume=resume, device="cpu", workers=0)
    kept = {"average": "ema", "ema_decay": 0.99} if average == "ema" else {}
    changed = replace(config(seed, epochs), **{"height": height, "width": width, **kept, **TRAININGS.get(condition, {})})
    changed = replace(changed, pad_px=padding(changed.height))
    return baseline.train(changed, data, run, resume=resume, device="cpu", workers=0)


def people(train: Split) -> int:
    return len({(record.domain, record.pid) for record in train})


def by_cameras(data: ReidData, embedder: Embedder) -> RetrievalScores:
    """With the statistics of each camera's own images, as the recipe wants."""
    sides = {"query": data.query, "gallery": data.gallery}
    ready, numbering = with_data_statistics(embedder, sides, "own", Estimation(flip=False)), Numbering.of(*sides.values())
    return evaluate(*(embed(ready[name], split, numbering=numbering) for name, split in sides.items()))


def one_row(condition: str, seed: int, options: argparse.Namespace, tests: dict[str, ReidData]) -> dict[str, Any]:
    """Render what is missing, train, measure."""
    drawn, told = condition if condition in ABLATIONS else "everything", settings(options)
    crops = options.work / "crops" / f"{options.ids}-{options.views}" / drawn.replace(" ", "-")
    whole = render_without(drawn, crops, TOWNS, options.ids // len(TOWNS), options.views)
    train = POPULATIONS.get(condition, lambda split: split)(whole)
    epochs = round(options.epochs * people(whole) / people(train))  # an epoch shows four images of each person
    run = options.work / "runs" / "-".join(map(str, told.values())) / f"{condition.replace(' ', '-')}-{seed}"
    cpu = time.process_time()
    embedder = artefact.load(trained(condition, train, seed, epochs, run, options.average), device="cpu")
    row: dict[str, Any] = {"condition": condition, "seed": seed, "settings": told, "crops": len(train), "epochs": epochs}
    row["cpu_s"] = round(time.process_time() - cpu)
    for name, data in tests.items():
        row[name] = {"adapted": by_cameras(data, embedder).map}
        if condition not in ADAPTED_ONLY:
            found = by_network(data, embedder)
            row[name] |= {"map": found.map, "rank1": found.rank(1)}
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    return row


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What a row is of, beside condition and seed."""
    return {**{name: getattr(options, name) for name in ("ids", "views", "epochs", "average")}, "pad_px": padding(SIZE[0])}


def settings_of(row: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Of a row, as a key."""
    return tuple(row["settings"].items())


def run(options: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    tests = {town: datasets.read("street", options.root / town) for town in HELD_OUT} | {"real": real_test(options.work)}
    done = {(row["condition"], row["seed"], settings_of(row)) for row in rows_of(options.out)}
    here = tuple(settings(options).items())
    for seed in options.seeds:
        for condition in options.only:
            if (condition, seed, here) not in done:
                row = one_row(condition, seed, options, tests)
                add_row(options.out, row)
                print(json.dumps(row), flush=True)


def table(options: argparse.Namespace) -> None:
    """One table for each settings that there are rows of."""
    rows = rows_of(options.out)
    for key in dict.fromkeys(map(settings_of, rows)):
        print(", ".join(f"{name} {value}" for name, value in key))
        print_table({(row["condition"], row["seed"]): row for row in rows if settings_of(row) == key})


MEASURES = {
    "unseen towns, mAP": (lambda row: _towns(row, "map"), True),
    "adapted": (lambda row: _towns(row, "adapted"), True),
    "real people, mAP": (lambda row: row["real"].get("map"), True),
    "Rank-1": (lambda row: row["real"].get("rank1"), False),
    "mAP, adapted": (lambda row: row["real"].get("adapted"), True),
}  # title: (share of a row, or None where it was not measured; whether the change is shown too)


def print_table(found: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Mean and deviation over seeds, per cent, and the mean difference to `everything` with the same seeds."""
    titles = [words for title, (_, changes) in MEASURES.items() for words in ((title, "change") if changes else (title,))]
    print("| | " + " | ".join(titles) + " | seeds |")
    print("|---" * (len(titles) + 2) + "|")
    there = dict.fromkeys(name for name, _ in found)
    for condition in sorted(there, key=lambda name: CONDITIONS.index(name) if name in CONDITIONS else len(CONDITIONS)):
        seeds = sorted(seed for name, seed in found if name == condition)
        cells = []
        for measure, changes in MEASURES.values():
            values = {seed: measure(row) for (name, seed), row in found.items() if name == condition}
            beside = {seed: measure(row) for (name, seed), row in found.items() if name == "everything"}
            cells.append(spread([value for value in values.values() if value is not None]))
            if changes:
                gains = [v - beside[s] for s, v in values.items() if v is not None and beside.get(s) is not None]
                cells.append("" if condition == "everything" else spread(gains, sign="+"))
        print(f"| {_label(condition)} | " + " | ".join(cells) + f" | {len(seeds)} |")


def spread(shares: Sequence[float], sign: str = "") -> str:
    """Mean and deviation of the seeds that there might have been, by those that there are, per cent; empty for none."""
    if not shares:
        return ""
    mean = f"{100 * np.mean(shares):{sign}.1f}"
    return f"{mean} +- {100 * np.std(shares, ddof=1):.1f}" if len(shares) > 1 else mean


def _towns(row: dict[str, Any], what: str) -> float | None:
    shares = [row[town].get(what) for town in HELD_OUT]
    return None if None in shares else float(np.mean(shares))


def _label(condition: str) -> str:
    return f"without {condition}" if condition in ABLATIONS else condition


def main(words: Sequence[str] | None = None) -> None:
    """Read the words and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--out", type=Path, required=True, metavar="ROWS", help="file of rows")
    parser.add_argument("--work", type=Path, help="folder for crops and runs")
    parser.add_argument("--root", type=Path, help="Street-v1 M")
    parser.add_argument("--only", nargs="+", choices=CONDITIONS, default=list(CONDITIONS), metavar="CONDITION")
    parser.add_argument("--ids", type=int, default=400, help="people over the four towns")
    parser.add_argument("--views", type=int, default=6, help="crops of each")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--average", choices=["off", "ema"], default="off", help="of the weights, in all baseline rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args(words)
    if options.what == "run" and (options.root is None or options.work is None):
        parser.error("run needs --work, a folder for crops and runs, and --root, the folder of Street-v1 M")
    (run if options.what == "run" else table)(options)


if __name__ == "__main__":
    main()
