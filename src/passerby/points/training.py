"""Random changes of clouds in training."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from passerby.errors import UsageError
from passerby.points.preprocess import CloudPreprocess, centred, slimmed, to_input

__all__ = ["CloudAugmentation", "TrainClouds"]

_GREY = 0.5


@dataclass(frozen=True)
class CloudAugmentation:
    """What happens to a training cloud, in this order; the defaults are those of OG-Net's published runs.

    Attributes:
        flip: probability of mirroring left and right.
        random_slim: half of the clouds lose random points instead of evenly spaced ones.
        scale: each axis is stretched by a factor of its own between these two.
        jitter: deviation of the noise of each coordinate in metres; larger noise than that is cut off.
        shift: each axis is moved by up to so many metres.
        rotate: turn around the vertical axis by any angle.
        erase: paint a run of consecutive points grey, at most this share of them.
        shuffle: put the points in random order.

    Raises:
        UsageError: a number out of range.
    """

    flip: float = 0.5
    random_slim: bool = True
    scale: tuple[float, float] = (0.75, 1.33)
    jitter: float = 0.01
    shift: float = 0.0
    rotate: bool = False
    erase: float = 0.0
    shuffle: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or not 0 <= self.erase <= 1:
            raise UsageError(f"flip is {self.flip} and erase {self.erase}: both are from 0 to 1.")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise UsageError(f"scale is {self.scale}: give the least and the largest factor, both above 0.")
        if not (0 <= self.jitter < math.inf and 0 <= self.shift < math.inf):
            raise UsageError(f"jitter is {self.jitter} and shift {self.shift}: both are lengths in metres, 0 or more.")


@dataclass(frozen=True)
class TrainClouds:
    """Clouds as a network is trained on them.

    Attributes:
        preprocess: the network's input.
        augmentation: what changes at random.
    """

    preprocess: CloudPreprocess
    augmentation: CloudAugmentation = CloudAugmentation()

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """See `CloudPreprocess.read`."""
        return self.preprocess.read(path)

    def __call__(self, cloud: np.ndarray, generator: np.random.Generator) -> Tensor:
        """(N, 6) -> (n, 6) float32, centred metres and colours from -0.5 to 0.5; `generator` makes every choice."""
        how = self.augmentation
        cloud = centred(cloud, self.preprocess.first)
        if generator.random() < how.flip:
            cloud[:, 0] *= -1
        cloud = slimmed(cloud, self.preprocess.slim, generator if how.random_slim else None)
        cloud[:, :3] *= generator.uniform(*how.scale, 3)
        if how.jitter:
            cloud[:, :3] += generator.normal(0, how.jitter, (len(cloud), 3)).clip(-how.jitter, how.jitter)
        if how.shift:
            cloud[:, :3] += generator.uniform(-how.shift, how.shift, 3)
        if how.rotate:
            cloud[:, [0, 2]] = cloud[:, [0, 2]] @ _turn(generator.uniform(0, 2 * math.pi))
        if how.erase:
            run = int(generator.uniform(0, how.erase) * len(cloud))
            start = generator.integers(0, len(cloud) - run + 1)
            cloud[start : start + run, 3:] = _GREY
        if how.shuffle:
            cloud = cloud[generator.permutation(len(cloud))]
        return to_input(cloud, self.preprocess)


def _turn(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], np.float32)
