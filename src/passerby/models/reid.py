"""The network of a recipe: a backbone and a head, made from a configuration that an artefact can keep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from torch import Tensor, nn

from passerby.errors import UsageError, nearest
from passerby.models.backbones import Backbone, build_backbone
from passerby.models.heads import BlockHead, BNNeckHead
from passerby.models.norms.mixing import MIXING_NORMS, mix_norms
from passerby.models.norms.replacing import use_camera_norms
from passerby.models.outputs import Outputs
from passerby.models.pcb import PCBHead
from passerby.models.pooling import POOLS
from passerby.models.resnets import STEMS, use_stem

__all__ = ["HEADS", "NORMS", "ModelConfig", "ReidModel", "build_model"]

HEADS: dict[str, type[BlockHead] | type[BNNeckHead] | type[PCBHead]] = {
    "block": BlockHead,
    "bnneck": BNNeckHead,
    "pcb": PCBHead,
}

NORMS: dict[str, Callable[[ReidModel], object]] = {
    "batch": lambda model: model,
    "camera": partial(use_camera_norms, camera_trained=True),
    **{name: lambda model, name=name: mix_norms(model.backbone, name) for name in MIXING_NORMS},
}
"""Name -> what makes the plain batch norms of a network, in place, what a recipe trains with."""

_LINEAR_DIM = {"block": 512, "pcb": 256}
_DROPOUT = {"block": 0.5, "bnneck": 0.0, "pcb": 0.5}
_ONLY_FOR: dict[str, Sequence[str]] = {
    "middle": ("block", "bnneck"),
    "pool": ("block", "bnneck"),
    "linear_dim": ("block", "pcb"),
    "parts": ("pcb",),
    "leaky_relu": ("block", "pcb"),
    "relu": ("block",),
    "metric_before_dropout": ("block",),
    "search_before_neck": ("bnneck",),
}


@dataclass(frozen=True)
class ModelConfig:
    """Everything that `build_model` needs beside the number of classes; plain values only.

    Attributes:
        backbone: see `build_backbone`.
        image_size: (H, W) of the input in px.
        last_stride: of the backbone, 1 or 2.
        drop_path: stochastic depth of the backbone, at least 0 and below 1.
        usam: spatial attention in a ResNet.
        middle: pool the third stage of a ResNet too, and put its vector before the last one's.
        head: ``block``, ``bnneck`` or ``pcb``.
        pool: ``avg``, ``max``, ``avg+max``, ``gem``, or ``token`` for transformers with a class token.
        linear_dim: length of the head's linear layer, 0 leaves it out; None takes the published one (block 512, pcb 256).
        parts: stripes of pcb.
        leaky_relu: LeakyReLU 0.1 after the block's BN.
        dropout: before the classifier, at least 0 and below 1; None takes the published one (block and pcb 0.5, bnneck 0).
        classifier_std: of the classifier's start weights.
        metric_before_dropout: pair losses see a block's embedding before dropout, not after it.
        search_before_neck: bnneck: search with the feature before the neck, not with the one after it.
        norm: ``batch``, or another of `NORMS`.
        relu: ReLU after the block's BN, as in torchreid.
        stem: of a ResNet, one of `resnets.STEMS`: ``usual``, or what other projects' networks have.

    Raises:
        UsageError: a value out of range, or an option that the head has not.
    """

    backbone: str = "resnet50"
    image_size: tuple[int, int] = (256, 128)
    last_stride: int = 2
    drop_path: float = 0.0
    usam: bool = False
    middle: bool = False
    head: str = "block"
    pool: str = "avg"
    linear_dim: int | None = None
    parts: int = 6
    leaky_relu: bool = False
    dropout: float | None = None
    classifier_std: float = 0.001
    metric_before_dropout: bool = False
    search_before_neck: bool = False
    norm: str = "batch"
    relu: bool = False
    stem: str = "usual"

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", tuple(self.image_size))
        if self.head not in HEADS:
            raise UsageError(f'no head "{self.head}". {nearest(self.head, HEADS)}')
        if self.pool not in POOLS:
            raise UsageError(f'no pooling "{self.pool}". {nearest(self.pool, POOLS)}')
        if self.norm not in NORMS:
            raise UsageError(f'no norm "{self.norm}". {nearest(self.norm, NORMS)}')
        if self.stem not in STEMS:
            raise UsageError(f'no stem "{self.stem}". {nearest(self.stem, STEMS)}')
        if self.relu and self.leaky_relu:
            raise UsageError("relu and leaky_relu are both on: a block has one activation.")
        for option in fields(self):
            heads, value = _ONLY_FOR.get(option.name), getattr(self, option.name)
            if heads is not None and self.head not in heads and value != option.default:
                raise UsageError(
                    f'{option.name} is {value}, but head "{self.head}" has no such option: it goes with {" or ".join(heads)}.'
                )
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}: it is a probability, at least 0 and below 1.")
        if self.parts < 1:
            raise UsageError(f"parts is {self.parts}: there is at least one stripe.")
        if self.classifier_std <= 0:
            raise UsageError(f"classifier_std is {self.classifier_std}: a standard deviation is above 0 (published: 0.001).")


class ReidModel(nn.Module):
    """A backbone and a head.

    Args:
        backbone: images to a map.
        head: maps to `Outputs`.
        middle: hand the head the map of the third stage too.

    Attributes:
        embedding_dim: D, length of ``Outputs.embedding``.
        feature_dim: F, length of ``Outputs.feature``.
        input_size: (H, W) in px.
    """

    def __init__(self, backbone: Backbone, head: BlockHead | BNNeckHead | PCBHead, *, middle: bool = False) -> None:
        super().__init__()
        self.backbone, self.head, self.middle = backbone, head, middle
        self.embedding_dim, self.feature_dim = head.embedding_dim, head.feature_dim
        self.input_size = backbone.image_size

    def forward(self, x: Tensor) -> Outputs:
        """One pass, in training and in evaluation alike.

        Args:
            x: (B, 3, H, W) normalised images.
        """
        return self.head(*self.backbone.maps(x)) if self.middle else self.head(self.backbone(x))

    def normalise_embedding(self, embedding: Tensor) -> Tensor:
        """Make rows unit vectors by the head's own rule (PCB scales every stripe). It comes after sums over mirrored images.

        Args:
            embedding: (B, D), one ``Outputs.embedding`` or a sum of several.
        """
        return self.head.normalise(embedding)

    def without_classifier(self) -> ReidModel:
        """A copy for search, in evaluation mode: equal to ``build_model(config)`` with these weights."""
        searching = copy.deepcopy(self).eval()
        searching.head.drop_classifier()
        return searching


def build_model(config: ModelConfig, num_classes: int = 0) -> ReidModel:
    """Make the network of `config` with fresh weights.

    Args:
        config: what to make.
        num_classes: training classes; 0 makes no classifier, and ``logits`` is empty.

    Raises:
        UsageError: options that do not fit each other, the backbone or the image size.
    """
    if num_classes < 0:
        raise UsageError(f"num_classes is {num_classes}: it counts training identities, 0 stands for no classifier.")
    backbone = build_backbone(
        config.backbone,
        last_stride=config.last_stride,
        image_size=config.image_size,
        drop_path=config.drop_path,
        usam=config.usam,
    )
    if config.stem != "usual":
        use_stem(backbone, config.stem)
    if config.pool == "token" and (backbone.is_grid or not hasattr(backbone.body, "cls_token")):
        raise UsageError(f"{backbone.name} has no class token: pool token goes with transformers that have one. Take avg.")
    channels = backbone.num_features
    if config.middle:
        if not backbone.stage_features:
            raise UsageError(f"{backbone.name} has no option middle: it goes with ResNets, for instance resnet50.")
        channels = sum(backbone.stage_features)
    if config.head == "pcb":
        _check_stripes(backbone, config.parts)
    model = ReidModel(backbone, HEADS[config.head](channels, num_classes, **_head_options(config)), middle=config.middle)
    NORMS[config.norm](model)
    return model


def _head_options(config: ModelConfig) -> dict[str, Any]:
    """The options that this head has, with the published values where none is given."""
    options: dict[str, Any] = {
        "dropout": _DROPOUT[config.head] if config.dropout is None else config.dropout,
        "classifier_std": config.classifier_std,
    }
    for name, heads in _ONLY_FOR.items():
        if config.head in heads and name != "middle":
            options[name] = getattr(config, name)
    if "linear_dim" in options and config.linear_dim is None:
        options["linear_dim"] = _LINEAR_DIM[config.head]
    return options


def _check_stripes(backbone: Backbone, parts: int) -> None:
    height, width = backbone.image_size
    if not backbone.is_grid:
        raise UsageError(f"{backbone.name} gives tokens, pcb cuts a map into stripes: take a convolutional backbone or swin.")
    if backbone.map_size[0] < parts:
        raise UsageError(
            f"{backbone.name} makes a map {backbone.map_size[0]} high from {height}x{width} px, too low for {parts} stripes: "
            "take a higher image (published 384x192), last_stride 1, or fewer parts."
        )
