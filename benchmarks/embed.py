"""How much of a network's own speed is left when images are decoded, resized, normalised and collected around it.

    python benchmarks/embed.py [--backbones mobilenet_v2 resnet50] [--precisions fp32 bf16] [--images 256] [--rounds 5]

For each network two things take turns in one process, with the same threads, precision and batch size: the bare network on
batches that lie ready as normalised floats, and `Embedder` on JPEG files of 64x128 px (the size of Market-1501's crops) that it
decodes and resizes to 256x128. The ratio of a round is bare time / embedder time; printed is the median over the rounds. No
mirrored image is added: with it, the network works twice as long an image and the ratio is nearer to 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from passerby.embedder import Embedder, EmbeddingRule, bf16_is_fast
from passerby.models import ModelConfig, build_model
from passerby.transforms import Preprocess

BATCH = 64


def draw_crops(folder: Path, count: int) -> list[Path]:
    """JPEG files of smooth noise, about as large as real crops."""
    random = np.random.default_rng(0)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (32, 16, 3), dtype=np.uint8)).resize((64, 128)).save(path, quality=90)
    return paths


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(backbone: str, precision: str, paths: list[Path], rounds: int) -> dict[str, float]:
    torch.manual_seed(0)
    model = build_model(ModelConfig(backbone)).eval().to(memory_format=torch.channels_last)
    embedder = Embedder(model, Preprocess(), EmbeddingRule(flip=False), precision=precision, batch_size=BATCH)
    ready = torch.randn(BATCH, 3, 256, 128).to(memory_format=torch.channels_last)

    def bare() -> None:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            for _ in range(len(paths) // BATCH):
                model(ready).embedding.float()

    bare(), embedder(paths[:BATCH])
    runs = [(timed(bare), timed(lambda: embedder(paths))) for _ in range(rounds)]
    return {
        "ratio": statistics.median(alone[0] / whole[0] for alone, whole in runs),
        "cpu": statistics.median(alone[1] / whole[1] for alone, whole in runs),
        "bare": len(paths) / statistics.median(alone[0] for alone, _ in runs),
        "embedder": len(paths) / statistics.median(whole[0] for _, whole in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"] if bf16_is_fast() else ["fp32"])
    parser.add_argument("--images", type=int, default=256, help="rounded down to whole batches of 64")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {load:.1f} before the start, torch {torch.__version__}"
    )
    print(f"{'network':<14}{'precision':<11}{'bare images/s':>14}{'embedder':>10}{'ratio':>8}{'ratio of CPU time':>19}")
    with tempfile.TemporaryDirectory() as folder:
        paths = draw_crops(Path(folder), max(BATCH, options.images // BATCH * BATCH))
        for backbone in options.backbones:
            for precision in options.precisions:
                found = measure(backbone, precision, paths, options.rounds)
                print(
                    f"{backbone:<14}{precision:<11}{found['bare']:>14.1f}{found['embedder']:>10.1f}{found['ratio']:>8.3f}{found['cpu']:>19.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
