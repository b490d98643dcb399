"""Batches of people of one domain, or of a few: whom a triplet is compared with are people of the same place."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from passerby.errors import UsageError
from passerby.samplers.plain import IdentitySampler, check_place, drawn, most_batches, nearest_multiples

__all__ = ["FewDomainsSampler"]


class FewDomainsSampler:
    """P identities x K images of `count` domains a batch, P / count people of each.

    Where training images come from many places, the other people of a batch mostly are of other places than the anchor, and their
    background alone tells them apart. Each domain's people are put together as `IdentitySampler` does it; what it gives is a part
    of a batch, and a batch takes parts of `count` different domains, drawn with chances by what is left of each. Domains with
    many people give more batches than those with few; an epoch has the same length every time.

    Args:
        domains: (N,) the domain of every image; anything that can be a key and be sorted.
        labels: (N,) the person of every image; any integers.
        P: people a batch, over all processes.
        K: images a person.
        count: domains a batch; it must divide P.
        seed: with the epoch's number it decides everything.
        rank: number of this process, from 0.
        world: number of processes; it must divide P.

    Raises:
        UsageError: fewer domains than `count`, P that `count` or the processes cannot share, a domain with fewer than P / count
            people, or a number out of range.
    """

    def __init__(
        self,
        domains: Sequence[Hashable],
        labels: Sequence[int] | np.ndarray,
        P: int,
        K: int,
        count: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        check_place(seed, rank, world)
        if len(domains) != len(labels):
            raise UsageError(f"{len(domains)} domains and {len(labels)} labels: give one of each an image.")
        names = sorted(set(domains), key=str)
        if not 1 <= count <= len(names):
            raise UsageError(f"{count} domains a batch: training images come from {len(names)}; allowed is 1 to {len(names)}.")
        unit = count * world // np.gcd(count, world)
        if P % unit or 2 * count > P:
            shared = f", shared by {world} processes" if world > 1 else ""
            raise UsageError(
                f"{P} people a batch are not shared by {count} domains{shared}, two of each at least. "
                f"Nearest: {nearest_multiples(P, int(unit), 2 * count)}."
            )
        number = {name: k for k, name in enumerate(names)}
        of_image, people = np.array([number[name] for name in domains]), np.asarray(labels, dtype=np.int64)
        self._positions = [np.flatnonzero(of_image == k) for k in range(len(names))]
        for name, positions in zip(names, self._positions, strict=True):
            there = len(np.unique(people[positions]))
            if there < P // count:
                raise UsageError(
                    f"a batch of {P} people of {count} domains: {name} has {there} people, {P // count} are needed. "
                    "Lower batch_size, or raise domains_per_batch."
                )
        seeds = np.random.SeedSequence([seed, len(names)]).generate_state(len(names)).tolist()
        self._parts = [
            IdentitySampler(people[positions], P // count, K, seed=own)
            for positions, own in zip(self._positions, seeds, strict=True)
        ]
        self.P, self.K, self.count, self.seed, self.rank, self.world = P, K, count, seed, rank, world
        self._groups = np.array([len(part) for part in self._parts])
        self._length = most_batches(self._groups, count)

    def __len__(self) -> int:
        return self._length

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of the 0-based epoch `number`, P / world x K positions each."""
        parts = [iter(part.epoch(number)) for part in self._parts]
        generator, size = np.random.default_rng([self.seed, number]), self.P * self.K // self.world
        batches = []
        for chosen in drawn(self._groups, self.count, self._length, generator):
            whole = [int(self._positions[domain][place]) for domain in chosen for place in next(parts[domain])]
            batches.append(whole[self.rank * size : (self.rank + 1) * size])
        return batches
