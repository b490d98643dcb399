"""torchreid's and fastreid's evaluators and re-rankers beside ours, on the same features: equal numbers, times side by side.

    python benchmarks/peers/compare.py FOLDER [--market] [--json FILE]

FOLDER is where pip put both packages; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from evaluate import Size, draw

from passerby.embeddings import Embeddings
from passerby.metrics import evaluate, evaluate_distances
from passerby.rerank import KReciprocal, rerank_blocks

EVALUATORS = {"torchreid": "torchreid/reid/metrics/rank.py", "fastreid": "fastreid/evaluation/rank.py"}
RERANKERS = {"torchreid": "torchreid/reid/utils/rerank.py", "fastreid": "fastreid/evaluation/rerank.py"}
SIZES = {"small": Size(500, 2_900, 256, 110, 6, 0.16), "market1501": Size(3_368, 15_913, 2_048, 750, 6, 0.16)}


def loaded(folder: Path, name: str, file: str) -> types.ModuleType | None:
    """One file of a package, without the package."""
    path = folder / file
    if not path.is_file():
        print(f"{name}: {file} is not in {folder}, skipped")
        return None
    spec = importlib.util.spec_from_file_location(f"peer_{name}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the compiled evaluator is not there
        try:
            spec.loader.exec_module(module)
        except ImportError as error:
            print(f"{name}: {file} needs more than is here ({error}), skipped")
            return None
    return module


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def evaluators(folder: Path, query: Embeddings, gallery: Embeddings) -> dict[str, Any]:
    evaluate(query, gallery)
    ours_s, ours = timed(lambda: evaluate(query, gallery))
    wanted = np.array([ours.map, *(ours.rank(k) for k in (1, 5, 10))])
    print(f"ours: mAP {100 * ours.map:.4f} %, Rank-1 {100 * ours.rank(1):.4f} %, {ours_s:.2f} s with the product")
    found: dict[str, Any] = {"ours_s": ours_s}
    distances = 1 - query.vectors @ gallery.vectors.T
    labels = query.pids, gallery.pids, query.camids, gallery.camids
    for name, file in EVALUATORS.items():
        module = loaded(folder, name, file)
        if module is None:
            continue
        took, answer = timed(lambda module=module: module.evaluate_py(distances, *labels, 50, False))
        curve, precision = answer[:2]
        theirs = np.array([np.mean(precision), curve[0], curve[4], curve[9]])
        apart = float(np.abs(theirs - wanted).max())
        found[name] = {"seconds": took, "largest_difference": apart}
        print(f"{name}'s evaluator: largest difference {apart:.1e}; {took:.2f} s without the product, {took / ours_s:.1f} x ours")
    return found


def whole(query: Embeddings, gallery: Embeddings, power: Literal[1, 2]) -> np.ndarray:
    return np.concatenate([block.copy() for block in rerank_blocks(query, gallery, KReciprocal(power=power))])


def rerankers(folder: Path, query: Embeddings, gallery: Embeddings) -> dict[str, Any]:
    """Both square what they are given: Euclidean distances make the paper's input, squared ones the other in use."""
    found: dict[str, Any] = {}
    both = np.concatenate([query.vectors, gallery.vectors])
    squared = np.maximum(2 - 2 * both @ both.T, 0)
    Q = len(query)
    labels = query.pids, gallery.pids, query.camids, gallery.camids
    for power in (1, 2):
        given = squared ** (power / 2)
        whole(query, gallery, power)  # compiles
        ours_s, ours = timed(lambda power=power: whole(query, gallery, power))
        score = evaluate_distances(ours, *labels).map
        print(f"ours, power {power}: mAP {100 * score:.4f} %, {ours_s:.2f} s with the product")
        for name, file in RERANKERS.items():
            module = loaded(folder, name, file)
            if module is None:
                continue
            parts = given[:Q, Q:].copy(), given[:Q, :Q].copy(), given[Q:, Q:].copy()
            took, theirs = timed(lambda module=module, parts=parts: module.re_ranking(*parts, 20, 6, 0.3))
            apart = np.abs(theirs - ours)
            other = evaluate_distances(theirs, *labels).map
            found[f"{name} power {power}"] = {
                "seconds": took, "ours_s": ours_s, "largest_difference": float(apart.max()),
                "cells_over_1e-5": int((apart > 1e-5).sum()), "map_difference": other - score,
            }  # fmt: skip
            print(
                f"{name}'s re-ranker, power {power}: largest difference {apart.max():.1e}, {int((apart > 1e-5).sum())} of "
                f"{apart.size} over 1e-5; mAP {100 * other:.4f} %; {took:.1f} s without the product, {took / ours_s:.1f} x ours"
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--market", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    query, gallery = draw(SIZES["market1501" if given.market else "small"], "strong")
    found = {
        "evaluators": evaluators(given.folder, query, gallery),
        "rerankers": rerankers(given.folder, query, gallery),
    }
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
