"""Galleries: speed beside NumPy and faiss in one process, memory, opening, faults, random changes, Milvus.

    python benchmarks/gallery.py speed --rows 100000          # and 1000000: some minutes, 7 GB of memory, 6 GB of disk
    python benchmarks/gallery.py kills --times 50             # kill -9 while indexing
    python benchmarks/gallery.py changes --steps 10000        # random changes beside a plain-Python gallery
    python benchmarks/gallery.py milvus --rows 100000      # the server of the PyPI package milvus, in a network of its own
    python benchmarks/gallery.py milvus --server HOST:PORT

Vectors are drawn around people, ten of each, 512 dimensions. Searches are for the 50 nearest. A filter "camera" lets 1 in 20
rows pass, "camera + week" 1.2 %. Each figure is the best of several rounds that alternate between the competitors.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from passerby.gallery import Gallery, Hit, Model, NewSighting

D, K, BATCH = 512, 50, 256
CAMERAS, DAY = 20, 86_400.0
MODEL = Model("benchmark", "drawn vectors", D)


def drawn(rows: int, seed: int = 0) -> np.ndarray:
    """(N, D) unit vectors, ten around each of N / 10 people."""
    random = np.random.default_rng(seed)
    vectors = np.empty((rows, D), np.float32)
    for start in range(0, rows, 50_000):
        stop = min(start + 50_000, rows)
        people = random.standard_normal(((stop - start) // 10 + 1, D), dtype=np.float32)
        block = np.repeat(people, 10, axis=0)[: stop - start]
        block += 0.9 * random.standard_normal(block.shape, dtype=np.float32)
        vectors[start:stop] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def queries(vectors: np.ndarray, count: int) -> np.ndarray:
    """Further images of people that are there."""
    random = np.random.default_rng(1)
    made = vectors[random.integers(0, len(vectors), count)] + 0.6 / np.sqrt(D) * random.standard_normal((count, D))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def columns(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera and time of each row: 20 cameras, 30 days."""
    random = np.random.default_rng(2)
    return random.integers(0, CAMERAS, rows), random.uniform(0, 30 * DAY, rows)


def fill(gallery: Gallery, vectors: np.ndarray, block: int = 5000) -> float:
    """Add rows; seconds."""
    cameras, times = columns(len(vectors))
    started = time.monotonic()
    for start in range(0, len(vectors), block):
        gallery.add(
            [
                NewSighting(f"k{n}", vectors[n], f"c{cameras[n]}", float(times[n]), f"t{n // 5}", source="film.mp4")
                for n in range(start, min(start + block, len(vectors)))
            ]
        )
    return time.monotonic() - started


def best(ways: dict[str, Callable[[], Any]], rounds: int = 5) -> dict[str, float]:
    """Least seconds of each way, taken in turns."""
    found = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            found[name] = min(found[name], time.perf_counter() - started)
    return found


def by_numpy(vectors: np.ndarray, asked: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Product and argpartition, 64 queries at a time."""
    searched = vectors if rows is None else vectors[rows]
    parts = []
    for start in range(0, len(asked), 64):
        products = asked[start : start + 64] @ searched.T
        near = np.argpartition(-products, min(K, len(searched)) - 1, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(products, near, 1), axis=1)
        parts.append(np.take_along_axis(near, order, 1))
    found = np.concatenate(parts)
    return found if rows is None else rows[found]


def recall(vectors: np.ndarray, asked: np.ndarray, truth: np.ndarray, found: list[np.ndarray]) -> float:
    """Share of the K nearest that were found; what is as near as the K-th within rounding counts as found."""
    hits = 0.0
    for query, right, got in zip(asked, truth, found, strict=True):
        least = float((vectors[right] @ query).min()) - 1e-6
        hits += float((vectors[got] @ query >= least).sum()) / len(right)
    return hits / len(asked)


def resident_mb() -> float:
    """Memory of this process, mapped files included."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1e3


OPENED = """
    import sys, time, numpy as np, json
    from pathlib import Path
    def resident():
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1e3
    from passerby.gallery import Gallery
    import torch
    from passerby.embedder import bf16_is_fast
    asked = np.load(sys.argv[2])
    before, started = resident(), time.perf_counter()
    gallery = Gallery.open(sys.argv[1], read_only=True)
    gallery.search(asked[0], 50)
    opened = time.perf_counter() - started
    for _ in range(2):
        gallery.search(asked[0], 50, group="row"); gallery.search(asked, 50, group="row")
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e3
    print(json.dumps({"opened_s": opened, "beyond_mb": peak - before}))
"""


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Search figures of one size."""
    import faiss

    vectors = drawn(options.rows)
    asked = queries(vectors, BATCH)
    cameras, times = columns(options.rows)
    flat = faiss.IndexFlatIP(D)
    flat.add(vectors)
    report: dict[str, Any] = {"rows": options.rows, "vectors_mb": vectors.nbytes / 1e6}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = options.gallery or Path(folder) / "a.gallery"
        gallery = Gallery.open(path, create=True, model=MODEL)
        if len(gallery) < options.rows:
            report["add_rows_per_s"] = (options.rows - len(gallery)) / fill(gallery, vectors)
        assert len(gallery) == options.rows, f"{path} is another benchmark's"
        started = time.monotonic()
        gallery.search(asked[0], 1)
        report["copy_s"] = time.monotonic() - started
        week = {"cameras": ["c3"], "since": 7 * DAY, "until": 14 * DAY}
        filters: dict[str, tuple[dict[str, Any], np.ndarray | None]] = {
            "all": ({}, None),
            "camera": ({"cameras": ["c3"]}, np.flatnonzero(cameras == 3)),
            "camera+week": (week, np.flatnonzero((cameras == 3) & (times >= 7 * DAY) & (times < 14 * DAY))),
        }
        if options.accelerate and not list(path.parent.glob(f"{path.name}-codes-*")):
            started = time.monotonic()
            report["accelerated_finds"] = gallery.accelerate()
            report["accelerate_s"] = time.monotonic() - started
            print(json.dumps(report), flush=True)
        for name, (where, rows) in filters.items():
            report[name] = compared(gallery, flat, vectors, asked, where, rows, options.accelerate)
            print(name, json.dumps(report[name]), flush=True)
        gallery.close()
        np.save(Path(folder) / "asked.npy", asked)
        command = [sys.executable, "-c", textwrap.dedent(OPENED), str(path), str(Path(folder) / "asked.npy")]
        report |= json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        report["beyond_of_vectors"] = report["beyond_mb"] / report["vectors_mb"]
    return report


def compared(
    gallery: Gallery,
    flat: Any,
    vectors: np.ndarray,
    asked: np.ndarray,
    where: dict[str, Any],
    rows: np.ndarray | None,
    quick: bool,
) -> dict[str, Any]:
    """Ours, NumPy and faiss under one filter: queries a second, alone and 256 together, and recall."""
    import faiss

    chosen = None
    if rows is not None:
        bits = np.zeros(-(-len(vectors) // 8) * 8, np.uint8)
        bits[rows] = 1
        packed = np.packbits(bits, bitorder="little")
        chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(packed))
    filtered = gallery._filter(where.get("cameras"), None, where.get("since"), where.get("until"), ())
    store = gallery._store

    def ours(some: np.ndarray, approximate: bool = False) -> list[np.ndarray]:
        found = store.nearest(some, K, filtered, by_track=False, approximate=approximate)
        return [each.ids - 1 for each in found]  # ids count from 1 in the order of adding

    truth = by_numpy(vectors, asked, rows)
    report: dict[str, Any] = {"passing": 1.0 if rows is None else len(rows) / len(vectors)}
    for name, some in (("single", asked[:1]), ("batch", asked)):
        ways: dict[str, Callable[[], Any]] = {
            "ours": lambda some=some: ours(some),
            "numpy": lambda some=some: by_numpy(vectors, some, rows),
            "faiss": lambda some=some: flat.search(some, K, params=chosen),
            "whole search": lambda some=some: gallery.search(some, K, group="row", **where),
        }
        if quick:
            ways["accelerated"] = lambda some=some: ours(some, True)
        for way in ways.values():
            way()
        report[name] = {way: round(len(some) / s, 1) for way, s in best(ways, 3 if len(vectors) > 300_000 else 5).items()}
    report["recall"] = recall(vectors, asked, truth, ours(asked))
    if quick:
        report["recall accelerated"] = recall(vectors, asked, truth, ours(asked, True))
    return report


INDEXER = """
    import sys, numpy as np
    from passerby.gallery import Gallery, Model, NewSighting
    gallery = Gallery.open(sys.argv[1], create=True, model=Model("m", "m", 64))
    for batch in range(int(gallery.progress("film") or 0), 10**9):
        made = np.random.default_rng(batch).standard_normal((20, 64))
        rows = [
            NewSighting(f"{batch} {n}", vector, "lobby", float(batch), f"t{batch}", thumbnail=bytes(3000))
            for n, vector in enumerate(made)
        ]
        gallery.add(rows, bookmark=("film", str(batch + 1)))
        print(batch, flush=True)
        if batch % 4 == 3:
            gallery.search(made[0])
"""


def kills(options: argparse.Namespace) -> dict[str, Any]:
    """Kill an indexer at random moments; afterwards the gallery opens, holds what was acknowledged, and nothing twice."""
    random = np.random.default_rng(options.seed)
    checked = 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "a.gallery"
        for turn in range(options.times):
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(INDEXER), str(path)], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(random.exponential(0.3))
            process.send_signal(signal.SIGKILL)
            last = max(map(int, [first, *process.stdout.read().split()]))
            process.stdout.close()
            process.wait()
            with Gallery.open(path) as gallery:
                done = int(gallery.progress("film") or 0)
                assert done >= last + 1, f"turn {turn}: batch {last} was acknowledged, the gallery ends at {done}"
                assert len(gallery) == 20 * done, f"turn {turn}: {len(gallery)} rows of {done} batches"
                for batch in random.integers(0, done, 5).tolist():
                    wanted = np.random.default_rng(batch).standard_normal((20, 64))
                    found = [hits[0].sighting.key for hits in gallery.search(wanted, 1, group="row")]
                    assert found == [f"{batch} {n}" for n in range(20)], f"turn {turn}: batch {batch} is not found"
                checked += 1
                rows = len(gallery)
    return {"kills": checked, "rows": rows, "lost": 0, "doubled": 0}


def changes(options: argparse.Namespace) -> dict[str, Any]:
    """The stateful test of the suite, for many more steps."""
    import importlib.util

    from hypothesis import HealthCheck, settings
    from hypothesis.stateful import invariant, run_state_machine_as_test

    file = Path(__file__).parents[1] / "tests" / "gallery" / "test_stateful.py"
    spec = importlib.util.spec_from_file_location("stateful", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stateful"] = module
    spec.loader.exec_module(module)
    done, began = [0], time.monotonic()

    class Counted(module.GalleryMachine):
        """Counts what it does: a run may end before its last step."""

        @invariant()
        def count(self) -> None:
            done[0] += 1

    while done[0] < options.steps:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=20, stateful_step_count=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            ),
        )
    return {"steps": done[0], "seconds": time.monotonic() - began, "failures": 0}


OWN_SERVER = """
    import subprocess, sys
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    from milvus import default_server as server
    server.set_base_dir(sys.argv[1])
    server.start()
    try:
        code = subprocess.run([*sys.argv[2:], "--server", f"127.0.0.1:{server.listen_port}"]).returncode
    finally:
        server.server_proc.kill()
        server.server_proc.wait()
    sys.exit(code)
"""


def with_own_server() -> int:
    """This call once more, with a server that nobody else can reach and that ends with it."""
    with tempfile.TemporaryDirectory() as folder:
        inside = [sys.executable, "-c", textwrap.dedent(OWN_SERVER), folder, sys.executable, *sys.argv]
        return subprocess.run(["unshare", "-rn", *inside]).returncode


def milvus(options: argparse.Namespace) -> dict[str, Any]:
    """The same searches against a Milvus server."""
    vectors = drawn(options.rows)
    asked = queries(vectors, BATCH)
    cameras, times = columns(options.rows)
    gallery = Gallery.open(f"milvus://{options.server}/benchmark_{int(time.time())}", create=True, model=MODEL)
    report: dict[str, Any] = {"rows": options.rows, "add_rows_per_s": options.rows / fill(gallery, vectors)}
    numbers = gallery.ids_of([f"k{n}" for n in range(options.rows)])
    place = {id: int(key[1:]) for key, id in numbers.items()}
    week = {"cameras": ["c3"], "since": 7 * DAY, "until": 14 * DAY}
    rows = np.flatnonzero((cameras == 3) & (times >= 7 * DAY) & (times < 14 * DAY))
    for how in ("exact", "accelerated"):
        if how == "accelerated":
            started = time.monotonic()
            report["accelerated_finds"] = gallery.accelerate()
            report["accelerate_s"] = time.monotonic() - started
        for name, where, own in (("all", {}, None), ("camera+week", week, rows)):

            def search(some: np.ndarray, quick: bool = how == "accelerated", where: dict[str, Any] = where) -> list[list[Hit]]:
                return gallery.search(some, K, group="row", approximate=quick, **where)

            found = search(asked)
            seconds = best({"single": lambda ask=search: ask(asked[0]), "batch": lambda ask=search: ask(asked)}, 3)
            got = [np.array([place[hit.sighting.id] for hit in hits]) for hits in found]
            report[f"{name}, {how}"] = {
                "recall": recall(vectors, asked, by_numpy(vectors, asked, own), got),
                "single": round(1 / seconds["single"], 1), "batch": round(BATCH / seconds["batch"], 1),
            }  # fmt: skip
            print(name, how, json.dumps(report[f"{name}, {how}"]), flush=True)
    gallery.close()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where galleries are made (default: the system's temporary folder)")
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("speed")
    part.add_argument("--rows", type=int, default=100_000)
    part.add_argument("--accelerate", action="store_true")
    part.add_argument("--gallery", type=Path, help="made there, or taken up from an earlier call, and left there")
    part = parts.add_parser("kills")
    part.add_argument("--times", type=int, default=50)
    part.add_argument("--seed", type=int, default=0)
    part = parts.add_parser("changes")
    part.add_argument("--steps", type=int, default=10_000)
    part = parts.add_parser("milvus")
    part.add_argument("--server", help="HOST:PORT of one that runs")
    part.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    if options.part == "milvus" and options.server is None:
        sys.exit(with_own_server())
    report = {"speed": speed, "kills": kills, "changes": changes, "milvus": milvus}[options.part](options)
    report["load"] = os.getloadavg()[0]
    print(json.dumps(report, indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
