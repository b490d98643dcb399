"""Speed and memory of re-ranking, as ratios taken in one process: the float32 N x N product that it needs, and the dense form.

    python benchmarks/rerank.py                   # Market-1501 size: three rounds, the dense form once, memory
    python benchmarks/rerank.py --size msmt17     # D = 512 (minutes); the dense form would take 195 GB there and is left out
    python benchmarks/rerank.py --size small      # a tenth of Market-1501's images, to see that all works
    python benchmarks/rerank.py --json FILE

Vectors are drawn as in benchmarks/evaluate.py, *strong* ones. Ours is the whole way from vectors to the numbers of the evaluator.
The dense form is the textbook's, with NumPy in float32. Memory is the peak of a fresh process less what it held when the vectors
were made, so that loading numba counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import Size, draw, product, resident_mb, seconds

from passerby.embeddings import Embeddings
from passerby.machine import available_cores
from passerby.metrics import evaluate_distances
from passerby.rerank import KReciprocal, evaluate_reranked, predict, rerank_blocks

SIZES = {  # images that are left when junk is dropped
    "small": Size(337, 1_591, 2_048, 75, 6, 0.16),
    "market1501": Size(3_368, 15_913, 2_048, 750, 6, 0.16),
    "msmt17": Size(11_659, 82_161, 512, 3_060, 15, 0.0),
}
TEXTBOOK = KReciprocal()


def dense(query: np.ndarray, gallery: np.ndarray, settings: KReciprocal) -> np.ndarray:
    """The textbook form: whole matrices, a full sort, one image after the other."""
    Q, vectors = len(query), np.concatenate([query, gallery])
    distances = (2 - 2 * vectors @ vectors.T) ** settings.power
    distances = np.transpose(distances / distances.max(axis=0))
    rank = np.argsort(distances).astype(np.int32)
    weights = np.zeros_like(distances)
    half = round(settings.k1 / 2)

    def mutual(i: int, k: int) -> np.ndarray:
        forward = rank[i, : k + 1]
        return forward[(rank[forward, : k + 1] == i).any(axis=1)]

    for i in range(len(vectors)):
        own = mutual(i, settings.k1)
        grown = own
        for candidate in own:
            further = mutual(candidate, half)
            if len(np.intersect1d(further, own)) > 2 / 3 * len(further):
                grown = np.append(grown, further)
        grown = np.unique(grown)
        near = np.exp(-distances[i, grown])
        weights[i, grown] = near / near.sum()
    distances = distances[:Q]
    if settings.k2 > 1:
        weights = np.stack([weights[rank[i, : settings.k2]].mean(axis=0) for i in range(len(vectors))])
    holders = [np.flatnonzero(weights[:, j]) for j in range(len(vectors))]
    jaccard = np.empty_like(distances)
    for i in range(Q):
        shared = np.zeros(len(vectors), dtype=np.float32)
        for j in np.flatnonzero(weights[i]):
            shared[holders[j]] += np.minimum(weights[i, j], weights[holders[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    return (jaccard * (1 - settings.weight) + distances * settings.weight)[:, Q:]


def speed(name: str, rounds: int, with_dense: bool) -> dict[str, Any]:
    """Rounds of product and re-ranking in turn, so that both meet the same load; the dense form once."""
    query, gallery = draw(SIZES[name], "strong")
    both = Embeddings.concatenate([query, gallery])
    evaluate_reranked(query[:400], gallery[:1600], kernel="numba")  # compiles, or reads what was compiled before
    print(
        f"\n{name} size, N {len(both)}, D {both.dim}; predicted: {predict(query, gallery, kernel='numba').in_words()}", flush=True
    )
    alone, whole, scores = [], [], None
    for _ in range(rounds):
        alone.append(seconds(lambda: product(both, both))[0])
        took, scores = seconds(lambda: evaluate_reranked(query, gallery, kernel="numba"))
        whole.append(took)
    assert scores is not None
    found: dict[str, Any] = {
        "product_s": alone, "ours_s": whole, "over_product": [b / a for a, b in zip(alone, whole, strict=True)],
        "over_product_of_minima": min(whole) / min(alone), "summary": scores.summary(),
    }  # fmt: skip
    print(
        f"    product {min(alone):.2f} s, ours with evaluation {min(whole):.2f} s (minima of {rounds}): "
        f"{found['over_product_of_minima']:.2f} x; rounds {', '.join(f'{r:.2f}' for r in found['over_product'])}; "
        f"mAP {100 * scores.map:.2f} %", flush=True,
    )  # fmt: skip
    if with_dense:
        took, theirs = seconds(lambda: dense(query.vectors, gallery.vectors, TEXTBOOK))
        done, difference, different = 0, 0.0, 0
        for block in rerank_blocks(query, gallery, kernel="numba"):
            apart = np.abs(theirs[done : done + len(block)] - block)
            difference, different, done = (
                max(difference, float(apart.max())),
                different + int((apart > 1e-6).sum()),
                done + len(block),
            )
        labels = query.pids, gallery.pids, query.camids, gallery.camids
        found["dense"] = {
            "seconds": took, "times_slower": took / min(whole), "largest_difference": difference,
            "different_cells": different, "map": evaluate_distances(theirs, *labels).map,
        }  # fmt: skip
        print(
            f"    dense textbook form {took:.1f} s without evaluation, {took / min(whole):.1f} x ours; largest difference "
            f"{difference:.1e}, {different} of {theirs.size} over 1e-6; mAP {100 * found['dense']['map']:.2f} %", flush=True,
        )  # fmt: skip
    return found


def memory(name: str, form: str) -> dict[str, float]:
    """Peak memory beyond the vectors, in a process of its own."""
    command = [sys.executable, __file__, "--measure-memory", f"{name}:{form}"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ}).stdout
    found = json.loads(answer.splitlines()[-1])
    print(
        f"{name} size, {form}: vectors {found['vectors_mb']:.0f} MB, {found['beyond_mb']:.0f} MB beyond them at the peak",
        flush=True,
    )
    return found


def measure_memory(name: str, form: str) -> None:
    """In the child: what the process held before and at its peak; Linux puts the mark of the peak down on request."""
    query, gallery = draw(SIZES[name], "strong")
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mb("VmRSS")
    if form == "dense":
        dense(query.vectors, gallery.vectors, TEXTBOOK)
    else:
        evaluate_reranked(query, gallery, kernel="numba")
    vectors = (query.vectors.nbytes + gallery.vectors.nbytes) / 1e6
    print(json.dumps({"vectors_mb": vectors, "beyond_mb": resident_mb("VmHWM") - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["market1501"])
    parser.add_argument("--no-dense", action="store_true", help="leave out the dense form")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure-memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure_memory:
        measure_memory(*given.measure_memory.split(":"))
        return
    print(f"{available_cores()} cores, NumPy {np.__version__}; {TEXTBOOK.in_words()}")
    found: dict[str, Any] = {"cores": available_cores()}
    for name in given.size:
        with_dense = not given.no_dense and name != "msmt17"
        found[name] = speed(name, 1 if name == "msmt17" else given.rounds, with_dense)
        found[name]["memory"] = {form: memory(name, form) for form in ("ours", *(["dense"] if with_dense else []))}
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
