"""The house model in towns that it never saw, beside its ImageNet start and colours.

    passerby street render --benchmark M --out street-v1
    python benchmarks/house.py --towns street-v1                      # the model that ships
    python benchmarks/house.py --towns street-v1 --model runs/house/artefact other/artefact

Cross-camera search among the 140 test people of each town that no population has (`street.populations.HELD_OUT`); 95 %
intervals over people. Each model stands there a second time, adapted: with the statistics of the town's cameras, from unlabelled
crops of its 140 training people, who are nobody that is searched for. `own crops` takes them of the crops that are searched, and
`queries of no camera` those of all training crops together for the queries.
Then the models' thresholds in each town: false accepts and rejects with, as stated, those of the calibration.
Real people: `passerby evaluate real --adapted`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from passerby import datasets
from passerby.artefact import default_model, load
from passerby.cli.colour_histogram import embed_histograms
from passerby.cli.evaluate_real import imagenet_start
from passerby.embedder import Embedder, embed
from passerby.embedder.camera_statistics import embedders_for
from passerby.embeddings import Embeddings
from passerby.metrics import bootstrap, evaluate
from passerby.metrics.calibration import Calibration, drift
from passerby.metrics.calibration_store import find_calibration
from passerby.street.populations import HELD_OUT

SOURCES = {"none": "", "train": ", adapted", "pooled": ", adapted by own crops"}
"""Camera statistics, and what a row with them is called."""


def main() -> None:
    """Print one table a town."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towns", type=Path, required=True, help="Street-v1 M")
    parser.add_argument("--model", type=Path, nargs="*", help="artefacts, or exported files; default: the model that ships")
    parser.add_argument("--only", nargs="+", default=list(HELD_OUT), metavar="TOWN", help="default: those in no population")
    given = parser.parse_args()
    networks: dict[str, Embedder] = {"ImageNet start": imagenet_start("cpu")}
    models = {str(path): load(path, device="cpu") for path in given.model or [default_model()]}
    networks |= models
    for town in given.only:
        data = datasets.read("street", given.towns / town)
        print(f"{town}: {len(data.query)} queries, {len(data.gallery)} gallery images, rendered people")
        tell("colour histogram", embed_histograms(data.query), embed_histograms(data.gallery))
        for name, network in networks.items():
            stored = Path(name) if name in models else None
            for source, words in SOURCES.items():
                by = embedders_for(network, {"query": data.query, "gallery": data.gallery}, source, train=data.train)
                query, gallery = (embed(by[key], getattr(data, key)) for key in ("query", "gallery"))
                thresholds = None if stored is None else find_calibration(stored, by_camera=source != "none")
                tell(name + words, query, gallery, thresholds)
                if source == "train" and stored is not None:
                    together = embedders_for(network, {"": data.train}, "whole-set")[""]
                    tell(f"{name}{words}, queries of no camera", embed(together, data.query), gallery, thresholds)


def tell(name: str, query: Embeddings, gallery: Embeddings, thresholds: Calibration | None = None) -> None:
    """One row, and what the thresholds do here."""
    scores = evaluate(query, gallery)
    (low, high), rank = bootstrap(scores, unit="person")["map"], scores.rank(1)
    print(f"  {name:<44} mAP {scores.map:.3f} ({low:.3f} to {high:.3f})  Rank-1 {rank:.3f}", flush=True)
    if thresholds is not None:
        moved = drift(thresholds, Embeddings.concatenate([query, gallery]))
        (least, most), stated = moved.far_interval, f"(stated {100 * thresholds.far:.2f} and {100 * thresholds.frr:.0f})"
        rates = f"{100 * moved.far:.2f} % ({100 * least:.2f} to {100 * most:.2f}), rejects {100 * moved.frr:.0f} % {stated}"
        print(f"  {'':<44} from {thresholds.threshold:.3f} on: false accepts {rates}", flush=True)


if __name__ == "__main__":
    main()
