"""OG-Net on the rendered street: colours and shape apart and together, beside a 2-D network, also at headings never seen.

    python benchmarks/ognet_street.py run --work WORK --out ROWS [--town campus] [--sets all any front] [--seeds 0 1 2]
    python benchmarks/ognet_street.py table --out ROWS

A town is rendered once, with the true clouds of its crops. A row is one network trained on one set with one seed:

    both, xyz, rgb   OG-Net Small on clouds: everything, no colours, no depth
    xyz unstretched  as xyz, without the augmentation that stretches each axis by 0.75 to 1.33
    2-D, 2-D 64x32   OSNet x0.75 (1.3 M parameters) on the images, from scratch too: at 128 x 64 pixels, and at 64 x 32

    all              all training crops
    front            those of people who turn at most 60 degrees from the camera
    any              of each camera as many crops of the same people, drawn from all headings

By default all learn from `all`, and `both`, `2-D` and `2-D 64x32` from `any` and `front` too. Every row has the same number of
steps and of crops a step, the same sampler, rate and schedule, Adam, cross-entropy and circle loss. Each recipe keeps what it has
beside that: OG-Net AMSGrad, gamma 64 and dropout 0.7; 2-D plain Adam, gamma 32 and dropout 0.5. Measured is mAP over all test
queries and over those at headings that `front` never shows (more than 90 degrees), against all of the gallery; AP by the
rank rule, same camera left out. The networks of points are also measured on clouds that `passerby lift` made of the test crops,
brought back to the shape that the detector's box had, beside the true clouds of those very crops. `table` prints differences with
95 % intervals: paired, people with all their queries drawn again, precisions averaged over the seeds first; they do not say how
far another training would be off, which the deviation over seeds does.

What must be known when the columns are read: 2-D sees 8,192 pixels, a cloud of --height 64 has 2,048 points and the network gets
half of them; 2-D 64x32 has the cloud's grid. True clouds carry more than any image: the exact outline of the person, whose points
come first, and metres. `rgb` leaves out the depth alone: x and y stay metres, and the person's points first. The 2-D network's
average is over the steps (a moving average of some 200), because its recipe's own hardly leaves the weights of the 80th per cent.

`run` goes on where it stopped: a row in ROWS is not made again, and a run that was stopped is resumed. A row holds the precision
of each query, for the differences. Rows of other sizes (--ids, --views, --steps ...) are other rows: each has the sizes in its
name, and `table` shows each set of sizes by itself.

Cost, in CPU time of one core beside other work: a step of 16 clouds of 1,024 points 0.7 s (1.2 s with --init-points 204), of 2-D
0.6 s and of 2-D 64x32 0.25 s; the 3,600 test crops 150 s as clouds, as much again lifted, 90 and 40 s as images. With the sizes
that stand here as defaults a row of points takes about 25 minutes, one of 2-D 17 and one of 2-D 64x32 7: some three hours a seed.
Rendering and lifting take a quarter of an hour once. With --init-points 96 the last layer has 24 points, 20 of them neighbours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rows import add_row, rows_of

from passerby.artefact import load
from passerby.datasets import read
from passerby.embedder import Numbering, embed
from passerby.embeddings import Embeddings
from passerby.files import replacing
from passerby.lifting.tree import LiftSettings, lift_folder
from passerby.metrics import evaluate
from passerby.metrics.intervals import drawn_means
from passerby.records import Record, ReidData, Split
from passerby.street.folder import Order, read_manifest
from passerby.street.output import render_set
from passerby.training import load_history

SMALL = (48, 96, 192, 384)
CLOUDS: dict[str, dict[str, Any]] = {"both": {}, "xyz": {"inputs": "xyz"}, "rgb": {"flat": True}}
CLOUDS["xyz unstretched"] = {"inputs": "xyz", "scale": (1.0, 1.0)}
IMAGES: dict[str, dict[str, Any]] = {
    "2-D": {"height": 128, "width": 64, "pad_px": 5},
    "2-D 64x32": {"height": 64, "width": 32, "pad_px": 2},
}
METHODS = (*CLOUDS, *IMAGES)
SETS = {"all": METHODS, "any": ("both", *IMAGES), "front": ("both", *IMAGES)}
SIZES = ("town", "ids", "test_ids", "views", "height", "init_points", "batch", "steps")
FRONT_DEG, NEVER_DEG = 60.0, 90.0
TEST_FOLDERS = ("query", "bounding_box_test")
Row = dict[str, Any]


# --- data -------------------------------------------------------------------------------------------------------------------


def name_of(sizes: Row, *wanted: str) -> str:
    """Part of the name of a folder: campus-ids60-test_ids150 ..."""
    return "-".join(str(sizes[key]) if key == "town" else f"{key}{sizes[key]}" for key in wanted)


def rendered(options: argparse.Namespace) -> Path:
    """The town with its true clouds; made once."""
    town = options.work / name_of(vars(options), "town", "ids", "test_ids", "views", "height")
    order = Order(
        options.town, train_ids=options.ids, test_ids=options.test_ids, views=options.views, seed=0, clouds="npz",
        cloud_height=options.height,
    )  # fmt: skip
    render_set(order, town, workers=options.workers)
    return town


def lifted_of(town: Path, options: argparse.Namespace) -> Path:
    """Clouds that were lifted from the test crops; made once.

    The town's crops are stretched to one size, which hides how broad somebody is: they get the shape of their boxes again.
    """
    crops, clouds = town.with_name(f"{town.name}-crops"), town.with_name(f"{town.name}-lifted")
    for crop in read_manifest(town):
        target = crops / crop.folder / f"{crop.name}.png"
        if crop.folder in TEST_FOLDERS and not target.is_file():
            _, _, width, height = crop.box
            with Image.open(town / crop.folder / crop.name) as image, replacing(target) as temporary:
                tall = min(height, image.height)
                image.resize((max(1, round(tall * width / height)), tall), Image.Resampling.BICUBIC).save(temporary)
    report = lift_folder(crops, clouds, LiftSettings(height=options.height), dataset="images", workers=options.workers)
    print(f"lifted: {report.made + report.kept} of {report.images}, not {report.reasons}")
    return clouds


def with_lifted(data: ReidData, clouds: Path) -> ReidData:
    """Query and gallery as lifted clouds, less those that could not be lifted."""

    def there(split: Split) -> Split:
        moved = (replace(one, path=clouds / one.path.parent.name / f"{crop_name(one)}.png.npz") for one in split)
        return Split(tuple(record for record in moved if record.path.is_file()))

    return replace(data, query=there(data.query), gallery=there(data.gallery))


def crop_name(record: Record) -> str:
    return record.path.name.removesuffix(".npz").removesuffix(".png")


def turn_of(town: Path) -> dict[str, float]:
    """Name of a crop -> degrees from facing the camera, 0 to 180."""
    return {crop.name: abs((crop.facing_deg + 180) % 360 - 180) for crop in read_manifest(town)}


def chosen(train: Split, turns: dict[str, float], which: str) -> Split:
    """One of `SETS`. Cameras see headings of their own, so that `any` takes of each camera as many crops as `front` has."""
    if which == "all":
        return train
    facing = train.where(lambda record: turns[crop_name(record)] <= FRONT_DEG)
    cameras: dict[int, set[int]] = {}
    for record in facing:
        cameras.setdefault(record.pid, set()).add(record.camid)
    known = {pid for pid, seen in cameras.items() if len(seen) > 1}
    front = facing.where(lambda record: record.pid in known)
    if which == "front":
        return front
    random, picked = np.random.default_rng(0), []
    for camid, count in sorted(Counter(record.camid for record in front).items()):
        there = [record for record in train if record.camid == camid and record.pid in known]
        picked += [there[at] for at in np.sort(random.choice(len(there), count, replace=False))]
    return Split(tuple(sorted(picked, key=lambda record: record.path)))


def counts(train: Split, turns: dict[str, float]) -> Row:
    """What a set holds, for the table."""
    return {
        "crops": len(train),
        "people": len(train.identities),
        "by_camera": dict(sorted(Counter(record.camid + 1 for record in train).items())),
        "beyond_90": sum(turns[crop_name(record)] > NEVER_DEG for record in train),
    }


# --- training and measuring -------------------------------------------------------------------------------------------------


def trained(method: str, train: Split, seed: int, options: argparse.Namespace, run: Path) -> tuple[Path, int]:
    """The artefact of a network and its epochs; a stopped run is resumed."""
    from passerby.batches import labels_of
    from passerby.recipes import baseline, ognet
    from passerby.samplers import IdentitySampler

    data = ReidData("street", train=train)
    labels = labels_of(train, train.label_map()).numpy()
    # Equally many steps, whatever the set; 10 epochs are the least that leave one to average.
    epochs = max(10, round(options.steps / len(IdentitySampler(labels, options.batch // 4, 4))))
    resume = (run / "checkpoints").is_dir()
    shared: dict[str, Any] = {
        "sampler": "identity", "images_per_identity": 4, "batch_size": options.batch, "epochs": epochs, "optimizer": "adam",
        "lr": 1e-3, "schedule": "cosine", "warmup": "lr", "warmup_epochs": epochs / 20, "seed": seed,
    }  # fmt: skip
    if method in IMAGES:
        images = baseline.Config(
            backbone="osnet_x0_75", weights="scratch", backbone_lr_factor=1.0, losses=("circle",), average="ema", ema_decay=0.995,
            **shared, **IMAGES[method],
        )  # fmt: skip
        return baseline.train(images, data, run, resume=resume, device=options.device, workers=0), epochs
    points = ognet.Config(feature_dims=SMALL, circle=True, init_points=options.init_points, **shared, **CLOUDS[method])
    return ognet.train(points, data, run, resume=resume, device=options.device, workers=0), epochs


def embedded(embedder: Any, data: ReidData) -> tuple[Embeddings, Embeddings]:
    """Query and gallery, once; parts of them are taken afterwards."""
    numbering = Numbering.of(data.query, data.gallery)
    return embed(embedder, data.query, numbering=numbering), embed(embedder, data.gallery, numbering=numbering)


def precisions(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, float]:
    """(Q,) average precision of each query, NaN where it does not count, and Rank-1."""
    found = evaluate(query, gallery)
    return np.where(found.counted, found.ap, np.nan), found.rank(1)


def measured(artefact: Path, data: ReidData, lifted: ReidData | None, turns: dict[str, float], device: str) -> Row:
    """Numbers for the row, and the person and precisions of each query for the differences; None where a query does not count."""
    embedder = load(artefact, device=device)
    query, gallery = embedded(embedder, data)
    ap, rank1 = precisions(query, gallery)
    names = [crop_name(record) for record in data.query]
    never = np.array([turns[name] > NEVER_DEG for name in names])
    columns = {"map": ap, "never_map": np.where(never, ap, np.nan)}
    if lifted is not None:
        kept = {crop_name(record) for split in (lifted.query, lifted.gallery) for record in split}
        searched, found = (np.array([crop_name(record) in kept for record in split]) for split in (data.query, data.gallery))
        columns["true_of_lifted_map"], columns["lifted_map"] = np.full(len(ap), np.nan), np.full(len(ap), np.nan)
        columns["true_of_lifted_map"][searched] = precisions(query[searched], gallery[found])[0]
        columns["lifted_map"][searched] = precisions(*embedded(embedder, lifted))[0]
    means = {key: float(np.nanmean(column)) for key, column in columns.items()}
    by_query = {key: [None if np.isnan(each) else round(float(each), 4) for each in column] for key, column in columns.items()}
    return {
        **means, "rank1": rank1, "queries": len(ap), "never_queries": int(never.sum()),
        "by_query": {"pids": [record.pid for record in data.query], **by_query},
    }  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    town = rendered(options)
    turns, sizes = turn_of(town), {key: getattr(options, key) for key in SIZES}
    points, images = read("street-3d", town), read("street", town)
    lifted = None if options.no_lift else with_lifted(points, lifted_of(town, options))
    done = {key_of(row) for row in rows_of(options.out)}
    for seed in options.seeds:
        for which in options.sets:
            for method in options.methods or SETS[which]:
                key: Row = {"method": method, "set": which, "seed": seed, **sizes}
                if key_of(key) in done:
                    continue
                data = images if method in IMAGES else points
                train = chosen(data.train, turns, which)
                name = f"{method.replace(' ', '-')}-{which}-{seed}-{name_of(sizes, *SIZES)}"
                folder, cpu = options.work / "runs" / name, time.process_time()
                resumed = (folder / "checkpoints").is_dir()
                artefact, epochs = trained(method, train, seed, options, folder)
                seconds = sum(epoch["seconds"] for epoch in load_history(folder).epochs)
                row = {**key, "epochs": epochs, **counts(train, turns), "train_s": seconds, "resumed": resumed}
                row["train_cpu_s"] = None if resumed else time.process_time() - cpu  # of the last process only
                cpu = time.process_time()
                row |= measured(artefact, data, None if method in IMAGES else lifted, turns, options.device)
                row["test_cpu_s"] = time.process_time() - cpu
                add_row(options.out, row)
                print(json.dumps({name: value for name, value in row.items() if name != "by_query"}), flush=True)


def key_of(row: Row) -> tuple[Any, ...]:
    """What makes a row another one; None for what rows of earlier forms of this file do not say."""
    return tuple(row.get(name) for name in ("method", "set", "seed", *SIZES))


# --- tables -----------------------------------------------------------------------------------------------------------------

COLUMNS = {
    "map": "mAP",
    "never_map": "mAP, headings beyond 90 degrees",
    "true_of_lifted_map": "true clouds that could be lifted",
    "lifted_map": "the same, lifted",
}


def table(options: argparse.Namespace) -> None:
    """Mean and deviation over seeds, per cent, and differences with intervals; each set of sizes by itself."""
    rows = [row for row in rows_of(options.out) if None not in key_of(row)]
    for sizes in dict.fromkeys(key_of(row)[3:] for row in rows):
        mine = [row for row in rows if key_of(row)[3:] == sizes]
        print(f"\n{', '.join(f'{name} {value}' for name, value in zip(SIZES, sizes, strict=True))}\n")
        print_means(mine)
        print_differences(mine)
        print_notes(mine)


def rows_for(rows: Sequence[Row], which: str, method: str) -> list[Row]:
    return [row for row in rows if (row["set"], row["method"]) == (which, method)]


def print_means(rows: Sequence[Row]) -> None:
    head = ("trained on", "input", *COLUMNS.values(), "seeds", "minutes of training")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for which in SETS:
        for method in METHODS:
            mine = rows_for(rows, which, method)
            if mine:
                cells = [_mean([100 * row[key] for row in mine if key in row]) for key in COLUMNS]
                minutes = np.median([row["train_s"] for row in mine]) / 60
                print(f"| {which} | {method} | {' | '.join(cells)} | {len(mine)} | {minutes:.0f} |")


def _mean(values: Sequence[float]) -> str:
    deviation = f" +- {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{deviation}" if values else ""


def print_differences(rows: Sequence[Row]) -> None:
    """What the table is read for, as differences of precisions of the same queries."""
    by_query: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    pids = np.zeros(0, np.int64)
    for row in rows:
        content = row["by_query"]
        pids = np.array(content["pids"])
        for key in COLUMNS:
            if key in content:
                by_query.setdefault((row["set"], row["method"], key), {})[row["seed"]] = np.array(content[key], np.float64)

    def less(one: tuple[str, str, str], other: tuple[str, str, str]) -> dict[int, np.ndarray]:
        a, b = by_query.get(one, {}), by_query.get(other, {})
        return {seed: a[seed] - b[seed] for seed in a.keys() & b.keys()}

    begun = False

    def line(text: str, key: str, apart: dict[int, np.ndarray]) -> None:
        nonlocal begun
        if apart:
            if not begun:
                print("\n| difference of mAP, per cent | queries | | 95 % | seeds |\n|---|---|---|---|---|")
            begun = True
            value, low, high = _interval(np.mean(list(apart.values()), 0), pids)
            ends = f"{100 * low:+.1f} to {100 * high:+.1f}"
            print(f"| {text} | {COLUMNS[key]} | {100 * value:+.1f} | {ends} | {len(apart)} |")

    for which in SETS:
        for method in METHODS[1:]:
            for key in ("map", "never_map"):
                line(f"{which}: both less {method}", key, less((which, "both", key), (which, method, key)))
    losses = {}
    for method in METHODS:
        for key in ("map", "never_map"):
            losses[method, key] = less(("front", method, key), ("any", method, key))
            line(f"{method}: front less any", key, losses[method, key])
    for method in IMAGES:
        ours, theirs = losses["both", "never_map"], losses[method, "never_map"]
        apart = {seed: ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()}
        line(f"front less any: both less {method}", "never_map", apart)
    for which in SETS:
        for method in CLOUDS:
            key = "lifted_map"
            line(f"{which}, {method}: lifted less true", key, less((which, method, key), (which, method, "true_of_lifted_map")))


def _interval(apart: np.ndarray, pids: np.ndarray) -> tuple[float, float, float]:
    """Mean of (Q,) differences with NaN where a query does not count, and its ends; people are drawn again."""
    there = ~np.isnan(apart)
    person = np.unique(pids[there], return_inverse=True)[1]
    sums = np.stack([np.bincount(person, apart[there]), np.bincount(person)], 1)
    drawn = drawn_means(sums, 2000, np.random.default_rng(0))[:, 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(apart[there].mean()), float(low), float(high)


def print_notes(rows: Sequence[Row]) -> None:
    """What stands beside the table: the sets, and what the inputs hold."""
    print()
    for which in dict.fromkeys(row["set"] for row in rows):
        row = next(row for row in rows if row["set"] == which)
        cameras = ", ".join(f"{camera}: {count}" for camera, count in row["by_camera"].items())
        never = f"{row['beyond_90']} beyond 90 degrees"
        print(f"- {which}: {row['crops']} crops of {row['people']} people, {never}; by camera {cameras}.")
    points = rows[0]["height"] ** 2 // 2
    print(f"- {rows[0]['queries']} queries, {rows[0]['never_queries']} of them beyond 90 degrees.")
    print(
        f"- 2-D sees 8,192 pixels and 2-D 64x32 2,048; a cloud has {points:,} points, half of which enter the network. "
        "True clouds carry the person's exact outline and metres; rgb leaves out the depth alone: x and y stay metres, and the "
        "person's points first. Lifted are the test crops in the shape of their boxes."
    )


def main() -> None:
    """Read the words and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of rows")
    parser.add_argument("--work", type=Path, help="folder for the town and the runs (needed to run)")
    parser.add_argument("--town", default="campus")
    parser.add_argument("--ids", type=int, default=60, help="people to train on")
    parser.add_argument("--test-ids", type=int, default=150, help="people to test on, which costs forward passes only")
    parser.add_argument("--views", type=int, default=24, help="crops of each person")
    parser.add_argument(
        "--height", type=int, default=64, help="rows of a cloud: half as many columns, half of the points are used"
    )
    parser.add_argument("--init-points", type=int, default=96, help="points that the first reduction leaves: most of the time")
    parser.add_argument("--batch", type=int, default=16, help="crops a step, four of each person")
    parser.add_argument("--steps", type=int, default=1500, help="of each row, in whole epochs, at least ten")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: see above")
    parser.add_argument("--workers", type=int, default=2, help="processes that render and lift")
    parser.add_argument("--no-lift", action="store_true", help="leave the lifted test crops out")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.what == "run" and options.work is None:
        parser.error("run needs --work, a folder for the town and the runs")
    (run if options.what == "run" else table)(options)


if __name__ == "__main__":
    main()
