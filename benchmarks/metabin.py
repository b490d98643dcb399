"""What a MetaBIN iteration costs: seconds and memory of base + meta update against a plain iteration of the same batch.

    python benchmarks/metabin.py                      # ResNet-50 at 128x64, batch 40; --backbone mobilenet_v2_x1_4 --batch 80 ...

Three kinds take turns in one process, so that a busy machine hurts all alike: `BN`, a plain iteration of the network with batch
norms; `BIN`, one of the network with batch-instance norms, which is MetaBIN's base update; `MetaBIN`, base and meta update.
Each ratio is the median of those within a round. Memory is the peak of a process of its own that makes three such iterations,
less that of one that has only built the network; on CUDA, the peak that torch allocated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = {
    "BN": {"norm": "batch", "meta": False},
    "BIN": {"norm": "bin", "meta": False},
    "MetaBIN": {"norm": "bin", "meta": True},
}
DOMAINS = 5


def a_step(kind: str, options: argparse.Namespace) -> Any:
    """A function that makes one iteration on the same pictures."""
    import torch

    from passerby.batches import Batch
    from passerby.recipes.metabin import Config, MetaBinStep, build_model
    from passerby.training import keep_freed_memory

    keep_freed_memory()
    height, width = options.size
    meta = {"meta_batch_size": options.batch} if KINDS[kind]["meta"] else {}
    config = Config(
        backbone=options.backbone, weights="scratch", height=height, width=width, batch_size=options.batch,
        precision=options.precision, **KINDS[kind], **meta,
    )  # fmt: skip
    device = torch.device(options.device)
    rows = torch.arange(options.batch)
    model = build_model(config, options.classes).to(device, memory_format=torch.channels_last)  # pyright: ignore
    step = MetaBinStep(config, model, rows * DOMAINS // options.batch, device)
    step.clock.steps_per_epoch = 100
    inputs = torch.randint(
        0, 256, (options.batch, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    batch = Batch(inputs, rows // 4, rows * 0, rows * 0, rows).to(device)
    given = (batch, batch) if KINDS[kind]["meta"] else batch

    def one() -> None:
        step(given)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return one


def seconds(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of an iteration, round by round."""
    steps = {kind: a_step(kind, options) for kind in KINDS}
    for step in steps.values():
        step()
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        for kind in list(KINDS) if number % 2 else list(reversed(KINDS)):
            began = time.perf_counter() if options.device != "cpu" else time.process_time()
            steps[kind]()
            found[kind].append((time.perf_counter() if options.device != "cpu" else time.process_time()) - began)
    return found


def peak_mb(kind: str, options: argparse.Namespace, iterations: int) -> float:
    """Peak memory of a process that builds the network and makes so many iterations."""
    words = [sys.executable, __file__, "--child", kind, "--iterations", str(iterations), *sys.argv[1:]]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return float(said.strip().splitlines()[-1])


def child(options: argparse.Namespace) -> None:
    """Print the peak of this process in MB."""
    import torch

    step = a_step(options.child, options)
    for _ in range(options.iterations):
        step()
    if options.device != "cpu":
        print(torch.cuda.max_memory_allocated() / 1e6)
    else:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        print(int(status["VmHWM"].split()[0]) / 1e3)  # getrusage would begin with the peak of the parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", nargs=2, type=int, default=[128, 64], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=40, help="a multiple of 20")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--iterations", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    found = seconds(options)
    ratio = {
        f"MetaBIN / {base}": statistics.median(a / b for a, b in zip(found["MetaBIN"], found[base], strict=True))
        for base in ("BN", "BIN")
    }
    clock = "CPU seconds" if options.device == "cpu" else "seconds"
    print(
        f"{options.backbone} {options.size[0]}x{options.size[1]}, batch {options.batch}, {options.device}, {clock} an iteration:"
    )
    print(json.dumps({kind: round(statistics.median(values), 3) for kind, values in found.items()}))
    print(json.dumps({name: round(value, 2) for name, value in ratio.items()}))
    if not options.no_memory:
        used = {kind: peak_mb(kind, options, 3) - peak_mb(kind, options, 0) for kind in KINDS}
        print("peak MB beyond the network: " + json.dumps({kind: round(value) for kind, value in used.items()}))
        print(json.dumps({f"MetaBIN / {base}": round(used["MetaBIN"] / used[base], 2) for base in ("BN", "BIN")}))


if __name__ == "__main__":
    main()
