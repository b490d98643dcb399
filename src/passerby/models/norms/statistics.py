"""Statistics of camera-wise batch norm: what batches of a camera showed, and the estimates that are kept and used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from passerby.errors import ArtefactError, UsageError, listing, nearest

__all__ = ["ESTIMATORS", "CameraStatistics", "LayerStatistics", "Observations", "drift"]

ESTIMATORS = ("cumulative", "pooled")

LayerStatistics = Mapping[str, tuple[Tensor, Tensor]]
"""Layer -> (C,) mean and (C,) variance of one camera."""


@dataclass
class Observations:
    """What each norm saw in each batch of one camera: count, mean and unbiased variance. Kept in fp32, combined in fp64."""

    batches: dict[str, list[tuple[int, Tensor, Tensor]]] = field(default_factory=dict)

    def add(self, layer: str, count: int, mean: Tensor, variance: Tensor) -> None:
        """Add a batch of `count` values a channel with its (C,) mean and (C,) unbiased variance."""
        self.batches.setdefault(layer, []).append((count, mean, variance))

    def __len__(self) -> int:
        """Forward passes that were seen."""
        return max(map(len, self.batches.values()), default=0)

    def part(self, which: slice) -> Observations:
        """The forward passes that `which` takes, in the order in which they were made."""
        return Observations({layer: seen[which] for layer, seen in self.batches.items()})

    def estimate(self, estimator: str = "cumulative") -> LayerStatistics:
        """The camera's statistics.

        Args:
            estimator: ``cumulative``: the mean of the batches' means and of their unbiased variances, which torch's batch
                norm with ``momentum=None`` leaves behind; the spread of the means is missing in it. ``pooled``: mean and unbiased
                variance of all values together.

        Raises:
            UsageError: an unknown estimator, or nothing was seen.
        """
        if estimator not in ESTIMATORS:
            raise UsageError(f'no estimator "{estimator}". {nearest(estimator, ESTIMATORS)}')
        if not len(self):
            raise UsageError("statistics of a camera are asked for, but no batch of it was seen.")
        combine = _cumulative if estimator == "cumulative" else _pooled
        return {layer: combine(seen) for layer, seen in self.batches.items()}


def _stacked(seen: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """(batches, C) means and variances in double precision."""
    return torch.stack([mean for _, mean, _ in seen]).double(), torch.stack([var for _, _, var in seen]).double()


def _cumulative(seen: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    means, variances = _stacked(seen)
    return means.mean(0).float(), variances.mean(0).float()


def _pooled(seen: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    counts = torch.tensor([count for count, _, _ in seen], dtype=torch.float64, device=seen[0][1].device)[:, None]
    means, variances = _stacked(seen)
    mean = (counts * means).sum(0) / counts.sum()
    squares = ((counts - 1) * variances + counts * (means - mean).square()).sum(0)
    return mean.float(), (squares / (counts.sum() - 1)).float()


@dataclass(frozen=True)
class CameraStatistics:
    """Mean and variance of every camera-wise norm for each of several cameras, fed to a network by row.

    Attributes:
        cameras: names; row i of every tensor belongs to the i-th.
        means: layer -> (K, C) float32.
        variances: layer -> (K, C) float32.
    """

    cameras: tuple[str, ...]
    means: Mapping[str, Tensor]
    variances: Mapping[str, Tensor]

    @classmethod
    def of(cls, cameras: Mapping[str, LayerStatistics]) -> CameraStatistics:
        """Put the statistics of several cameras together.

        Args:
            cameras: name -> statistics; all of the same network.

        Raises:
            UsageError: no camera.
        """
        if not cameras:
            raise UsageError("statistics of no camera are given: one is the least.")
        layers = list(next(iter(cameras.values())))
        means, variances = (
            {layer: torch.stack([camera[layer][i] for camera in cameras.values()]) for layer in layers} for i in (0, 1)
        )
        return cls(tuple(cameras), means, variances)

    def rows(self, cameras: Iterable[str]) -> Tensor:
        """(N,) rows of cameras by name.

        Raises:
            UsageError: a camera without statistics.
        """
        known = {camera: row for row, camera in enumerate(self.cameras)}
        names = list(cameras)
        for name in names:
            if name not in known:
                raise UsageError(
                    f'no statistics of camera "{name}". {nearest(name, self.cameras)} '
                    f"Make them: passerby adapt MODEL --camera {name} --images DIR"
                )
        return torch.tensor([known[name] for name in names], dtype=torch.int64)

    def of_layer(self, layer: str) -> tuple[Tensor, Tensor]:
        """(K, C) means and variances of one norm.

        Raises:
            ArtefactError: they belong to another network.
        """
        if layer not in self.means:
            raise ArtefactError(f'the camera statistics hold nothing for the norm "{layer}": they belong to another network.')
        return self.means[layer], self.variances[layer]

    def of_camera(self, camera: str) -> LayerStatistics:
        """The statistics of one camera.

        Raises:
            UsageError: see `rows`.
        """
        row = int(self.rows([camera])[0])
        return {layer: (self.means[layer][row], self.variances[layer][row]) for layer in self.means}

    def only(self, layers: Iterable[str]) -> CameraStatistics:
        """The statistics of some of the layers."""
        chosen = list(layers)
        means, variances = ({layer: named[layer] for layer in chosen} for named in (self.means, self.variances))
        return CameraStatistics(self.cameras, means, variances)

    def to(self, device: torch.device | str) -> CameraStatistics:
        """The same statistics on `device`."""
        means, variances = ({k: v.to(device) for k, v in named.items()} for named in (self.means, self.variances))
        return CameraStatistics(self.cameras, means, variances)

    def check(self, norms: Mapping[str, nn.Module]) -> None:
        """Make sure that they belong to a network.

        Args:
            norms: its camera-wise norms by name.

        Raises:
            ArtefactError: other layers, other widths, other cameras, or numbers that are no statistics.
        """
        wanted = {name: (len(self.cameras), norm.num_features) for name, norm in norms.items()}
        for what, held in (("means", self.means), ("variances", self.variances)):
            wrong = [
                *(f"{name} is missing" for name in wanted if name not in held),
                *(f"{name} is unknown" for name in held if name not in wanted),
                *(
                    f"{name} is {tuple(held[name].shape)}, not {shape}"
                    for name, shape in wanted.items()
                    if name in held and tuple(held[name].shape) != shape
                ),
                *(f"{name} holds a number that is no {what[:-1]}" for name in held if not _sound(held[name], what)),
            ]
            if wrong:
                raise ArtefactError(f"the {what} of {len(self.cameras)} cameras do not fit the network: {listing(wrong)}.")

    def save(self, path: Path) -> None:
        """Write one safetensors file; names of the cameras are kept by the artefact."""
        from safetensors.torch import save_file

        tensors = {f"{layer}.mean": mean for layer, mean in self.means.items()}
        tensors |= {f"{layer}.var": variance for layer, variance in self.variances.items()}
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)

    @classmethod
    def read(cls, path: Path, cameras: Sequence[str]) -> CameraStatistics:
        """Read what `save` wrote.

        Raises:
            ArtefactError: no such file, or no safetensors.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"{path} holds no readable camera statistics: {error}.") from error
        means = {name.removesuffix(".mean"): tensor for name, tensor in tensors.items() if name.endswith(".mean")}
        variances = {name.removesuffix(".var"): tensor for name, tensor in tensors.items() if name.endswith(".var")}
        return cls(tuple(cameras), means, variances)


def _sound(values: Tensor, what: str) -> bool:
    return bool(values.isfinite().all()) and (what == "means" or bool((values >= 0).all()))


def drift(one: LayerStatistics, other: LayerStatistics) -> float:
    """How far two estimates are apart: 0 for equal ones, 1 where means differ by a standard deviation.

    In each channel: the difference of the means in units of the common standard deviation, and the logarithm of the ratio of the
    standard deviations; root of their mean square over the channels of a layer, then the mean over layers. Symmetric.
    """
    found = []
    for layer, (mean, variance) in one.items():
        mean_2, variance_2 = (values.double() for values in other[layer])
        mean, variance = mean.double(), variance.double()
        common = (variance + variance_2) / 2 + 1e-5  # what the norms add as eps
        shift = (mean - mean_2).square() / common
        stretch = ((variance + 1e-5) / (variance_2 + 1e-5)).log().square() / 4
        found.append(math.sqrt(float((shift + stretch).mean())))
    return sum(found) / len(found)
