"""The network of coloured points: a trunk and a head, made from a configuration that an artefact can keep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError, nearest
from passerby.models.dgcnn import DGCNN
from passerby.models.heads import Block
from passerby.models.ognet import OGNet, OGNetOptions
from passerby.models.outputs import Outputs
from passerby.models.point_blocks import SLOPE, Gate, batch_norm
from passerby.models.pointnet2 import PointNet2

__all__ = ["POINT_NETWORKS", "PointModel", "PointModelConfig", "build_point_model", "is_point_model"]

_INPUTS = {"rgb": (3, 6), "xyz": (0, 3), "xyzrgb": (0, 6)}
_CLASSIFIER_STD = 1e-6


@dataclass(frozen=True)
class PointModelConfig:
    """Everything that `build_point_model` needs beside the number of classes; plain values only.

    Attributes:
        network: one of `POINT_NETWORKS`.
        inputs: what is known of a point beside its place in the graph: ``rgb`` (published), ``xyz`` or ``xyzrgb``.
        ognet: options of OG-Net; of the others DGCNN takes `k`, `norm` and `mix`.
        parts: cut the points into so many slices by height, each with a vector and a classifier of its own beside the global
            ones; 1 makes the global ones alone.
        linear_dim: length of a vector.
        dropout: before the classifier, at least 0 and below 1.
        metric_before_dropout: pair losses see the embedding before dropout, not after it.

    Raises:
        UsageError: an unknown name or a value out of range.
    """

    network: str = "ognet"
    inputs: str = "rgb"
    ognet: OGNetOptions = field(default_factory=OGNetOptions)
    parts: int = 1
    linear_dim: int = 512
    dropout: float = 0.7
    metric_before_dropout: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.ognet, Mapping):  # JSON gives a mapping
            known = [f.name for f in fields(OGNetOptions)]
            unknown = [name for name in self.ognet if name not in known]
            if unknown:
                raise UsageError(f'no option "{unknown[0]}" of OG-Net. {nearest(unknown[0], known)}')
            object.__setattr__(self, "ognet", OGNetOptions(**self.ognet))
        if self.network not in POINT_NETWORKS:
            raise UsageError(f'no network of points "{self.network}". {nearest(self.network, POINT_NETWORKS)}')
        if self.inputs not in _INPUTS:
            raise UsageError(f'no inputs "{self.inputs}". {nearest(self.inputs, _INPUTS)}')
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}: it is a probability, at least 0 and below 1.")
        if self.linear_dim < 1 or self.parts < 1:
            raise UsageError(f"linear_dim is {self.linear_dim} and parts {self.parts}: both are 1 or more.")
        if self.parts > 1 and self.network != "ognet":
            raise UsageError(f"parts is {self.parts}, but only ognet has points left that can be cut into slices.")


def _dgcnn(in_dim: int, options: OGNetOptions) -> nn.Module:
    return DGCNN(in_dim, k=options.k, norm=options.norm, mix=options.mix)


POINT_NETWORKS: dict[str, Callable[[int, OGNetOptions], nn.Module]] = {
    "ognet": OGNet,
    "dgcnn": _dgcnn,
    "pointnet2-ssg": lambda in_dim, _: PointNet2(in_dim, "ssg"),
    "pointnet2-msg": lambda in_dim, _: PointNet2(in_dim, "msg"),
}


def _linear(in_dim: int, out_dim: int) -> nn.Linear:
    """With the start weights of the source's linear layers."""
    layer = nn.Linear(in_dim, out_dim)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    nn.init.zeros_(layer.bias)
    return layer


class PointModel(nn.Module):
    """A trunk and a head; see `build_point_model`.

    Attributes:
        embedding_dim: D, length of ``Outputs.embedding``.
        feature_dim: F, length of ``Outputs.feature``.
        parts: vectors of equal length that the embedding consists of.
    """

    def __init__(self, config: PointModelConfig, num_classes: int = 0) -> None:
        super().__init__()
        self.inputs, self.metric_before_dropout = slice(*_INPUTS[config.inputs]), config.metric_before_dropout
        self.trunk = POINT_NETWORKS[config.network](self.inputs.stop - self.inputs.start, config.ognet)
        D = int(self.trunk.num_features)  # pyright: ignore[reportArgumentType]
        gating = config.network == "ognet" and config.ognet.gating
        self.gate = Gate(D, 16) if gating else nn.Identity()
        self.slices = config.parts if config.parts > 1 else 0
        self.parts = 1 + self.slices
        self.mixes = nn.Parameter(torch.zeros(self.parts)) if self.slices else None
        self.vector = config.network.startswith("pointnet2")  # its trunk has pooled already
        self.feature_dim = D * self.parts if self.slices or self.vector else 2 * D
        baseline = config.network != "ognet"
        self.reduce = (
            nn.Sequential(_linear(D, config.linear_dim), batch_norm(config.linear_dim), nn.LeakyReLU(SLOPE))
            if self.vector
            else nn.Identity()
        )
        in_dim = config.linear_dim if self.vector else self.feature_dim // self.parts
        self.blocks = nn.ModuleList(
            Block(
                in_dim, config.linear_dim, num_classes, dropout=config.dropout, leaky_relu=config.network == "dgcnn",
                classifier_std=_CLASSIFIER_STD, bias=baseline,
            )
            for _ in range(self.parts)
        )  # fmt: skip
        self.embedding_dim = config.linear_dim * self.parts

    def forward(self, x: Tensor) -> Outputs:
        """One pass, in training and in evaluation alike.

        Args:
            x: (B, N, 6) centred metres and colours from -0.5 to 0.5.

        Raises:
            UsageError: fewer points than the network needs.
        """
        xyz, h = self.trunk(x[..., :3].contiguous(), x[..., self.inputs])
        pooled = self._pooled(xyz, self.gate(h))
        found = [block(self.reduce(feature)) for block, feature in zip(self.blocks, pooled, strict=True)]
        return Outputs(
            feature=torch.cat(pooled, 1),
            embedding=torch.cat([before if self.metric_before_dropout else after for before, after, _ in found], 1),
            logits=tuple(logits for _, _, every in found for logits in every),
        )

    def _pooled(self, xyz: Tensor, h: Tensor) -> list[Tensor]:
        if self.vector:
            return [h[:, 0]]
        if self.mixes is None:
            return [torch.cat([h.amax(1), h.mean(1)], 1)]
        order = xyz[..., 1].argsort(1)[..., None].expand_as(h)
        pieces = [h, *h.gather(1, order).tensor_split(self.slices, dim=1)]
        return [piece.mean(1).lerp(piece.amax(1), share) for piece, share in zip(pieces, torch.sigmoid(self.mixes), strict=True)]

    def normalise_embedding(self, embedding: Tensor) -> Tensor:
        """Make each part's vector a unit vector, and then the row. It comes after sums over scales.

        Args:
            embedding: (B, D), one ``Outputs.embedding`` or a sum of several.
        """
        return F.normalize(F.normalize(embedding.view(len(embedding), self.parts, -1), dim=-1).flatten(1))

    def without_classifier(self) -> PointModel:
        """A copy for search, in evaluation mode: equal to ``build_point_model(config)`` with these weights."""
        searching = copy.deepcopy(self).eval()
        for block in searching.blocks:
            block.classifier = None  # pyright: ignore[reportArgumentType]
        return searching


def is_point_model(description: Mapping[str, Any]) -> bool:
    """Whether the description of a network in an artefact is that of a network of points."""
    return description.get("network") in POINT_NETWORKS


def build_point_model(config: PointModelConfig, num_classes: int = 0) -> PointModel:
    """Make the network of `config` with fresh weights.

    Args:
        config: what to make.
        num_classes: training classes; 0 makes no classifier, and ``logits`` is empty.

    Raises:
        UsageError: a negative number of classes, or more slices than there are points.
    """
    if num_classes < 0:
        raise UsageError(f"num_classes is {num_classes}: it counts training classes, 0 stands for no classifier.")
    if 1 < config.parts > config.ognet.points_left:
        raise UsageError(
            f"parts is {config.parts}, but the network ends with {config.ognet.points_left} points: give fewer parts."
        )
    return PointModel(config, num_classes)
