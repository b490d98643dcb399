"""What the adaptation costs beside plain training: a step with a memory of 30,000 exemplars, and the bytes of that memory.

    python benchmarks/cail_mixup.py [--backbone mobilenet_v2] [--half 64] [--exemplars 30000] [--rounds 5]

`plain` is cross-entropy on one batch of both halves' size; `joint` is the whole step from epoch 31 on: mixup, both
neighbourhoods, update of the memory. They take turns; printed are the medians and their ratio, then the losses alone, and the
memory at the size of MSMT17 (32,621 images, 2,048 numbers each).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from passerby.batches import Batch
from passerby.losses.neighbour import camera_aware
from passerby.recipes.cail_mixup import AdaptationStep, Config, build_model
from passerby.training import ExemplarMemory, keep_freed_memory

MSMT17_TRAIN, RESNET50 = 32_621, 2_048
CLASSES, CAMERAS = 751, 15


def batch(images: int, config: Config, indices: torch.Tensor) -> Batch:
    """Noise in the shape of a batch."""
    inputs = torch.randint(0, 256, (images, 3, config.height, config.width), dtype=torch.uint8)
    zeros = torch.zeros(images, dtype=torch.int64)
    return Batch(inputs, torch.arange(images) % CLASSES, zeros, zeros, indices)


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", nargs=2, type=int, default=[256, 128], metavar=("H", "W"))
    parser.add_argument("--half", type=int, default=64)
    parser.add_argument("--exemplars", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()  # as every training does
    height, width = options.size
    common = {
        "backbone": options.backbone,
        "weights": "scratch",
        "height": height,
        "width": width,
        "batch_size": 2 * options.half,
    }
    plain_config, joint_config = Config(joint=False, **common), Config(target="noise", **common)
    cameras = torch.arange(options.exemplars) % CAMERAS
    plain = AdaptationStep(plain_config, build_model(plain_config, CLASSES), None, torch.device("cpu"))
    joint = AdaptationStep(joint_config, build_model(joint_config, CLASSES), cameras, torch.device("cpu"))
    joint.clock.epoch = 30
    rows = torch.randperm(options.exemplars)[: options.half]
    both = batch(2 * options.half, plain_config, torch.arange(2 * options.half))
    halves = tuple(batch(options.half, joint_config, indices) for indices in (torch.arange(options.half), rows))
    memory = joint.memory
    memory.update(F.normalize(torch.randn(options.exemplars, joint.model.embedding_dim)), torch.arange(options.exemplars), 0.0)
    vectors = F.normalize(torch.randn(options.half, joint.model.embedding_dim)).requires_grad_()

    def neighbourhoods() -> None:
        found = camera_aware(memory(vectors), rows, cameras[rows], cameras)
        (found.intra + 0.5 * found.inter).backward()
        memory.update(vectors, rows, 0.6)

    calls = {"plain": lambda: plain(both), "joint": lambda: joint(halves), "neighbourhoods": neighbourhoods}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(options.rounds + 1):
        for name, call in calls.items():
            spent = seconds(call)
            if number:  # the first round warms up
                times[name].append(spent)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{options.backbone} at {height}x{width}, {options.half} + {options.half} images, {torch.get_num_threads()} threads")
    print(f"plain {middle['plain']:.3f} s a step, joint {middle['joint']:.3f} s: {middle['joint'] / middle['plain']:.2f} x")
    print(f"neighbourhoods and memory alone, {options.exemplars:,} exemplars of {memory.slots.shape[1]}: "
          f"{1000 * middle['neighbourhoods']:.0f} ms")  # fmt: skip
    at_msmt17 = ExemplarMemory(MSMT17_TRAIN, RESNET50).slots
    print(f"memory at MSMT17's size: {at_msmt17.nbytes:,} bytes ({at_msmt17.nbytes / 1e6:.0f} MB) a process")


if __name__ == "__main__":
    main()
