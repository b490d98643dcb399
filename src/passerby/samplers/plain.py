"""Batches without regard to domains: in order, shuffled, or P identities x K images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from passerby.errors import UsageError

__all__ = [
    "IdentitySampler",
    "Sampler",
    "SequentialSampler",
    "ShuffleSampler",
    "check_place",
    "identities_per_batch",
    "nearest_multiples",
]

REMAINDERS = ("discard", "pad")


class Sampler(Protocol):
    """What a loader asks of a sampler."""

    def __len__(self) -> int:
        """Batches an epoch, the same in every epoch."""
        ...

    def epoch(self, number: int) -> list[list[int]]:
        """This process's batches of positions of the 0-based epoch `number`."""
        ...


class SequentialSampler:
    """All positions in order; the last batch holds what is left.

    Args:
        length: number of images.
        batch_size: images a batch.

    Raises:
        UsageError: a batch size below 1.

    >>> SequentialSampler(5, 2).epoch(0)
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, length: int, batch_size: int) -> None:
        _check_batch_size(batch_size)
        self.length, self.batch_size = length, batch_size

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """The same batches in every epoch."""
        return [list(range(i, min(i + self.batch_size, self.length))) for i in range(0, self.length, self.batch_size)]


class ShuffleSampler:
    """A plain shuffle: every image once an epoch.

    Few of its batches hold two images of one person: about 3 % at 8 and 46 % at 32 images of Market-1501.

    Args:
        length: number of images.
        batch_size: images a step over all processes.
        seed: with the epoch's number it decides the order.
        drop_last: leave out the images that do not fill a batch (other ones in every epoch). False keeps them as a smaller
            last batch, in one process only: batch normalisation fails on a batch of one image, and processes must hold equal
            shares.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        UsageError: fewer images than a batch, a batch size that the processes cannot share, or a number out of range.
    """

    def __init__(
        self, length: int, batch_size: int, *, seed: int = 0, drop_last: bool = True, rank: int = 0, world: int = 1
    ) -> None:
        check_place(seed, rank, world)
        _check_batch_size(batch_size)
        if batch_size % world:
            raise UsageError(
                f"batch_size {batch_size} cannot be shared by {world} processes: it must be a multiple of {world}. "
                f"Nearest: {nearest_multiples(batch_size, world)}."
            )
        if not drop_last and world > 1:
            raise UsageError(f"drop_last is off with {world} processes: the last batch would not be shared equally. Turn it on.")
        if length < (batch_size if drop_last else 1):
            raise UsageError(f"{length} training images do not fill a batch of {batch_size}. Lower batch_size.")
        self.length, self.batch_size, self.seed, self.drop_last = length, batch_size, seed, drop_last
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        full = self.length // self.batch_size
        return full if self.drop_last else -(-self.length // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """The shuffled batches of the 0-based epoch `number`."""
        order = _generator(self.seed, number).permutation(self.length).tolist()
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]
        return [_share(batch, self.rank, self.world) for batch in batches]


class IdentitySampler:
    """P identities x K images: every batch holds K images of each of P different people, side by side.

    1. Groups. A person's images are shuffled and cut into groups of K. A person with n < K images has one group, in which each
       image stands floor(n / K) or ceil(K / n) times. What does not fill a group is left out this epoch
       (``remainder="discard"``) or filled up with images of that person, drawn anew (``remainder="pad"``).
    2. Batches. An epoch has as many batches as P different people can fill, the same number in every epoch. Groups that are too
       many are dropped at random, but each person keeps one as long as there are enough batches.
    3. Order. Batches are drawn one after another, each group that is left with equal chances, except that a person who has a
       group for every batch that is left is always taken.

    Differs from the paper: the published rule (camera-based BN, MetaBIN, and the field's usual code) draws people with equal
    chances until fewer than P are left, so the length of an epoch varies, and people with many images share its end among
    themselves. Within a small group an image may there stand more often than another, because K are drawn with replacement.

    Args:
        labels: (N,) the person of every image; any integers.
        P: people a batch, over all processes.
        K: images a person.
        seed: with the epoch's number it decides everything.
        remainder: ``discard`` or ``pad``.
        rank: number of this process, from 0.
        world: number of processes; it must divide P.

    Raises:
        UsageError: fewer than P people, P or K below 2, processes that cannot share P, or a number out of range.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        P: int,
        K: int,
        *,
        seed: int = 0,
        remainder: str = "discard",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        check_place(seed, rank, world)
        if P < 2 or K < 2:
            raise UsageError(f"a batch of {P} people x {K} images: both must be 2 or more, or there are no pairs to learn from.")
        if P % world:
            raise UsageError(
                f"{P} people a batch cannot be shared by {world} processes: P must be a multiple of {world}. "
                f"Nearest: {nearest_multiples(P, world)}."
            )
        if remainder not in REMAINDERS:
            raise UsageError(f'remainder is "{remainder}"; allowed: {", ".join(REMAINDERS)}.')
        order = np.argsort(np.asarray(labels, dtype=np.int64), kind="stable")
        _, starts = np.unique(np.asarray(labels, dtype=np.int64)[order], return_index=True)
        self._images = np.split(order, starts[1:]) if len(order) else []
        if len(self._images) < P:
            raise UsageError(
                f"a batch of {P} people x {K} images: the training images show {len(self._images)} people. "
                + (f"Lower batch_size to {len(self._images) * K} or less." if len(self._images) > 1 else "Two are the least.")
            )
        self.P, self.K, self.seed, self.remainder, self.rank, self.world = P, K, seed, remainder, rank, world
        sizes = np.array([len(images) for images in self._images])
        self._groups = np.maximum(1, -(-sizes // K) if remainder == "pad" else sizes // K)
        self._length = most_batches(self._groups, P)

    def __len__(self) -> int:
        return self._length

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of the 0-based epoch `number`, P / world x K positions each."""
        generator = _generator(self.seed, number)
        groups = [self._grouped(images, generator) for images in self._images]
        people = drawn(self._groups, self.P, self._length, generator)
        batches = [[position for person in batch for position in next(groups[person])] for batch in people]
        return [_share(batch, self.rank, self.world) for batch in batches]

    def _grouped(self, images: np.ndarray, generator: np.random.Generator) -> Iterator[list[int]]:
        order = generator.permutation(images)
        if len(order) < self.K:
            order = np.resize(order, self.K)
        elif self.remainder == "pad" and len(order) % self.K:
            last = order[-(len(order) % self.K) :]
            others = generator.permutation(np.setdiff1d(images, last))
            order = np.concatenate([order, others[: self.K - len(last)]])
        whole = order[: len(order) // self.K * self.K].reshape(-1, self.K)
        return iter(whole.tolist())


def drawn(groups: np.ndarray, P: int, length: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Whose groups stand in each batch: P different owners of groups a time.

    Args:
        groups: groups of each owner.
        P: owners a batch.
        length: batches, `most_batches` at the most.
        generator: what decides.
    """
    left = _rationed(np.minimum(groups, length), P * length, generator)
    for batches_left in range(length, 0, -1):
        # Largest u^(1/w) is a draw without replacement with weights w (Efraimidis and Spirakis 2006); whoever has a group
        # for each batch that is left comes first, and there are never more than P of those.
        keys = np.log1p(-generator.random(len(left))) / np.maximum(left, 1)
        keys = np.where(left == batches_left, keys + 1e300, np.where(left == 0, -np.inf, keys))
        chosen = np.argpartition(keys, -P)[-P:]
        left[chosen] -= 1
        yield generator.permutation(np.sort(chosen))


def identities_per_batch(batch_size: int, images_per_identity: int, world: int = 1) -> int:
    """P from the size of a global batch and K.

    Raises:
        UsageError: the batch cannot be cut into K images of each person and equal shares; the nearest sizes that can are named.

    >>> identities_per_batch(64, 4)
    16
    """
    if images_per_identity < 2:
        raise UsageError(f"images_per_identity is {images_per_identity}: pairs of one person need 2 or more images.")
    unit = images_per_identity * world
    if batch_size % unit or batch_size < 2 * images_per_identity:
        shared = f", shared by {world} processes" if world > 1 else ""
        smallest = unit * (2 if world == 1 else 1)
        raise UsageError(
            f"batch_size {batch_size} is no batch of P people x {images_per_identity} images{shared}: it must be a multiple of "
            f"{unit}, at least {smallest}. Nearest: {nearest_multiples(batch_size, unit, smallest)}."
        )
    return batch_size // images_per_identity


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _share(batch: list[int], rank: int, world: int) -> list[int]:
    if world == 1:
        return batch
    size = len(batch) // world
    return batch[rank * size : (rank + 1) * size]


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}: a batch holds 1 image or more.")


def check_place(seed: int, rank: int, world: int) -> None:
    """Refuse a seed below 0 and a process that there cannot be."""
    if seed < 0:
        raise UsageError(f"seed is {seed}: give 0 or more.")
    if world < 1 or not 0 <= rank < world:
        raise UsageError(f"process {rank} of {world}: processes count from 0 to their number less 1.")


def nearest_multiples(value: int, unit: int, smallest: int | None = None) -> str:
    """The multiples of `unit` around `value`, from `smallest` on, as a part of a sentence."""
    smallest = unit if smallest is None else smallest
    below = max(smallest, value // unit * unit)
    above = below if below >= value else below + unit
    return str(below) if above == below else f"{below} or {above}"


def most_batches(groups: np.ndarray, P: int) -> int:
    """The largest number of batches of P different people: the largest b with sum(min(groups, b)) >= P b."""
    low, high = 1, int(groups.sum()) // P
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(groups, middle).sum() >= P * middle else (low, middle - 1)
    return low


def _rationed(groups: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """Drop groups at random until `total` are left: second and further ones of a person before anyone's only one."""
    further = np.repeat(np.arange(len(groups)), groups - 1)
    spare = int(groups.sum()) - total
    dropped = generator.permutation(further)[:spare]
    left = groups - np.bincount(dropped, minlength=len(groups))
    without = generator.permutation(len(groups))[: max(0, spare - len(further))]
    left[without] = 0
    return left
