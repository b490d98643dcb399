"""Whether the label-free estimate of an adaptation follows the truth, on simulated people whose truth is known.

    python benchmarks/label_free.py [--seeds 0 1 2] [--shift 0.5 --noise 0.7]

People of some cameras are points: a look that four people share, what is their own, a shift of each camera, noise. A linear map
of these points is adapted as the recipe adapts a network: neighbourhood losses over a memory of exemplars, at six thresholds. A
row is a threshold: mean over seeds of the true mAP and of the estimate, before and after.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.embeddings import Embeddings
from passerby.losses.neighbour import camera_aware
from passerby.metrics import evaluate
from passerby.training.exemplars import ExemplarMemory
from passerby.training.label_free import measure

PEOPLE, CAMERAS, SHOTS, DIM, HALF, STEPS = 40, 3, 3, 32, 64, 200
THRESHOLDS = (0.4, 0.6, 0.7, 0.8, 0.9, 0.95)


class Place(NamedTuple):
    """(N, DIM) points, (N,) people from 1 on, (N,) cameras."""

    points: Tensor
    people: Tensor
    cameras: Tensor


def simulated(seed: int, shift: float, noise: float) -> Place:
    random = torch.Generator().manual_seed(seed)
    people = torch.arange(PEOPLE).repeat_interleave(CAMERAS * SHOTS)
    cameras = torch.arange(CAMERAS).repeat_interleave(SHOTS).repeat(PEOPLE)
    looks, own, shifts = (torch.randn(n, DIM, generator=random) for n in (PEOPLE // 4, PEOPLE, CAMERAS))
    centres = 0.5 + looks[torch.arange(PEOPLE) % (PEOPLE // 4)] + 0.6 * own
    points = centres[people] + shift * shifts[cameras] + noise * torch.randn(len(people), DIM, generator=random)
    return Place(points, people + 1, cameras)


def true_map(vectors: Tensor, place: Place) -> float:
    found = Embeddings(vectors.numpy(), place.people.numpy(), place.cameras.numpy(), np.arange(len(vectors)).astype(str))
    return evaluate(found, found).map


def adapted(place: Place, threshold: float, seed: int) -> list[float]:
    """True mAP and estimate before, and after."""
    random = torch.Generator().manual_seed(seed)
    weight = torch.eye(DIM).requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.05, momentum=0.9)
    memory, everyone = ExemplarMemory(len(place.points), DIM), torch.arange(len(place.points))
    memory.update(F.normalize(place.points), everyone, 0.0)

    def now() -> list[float]:
        found, _ = measure(memory.slots, place.cameras, everyone, threshold=threshold)
        return [true_map(F.normalize(place.points @ weight.detach()), place), found.estimate]

    before = now()
    for _ in range(STEPS):
        rows = torch.randperm(len(everyone), generator=random)[:HALF]
        augmented = place.points[rows] + 0.3 * torch.randn(HALF, DIM, generator=random)
        features = F.normalize(augmented @ weight)
        found = camera_aware(memory(features), rows, place.cameras[rows], place.cameras, threshold=threshold)
        optimizer.zero_grad()
        (found.intra + 0.5 * found.inter).backward()
        optimizer.step()
        memory.update(features, rows, 0.6)
    return before + now()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--shift", type=float, default=0.5)
    parser.add_argument("--noise", type=float, default=0.7)
    options = parser.parse_args()
    print("| camera shift, noise | threshold | true mAP | estimate | both moved the same way |\n|---|---|---|---|---|")
    places = [simulated(seed, options.shift, options.noise) for seed in options.seeds]
    for threshold in THRESHOLDS:
        rows = np.array([adapted(place, threshold, seed) for place, seed in zip(places, options.seeds, strict=True)])
        first, estimated, last, estimate = rows.mean(0)
        agree = int((np.sign(rows[:, 2] - rows[:, 0]) == np.sign(rows[:, 3] - rows[:, 1])).sum())
        print(
            f"| {options.shift}, {options.noise} | {threshold} | {100 * first:.1f} to {100 * last:.1f} | {estimated:.3f} to "
            f"{estimate:.3f} | {agree} of {len(rows)} |"
        )


if __name__ == "__main__":
    main()
