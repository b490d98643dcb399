"""What travels from a loader to a step, and the loaders.

A training batch is a pure function of (seed, epoch, position): the augmentation of each image is drawn from a generator of its
own, so neither the number of workers nor a resume in the middle of an epoch changes a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from passerby.datasets.images import read_image
from passerby.errors import DataError, PasserbyError, UsageError
from passerby.records import Split
from passerby.samplers import Sampler, SequentialSampler, check_share

__all__ = ["Batch", "EvalLoader", "TrainLoader"]


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


Augment = Callable[[Image.Image, np.random.Generator], Tensor]
_Ticket = tuple[int, int, int]  # epoch, place in the epoch, position in the split


class _Pictures(Dataset[Any]):
    """Reads and transforms; an error travels as a value, because a worker would wrap it into its traceback."""

    def __init__(self, split: Split, transform: Augment, seed: int) -> None:
        self.paths, self.transform, self.seed = [record.path for record in split], transform, seed

    def __getitem__(self, ticket: _Ticket) -> Tensor | PasserbyError:
        epoch, place, position = ticket
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, epoch, place])))
        try:
            return self.transform(read_image(self.paths[position]), random)
        except PasserbyError as error:
            return error


def _collate(items: list[Tensor | PasserbyError]) -> Tensor | PasserbyError:
    errors = [item for item in items if isinstance(item, PasserbyError)]
    return errors[0] if errors else torch.stack(items)  # pyright: ignore[reportArgumentType, reportCallIssue]


class _Plan:
    """The tickets of the present epoch; a mutable list, so that the workers outlive the epoch."""

    def __init__(self) -> None:
        self.tickets: list[list[_Ticket]] = []

    def __iter__(self) -> Iterator[list[_Ticket]]:
        return iter(self.tickets)

    def __len__(self) -> int:
        return len(self.tickets)


class _Reader:
    """Planned tickets in, batches out, over any number of workers."""

    def __init__(
        self, split: Split, transform: Augment, seed: int, workers: int, labels: Sequence[int], domains: tuple[str, ...]
    ) -> None:
        if workers < 0:
            raise UsageError(f"workers is {workers}: give 0 (no processes) or more.")
        number = {domain: position for position, domain in enumerate(domains)}
        self._labels = torch.as_tensor(np.asarray(labels, dtype=np.int64))
        self._camids = torch.as_tensor(split.camids)
        self._domains = torch.tensor([number[record.domain] for record in split], dtype=torch.int64)
        self._plan = _Plan()
        self._loader = DataLoader(
            _Pictures(split, transform, seed),
            batch_sampler=self._plan,  # pyright: ignore[reportArgumentType]
            collate_fn=_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def batches(self, tickets: list[list[_Ticket]]) -> Iterator[Batch]:
        self._plan.tickets = tickets
        for planned, inputs in zip(tickets, self._loader, strict=True):
            if isinstance(inputs, PasserbyError):
                raise inputs
            indices = torch.tensor([position for _, _, position in planned], dtype=torch.int64)
            yield Batch(inputs, self._labels[indices], self._camids[indices], self._domains[indices], indices)


def _domains_of(split: Split) -> tuple[str, ...]:
    return tuple(sorted({record.domain for record in split}))


class TrainLoader:
    """Augmented batches by epoch, a pure function of (seed, epoch, position).

    Args:
        split: training images.
        label_map: (domain, pid) -> class, for instance `split.label_map()`.
        transform: PIL image and generator -> (3, H, W) uint8, for instance `TrainTransforms`.
        sampler: which positions stand together.
        seed: of the augmentation.
        workers: processes that decode; 0 decodes in this one.
        rank: this process among those that train together.
        world: how many those are; each takes its contiguous share of every batch.
        group: images of a batch that must stay in one process (K of the identity sampler).

    Attributes:
        domains: domain names in the order of `Batch.domains`.

    Raises:
        DataError: no images, or a person without a class.
        UsageError: the batch cannot be cut into equal shares.
    """

    def __init__(
        self,
        split: Split,
        label_map: Mapping[tuple[str, int], int],
        transform: Augment,
        sampler: Sampler,
        *,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        group: int = 1,
    ) -> None:
        if not len(split):
            raise DataError("the training split is empty: there is nothing to train on. Try: passerby data check PATH")
        strangers = sorted({(record.domain, record.pid) for record in split} - set(label_map))
        if strangers:
            raise DataError(
                f"person {strangers[0][1]} of {strangers[0][0]} has no training class ({len(strangers)} such people)."
            )
        check_share(sampler.batch_size, world, group)
        self.sampler, self.domains = sampler, _domains_of(split)
        self._share = slice(rank * sampler.batch_size // world, (rank + 1) * sampler.batch_size // world)
        labels = [label_map[record.domain, record.pid] for record in split]
        self._reader = _Reader(split, transform, seed, workers, labels, self.domains)

    def __len__(self) -> int:
        return len(self.sampler)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of the 0-based epoch `number` from the 0-based batch `start` on; those before are not read.

        Raises:
            ImageError: an image cannot be decoded.
        """
        size = self.sampler.batch_size
        tickets = [
            [(number, batch * size + place, position) for place, position in enumerate(positions)][self._share]
            for batch, positions in enumerate(self.sampler.epoch(number))
            if batch >= start
        ]
        return self._reader.batches(tickets)


class EvalLoader:
    """A split in its own order; labels are the data set's pids.

    Args:
        split: images.
        transform: PIL image -> (3, H, W) uint8, for instance `EvalTransform`.
        batch_size: images a batch; the last may be shorter.
        workers: processes that decode; 0 decodes in this one.
    """

    def __init__(self, split: Split, transform: Callable[[Image.Image], Tensor], *, batch_size: int, workers: int = 0) -> None:
        self.sampler, self.domains = SequentialSampler(len(split), batch_size), _domains_of(split)
        self._reader = _Reader(split, _Plainly(transform), 0, workers, split.pids.tolist(), self.domains)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        tickets = [[(0, position, position) for position in positions] for positions in self.sampler.epoch(0)]
        return self._reader.batches(tickets)


@dataclass(frozen=True)
class _Plainly:
    """A transform without chance, in the form of one with it."""

    transform: Callable[[Image.Image], Tensor]

    def __call__(self, image: Image.Image, random: np.random.Generator) -> Tensor:
        return self.transform(image)
