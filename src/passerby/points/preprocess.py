"""What a network of points expects of a cloud; the same for training, evaluation and serving."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from passerby.datasets.cloud_files import check_reach, is_row, read_cloud
from passerby.datasets.walking import shown
from passerby.errors import DataError, UsageError, nearest
from passerby.points.meshes import read_surface

__all__ = ["CloudPreprocess", "EvalClouds", "centred", "slimmed", "to_input"]

_WHITE, _GREY = 1e-5, 0.5


@dataclass(frozen=True)
class CloudPreprocess:
    """The input of a network of points; it travels with the weights.

    Attributes:
        slim: share of a cloud's points that is kept, in their order; 1 keeps all.
        first: keep only so many of a cloud's first points; 0 keeps all.
        surface: the files are meshes, and so many points are drawn from their surface; 0: the files are clouds.
        colours: the network needs colours; otherwise a cloud without is taken too.
        flat: leave the depth out (z = 0), so that only the picture's plane is left.

    Raises:
        UsageError: a number out of range.
    """

    slim: float = 0.5
    first: int = 0
    surface: int = 0
    colours: bool = True
    flat: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.slim <= 1:
            raise UsageError(f"slim is {self.slim}: it is the share of points that is kept, above 0 and at most 1.")
        if self.first < 0 or self.surface < 0:
            raise UsageError(f"first is {self.first} and surface {self.surface}: both are numbers of points, 0 or more.")
        if self.surface and self.first > self.surface:
            raise UsageError(f"first is {self.first}, of the {self.surface} points that surface draws: lower first.")
        if self.surface and self.colours:
            raise UsageError("points of a surface have no colours: set colours to false, and take a network with inputs xyz.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; `from_dict` reads them back."""
        return {"input": "cloud", **asdict(self)}

    @staticmethod
    def describes(values: Mapping[str, Any]) -> bool:
        """Whether `values` are those of a `CloudPreprocess`."""
        return values.get("input") == "cloud"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CloudPreprocess:
        """The preprocessing that `to_dict` wrote.

        Raises:
            UsageError: an unknown key or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        values = {name: value for name, value in values.items() if name != "input"}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise UsageError(f'no option "{unknown[0]}" of the preprocessing of clouds. {nearest(unknown[0], known)}')
        return cls(**values)

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """One file as (N, 6) float32.

        Raises:
            DataError: see `read_cloud` and `read_surface`.
            UsageError: points of a surface are wanted of a row of an HDF5 file, which has none.
        """
        path = Path(path)
        if self.surface and is_row(path):
            raise UsageError(
                f'surface is {self.surface}, but "{shown(path.parent)}" holds points already and no surface to draw them from: '
                f"leave surface out, and give --first {self.surface} to take so many points."
            )
        if self.surface:
            return read_surface(path, self.surface)
        return read_cloud(path, colours=self.colours)

    def checked(self, cloud: Any) -> np.ndarray:
        """An array or tensor as a cloud.

        Raises:
            DataError: another shape, values that are not finite, points out of reach, or colours out of range.
        """
        values = cloud.detach().cpu().numpy() if isinstance(cloud, Tensor) else np.asarray(cloud)
        if values.ndim != 2 or values.shape[1] != 6 or len(values) == 0 or values.dtype.kind != "f":
            raise DataError(
                f"an array of shape {values.shape} and type {values.dtype} is no cloud: give (N, 6) floats, x y z in metres and "
                "colours from 0 to 1."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is not finite below
            values = np.asarray(values, np.float32)
        if not np.isfinite(values).all():
            raise DataError("a cloud has points that are not finite: coordinates and colours must be numbers.")
        check_reach(values, "a cloud")
        if values[:, 3:].min() < -1e-6 or values[:, 3:].max() > 1 + 1e-6:
            raise DataError(
                f"a cloud has colours from {values[:, 3:].min():g} to {values[:, 3:].max():g}: they must be from 0 to 1."
            )
        return values


def centred(cloud: np.ndarray, first: int = 0) -> np.ndarray:
    """A copy around the mean of all its points, and of its first points only where `first` says so."""
    if first > len(cloud):
        raise DataError(
            f"a cloud has {len(cloud)} points where the first {first} are wanted: lower first, or make clouds of more."
        )
    cloud = cloud[: first or None].copy()
    cloud[:, :3] -= cloud[:, :3].mean(0)
    return cloud


def slimmed(cloud: np.ndarray, share: float, generator: np.random.Generator | None = None) -> np.ndarray:
    """A share of the points, in their order.

    White points are hidden ones in some published files: they become grey and are taken only where the others do not suffice, as
    published, though a white shirt suffers too.

    Args:
        cloud: (N, 6).
        share: above 0, at most 1; 1 keeps everything as it is.
        generator: with one, half of the clouds are drawn at random; otherwise the points are evenly spaced.
    """
    if share == 1:
        return cloud
    wanted = max(1, round(len(cloud) * share))
    blank = np.abs(cloud[:, 3:].mean(1) - 1) < _WHITE
    seen, hidden = np.flatnonzero(~blank), np.flatnonzero(blank)
    if wanted > len(seen):
        chosen = np.concatenate([seen, hidden[_even(len(hidden), wanted - len(seen))]])
    elif generator is not None and generator.random() < 0.5:
        chosen = generator.choice(seen, wanted, replace=False)
    else:
        chosen = seen[_even(len(seen), wanted)]
    kept = cloud[np.sort(chosen)]
    kept[np.abs(kept[:, 3:].mean(1) - 1) < _WHITE, 3:] = _GREY
    return kept


def _even(length: int, count: int) -> np.ndarray:
    return np.linspace(0, length - 1, count).astype(np.int64)


def to_input(cloud: np.ndarray, preprocess: CloudPreprocess) -> Tensor:
    """(N, 6) float32 as the network sees it: colours from -0.5 to 0.5, no depth where it is left out."""
    cloud[:, 3:] -= 0.5
    if preprocess.flat:
        cloud[:, 2] = 0
    return torch.from_numpy(cloud)


@dataclass(frozen=True)
class EvalClouds:
    """Clouds as they are searched: nothing is random."""

    preprocess: CloudPreprocess

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """See `CloudPreprocess.read`."""
        return self.preprocess.read(path)

    def __call__(self, cloud: np.ndarray, generator: np.random.Generator | None = None) -> Tensor:
        """(N, 6) -> (n, 6) float32, centred metres and colours from -0.5 to 0.5."""
        return to_input(slimmed(centred(cloud, self.preprocess.first), self.preprocess.slim), self.preprocess)
