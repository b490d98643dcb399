"""So many batches an epoch, out of full permutations: data sets of unequal length can stand beside each other."""

from __future__ import annotations

import numpy as np

from passerby.errors import UsageError
from passerby.samplers.plain import check_place, nearest_multiples

__all__ = ["RepeatingSampler"]


class RepeatingSampler:
    """`batches` full batches an epoch: one permutation of all images after the other, and of a last one so many as are missing.

    Every image comes floor(total / length) or one time more. No batch holds an image twice: where a permutation ends within a
    batch, the next one begins with images that are not in it yet.

    Args:
        length: number of images.
        batch_size: images a step over all processes.
        batches: steps an epoch; None takes as many as show every image at least once.
        seed: with the epoch's number it decides the order.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        UsageError: fewer images than a batch, a batch size that the processes cannot share, or a number out of range.
    """

    def __init__(
        self, length: int, batch_size: int, batches: int | None = None, *, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        check_place(seed, rank, world)
        if batch_size < 1 or (batches is not None and batches < 1):
            raise UsageError(f"batches of {batch_size} images, {batches} an epoch: both are 1 or more.")
        if batch_size % world:
            raise UsageError(
                f"batches of {batch_size} images cannot be shared by {world} processes: it must be a multiple of {world}. "
                f"Nearest: {nearest_multiples(batch_size, world)}."
            )
        if length < batch_size:
            raise UsageError(f"{length} images do not fill a batch of {batch_size}. Lower batch_size.")
        self.length, self.batch_size, self.seed, self.rank, self.world = length, batch_size, seed, rank, world
        self.batches = -(-length // batch_size) if batches is None else batches

    def __len__(self) -> int:
        return self.batches

    def epoch(self, number: int) -> list[list[int]]:
        """This process's batches of the 0-based epoch `number`."""
        generator = np.random.default_rng([self.seed, number])
        total = self.batches * self.batch_size
        order = np.empty(0, dtype=np.int64)
        while len(order) < total:
            begun = order[len(order) - len(order) % self.batch_size :]
            following = generator.permutation(self.length)
            repeated = np.isin(following, begun)
            fresh = following[~repeated]
            missing = self.batch_size - len(begun)
            order = np.concatenate([order, fresh[:missing], following[repeated], fresh[missing:]])
        share = self.batch_size // self.world
        rows = order[:total].reshape(self.batches, self.world, share)[:, self.rank]
        return rows.tolist()
