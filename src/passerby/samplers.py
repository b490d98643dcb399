"""Which images stand in one batch: pure functions of (seed, epoch).

A sampler's `epoch(number)` lists all batches of that epoch as positions in the training split, and every epoch has
`len(sampler)` batches. With several processes each global batch is cut into contiguous shares, so that the K images of a person
stay together; the global batches are the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from passerby.errors import UsageError, listing

__all__ = ["IdentitySampler", "Sampler", "SequentialSampler", "ShuffleSampler"]


class Sampler(Protocol):
    """Batches of positions, by epoch."""

    batch_size: int

    def __len__(self) -> int:
        """Batches an epoch, the same in every epoch."""
        ...

    def epoch(self, number: int) -> list[list[int]]:
        """All batches of the 0-based epoch `number`, whole, as positions in the split."""
        ...


def _require_count(what: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{what} is {value}: it counts, so 1 is the least.")


@dataclass(frozen=True)
class ShuffleSampler:
    """All images once an epoch, in random order.

    Args:
        count: images in the split.
        batch_size: images a batch, over all processes.
        seed: of the order.
        drop_last: leave the last, partial batch out; batch norm in training needs that.

    Raises:
        UsageError: a number below 1, or `drop_last` with fewer images than one batch.
    """

    count: int
    batch_size: int
    seed: int = 0
    drop_last: bool = True

    def __post_init__(self) -> None:
        _require_count("batch_size", self.batch_size)
        if not len(self):
            raise UsageError(
                f"{self.count} training images do not fill one batch of {self.batch_size}. Use a smaller batch size."
            )

    def __len__(self) -> int:
        return self.count // self.batch_size if self.drop_last else -(-self.count // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """A fresh permutation, cut into batches."""
        order = np.random.default_rng([self.seed, number]).permutation(self.count).tolist()
        return [order[start : start + self.batch_size] for start in range(0, len(self) * self.batch_size, self.batch_size)]


@dataclass(frozen=True)
class SequentialSampler:
    """All images once, in their own order, the last batch as long as it is: for evaluation and for statistics."""

    count: int
    batch_size: int

    def __post_init__(self) -> None:
        _require_count("batch_size", self.batch_size)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """The same batches in every epoch."""
        return [list(range(start, min(start + self.batch_size, self.count))) for start in range(0, self.count, self.batch_size)]


class IdentitySampler:
    """P identities x K images a batch: what pair losses need.

    Each epoch the images of a person are shuffled and cut into groups of K; a remainder is left out, and a person with fewer
    than K images gives one group with repetitions. Batches draw P different people, in proportion to the groups that they have
    left; a person whose groups would otherwise not find room any more comes first. So an epoch has as many batches as the counts
    allow, the same number in every epoch, and no image twice (but for the repetitions).

    Differs from the paper: the published samplers draw people uniformly and stop when fewer than P are left, so that the number
    of batches changes from epoch to epoch and a resume must replay it.

    Args:
        labels: the class of each image.
        batch_size: P x K images, over all processes.
        images_per_identity: K.
        seed: of groups and draws.

    Raises:
        UsageError: K does not divide the batch size (the nearest sizes are named), or there are fewer than P people.
    """

    def __init__(self, labels: Sequence[int] | np.ndarray, batch_size: int, images_per_identity: int = 4, seed: int = 0) -> None:
        _require_count("batch_size", batch_size)
        _require_count("images_per_identity", images_per_identity)
        K = images_per_identity
        if batch_size % K:
            lower = batch_size - batch_size % K
            near = [str(size) for size in (lower, lower + K) if size]
            raise UsageError(
                f"batch_size is {batch_size}, no multiple of the {K} images of each person: the nearest are {' and '.join(near)}."
            )
        self.batch_size, self.images_per_identity, self.seed = batch_size, K, seed
        self.identities_per_batch = batch_size // K
        values = np.asarray(labels)
        order = np.argsort(values, kind="stable")
        self._images = np.split(order, np.flatnonzero(np.diff(values[order])) + 1) if len(order) else []
        if len(self._images) < self.identities_per_batch:
            raise UsageError(
                f"a batch of {batch_size} with {K} images of each person needs {self.identities_per_batch} people; "
                f"the training set has {len(self._images)}. Use a batch size of {max(1, len(self._images)) * K} or less."
            )
        self._groups = np.array([max(1, len(images) // K) for images in self._images])
        self._length = self._most_batches()

    def _most_batches(self) -> int:
        """The largest M for which M batches of P different people exist: the sum of min(groups, M) is at least P M."""
        low, high = 1, int(self._groups.sum()) // self.identities_per_batch
        while low < high:
            middle = (low + high + 1) // 2
            if np.minimum(self._groups, middle).sum() >= self.identities_per_batch * middle:
                low = middle
            else:
                high = middle - 1
        return low

    def __len__(self) -> int:
        return self._length

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of one epoch; the K images of a person follow each other."""
        random = np.random.default_rng([self.seed, number])
        groups = [self._cut(images, random) for images in self._images]
        left = np.minimum(self._groups, self._length)
        batches = []
        for remaining in range(self._length, 0, -1):
            people = self._draw(left, remaining, random)
            left[people] -= 1
            batches.append([int(image) for person in people for image in groups[person].pop()])
        return batches

    def _cut(self, images: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        K = self.images_per_identity
        if len(images) < K:
            return [np.concatenate([random.permutation(images), random.choice(images, K - len(images))])]
        return np.split(random.permutation(images)[: len(images) // K * K], len(images) // K)

    def _draw(self, left: np.ndarray, remaining: int, random: np.random.Generator) -> np.ndarray:
        """P people: those who must stand in every batch that remains, the others by what they have left."""
        forced = np.flatnonzero(left >= remaining)
        free = np.flatnonzero((left > 0) & (left < remaining))
        wanted = self.identities_per_batch - len(forced)
        if wanted > 0:
            # Exponential keys: the smallest `wanted` are a draw without replacement in proportion to the weights.
            keys = random.exponential(size=len(free)) / left[free]
            forced = np.concatenate([forced, free[np.argsort(keys, kind="stable")[:wanted]]])
        else:
            forced = random.permutation(forced)[: self.identities_per_batch]
        return random.permutation(forced)


def check_share(batch_size: int, size: int, group: int = 1) -> None:
    """Check that a global batch can be cut into equal shares of whole groups.

    Args:
        batch_size: images a batch over all processes.
        size: processes.
        group: images that must stay together (K).

    Raises:
        UsageError: it cannot; the nearest batch sizes are named.
    """
    unit = size * group
    if batch_size % unit:
        lower = batch_size - batch_size % unit
        near = listing([size for size in (lower, lower + unit) if size])
        raise UsageError(
            f"batch_size {batch_size} does not divide into {size} processes x {group} images: the nearest are {near}."
        )
