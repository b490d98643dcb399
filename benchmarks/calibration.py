"""Whether stated intervals hold: thresholds from half of a town's people, realised on the other half, again and again.

    passerby street render --benchmark M --out street-v1
    passerby train baseline ... --data street-v1/arcade        # or any other artefact
    python benchmarks/calibration.py ARTEFACT street-v1 --json FILE

For each town, 50 times: its test people (none of whom was trained on) are divided at random, one half calibrates, and the
false-accept rate of the other half at that threshold is compared with the stated interval, for as many people. Beside it, the
interval that counts pairs as if they were independent. Last, each town's threshold is taken to every other town.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import passerby
from passerby.embeddings import Embeddings
from passerby.metrics.calibration import calibrate, drift
from passerby.records import Split


def embedded(artefact: Path, town: Path) -> Embeddings:
    data = passerby.read_data("street", town)
    return passerby.embed(passerby.load(artefact), Split((*data.query, *data.gallery)))


def repeated(images: Embeddings, far: float, repetitions: int, samples: int) -> dict[str, Any]:
    people = np.unique(images.pids[images.pids > 0])
    rows, inside, by_pairs = [], 0, 0
    for seed in range(repetitions):
        half = np.random.default_rng(seed).permutation(people)[: len(people) // 2]
        chosen = np.isin(images.pids, half)
        ahead = len(people) - len(half)
        found = calibrate(images[chosen], far, people_ahead=ahead, samples=samples, seed=seed)
        there = drift(found, images[~chosen], samples=2)
        inside += there.inside
        naive = 1.96 * np.sqrt(2 * far * (1 - far) / found.num_impostor)
        by_pairs += abs(there.far - far) <= naive
        rows.append([found.far_interval.low, there.far, found.far_interval.high, found.frr, found.identification])
    low, realised, high, frr, identification = np.mean(rows, axis=0).tolist()
    return {
        "people": len(people), "images": len(images), "far": far, "repetitions": repetitions, "inside": inside / repetitions,
        "inside_by_pairs": by_pairs / repetitions, "mean_interval": [low, high], "mean_realised": realised, "mean_frr": frr,
        "mean_identification": identification,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artefact", type=Path)
    parser.add_argument("street", type=Path, help="folder of rendered towns")
    parser.add_argument("--far", type=float, nargs="+", default=[0.01, 0.001])
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, and to take them from")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    towns = {}
    for folder in sorted(path.parent for path in given.street.glob("*/street.json")):
        kept = given.keep / f"{folder.name}.npz" if given.keep else None
        towns[folder.name] = Embeddings.load(kept) if kept and kept.is_file() else embedded(given.artefact, folder)
        if kept and not kept.is_file():
            towns[folder.name].save(kept)
    found: dict[str, Any] = {"towns": {}, "drift": {}}
    for far in given.far:
        for name, images in towns.items():
            row = found["towns"][f"{name} {far:g}"] = repeated(images, far, given.repetitions, given.samples)
            print(
                f"{name}, false accepts {100 * far:g} %: inside {100 * row['inside']:.0f} % of {given.repetitions}; by pairs "
                f"{100 * row['inside_by_pairs']:.0f} %; stated {100 * row['mean_interval'][0]:.3f} to "
                f"{100 * row['mean_interval'][1]:.3f} %, realised {100 * row['mean_realised']:.3f} %, false rejects "
                f"{100 * row['mean_frr']:.1f} %, identification {100 * row['mean_identification']:.1f} %", flush=True,
            )  # fmt: skip
    for name, images in towns.items():
        here = calibrate(images, given.far[-1], samples=given.samples)
        rates = {other: drift(here, part, samples=2).far for other, part in towns.items()}
        found["drift"][name] = rates
        told = ", ".join(f"{other} {100 * rate:.2f}" for other, rate in rates.items())
        print(f"threshold of {name} for {100 * given.far[-1]:g} %: {told} %", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
