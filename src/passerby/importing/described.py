"""What is known of a file of weights before a network is made from it: its parts, and how its project uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from passerby.transforms import Preprocess

__all__ = ["Described", "Names", "classifier", "inside", "linear_block", "neck", "pooled_only", "stripped"]

Names = dict[str, Tensor]
_WRAPPING = ("module.", "_orig_mod.")

_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass
class Described:
    """The parts of a file under the names of one project.

    Attributes:
        layout: whose names.
        body: name of a tensor in the file -> its name without the prefix of the backbone.
        head: name in the file -> name in `ReidModel.head`.
        dropped: name in the file -> why it is not needed.
        reshaped: names in the file whose tensors have the shape of a 1x1 convolution, or of one number.
        made: name in `ReidModel` -> why the file needs none: a neck that is not used.
        model: fields of the `ModelConfig`, but the backbone.
        size: (H, W) in px that the project uses.
        preprocess: its colours and its filter.
        flip: whether it adds the mirrored image's vector.
        notes: what must be said beside every number.
    """

    layout: str
    body: dict[str, str] = field(default_factory=dict)
    head: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    reshaped: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (256, 128)
    preprocess: Preprocess = field(default_factory=Preprocess)
    flip: bool = False
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> set[str]:
        """Names that have a place or a reason."""
        return {*self.body, *self.head, *self.dropped}


def stripped(weights: Mapping[str, Tensor]) -> tuple[Names, dict[str, str]]:
    """Names without what training in several processes and compilation put before them.

    Returns:
        The tensors by bare name, and each bare name's name in the file.
    """
    bare: Names = {}
    source: dict[str, str] = {}
    for name, tensor in weights.items():
        short = name
        while prefix := next((each for each in _WRAPPING if short.startswith(each)), None):
            short = short[len(prefix) :]
        bare[short], source[short] = tensor, name
    return bare, source


def inside(names: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, str]]:
    """(whole name, rest) of the names that begin with `prefix`."""
    return ((name, name[len(prefix) :]) for name in names if name.startswith(prefix))


def neck(names: Names, prefix: str, found: Described, to: str = "norm.") -> int | None:
    """Take a batch norm on vectors into the head.

    Args:
        names: of the file.
        prefix: of the norm, with its dot.
        found: what is being described.
        to: name of the norm in the head.

    Returns:
        Its width; None where there is no such norm.
    """
    mean = names.get(prefix + "running_mean")
    if mean is None:
        return None
    for what in _NORM:
        if prefix + what in names:
            found.head[prefix + what] = to + what
    return len(mean)


def classifier(names: Names, pattern: str, found: Described) -> None:
    """Leave out the classifiers: names that match `pattern`."""
    for name in names:
        if name not in found.left and re.fullmatch(pattern, name):
            classes = names[name].shape[0] if names[name].ndim else 0
            found.dropped[name] = f"a classifier of {classes} classes: search needs none"


def linear_block(names: Names, linear: str, norm: str, found: Described) -> bool:
    """Take a linear layer (or a 1x1 convolution) and its norm as the head's block; False where there is none."""
    weight = names.get(linear + "weight")
    if weight is None or weight.ndim not in (2, 4):
        return False
    found.head[linear + "weight"] = "block.reduce.weight"
    if weight.ndim == 4:
        found.reshaped.add(linear + "weight")
    if linear + "bias" in names:
        found.head[linear + "bias"] = "block.reduce.bias"
    else:
        found.made["head.block.reduce.bias"] = "zero: the file's layer has no bias"
    neck(names, norm, found, "block.norm.")
    found.model |= {"head": "block", "linear_dim": len(weight)}
    return True


def pooled_only(found: Described) -> None:
    """The pooled feature itself is searched: a head whose norm is there and not used."""
    found.model |= {"head": "bnneck", "search_before_neck": True}
    for what in _NORM:
        found.made[f"head.norm.{what}"] = "of a norm that is not used: the pooled feature is searched"
