"""The house model in towns that it never saw, beside its ImageNet start and colours.

    passerby street render --benchmark M --out street-v1
    python benchmarks/house.py --towns street-v1                      # the model that ships
    python benchmarks/house.py --towns street-v1 --model house-scratch runs/house/artefact

Cross-camera search among the 140 test people of each town that no population has (`street.populations.HELD_OUT`); 95 %
intervals over people. Each model stands there a second time, adapted: with the statistics of the town's cameras, from unlabelled
crops of its 140 training people, who are nobody that is searched for. `own crops` takes them of the crops that are searched, and
`queries of no camera` those of all training crops together for the queries.
Then the models' thresholds in each town: false accepts and rejects with, as stated, those of the calibration.
With `--int8`, the model's int8 form beside it, in every town of the folder, with cosines of the two vectors of one image.
Real people: `passerby evaluate real --adapted`; with the file that its `--json` writes as `--real`, `--out` keeps both: the
figures.json of a model that ships (`--model house-scratch --real REAL --out src/passerby/house-scratch/figures.json`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from passerby import datasets
from passerby.artefact import default_model, load, named_model, read_description
from passerby.cli.colour_histogram import embed_histograms
from passerby.cli.evaluate_real import imagenet_start
from passerby.embedder import Embedder, embed
from passerby.embedder.camera_statistics import embedders_for
from passerby.embeddings import Embeddings
from passerby.files import write_json
from passerby.metrics import bootstrap, evaluate
from passerby.metrics.calibration import Calibration, drift
from passerby.metrics.calibration_store import find_calibration
from passerby.street.populations import HELD_OUT

SOURCES = {"none": "", "train": ", adapted", "pooled": ", adapted by own crops"}
"""Camera statistics, and what a row with them is called."""
INT8 = "model.int8.onnx"


def main() -> None:
    """Print one table a town, and keep it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towns", type=Path, required=True, help="Street-v1 M")
    parser.add_argument("--model", nargs="*", default=[], help="artefacts, exported files, or models that ship; default: house")
    parser.add_argument("--only", nargs="+", default=list(HELD_OUT), metavar="TOWN", help="default: those in no population")
    parser.add_argument("--real", type=Path, help="what `passerby evaluate real --adapted --json` wrote of the same models")
    parser.add_argument("--int8", action="store_true", help="the int8 form of the model, too, in all towns of the folder")
    parser.add_argument("--out", type=Path, help="keep the figures in this file")
    given = parser.parse_args()
    real = {} if given.real is None else json.loads(given.real.read_text(encoding="utf-8"))["methods"]  # before the work
    stored = {name: named_model(name) for name in given.model} or {"house model": default_model()}
    if given.int8 and (len(stored) > 1 or not all((path / INT8).is_file() for path in stored.values())):
        sys.exit(f"--int8 is of one model that has {INT8} beside it, not of {', '.join(stored)}")
    networks: dict[str, Embedder] = {"ImageNet MobileNetV2": imagenet_start("cpu")}
    networks |= {name: load(path, device="cpu") for name, path in stored.items()}
    kept: dict[str, Any] = {town: {} for town in given.only}
    for town in given.only:
        data = datasets.read("street", given.towns / town)
        print(f"{town}: {len(data.query)} queries, {len(data.gallery)} gallery images, rendered people")
        histograms = embed_histograms(data.query), embed_histograms(data.gallery)
        kept[town]["colour histogram, grey world"] = tell("colour histogram, grey world", *histograms)
        for name, network in networks.items():
            for source, words in SOURCES.items():
                by = embedders_for(network, {"query": data.query, "gallery": data.gallery}, source, train=data.train)
                query, gallery = (embed(by[key], getattr(data, key)) for key in ("query", "gallery"))
                path = stored.get(name)
                thresholds = None if path is None else find_calibration(path, by_camera=source != "none")
                kept[town][name + words] = tell(name + words, query, gallery, thresholds)
                if source == "train" and path is not None:
                    together = embedders_for(network, {"": data.train}, "whole-set")[""]
                    one = f"{name}{words}, queries of no camera"
                    kept[town][one] = tell(one, embed(together, data.query), gallery, thresholds)
    figures: dict[str, Any] = {"towns": kept, "real": real}
    if given.int8:
        (model,) = stored.values()
        towns = sorted(path.parent for path in given.towns.glob("*/street.json"))
        figures["int8"] = {town.name: beside_int8(model, town) for town in towns}
    if given.out is not None:
        weights = {name: read_description(path).weights_sha256 for name, path in stored.items()}
        write_json(given.out, {"weights_sha256": weights, **figures})


def tell(name: str, query: Embeddings, gallery: Embeddings, thresholds: Calibration | None = None) -> dict[str, Any]:
    """One row, and what the thresholds do here."""
    scores = evaluate(query, gallery)
    (low, high), rank = bootstrap(scores, unit="person")["map"], scores.rank(1)
    print(f"  {name:<44} mAP {scores.map:.3f} ({low:.3f} to {high:.3f})  Rank-1 {rank:.3f}", flush=True)
    row: dict[str, Any] = {"map": scores.map, "map_interval": [low, high], "rank1": rank}
    if thresholds is not None:
        moved = drift(thresholds, Embeddings.concatenate([query, gallery]))
        (least, most), stated = moved.far_interval, f"(stated {100 * thresholds.far:.2f} and {100 * thresholds.frr:.0f})"
        rates = f"{100 * moved.far:.2f} % ({100 * least:.2f} to {100 * most:.2f}), rejects {100 * moved.frr:.0f} % {stated}"
        print(f"  {'':<44} from {thresholds.threshold:.3f} on: false accepts {rates}", flush=True)
        row["threshold"] = {"far": moved.far, "far_interval": [least, most], "frr": moved.frr}
    return row


def beside_int8(model: Path, town: Path) -> dict[str, float]:
    """A model and its int8 form on the test people of a town."""
    data = datasets.read("street", town)
    forms = [load(path, device="cpu") for path in (model, model / INT8)]
    exact, quick = ((embed(by, data.query), embed(by, data.gallery)) for by in forms)
    scores, scores_int8 = evaluate(*exact), evaluate(*quick)
    cosines = np.concatenate([np.sum(a.vectors * b.vectors, axis=1) for a, b in zip(exact, quick, strict=True)])
    print(f"  {town.name:<20} mAP {scores.map:.4f}, int8 {scores_int8.map:.4f}; cosine of the two {cosines.min():.3f} and more")
    row = {"map": scores.map, "map_int8": scores_int8.map, "rank1": scores.rank(1), "rank1_int8": scores_int8.rank(1)}
    return row | {"cosine_least": float(cosines.min()), "cosine_mean": float(cosines.mean())}


if __name__ == "__main__":
    main()
