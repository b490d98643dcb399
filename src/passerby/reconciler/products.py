"""Dot products of queries and gallery, block by block: float32 ones, or rough ones of rows rounded to 8 bits.

Many processors multiply 8-bit integers several times as fast as floats. A rounded row is off by about a hundredth of its length
in a random direction, which moves a cosine by some ten-thousandths and a mean over queries by far less: enough to tell that a
ranking is nowhere near a claim, and never what is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from passerby.embeddings import Embeddings
from passerby.reconciler.profiles import View
from passerby.rerank.joined import Dots

__all__ = ["Products", "Rounded", "rounding_pays"]

_ROWS = 512
_PROBE = 256, 2048  # rows and columns of the products that are timed
_GAIN = 1.5  # times faster than float32 products, from where on rough ones pay


class Rounded(NamedTuple):
    """Rows as 8-bit integers.

    Attributes:
        values: (N, D) int8.
        scale: (N,) float32; ``values * scale[:, None]`` are the rows, about.
    """

    values: np.ndarray
    scale: np.ndarray

    @staticmethod
    def of(vectors: np.ndarray) -> Rounded:
        """Round the rows of an (N, D) float32 matrix, each by its own largest number."""
        import torch

        values, scale = np.empty(vectors.shape, dtype=np.int8), np.empty(len(vectors), dtype=np.float32)
        for first in range(0, len(vectors), _ROWS):
            part = torch.from_numpy(vectors[first : first + _ROWS])
            largest = part.abs().amax(dim=1, keepdim=True)
            step = torch.where(largest > 0, largest, 1) / 127
            scale[first : first + _ROWS] = step[:, 0].numpy()
            values[first : first + _ROWS] = (part / step).round_().to(torch.int8).numpy()
        return Rounded(values, scale)

    def products(self, others: Rounded, out: np.ndarray) -> None:
        """Fill `out` (n, N) int32 with the dot products of the integers, exact."""
        import torch

        torch._int_mm(torch.from_numpy(self.values), torch.from_numpy(others.values).T, out=torch.from_numpy(out))  # pyright: ignore[reportPrivateImportUsage]

    def scaled(self, others: Rounded, integers: np.ndarray, out: np.ndarray) -> None:
        """Turn what `products` gave into products of the rows, in `out` (n, N) float32."""
        import torch

        found = torch.from_numpy(out)
        torch.mul(torch.from_numpy(integers), torch.from_numpy(others.scale), out=found)
        found *= torch.from_numpy(self.scale)[:, None]


def rounding_pays(dim: int) -> bool:
    """Whether this machine has right products of 8-bit integers, and much faster ones than float32 products."""
    random = np.random.default_rng(0)
    one, other = (Rounded.of(random.standard_normal((rows, dim), dtype=np.float32)) for rows in _PROBE)
    floats = [part.values.astype(np.float32) for part in (one, other)]
    took: dict[str, list[float]] = {"float": [], "int": []}
    found = np.empty(_PROBE, dtype=np.int32)
    for _ in range(3):
        start = time.perf_counter()
        expected = floats[0] @ floats[1].T
        took["float"].append(time.perf_counter() - start)
        start = time.perf_counter()
        try:
            one.products(other, found)
        except (AttributeError, RuntimeError, NotImplementedError):
            return False
        took["int"].append(time.perf_counter() - start)
    right = np.abs(found - expected).max() <= 1e-6 * dim * 127**2  # some processors saturate
    return bool(right) and _GAIN * min(took["int"]) < min(took["float"])


@dataclass
class Products:
    """The products of some queries with a gallery, of vectors that one factor keeps in range.

    Attributes:
        query: (Q, D).
        gallery: (G, D).
        lengths: (G,) of the gallery's vectors.
        rounded: the gallery, rounded, for rough products; None for exact ones.
        keep: whether exact ones are kept for who asks again.
    """

    query: Embeddings
    gallery: Embeddings
    lengths: np.ndarray
    rounded: Rounded | None = None
    keep: bool = False
    kept: np.ndarray | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._factor = max(float(self.lengths.max()), float(self.query.lengths().max()))

    def blocks(self) -> Iterator[np.ndarray]:
        """(rows, G) float32; the next block overwrites the one before unless they are kept."""
        Q, G = len(self.query), len(self.gallery)
        if self.kept is not None:
            yield from (self.kept[first : first + _ROWS] for first in range(0, Q, _ROWS))
            return
        shrunk = np.float32((1 / self._factor) ** 2)
        out = np.empty((Q if self.keep else min(_ROWS, Q), G), dtype=np.float32)
        integers = np.empty((0 if self.rounded is None else min(_ROWS, Q), G), dtype=np.int32)
        for first in range(0, Q, _ROWS):
            part = self.query.vectors[first : first + _ROWS] * shrunk
            block = out[first : first + len(part)] if self.keep else out[: len(part)]
            if self.rounded is None:
                np.matmul(part, self.gallery.vectors.T, out=block)
            else:
                rough = Rounded.of(part)
                rough.products(self.rounded, integers[: len(part)])
                rough.scaled(self.rounded, integers[: len(part)], block)
            yield block
        self.kept = out if self.keep else None

    def view(self, distance: str, order: np.ndarray) -> View:
        """How these products become similarities by `distance`."""
        lengths = (self.lengths / self._factor)[order]
        one = np.ones(len(order), dtype=np.float32)
        if distance == "cosine":
            return View(order, (1 / lengths).astype(np.float32), 0 * one)
        return View(order, one, (lengths**2 / 2).astype(np.float32) if distance == "euclidean" else 0 * one)

    def known(self) -> Dots | None:
        """What is kept, for re-ranking."""
        return None if self.kept is None else Dots(self.kept, self._factor**2)
