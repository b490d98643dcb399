"""A network of coloured points that embeds: clouds instead of pictures, everything else as for pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from passerby.batches import stacked
from passerby.embedder.network import Embedder
from passerby.errors import UsageError
from passerby.points import CloudPreprocess, EvalClouds
from passerby.transforms import Preprocess

__all__ = ["CloudEmbedder", "CloudLike", "embedder_for"]

CloudLike: TypeAlias = "str | os.PathLike[str] | np.ndarray | Tensor"
"""A file, or an (N, 6) float array or tensor: x, y, z in metres and colours from 0 to 1."""


class CloudEmbedder(Embedder):
    """A network that turns clouds of coloured points into vectors; see `Embedder` for its arguments.

    A scale of the rule is a factor of the coordinates, so that ``scales=(1, 1.1)`` adds the cloud enlarged by a tenth; ``flip``
    adds its mirror image. The clouds of one batch must have equal numbers of points.

    Example::

        embedder = passerby.load("runs/og-net/artefact")
        vectors = embedder(["0002_c1s1_000451_03.jpg.obj", "b.npz"])   # (2, D) float32, unit rows
    """

    def _settle_scales(self) -> None:
        if self.rule.compound:
            raise UsageError(
                "compound scales resize pictures: for clouds leave compound off, each scale acts on the cloud itself."
            )
        self._transform = EvalClouds(self.preprocess)  # pyright: ignore[reportArgumentType]

    def _each(self, images: Any) -> Iterator[Any]:
        single = isinstance(images, (str, os.PathLike)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 2)
        yield from (images,) if single else images  # pyright: ignore[reportGeneralTypeIssues]

    def decoded(self, batches: Iterable[Sequence[Any]]) -> Iterator[list[Tensor]]:
        """Read batches ahead, in threads: yields what `forward` takes, one batch after the other.

        Raises:
            DataError: a cloud that cannot be used, or clouds of unequal numbers of points.
        """
        for named in super().decoded(batches):
            names, clouds = zip(*named, strict=True)
            yield [stacked(clouds, names)]

    def _handed_out(self, batch: Sequence[Any], pool: Executor) -> tuple[list[Any], list[Future[None]]]:
        """Room for the clouds of one batch with their names, and the tasks that fill it."""
        room: list[Any] = [None] * len(batch)

        def fill(position: int) -> None:
            item, transform = batch[position], self._transform
            if isinstance(item, (str, os.PathLike)):
                room[position] = os.path.basename(item), transform(transform.read(item))  # noqa: PTH119 (text, too)
            else:
                room[position] = f"cloud {position}", transform(transform.preprocess.checked(item))

        return room, [pool.submit(fill, position) for position in range(len(batch))]

    def _inputs(self, scales: Sequence[Tensor]) -> Iterator[Tensor]:
        cloud = scales[0].to(self.device, non_blocking=True)
        for scale in self.rule.scales:
            yield cloud * torch.tensor([scale] * 3 + [1.0] * 3, device=self.device)

    def _views(self, inputs: Tensor, flip: bool) -> Iterator[Tensor]:
        yield inputs
        if flip:
            yield inputs * torch.tensor([-1.0] + [1.0] * 5, device=self.device)


def embedder_for(preprocess: Preprocess | CloudPreprocess) -> Callable[..., Embedder]:
    """Who embeds with networks of this input, pictures or clouds; its arguments are those of `Embedder`."""
    return CloudEmbedder if isinstance(preprocess, CloudPreprocess) else Embedder
