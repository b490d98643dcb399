"""How fast training images come out of the loader, beside the field's usual chain of transforms.

    python benchmarks/loader.py [--images 512] [--rounds 5]

One core, no workers, the same JPEG files (64x128 px, the size of Market-1501's crops) to 256x128 px with flip, pad, crop and
erasing at 0.5. `usual` is Pillow and torchvision as most re-ID code has them: Resize, RandomHorizontalFlip, Pad, RandomCrop,
ToTensor, Normalize, RandomErasing, then a stack of float images. `passerby` is `TrainLoader`, whose batches are uint8;
`normalised` is the same with `normalise` behind it, which a GPU would do. They take turns; printed are medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from passerby.batches import TrainLoader
from passerby.records import Record, Split
from passerby.samplers import ShuffleSampler
from passerby.torchvision_repair import repair_torchvision
from passerby.transforms import IMAGENET_MEAN, IMAGENET_STD, Preprocess, TrainTransforms, normalise

BATCH = 32


def draw_crops(folder: Path, count: int) -> Split:
    """JPEG files of smooth noise, about as large as real crops."""
    random, records = np.random.default_rng(0), []
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(random.integers(0, 256, (32, 16, 3), dtype=np.uint8)).resize((64, 128)).save(path, quality=90)
        records.append(Record(path, number % 16, 0, "drawn"))
    return Split(tuple(records))


def usual_chain(interpolation: str) -> Callable[[Image.Image], torch.Tensor]:
    repair_torchvision()
    from torchvision import transforms as T

    return T.Compose([
        T.Resize((256, 128), T.InterpolationMode(interpolation)),
        T.RandomHorizontalFlip(),
        T.Pad(10),
        T.RandomCrop((256, 128)),
        T.ToTensor(),
        T.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        T.RandomErasing(0.5),
    ])  # fmt: skip


def measure(split: Split, interpolation: str, rounds: int) -> list[float]:
    """Images a second of CPU time: the usual chain, the loader, the loader with `normalise`."""
    chain, preprocess = usual_chain(interpolation), Preprocess(interpolation=interpolation)
    loader = TrainLoader(
        split, split.label_map(), TrainTransforms(preprocess, random_erasing=0.5), ShuffleSampler(len(split), BATCH), seed=0
    )

    def usual() -> None:
        for start in range(0, len(split), BATCH):
            torch.stack([chain(Image.open(record.path).convert("RGB")) for record in split[start : start + BATCH]])

    def bytes_only() -> None:
        for _ in loader.epoch(0):
            pass

    def normalised() -> None:
        for batch in loader.epoch(0):
            normalise(batch.inputs, preprocess)

    runs = [[cpu_seconds(work) for work in (usual, bytes_only, normalised)] for _ in range(rounds)]
    return [len(split) / statistics.median(times) for times in zip(*runs, strict=True)]


def cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="rounded down to whole batches of 32")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'filter':<10}{'usual images/s':>15}{'passerby':>10}{'ratio':>7}{'normalised':>12}{'ratio':>7}   (CPU time of one core)"
    )
    with tempfile.TemporaryDirectory() as folder:
        split = draw_crops(Path(folder), max(BATCH, options.images // BATCH * BATCH))
        for name in ("bilinear", "bicubic"):
            usual, raw, ready = measure(split, name, options.rounds)
            print(f"{name:<10}{usual:>15.0f}{raw:>10.0f}{raw / usual:>7.2f}{ready:>12.0f}{ready / usual:>7.2f}")


if __name__ == "__main__":
    main()
