"""Speed and memory of the evaluator, as ratios taken in one process: the float32 product alone, and the evaluator that is usual.

    python benchmarks/evaluate.py                 # Market-1501 size, three rounds, then memory at both sizes
    python benchmarks/evaluate.py --msmt17        # the speed of MSMT17 size too
    python benchmarks/evaluate.py --json FILE

Vectors are drawn, in two kinds: *strong* ones, as a trained model gives, and *weak* ones, as an untrained one does, for which
far more wrong answers stand before the right ones. Sizes, person and camera counts are those of the data sets. Evaluators that
sort run once, on the strong vectors: the usual one with its Python list, the same without the list, the one that goes query by
query, and torchreid's (the compiled one too where it was built) where that is installed; their numbers are compared with ours.
Memory is the peak of a fresh process less what it held when the vectors were made, so that loading numba counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.embeddings import Embeddings
from passerby.machine import available_cores
from passerby.metrics import MARKET1501, evaluate


@dataclass(frozen=True)
class Size:
    """Counts of a public test set; `people` are those of the queries, `extra` the share of gallery images of nobody's."""

    queries: int
    gallery: int
    dim: int
    people: int
    cameras: int
    extra: float


SIZES = {
    "market1501": Size(3_368, 19_732, 2_048, 750, 6, 0.33),
    "msmt17": Size(11_659, 82_161, 512, 3_060, 15, 0.0),
}
NOISE = {"strong": 4.2, "weak": 16.0}


def draw(size: Size, kind: str, seed: int = 0) -> tuple[Embeddings, Embeddings]:
    """Each person is a direction with a spread of few dimensions, each camera a shift: hard and easy people; unit rows."""
    random = np.random.default_rng(seed)
    rank = 128
    basis = random.standard_normal((rank, size.dim), dtype=np.float32) / np.float32(np.sqrt(size.dim))
    people = random.standard_normal((size.people + 1, rank), dtype=np.float32)
    people[1:] += np.float32(0.6) * people[random.integers(1, size.people + 1, size.people)]  # some look alike
    cameras = random.standard_normal((size.cameras, rank), dtype=np.float32)
    noise = NOISE[kind] * random.uniform(0.15, 0.45, size.people + 1).astype(np.float32)

    def images(count: int, pids: np.ndarray) -> Embeddings:
        camids = random.integers(0, size.cameras, count)
        vectors = np.empty((count, size.dim), dtype=np.float32)
        for start in range(0, count, 4096):
            rows = slice(start, min(start + 4096, count))
            spread = random.standard_normal((rows.stop - rows.start, rank), dtype=np.float32)
            core = people[pids[rows]] + noise[pids[rows], None] * spread + np.float32(0.5) * cameras[camids[rows]]
            np.matmul(core, basis, out=vectors[rows])
            vectors[rows] /= np.linalg.norm(vectors[rows], axis=1, keepdims=True)
        return Embeddings(vectors, pids, camids)

    pids = random.integers(1, size.people + 1, size.gallery)
    pids[: int(size.extra * size.gallery)] = 0
    return images(size.queries, random.integers(1, size.people + 1, size.queries)), images(size.gallery, random.permutation(pids))


def product(query: Embeddings, gallery: Embeddings, rows: int = 512) -> None:
    """The similarities and nothing else, in the evaluator's own blocks, so that both meet the same BLAS."""
    buffer = np.empty((rows, len(gallery)), dtype=np.float32)
    for start in range(0, len(query), rows):
        part = query.vectors[start : start + rows]
        np.matmul(part, gallery.vectors.T, out=buffer[: len(part)])


def by_sorting(
    query: Embeddings, gallery: Embeddings, precision: Callable[[np.ndarray], Any], max_rank: int = 50
) -> dict[str, float]:
    """The evaluator that is usual in this field: the whole matrix, argsort of every row, then query by query in Python."""
    distances = 1 - query.vectors @ gallery.vectors.T
    order = np.argsort(distances, axis=1)
    hits = (gallery.pids[order] == query.pids[:, None]).astype(np.int32)
    curves, averages, penalties = [], [], []
    for row in range(len(query)):
        same = (gallery.pids[order[row]] == query.pids[row]) & (gallery.camids[order[row]] == query.camids[row])
        right = hits[row][~same]
        if not right.any():
            continue
        found = right.cumsum()
        curves.append(np.minimum(found, 1)[:max_rank])
        averages.append((np.asarray(precision(found)) * right).sum() / right.sum())
        last = np.flatnonzero(right).max()
        penalties.append(found[last] / (last + 1))
    curve = np.mean(curves, axis=0)
    return {"rank1": curve[0], "rank5": curve[4], "rank10": curve[9], "map": np.mean(averages), "minp": np.mean(penalties)}


def in_a_list(found: np.ndarray) -> list[float]:
    """Precision at every rank of the gallery in a Python list, as torchreid and fastreid have it."""
    return [count / (place + 1.0) for place, count in enumerate(found)]


def in_numpy(found: np.ndarray) -> np.ndarray:
    """The same without the list: the best that sorting everything can do here."""
    return found / np.arange(1, len(found) + 1)


def by_query(query: Embeddings, gallery: Embeddings) -> dict[str, float]:
    """The other usual form, of the Market-1501 code's kin: product, argsort and set operations for one query after the other."""
    first, averages = [], []
    for vector, pid, camid in zip(query.vectors, query.pids, query.camids, strict=True):
        order = np.argsort(gallery.vectors @ vector)[::-1]
        of_person, of_camera = np.flatnonzero(gallery.pids == pid), np.flatnonzero(gallery.camids == camid)
        right = np.setdiff1d(of_person, of_camera, assume_unique=True)
        dropped = np.append(np.flatnonzero(gallery.pids == -1), np.intersect1d(of_person, of_camera))
        if len(right):
            order = order[np.isin(order, dropped, invert=True)]
            ranks = np.flatnonzero(np.isin(order, right)) + 1
            first.append(ranks[0])
            averages.append(sum((hit + 1) / rank for hit, rank in enumerate(ranks)) / len(ranks))
    ranks = np.array(first)
    return {"rank1": (ranks <= 1).mean(), "rank5": (ranks <= 5).mean(), "rank10": (ranks <= 10).mean(), "map": np.mean(averages)}


def torchreid_evaluators() -> dict[str, Callable[..., Any]]:
    """torchreid's rank evaluators by name, as far as they are installed."""
    try:
        from passerby.torchvision_repair import repair_torchvision

        repair_torchvision()
        from torchreid.reid.metrics import rank
    except ImportError:
        return {}
    found = {"torchreid (Python)": lambda *given: rank.evaluate_py(*given, 50, False)}
    if rank.IS_CYTHON_AVAI:
        found["torchreid (compiled)"] = lambda *given: rank.evaluate_cy(*given, 50, False)
    return found


def by_torchreid(evaluator: Callable[..., Any], query: Embeddings, gallery: Embeddings) -> dict[str, float]:
    """The whole way from vectors to numbers, as torchreid's engine goes it."""
    import torch
    from torchreid.reid.metrics import compute_distance_matrix

    distances = compute_distance_matrix(torch.from_numpy(query.vectors), torch.from_numpy(gallery.vectors), "cosine").numpy()
    curve, precision = evaluator(distances, query.pids, gallery.pids, query.camids, gallery.camids)
    return {"rank1": curve[0], "rank5": curve[4], "rank10": curve[9], "map": precision}


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(name: str, ours: dict[str, float], theirs: dict[str, float]) -> float:
    """Largest difference of any number that both give."""
    difference = max(abs(float(ours[key]) - float(value)) for key, value in theirs.items())
    print(f"    {name}: mAP {100 * theirs['map']:.4f} %, largest difference of any number {difference:.1e}")
    return difference


def speed(name: str, kind: str, rounds: int, with_usual: bool) -> dict[str, Any]:
    """Rounds of product and evaluation in turn, so that both meet the same load; the slow evaluators once."""
    size = SIZES[name]
    query, gallery = draw(size, kind)
    scores = evaluate(query, gallery, kernel="numba")  # compiles, or reads what was compiled before
    ours = scores.summary()
    print(f"\n{name} size, {size.queries} x {size.gallery} x {size.dim}, {kind} vectors: " + ", ".join(
        f"{key} {100 * value:.2f} %" for key, value in ours.items()))  # fmt: skip
    alone, whole, busy = [], [], []
    for _ in range(rounds):
        start = time.process_time()
        alone.append(seconds(lambda: product(query, gallery))[0])
        middle = time.process_time()
        whole.append(seconds(lambda: evaluate(query, gallery, kernel="numba"))[0])
        busy.append((time.process_time() - middle) / (middle - start))
    plain = seconds(lambda: evaluate(query, gallery, kernel="numpy"))[0]
    ratios = sorted(b / a for a, b in zip(alone, whole, strict=True))
    found: dict[str, Any] = {
        "summary": ours,
        "product_s": sorted(alone),
        "evaluate_s": sorted(whole),
        "over_product_of_minima": min(whole) / min(alone),
        "over_product_median": ratios[len(ratios) // 2],
        "over_product_processor_time": sorted(busy)[len(busy) // 2],
        "numpy_kernel_s": plain,
    }
    print(
        f"    product {min(alone):.2f} s, evaluation {min(whole):.2f} s (minima of {rounds}): "
        f"{found['over_product_of_minima']:.2f} x; medians of the rounds {found['over_product_median']:.2f} x, "
        f"{found['over_product_processor_time']:.2f} x in processor time; NumPy kernel {plain:.2f} s"
    )
    slow: dict[str, Callable[..., dict[str, float]]] = {}
    if with_usual:
        slow["sorting, precision in a list"] = lambda q, g: by_sorting(q, g, in_a_list)
        slow["sorting, precision in NumPy"] = lambda q, g: by_sorting(q, g, in_numpy)
        slow["sorting query by query"] = by_query
        slow |= {label: lambda q, g, e=e: by_torchreid(e, q, g) for label, e in torchreid_evaluators().items()}
    found["others"] = {}
    for label, evaluator in slow.items():
        took, theirs = seconds(lambda evaluator=evaluator: evaluator(query, gallery))
        found["others"][label] = {
            "seconds": took,
            "times_slower": took / sorted(whole)[len(whole) // 2],
            "largest_difference": compare(
                f"{label} {took:.1f} s, {took / sorted(whole)[len(whole) // 2]:.1f} x ours", ours, theirs
            ),
        }
    return found


def memory(name: str) -> dict[str, float]:
    """Peak memory beyond the vectors, in a process of its own."""
    command = [sys.executable, __file__, "--measure-memory", name]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ}).stdout
    found = json.loads(answer.splitlines()[-1])
    print(f"{name} size: vectors {found['vectors_mb']:.0f} MB, {found['beyond_mb']:.0f} MB beyond them at the peak")
    return found


def measure_memory(name: str) -> None:
    """In the child: what the process held before and at its peak; Linux puts the mark of the peak down on request."""
    query, gallery = draw(SIZES[name], "weak")
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mb("VmRSS")
    evaluate(query, gallery, kernel="numba")
    found = {
        "vectors_mb": (query.vectors.nbytes + gallery.vectors.nbytes) / 1e6,
        "beyond_mb": resident_mb("VmHWM") - before,
        "whole_process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }
    print(json.dumps(found))


def resident_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--msmt17", action="store_true", help="the speed of MSMT17 size too (minutes)")
    parser.add_argument("--no-usual", action="store_true", help="leave out the slow evaluators")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure-memory", choices=SIZES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure_memory:
        measure_memory(given.measure_memory)
        return
    print(f"{available_cores()} cores, NumPy {np.__version__}; convention: {MARKET1501.in_words()}")
    found: dict[str, Any] = {"cores": available_cores()}
    for kind in NOISE:
        found[f"market1501 {kind}"] = speed("market1501", kind, given.rounds, with_usual=kind == "strong" and not given.no_usual)
        if given.msmt17:
            found[f"msmt17 {kind}"] = speed("msmt17", kind, min(given.rounds, 2), with_usual=False)
    print()
    found["memory"] = {name: memory(name) for name in SIZES}
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
