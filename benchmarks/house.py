"""The house model in towns that it never saw, beside its ImageNet start and colours.

    passerby street render --benchmark M --out street-v1
    python benchmarks/house.py --towns street-v1                      # the model that ships
    python benchmarks/house.py --towns street-v1 --model runs/house/artefact other/artefact

Cross-camera search among the 140 test people of each town that no population has (`street.populations.HELD_OUT`); 95 %
intervals over people. Real people: `passerby evaluate real`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from passerby import datasets
from passerby.artefact import default_model, load
from passerby.cli.colour_histogram import embed_histograms
from passerby.cli.evaluate_real import imagenet_start
from passerby.embedder import Embedder, embed
from passerby.metrics import bootstrap, evaluate
from passerby.street.populations import HELD_OUT


def main() -> None:
    """Print one table a town."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towns", type=Path, required=True, help="Street-v1 M")
    parser.add_argument("--model", type=Path, nargs="*", help="artefacts, or exported files; default: the model that ships")
    parser.add_argument("--only", nargs="+", default=list(HELD_OUT), metavar="TOWN", help="default: those in no population")
    given = parser.parse_args()
    networks: dict[str, Embedder] = {"ImageNet start": imagenet_start("cpu")}
    networks |= {str(path): load(path, device="cpu") for path in given.model or [default_model()]}
    for town in given.only:
        data = datasets.read("street", given.towns / town)
        ways = {"colour histogram": embed_histograms}
        ways |= {name: (lambda split, by=by: embed(by, split)) for name, by in networks.items()}
        print(f"{town}: {len(data.query)} queries, {len(data.gallery)} gallery images, rendered people")
        for name, by in ways.items():
            scores = evaluate(by(data.query), by(data.gallery))
            (low, high), rank = bootstrap(scores, unit="person")["map"], scores.rank(1)
            print(f"  {name:<34} mAP {scores.map:.3f} ({low:.3f} to {high:.3f})  Rank-1 {rank:.3f}", flush=True)


if __name__ == "__main__":
    main()
