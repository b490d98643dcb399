"""Batches in which every domain has the same share."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from passerby.errors import UsageError, listing
from passerby.samplers.plain import IdentitySampler, check_place, nearest_multiples

__all__ = ["DomainBalancedSampler"]


class DomainBalancedSampler:
    """P identities x K images of every domain in every batch: small domains are shown more often than large ones.

    Each domain's images are cut into groups of K as `IdentitySampler` does it (what does not fill a group is filled up), and each
    domain gives the same number of people to every batch. One that runs out begins anew, in another order; the epoch ends when
    the one that lasts longest has run out. In every process's share each domain has the same share again.

    Differs from the paper: no person stands twice in a batch, and every epoch has the same length; the published code draws
    groups until each domain was refilled once.

    Args:
        domains: (N,) the domain of every image: a data set, or a camera as (data set, number); anything that can be a key.
        labels: (N,) the person of every image. One whom two domains see is sampled in each for itself.
        batch_size: images a batch, over all processes; a multiple of domains x K x processes.
        K: images a person.
        seed: with the epoch's number it decides everything.
        rank: number of this process, from 0.
        world: number of processes.
        called: what the user knows the batch size as, for errors.

    Attributes:
        domains: the domains, in the order in which they stand in a batch.
        P: people of each domain in a batch.

    Raises:
        UsageError: one domain only, a batch that cannot be cut (the nearest that can are named), a domain with too few people,
            or a number out of range.
    """

    def __init__(
        self,
        domains: Sequence[Hashable],
        labels: Sequence[int] | np.ndarray,
        batch_size: int,
        K: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        called: str = "batch_size",
    ) -> None:
        check_place(seed, rank, world)
        if K < 2:
            raise UsageError(f"{K} images a person: 2 or more, or there are no pairs to learn from.")
        if len(domains) != len(labels):
            raise UsageError(f"{len(domains)} domains and {len(labels)} labels: give one of each an image.")
        self.domains: tuple[Hashable, ...] = tuple(sorted(set(domains), key=_order))
        if len(self.domains) < 2:
            raise UsageError(f"the training images come from {len(self.domains)} domain: two are the least to balance.")
        unit = len(self.domains) * K * world
        smallest = unit * (2 if world == 1 else 1)
        if batch_size % unit or batch_size < smallest:
            shared = f", shared by {world} processes" if world > 1 else ""
            raise UsageError(
                f"{called} {batch_size} is no batch of {len(self.domains)} domains x P people x {K} images{shared}: it must "
                f"be a multiple of {unit}, at least {smallest}. Nearest: {nearest_multiples(batch_size, unit, smallest)}."
            )
        self.P, self.K, self.rank, self.world = batch_size // (len(self.domains) * K), K, rank, world
        number = {domain: i for i, domain in enumerate(self.domains)}
        of_image, people = np.array([number[domain] for domain in domains]), np.asarray(labels, dtype=np.int64)
        self._positions = [np.flatnonzero(of_image == i) for i in range(len(self.domains))]
        few = [d for d, own in zip(self.domains, self._positions, strict=True) if len(np.unique(people[own])) < self.P]
        if few:
            raise UsageError(
                f"a batch takes {self.P} people of each domain; {listing(map(_shown, few))} has fewer. Lower {called} to a "
                f"smaller multiple of {unit}, or leave that domain out."
            )
        self._samplers = [
            IdentitySampler(people[own], self.P, K, seed=_seed(seed, i), remainder="pad") for i, own in enumerate(self._positions)
        ]

    def __len__(self) -> int:
        return max(map(len, self._samplers))

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of the 0-based epoch `number`: this process's P / world x K positions of each domain in turn."""
        streams = [self._stream(i, number) for i in range(len(self.domains))]
        return [[position for stream in streams for position in next(stream)] for _ in range(len(self))]

    def _stream(self, domain: int, number: int) -> Iterator[list[int]]:
        sampler, positions = self._samplers[domain], self._positions[domain]
        refills = -(-len(self) // len(sampler))
        size = self.P * self.K // self.world
        for refill in range(refills):
            for batch in sampler.epoch(number * refills + refill):
                yield positions[batch[self.rank * size : (self.rank + 1) * size]].tolist()


def _order(domain: Hashable) -> tuple[str, str]:
    """Keys of any kind in one order; camera 10 of a data set after its camera 9."""
    if isinstance(domain, tuple) and len(domain) == 2 and isinstance(domain[1], int):
        return str(domain[0]), f"{domain[1]:09d}"
    return str(domain), ""


def _shown(domain: Hashable) -> str:
    return f"camera {domain[1] + 1} of {domain[0]}" if isinstance(domain, tuple) else str(domain)


def _seed(seed: int, domain: int) -> int:
    """One integer from two, so that domains of equal make are not shuffled alike."""
    return int(np.random.SeedSequence([seed, domain]).generate_state(1)[0])
