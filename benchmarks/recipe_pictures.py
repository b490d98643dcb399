"""Pictures of the recipes' pages from the lines that their benchmarks wrote, so that they can be drawn again without training.

    python benchmarks/recipe_pictures.py camera-bn WORK/results.jsonl --out docs/recipes/camera_bn.png
    python benchmarks/recipe_pictures.py metabin rows.jsonl --out docs/recipes/metabin.png
    python benchmarks/recipe_pictures.py cail-mixup rows.jsonl --out docs/recipes/cail_mixup.png

Lines come from benchmarks/camera_bn_street.py, metabin_street.py and cail_mixup_street.py. Those of the baseline are a picture of
`passerby plot curves`, that of OG-Net one of `passerby plot turntable`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from passerby.plots.style import COLOURS, HATCHES, MARKERS, head_and_foot, line_of, look, percent_axis, save_figure

METHODS = (  # in the order of benchmarks/cail_mixup_street.py
    "direct", "direct + camera BN", "direct + camera BN (train)", "joint BN", "+ intra", "+ inter", "+ mixup", "mixup alone",
    "agnostic", "agnostic + mixup",
)  # fmt: skip


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def grouped_bars(axes: Any, groups: Sequence[str], series: dict[str, list[list[float]]]) -> None:
    """A group of bars each, with a point for every seed."""
    width = 0.8 / len(series)
    for number, (name, lists) in enumerate(series.items()):
        places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        axes.bar(
            places, [np.mean(values) for values in lists], 0.92 * width, color=COLOURS[number], alpha=0.75, hatch=HATCHES[number],
            edgecolor="white", label=name,
        )  # fmt: skip
        for place, values in zip(places, lists, strict=True):
            axes.plot([place] * len(values), values, linestyle="", marker=MARKERS[number], color="black", markersize=3)
    axes.set_xticks(range(len(groups)), groups)
    percent_axis(axes.yaxis)
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percents
    axes.set_ylabel("mAP")
    axes.grid(axis="x", visible=False)


def camera_bn(rows: list[dict[str, Any]]) -> Figure:
    """Home and away, by the town that was trained in."""
    rows = [row for row in rows if row["train"] == row["test"]]
    towns = sorted({row["source"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    names = {"batch": "batch norm", "camera": "camera-based batch norm"}

    def of(train: str, source: str, home: bool) -> list[float]:
        found = [
            [r["map"] for r in rows if r["train"] == train and r["source"] == source and r["seed"] == seed
             and (r["target"] == source) == home]
            for seed in seeds
        ]  # fmt: skip
        return [float(np.mean(values)) for values in found if values]

    figure = Figure(figsize=(8.6, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, home, title in ((above, False, "in the five other towns, which nothing was trained on"), (below, True, "at home")):
        grouped_bars(axes, towns, {name: [of(train, town, home) for town in towns] for train, name in names.items()})
        axes.set_title(title)
    below.set_xlabel("trained in")
    above.legend(loc="upper center", ncols=2)
    gains = [np.mean([of("camera", t, False)[i] - of("batch", t, False)[i] for t in towns]) for i in range(len(seeds))]
    mean, deviation = spread([float(gain) for gain in gains])
    head_and_foot(
        figure,
        f"Camera-based batch norm gains {100 * mean:.1f} ± {100 * deviation:.1f} points of mAP in towns that it never saw",
        f"Rendered people, Street-v1 M; MobileNetV2 at 96x48 px, trained shortly; mean and points of {len(seeds)} seeds. "
        "Own camera's matches dropped, AP by the rank rule. Winter has 15 cameras: four images of each in a batch are too few.",
    )
    return figure


def metabin(rows: list[dict[str, Any]]) -> Figure:
    """Norms beside each other on the town that was left out."""
    towns = sorted({row["town"] for row in rows})
    methods = [name for name in ("BN", "IN", "BIN joint", "MetaBIN") if any(row["method"] == name for row in rows)]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    if len(towns) == 1:
        grouped_bars(axes, methods, {"": [[r["map"] for r in rows if r["method"] == name] for name in methods]})
    else:
        series = {n: [[r["map"] for r in rows if r["method"] == n and r["town"] == town] for town in towns] for n in methods}
        grouped_bars(axes, towns, series)
        axes.set_ylim(top=1.2 * max(row["map"] for row in rows))  # room for the legend
        axes.legend(loc="upper center", ncols=len(methods))
    counts = sorted(Counter((row["town"], row["method"]) for row in rows).values())
    seeds, first = f"{counts[0]} to {counts[-1]}" if counts[0] < counts[-1] else f"{counts[0]}", rows[0]
    head_and_foot(
        figure,
        f"Gates between batch and instance norm beside either, in a town left out: {', '.join(towns)}",
        f"Rendered people; {first['backbone']} at {first['size'][0]}x{first['size'][1]} px, {first['epochs']} epochs of "
        f"{first['images']:,} images of the other towns; bars: mean of {seeds} seeds, points: seeds. "
        "Own camera's matches dropped, AP by the rank rule.",
    )
    return figure


def cail_mixup(rows: list[dict[str, Any]]) -> Figure:
    """True mAP over the adaptation, and what each part ends with.

    A training that was measured at its end alone has no curve: it is a level line, and no part of the curves of others.
    """
    of_method: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        of_method.setdefault(row["method"], set()).add((row["source"], row["target"]))
    pairs = sorted(set.intersection(*of_method.values()))  # means over unlike pairs say nothing about methods
    rows = [row for row in rows if (row["source"], row["target"]) in pairs]
    if not rows:
        raise SystemExit("no pair of towns has a row of every method: draw rows of fewer methods")
    have: dict[tuple[str, int], int] = Counter((row["method"], row["seed"]) for row in rows)
    rows = [row for row in rows if have[row["method"], row["seed"]] == len(pairs)]  # of seeds that a method has of all pairs
    found = [name for name in METHODS if any(row["method"] == name for row in rows)]
    found += sorted({row["method"] for row in rows} - {*found})
    figure = Figure(figsize=(8.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for number, name in enumerate(found):
        if "camera BN" in name:  # no training of its own
            continue
        own = [row for row in rows if row["method"] == name]
        points = [{point["epoch"]: point["map"] for point in row["watch"] if point["map"] is not None} for row in own]
        curves = [curve for curve in points if len(curve) > 1]
        epochs = sorted(set.intersection(*map(set, curves))) if curves else []
        if epochs:
            values = [np.mean([curve[epoch] for curve in curves]) for epoch in epochs]
            left.plot(epochs, values, label=name, marker=MARKERS[number % 8], markersize=4, **line_of(number))
        else:
            left.axhline(float(np.mean([row["map"] for row in own])), label=f"{name}, at its end", **line_of(number))
    left.set_title("the target's mAP while adapting")
    left.set_xlabel("epoch")
    left.legend(fontsize=7.5)
    percent_axis(left.yaxis)
    for number, name in enumerate(found):
        values = [row["map"] for row in rows if row["method"] == name]
        right.barh(
            number, np.mean(values), 0.75, color=COLOURS[number % 8], alpha=0.75, hatch=HATCHES[number % 8], edgecolor="white"
        )
        right.plot(values, [number] * len(values), linestyle="", marker="o", color="black", markersize=3)
        right.text(max(values), number, f" {100 * np.mean(values):.1f}", va="center", fontsize=8)
    right.set_yticks(range(len(found)), found)
    right.invert_yaxis()
    right.grid(axis="y", visible=False)
    right.set_title("after the last epoch")
    right.set_xlim(right=1.14 * max(row["map"] for row in rows))
    percent_axis(right.xaxis)
    first, seeds = rows[0], len({row["seed"] for row in rows})
    shown = ", ".join(f"{source} to {target}" for source, target in pairs) if len(pairs) < 4 else f"{len(pairs)} pairs of towns"
    head_and_foot(
        figure,
        f"Adapting without labels: {shown}",
        f"Rendered people, Street-v1 M; {first['backbone']} at {first['size'][0]}x{first['size'][1]} px, {first['epochs']} "
        f"epochs; {len(pairs)} of 12 pairs of towns, {seeds} {'seed' if seeds == 1 else 'seeds'}. Own camera's matches dropped, "
        "AP by the rank rule. The target's labels only drew this picture."
        + (
            " Camera BN: statistics of the test images; (train): of the training images." if "direct + camera BN" in found else ""
        ),
    )
    return figure


DRAWN: dict[str, Callable[[list[dict[str, Any]]], Figure]] = {
    "camera-bn": camera_bn,
    "metabin": metabin,
    "cail-mixup": cail_mixup,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(DRAWN))
    parser.add_argument("rows", type=Path, help="lines of JSON, as the benchmark wrote them")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.rows.read_text(encoding="utf-8").splitlines() if line.strip()]
    with look():
        save_figure(DRAWN[given.what](rows), given.out, dpi=100)
    print(f"{given.out}: {len(rows)} lines, {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
