"""What travels from a loader to a step, and the loaders: decoded in workers, 8-bit until they are on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from passerby.datasets.images import read_image
from passerby.errors import DataError, PasserbyError, UsageError, listing
from passerby.records import Record, Split
from passerby.samplers import Sampler

__all__ = ["Batch", "EvalLoader", "JoinedLoader", "TrainLoader", "Transform", "labels_of", "stacked"]


class Transform(Protocol):
    """What a loader asks of a transform: `TrainTransforms`, `EvalTransform`, `TrainClouds`, `EvalClouds`, or a recipe's own.

    A transform of something else than pictures has a method ``read(path)`` beside it, whose result it is called with.
    """

    def __call__(self, image: Any, generator: np.random.Generator, /) -> Tensor:
        """One image's tensor; every random choice comes from `generator`."""
        ...


@dataclass(frozen=True)
class Batch:
    """One batch, all tensors on one device.

    Attributes:
        inputs: (B, 3, H, W) images, or (B, N, 6) coloured points.
        labels: (B,) int64 training classes, or pids where there are no classes.
        camids: (B,) int64 camera numbers inside their domain.
        domains: (B,) int64 domain numbers, in the order of the loader's `domains`.
        indices: (B,) int64 positions in the split, so that a row can be traced back to its file.
    """

    inputs: Tensor
    labels: Tensor
    camids: Tensor
    domains: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


class TrainLoader:
    """Augmented training batches, the same for every number of workers and processes.

    The random choices for an image follow from (seed, epoch, number of the batch, position in the split, how many times the
    batch has shown that position before), so nothing depends on who decodes it or on where a run was resumed.

    Args:
        split: training images.
        label_map: (domain, pid) -> training class; `Split.label_map` makes it.
        transform: picture -> (3, H, W) uint8.
        sampler: the batches of each epoch.
        seed: of the augmentation.
        workers: processes that decode; 0 decodes in the calling one.

    Attributes:
        domains: sorted domain names; `Batch.domains` are positions in it.
        names: the file of every position.

    Raises:
        DataError: no image, or people without a class.
        UsageError: a number below 0.
    """

    def __init__(
        self,
        split: Split,
        label_map: Mapping[tuple[str, int], int],
        transform: Transform,
        sampler: Sampler,
        *,
        seed: int,
        workers: int = 0,
    ) -> None:
        if seed < 0:
            raise UsageError(f"seed is {seed}: give 0 or more.")
        self.sampler, self.seed = sampler, seed
        self._columns = _Columns(split, label_map)
        self._images = _Images(split, transform, workers)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domain names in the order of their numbers."""
        return self._columns.domains

    @property
    def names(self) -> list[str]:
        """The file of every position of the split."""
        return [str(record.path) for record in self._images.records]

    def __len__(self) -> int:
        return len(self.sampler)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            number: 0-based epoch.
            start: 0-based batch to begin with; the images of those before it are not read.

        Raises:
            ImageError: an image cannot be decoded.
            UsageError: the sampler was made for another split, or another epoch was begun before this one's end.
        """
        batches = self.sampler.epoch(number)
        keys = [_keys(positions, (self.seed, number, i)) for i, positions in enumerate(batches) if i >= start]
        return self._columns.batches(batches[start:], self._images.in_order(keys))


@dataclass(frozen=True)
class JoinedLoader:
    """Batches of one loader beside batches of others: ``(own, other, ...)``. The first one's length is the epoch.

    The others begin anew when they run out, in another order, whatever the length of an epoch. What they give depends on the
    epoch and the batch alone, so a run resumes in the middle of either.

    Attributes:
        loader: decides how long an epoch is.
        beside: give one batch each beside every batch of `loader`.
        first: 0-based epoch in which the others join; before it the batches of `loader` come alone.
    """

    loader: TrainLoader
    beside: tuple[TrainLoader, ...]
    first: int = 0

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch | tuple[Batch, ...]]:
        """The batches of the 0-based epoch `number`, from the 0-based batch `start` on."""
        own = self.loader.epoch(number, start)
        if number < self.first:
            return own
        position = number * len(self.loader) + start
        return zip(own, *(_endless(loader, position) for loader in self.beside), strict=False)


def _endless(loader: TrainLoader, position: int) -> Iterator[Batch]:
    """The batches of epoch after epoch, from the batch `position` of all of them on."""
    length = len(loader)
    while True:
        yield from loader.epoch(position // length, position % length)
        position += length - position % length


class EvalLoader:
    """All images of a split in order, without random changes.

    Args:
        split: images.
        transform: picture -> (3, H, W) uint8.
        batch_size: images a batch; the last one holds what is left.
        workers: processes that decode; 0 decodes in the calling one.
        label_map: (domain, pid) -> training class, to measure a classifier; None puts pids into `Batch.labels`.

    Raises:
        DataError: no image, or people without a class.
        UsageError: a number out of range.
    """

    def __init__(
        self,
        split: Split,
        transform: Transform,
        *,
        batch_size: int,
        workers: int = 0,
        label_map: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}: a batch holds 1 image or more.")
        everything = list(range(len(split)))
        self._batches = [everything[start : start + batch_size] for start in range(0, len(split), batch_size)]
        self._columns = _Columns(split, label_map)
        self._images = _Images(split, transform, workers)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domain names in the order of their numbers."""
        return self._columns.domains

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        keys = [_keys(positions, (0, 0, i)) for i, positions in enumerate(self._batches)]
        return self._columns.batches(self._batches, self._images.in_order(keys))


def labels_of(split: Split, label_map: Mapping[tuple[str, int], int]) -> Tensor:
    """(N,) int64 training classes of a split's records.

    Raises:
        DataError: people without a class.
    """
    unknown = sorted({(record.domain, record.pid) for record in split} - label_map.keys())
    if unknown:
        people = listing(f"{pid} of {domain}" for domain, pid in unknown)
        raise DataError(f"the label map has no class for pid {people}. Make it from these training images: split.label_map().")
    return torch.tensor([label_map[record.domain, record.pid] for record in split])


Key = tuple[int, tuple[int, ...]]
"""A position in the split, and what its random choices follow from."""


def _keys(positions: Sequence[int], batch: tuple[int, ...]) -> list[Key]:
    seen: dict[int, int] = {}
    keys = []
    for position in positions:
        seen[position] = seen.get(position, -1) + 1
        keys.append((position, (*batch, position, seen[position])))
    return keys


class _Columns:
    """What a batch holds beside its images, looked up by position."""

    def __init__(self, split: Split, label_map: Mapping[tuple[str, int], int] | None) -> None:
        if len(split) == 0:
            raise DataError("there is no image to load: the split is empty.")
        self.domains = tuple(sorted({record.domain for record in split}))
        number = {domain: i for i, domain in enumerate(self.domains)}
        self.domain_numbers = torch.tensor([number[record.domain] for record in split])
        self.camids = torch.from_numpy(split.camids)
        self.labels = torch.from_numpy(split.pids) if label_map is None else labels_of(split, label_map)

    def batches(self, positions: Sequence[Sequence[int]], images: Iterator[Tensor]) -> Iterator[Batch]:
        worst = max((max(batch) for batch in positions), default=-1)
        if worst >= len(self.labels):
            raise UsageError(f"the sampler asks for image {worst} of {len(self.labels)}: it was made for another split.")
        return self._batches(positions, images)

    def _batches(self, positions: Sequence[Sequence[int]], images: Iterator[Tensor]) -> Iterator[Batch]:
        for batch, inputs in zip(positions, images, strict=True):
            rows = torch.tensor(batch)
            yield Batch(inputs, self.labels[rows], self.camids[rows], self.domain_numbers[rows], rows)


class _Images:
    """The images of a split, batch by batch; workers stay alive between passes."""

    def __init__(self, split: Split, transform: Transform, workers: int) -> None:
        if workers < 0:
            raise UsageError(f"workers is {workers}: give 0 (decode in this process) or more.")
        self.records, self._plan = split.records, _Plan()
        self._decoder, self._workers = _Decoder(split.records, transform), workers
        self._loader: DataLoader | None = None
        self._passes = 0

    def in_order(self, keys: list[list[Key]]) -> Iterator[Tensor]:
        """The batches of `keys`, decoded ahead by the workers."""
        self._passes += 1
        this_pass = self._passes
        self._plan.batches = keys
        if self._loader is None:
            self._loader = self._started()
        batches = iter(self._loader)
        for _ in keys:
            if self._passes != this_pass:
                raise UsageError("a pass over this loader was begun before the one before it had ended: use one loader each.")
            batch = next(batches)
            if isinstance(batch, PasserbyError):
                raise batch
            yield batch

    def _started(self) -> DataLoader:
        return DataLoader(
            self._decoder,
            batch_sampler=self._plan,
            num_workers=self._workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self._workers > 0,
            generator=torch.Generator(),  # else every pass would draw from the generator that dropout uses
        )


class _Decoder(Dataset):
    """Decodes a batch in one call.

    A picture that cannot be decoded comes back as its error, because torch would wrap one that is raised in a worker into
    several lines.
    """

    def __init__(self, records: tuple[Record, ...], transform: Transform) -> None:
        self.records, self.transform = records, transform
        self.read = getattr(transform, "read", read_image)

    def __getitem__(self, key: Key) -> Tensor:
        position, entropy = key
        return self.transform(self.read(self.records[position].path), np.random.default_rng(entropy))

    def __getitems__(self, keys: list[Key]) -> Tensor | PasserbyError:
        try:
            return stacked([self[key] for key in keys], [self.records[position].path.name for position, _ in keys])
        except PasserbyError as error:
            return error


class _Plan:
    """The batches of the present pass; torch's loader reads it anew at each pass."""

    def __init__(self) -> None:
        self.batches: list[list[Key]] = []

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _as_it_is(batch: object) -> object:
    return batch


def stacked(tensors: Sequence[Tensor], names: Sequence[str]) -> Tensor:
    """(B, ...); images stay in the channels-last memory that transforms make.

    Raises:
        DataError: inputs of unequal sizes.
    """
    for tensor, name in zip(tensors, names, strict=True):
        if tensor.shape != tensors[0].shape:
            raise DataError(
                f"a batch holds inputs of one size: {names[0]} gives {tuple(tensors[0].shape)}, {name} "
                f"{tuple(tensor.shape)}. Clouds need equal numbers of points: make all from images of one size."
            )
    if tensors[0].ndim == 3:
        return torch.stack([tensor.permute(1, 2, 0) for tensor in tensors]).permute(0, 3, 1, 2)
    return torch.stack(list(tensors))
