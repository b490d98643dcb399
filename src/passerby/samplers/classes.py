"""Batches in which people with few images stand as often as people with many: the two rules of OG-Net."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.errors import UsageError
from passerby.samplers.plain import check_place, nearest_multiples

__all__ = ["BalancedSampler", "ClassSampler"]


class _Drawing:
    """What both rules share: where each class is, and passes of drawn positions cut into whole batches."""

    def __init__(self, labels: Sequence[int] | np.ndarray, batch_size: int, seed: int, rank: int, world: int) -> None:
        check_place(seed, rank, world)
        if batch_size < 1 or batch_size % world:
            raise UsageError(
                f"batch_size {batch_size} cannot be shared by {world} processes: it must be a multiple of {world}. "
                f"Nearest: {nearest_multiples(batch_size, world)}."
            )
        order = np.argsort(np.asarray(labels, dtype=np.int64), kind="stable")
        starts = np.unique(np.asarray(labels, dtype=np.int64)[order], return_index=True)[1]
        self.images = np.split(order, starts[1:]) if len(order) else []
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world

    def batches(self, drawn: np.ndarray) -> list[list[int]]:
        """Whole batches of this process; what does not fill the last one is left out."""
        share = self.batch_size // self.world
        whole = drawn[: len(drawn) // self.batch_size * self.batch_size].reshape(-1, self.batch_size)
        return whole[:, self.rank * share : (self.rank + 1) * share].tolist()


class BalancedSampler(_Drawing):
    """As many draws as there are images, with replacement, every class with equal chances and every image of it too.

    Args:
        labels: (N,) the class of every image; any integers.
        batch_size: images a step over all processes.
        seed: with the epoch's number it decides everything.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        UsageError: fewer images than a batch, a batch that the processes cannot share, or a number out of range.

    Source: layumi/person-reid-3d, ``--balance``.
    """

    def __init__(
        self, labels: Sequence[int] | np.ndarray, batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(labels, batch_size, seed, rank, world)
        self.length = len(labels)
        if self.length < batch_size:
            raise UsageError(f"{self.length} training images do not fill a batch of {batch_size}. Lower batch_size.")

    def __len__(self) -> int:
        return self.length // self.batch_size

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of the 0-based epoch `number`."""
        generator = np.random.default_rng([self.seed, number])
        classes = generator.integers(0, len(self.images), self.length)
        return self.batches(np.array([generator.choice(self.images[c]) for c in classes]))


class ClassSampler(_Drawing):
    """Passes in which every class has the same number of images, drawn anew; as many passes an epoch as show about all images.

    A pass is shuffled, and what does not fill its last batch is left out. With Market-1501 and 3 images a class an epoch has 6
    passes of 2,253 images: 372 batches of 36.

    Args:
        labels: (N,) the class of every image; any integers.
        per_class: images of each class in a pass.
        batch_size: images a step over all processes.
        seed: with the epoch's number it decides everything.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        UsageError: a pass that fills no batch, a batch that the processes cannot share, or a number out of range.

    Source: layumi/person-reid-3d, ``--class_sampler``.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        per_class: int,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(labels, batch_size, seed, rank, world)
        if per_class < 1:
            raise UsageError(f"{per_class} images a class in a pass: give 1 or more.")
        self.per_class, size = per_class, per_class * len(self.images)
        if size < batch_size:
            raise UsageError(
                f"a pass of {per_class} images of each of {len(self.images)} classes does not fill a batch of {batch_size}. "
                "Lower batch_size, or take more images a class."
            )
        self.passes = -(-len(labels) // size)

    def __len__(self) -> int:
        return self.passes * (self.per_class * len(self.images) // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of the 0-based epoch `number`, pass after pass."""
        generator = np.random.default_rng([self.seed, number])
        found = []
        for _ in range(self.passes):
            drawn = np.concatenate([generator.choice(images, self.per_class) for images in self.images])
            found += self.batches(generator.permutation(drawn))
        return found
