"""Time of camera-wise batch norm, forward and backward: one grouped pass, the loop of the paper, and plain batch norm.

    python benchmarks/camera_bn.py [--backbone mobilenet_v2 resnet50] [--size 128 64] [--cameras 6 15] [--repeats 7]
    python benchmarks/camera_bn.py --layers

The three take turns in one process, and the table gives the medians of their ratios, of wall time and (on CPUs) of processor
time, which suffers less from what else the machine does. The loop is the published form: a forward pass for each camera's images,
one backward pass. The cameras of a batch stand together, as the recipe's batches do. Loop / plain is the most that a grouped pass
could gain.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from passerby.models import ModelConfig, build_model
from passerby.models.norms.camera import normalised_by_camera
from passerby.models.norms.replacing import use_camera_norms
from passerby.training import keep_freed_memory

BATCH, CLASSES = 64, 751
LAYERS = ((16, 64, 32), (64, 64, 32), (256, 16, 8), (2048, 8, 4))


def timed(work: Callable[[], object], device: str) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    if device != "cpu":
        torch.cuda.synchronize()
    wall, own = time.perf_counter(), time.process_time()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - own


def compared(ways: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, list[tuple[float, float]]]:
    """Times of all ways, taken in turn; the first round warms up."""
    rounds = [{name: timed(work, device) for name, work in ways.items()} for _ in range(repeats + 1)]
    return {name: [each[name] for each in rounds[1:]] for name in ways}


def network_ways(plain: nn.Module, grouped: nn.Module, images: Tensor, cameras: Tensor) -> dict[str, Callable[[], object]]:
    """One training step's forward and backward, three ways."""

    def backward(logits: Tensor) -> None:
        nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device)).backward()

    def by_group() -> None:
        with normalised_by_camera(cameras):
            backward(grouped(images).logits[0])

    parts = [images[cameras == camera] for camera in cameras.unique()]
    return {
        "plain": lambda: backward(plain(images).logits[0]),
        "grouped": by_group,
        "loop": lambda: backward(torch.cat([plain(part).logits[0] for part in parts])),
    }


def layer_ways(channels: int, height: int, width: int, cameras: Tensor, device: str) -> dict[str, Callable[[], object]]:
    """The same of a single norm in channels-last memory."""
    plain = nn.BatchNorm2d(channels).to(device).train()
    grouped = use_camera_norms(nn.Sequential(nn.BatchNorm2d(channels)).to(device), camera_trained=True).train()
    images = torch.randn(BATCH, channels, height, width, device=device).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn_like(images)
    images.requires_grad_()
    parts = [images.detach()[cameras == camera].requires_grad_() for camera in cameras.unique()]

    def by_group() -> None:
        with normalised_by_camera(cameras):
            grouped(images).backward(gradient)

    return {
        "plain": lambda: plain(images).backward(gradient),
        "grouped": by_group,
        "loop": lambda: torch.cat([plain(part) for part in parts]).backward(gradient),
    }


def row(name: str, cameras: int, times: dict[str, list[tuple[float, float]]], device: str) -> str:
    """One line of the table."""

    def ratio(one: str, other: str, clock: int) -> str:
        return f"{statistics.median(a[clock] / b[clock] for a, b in zip(times[one], times[other], strict=True)):.2f}"

    pairs = (("loop", "grouped"), ("grouped", "plain"), ("loop", "plain"))
    clocks = (0, 1) if device == "cpu" else (0,)
    seconds = " | ".join(f"{1e3 * statistics.median(each[clocks[-1]] for each in times[way]):.1f}" for way in times)
    ratios = " | ".join(ratio(*pair, clock) for clock in clocks for pair in pairs)
    return f"| {name} | {cameras} | {seconds} | {ratios} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", nargs="+", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--size", nargs=2, type=int, default=[128, 64])
    parser.add_argument("--cameras", nargs="+", type=int, default=[6, 15])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves it")
    parser.add_argument("--layers", action="store_true", help="single norms instead of networks")
    options = parser.parse_args()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    heads = ["what", "cameras", "plain, ms", "grouped", "loop", "loop / grouped", "grouped / plain", "loop / plain"]
    if options.device == "cpu":
        heads += ["loop / grouped, CPU time", "grouped / plain, CPU time", "loop / plain, CPU time"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for count in options.cameras:
        cameras = (torch.arange(BATCH) % count).sort().values
        if options.layers:
            for shape in LAYERS:
                times = compared(layer_ways(*shape, cameras, options.device), options.repeats, options.device)
                print(row("norm " + "x".join(map(str, shape)), count, times, options.device), flush=True)
            continue
        for name in options.backbone:
            config = ModelConfig(name, image_size=tuple(options.size), head="bnneck")
            plain, grouped = (
                build_model(config, CLASSES).to(options.device, memory_format=torch.channels_last) for _ in range(2)
            )  # pyright: ignore
            use_camera_norms(grouped, camera_trained=True)
            images = torch.randn(BATCH, 3, *options.size, device=options.device).contiguous(memory_format=torch.channels_last)
            times = compared(network_ways(plain.train(), grouped.train(), images, cameras), options.repeats, options.device)
            print(row(name, count, times, options.device), flush=True)


if __name__ == "__main__":
    main()
