"""From a video with boxes to a number and a picture, on real pedestrians, in under five minutes on two cores.

    python examples/real_people.py ../shared/data --out runs/real-people

The folder holds labelled video in MOT form (NAME.mp4 + NAME.gt.txt, or the folders of the MOT challenge), for instance TUD-Campus
and TUD-Stadtmitte. Every step is a command that can be typed; the script prints it before it runs it. One video has one camera:
the two halves of each track's lifetime stand in for two, so the numbers are far higher than between real cameras.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from passerby.cli import main as passerby


def command(*words: object) -> None:
    """Run one passerby command, printed as it would be typed; stop where it fails."""
    typed = [str(word) for word in words]
    print(f"\n$ passerby {shlex.join(typed)}", flush=True)
    status = passerby(typed)
    if status:
        sys.exit(status)


def before_training(backbone: str, data: Path) -> None:
    """What the ImageNet features alone find, to have something to compare with."""
    from passerby.datasets import read
    from passerby.embedder import Embedder, EmbeddingRule, Numbering, embed
    from passerby.metrics import evaluate
    from passerby.recipes.baseline import Config, build_model, preprocess

    config = Config(backbone=backbone, height=128, width=64)
    people = read("mot", data)
    embedder = Embedder(build_model(config, 0), preprocess(config), EmbeddingRule(kind="feature"))
    numbering = Numbering.of(people.query, people.gallery)
    scores = evaluate(*(embed(embedder, split, numbering=numbering) for split in (people.query, people.gallery)))
    print(f"\nImageNet features, before any training: Rank-1 {scores.rank(1):.1%}, mAP {scores.map:.1%}", flush=True)


def main() -> None:
    """Prepare, train, evaluate, look."""
    from passerby.models.weights import find_installed_weights

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled video in MOT form")
    parser.add_argument("--out", type=Path, default=Path("runs/real-people"), help="new folder for all that is made")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    start, out = time.monotonic(), given.out
    crops, run, vectors = out / "crops", out / "run", out / "embeddings"

    command("data", "prepare", given.data, "--out", crops)
    backbone = "mobilenet_v2" if find_installed_weights("mobilenet_v2") else "osnet_x0_25"
    weights = "auto" if backbone == "mobilenet_v2" else "scratch"
    if weights == "auto":
        before_training(backbone, crops)
    command(
        "train", "baseline", "--dataset", "mot", "--data", crops, "--out", run, "--backbone", backbone, "--weights", weights,
        "--height", 128, "--width", 64, "--pad-px", 5, "--random-erasing", 0.5, "--losses", "triplet-hard",
        "--epochs", given.epochs, "--schedule", "cosine", "--warmup-epochs", 1,
    )  # fmt: skip
    command("embed", run / "artefact", "--dataset", "mot", "--data", crops, "--out", vectors)
    command("evaluate", vectors, "--unit", "person", "--json", out / "scores.json")
    command("plot", "ranking", vectors / "query.npz", vectors / "gallery.npz", "--images", crops, "--out", out / "ranking.png")
    command("plot", "curves", run, "--out", out / "curves.png")
    print(f"\ndone in {time.monotonic() - start:.0f} s; look at {out / 'ranking.png'} and {out / 'curves.png'}")


if __name__ == "__main__":
    main()
