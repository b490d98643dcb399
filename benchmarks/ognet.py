"""How fast operations on points are beside naive loops and beside arithmetic alone, and what a training step of OG-Net costs.

    python benchmarks/ognet.py [--clouds 8] [--points 4096] [--threads 2] [--rounds 5] [--json FILE]

The clouds are drawn: a body's surface first, a background plane behind it, from a 128 x 64 grid, every other point. Three
operations: 20 nearest neighbours of every point, 768 farthest points, and balls of 0.1, 0.2 and 0.4 m around those. `loops` is
one pass of NumPy over all points for each single point (each pick, each centre), as they are written first; it is timed on a part
and scaled. Two floors of the neighbours select nothing: `matrix`, one matrix product a cloud into memory that is there already
(`torch.baddbmm`), and `arithmetic`, all distances in machine code that overwrites one row in the cache (CPU, in as many threads,
each with clouds of its own). Printed are best times of the rounds; then one training step of OG-Net Small, its CPU time and the
process's peak memory. With --device cuda the operations and the step run there, and the loops on the CPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from passerby.machine import in_threads
from passerby.metrics.compiled import machine_code
from passerby.models.ognet import OGNetOptions
from passerby.models.point_models import PointModelConfig, build_point_model
from passerby.models.point_ops import ball_query, farthest_points, gather, k_nearest
from passerby.points import CloudPreprocess, EvalClouds

K, PICKS, RADII, SAMPLES = 20, 768, (0.1, 0.2, 0.4), (8, 16, 32)


def draw_clouds(count: int, points: int) -> Tensor:
    """(B, N, 6) people as the network gets them."""
    random, made = np.random.default_rng(0), []
    rows = round((4 * points) ** 0.5)
    y, x = np.mgrid[0:rows, 0 : 2 * points // rows].reshape(2, -1) / (rows / 2) - np.array([[1.0], [0.5]])
    for _ in range(count):
        width = random.uniform(0.2, 0.35)
        inside = (x / width) ** 2 + (y / 0.9) ** 2 < 1
        z = np.where(inside, -0.2 * np.sqrt(np.maximum(0, 1 - (x / width) ** 2 - (y / 0.9) ** 2)), 0.0)
        order = np.argsort(~inside, kind="stable")
        cloud = np.stack([x, y, z, *random.uniform(0, 0.9, (3, len(x)))], 1)[order].astype(np.float32)
        made.append(EvalClouds(CloudPreprocess())(cloud))
    return torch.stack(made)


def loop_neighbours(cloud: np.ndarray, part: int) -> float:
    for i in range(part):
        np.argsort(((cloud - cloud[i]) ** 2).sum(1))[:K]
    return len(cloud) / part


def loop_farthest(cloud: np.ndarray, part: int) -> float:
    left, last = np.full(len(cloud), 1e10), 0
    for _ in range(part):
        left = np.minimum(left, ((cloud - cloud[last]) ** 2).sum(1))
        last = int(left.argmax())
    return PICKS / part


def loop_balls(cloud: np.ndarray, part: int) -> float:
    for i in range(part):
        squares = ((cloud - cloud[i]) ** 2).sum(1)
        for radius, count in zip(RADII, SAMPLES, strict=True):
            np.flatnonzero(squares < radius**2)[:count]
    return PICKS / part


def only_distances(points: np.ndarray, found: np.ndarray) -> float:
    """All squared distances of (B, 3, N) points, each row over the one before; without the sum they would be compiled away."""
    total = 0.0
    for b in range(points.shape[0]):
        xs, ys, zs = points[b, 0], points[b, 1], points[b, 2]
        for i in range(xs.size):
            x, y, z = xs[i], ys[i], zs[i]
            for j in range(found.size):
                dx, dy, dz = xs[j] - x, ys[j] - y, zs[j] - z
                found[j] = dx * dx + dy * dy + dz * dz
            total += found[i]
    return total


def best(work: Callable[[], object], rounds: int, device: str) -> float:
    """Seconds of the quickest round; the first call, which may compile, does not count."""
    times = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        if number:
            times.append(time.perf_counter() - started)
    return min(times)


def operations(clouds: Tensor, rounds: int, device: str) -> dict[str, dict[str, float]]:
    xyz = clouds[..., :3].contiguous().to(device)
    B, N, _ = xyz.shape
    centres = gather(xyz, farthest_points(xyz, PICKS))
    matrix, squares = torch.empty(B, N, N, device=device), xyz.square().sum(-1)[:, None]
    floor = best(lambda: torch.baddbmm(squares, xyz, xyz.mT, alpha=-2, out=matrix), rounds, device)
    arithmetic, columns = machine_code(only_distances, any_order=True), xyz.cpu().mT.contiguous().numpy()

    def distances(first: int, last: int) -> None:
        arithmetic(columns[first:last], np.empty(N, np.float32))

    alone = best(lambda: in_threads(distances, B, torch.get_num_threads()), rounds, "cpu")
    own = {
        "neighbours": best(lambda: k_nearest(xyz, K), rounds, device),
        "farthest points": best(lambda: farthest_points(xyz, PICKS), rounds, device),
        "balls": best(lambda: ball_query(xyz, centres, RADII, SAMPLES), rounds, device),
    }
    cloud = xyz[0].cpu().numpy()
    loops = {}
    for name, loop in {"neighbours": loop_neighbours, "farthest points": loop_farthest, "balls": loop_balls}.items():
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            scale = loop(cloud, 256)
            times.append((time.perf_counter() - started) * scale * B)
        loops[name] = min(times)
    found = {name: {"s": own[name], "loops_s": loops[name], "times_faster": loops[name] / own[name]} for name in own}
    found["all"] = {"s": sum(own.values()), "loops_s": sum(loops.values())}
    found["all"]["times_faster"] = found["all"]["loops_s"] / found["all"]["s"]
    found["neighbours"] |= {"matrix_s": floor, "arithmetic_s": alone}
    return found


def training_step(clouds: Tensor, rounds: int, device: str) -> dict[str, float]:
    torch.manual_seed(0)
    model = build_point_model(PointModelConfig(ognet=OGNetOptions(feature_dims=(48, 96, 192, 384))), 751).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, amsgrad=True)
    inputs, labels = clouds.to(device), torch.arange(len(clouds), device=device)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs).logits[0], labels).backward()
        optimizer.step()

    seconds, cpu = best(step, rounds, device), time.process_time()
    step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"s": seconds, "cpu_s": time.process_time() - cpu, "peak_mib": peak, "before_mib": before}
    if device != "cpu":
        found["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Operations on points and a training step of OG-Net.")
    parser.add_argument("--clouds", type=int, default=8)
    parser.add_argument("--points", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("operations", "step"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clouds = draw_clouds(options.clouds, options.points)
    found: dict[str, dict] = {}
    if options.only != "operations":  # first, because its peak of memory is the process's
        found["step"] = training_step(clouds, min(2, options.rounds), options.device)
    if options.only != "step":
        found["operations"] = operations(clouds, options.rounds, options.device)
    print(f"{options.clouds} clouds of {clouds.shape[1]} points, {options.threads} threads, {options.device}")
    for name, row in found.get("operations", {}).items():
        extra = "".join(
            f"   {floor} {1e3 * row[f'{floor}_s']:.0f} ms (x {row['s'] / row[f'{floor}_s']:.2f})"
            for floor in ("matrix", "arithmetic")
            if f"{floor}_s" in row
        )
        print(f"{name:16} {1e3 * row['s']:8.1f} ms   loops {row['loops_s']:6.2f} s   {row['times_faster']:6.0f} x{extra}")
    if "step" in found:
        print("step of Small    " + "  ".join(f"{name} {value:.2f}" for name, value in found["step"].items()))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
