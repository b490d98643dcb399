"""Names of weights: whose layout a file has, and what its tensors are called here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from passerby.models.backbones import Backbone

__all__ = ["Arranged", "arrange"]

_WRAPPING = (
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "body.",
)  # several processes, compilation, layumi, fast-reid and here
_LAYUMI_HEAD = re.compile(r"classifier(\d*)\.(add_block|classifier)\.(\d+)\.(\w+)$")
_OWN_BODY = re.compile(r"(^|\.)body\.")
_OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_IN_TORCHVISION_ORDER = re.compile(r"(mobilenet_v2|mobilenetv2_100|efficientnet_b[0-4]|convnext_(tiny|small|base|large))(\.|$)")
"""Backbones whose tensors come in the order of torchvision's network of the same name."""


@dataclass
class Arranged:
    """Tensors of a file under the names of this package.

    Attributes:
        layout: whose names the file has.
        body: name in `Backbone.body` -> tensor.
        head: name in `ReidModel.head` -> tensor.
        source: (``body`` or ``head``, name) -> name in the file.
    """

    layout: str
    body: dict[str, Tensor] = field(default_factory=dict)
    head: dict[str, Tensor] = field(default_factory=dict)
    source: dict[tuple[str, str], str] = field(default_factory=dict)


def arrange(weights: Mapping[str, Tensor], backbone: Backbone) -> Arranged:
    """Recognise the layout of a file by its names and give every tensor its name here.

    Args:
        weights: as in the file.
        backbone: what they are meant for.
    """
    bare = {_bare(name): name for name in weights}
    ours = any(_OWN_BODY.search(name) for name in weights)
    layumi = any(_LAYUMI_HEAD.match(name) for name in bare)
    arranged = Arranged("passerby" if ours else "layumi" if layumi else _family(backbone))
    body: dict[str, Tensor] = {}
    for name, original in bare.items():
        of_head = _own_head_name(name) if ours else _layumi_head_name(name, weights, bare)
        if of_head is None:
            body[name] = weights[original]
        else:
            arranged.head[of_head] = weights[original]
            arranged.source["head", of_head] = original
    arranged.body = _body_names(body, backbone, arranged)
    by_address = {tensor.data_ptr(): name for name, tensor in weights.items()}
    for name, tensor in arranged.body.items():
        same_name = bare.get(name)
        arranged.source["body", name] = same_name or by_address.get(tensor.data_ptr(), name)
    return arranged


def _bare(name: str) -> str:
    while True:
        prefix = next((prefix for prefix in _WRAPPING if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name[len(prefix) :]


def _family(backbone: Backbone) -> str:
    if backbone.name.startswith("osnet"):
        return "torchreid"
    if backbone.name == "mobilenet_v2":
        return "torchvision"
    return "timm and torchvision" if backbone.stage_features or backbone.name.startswith("densenet") else "timm"


def _own_head_name(name: str) -> str | None:
    return name.removeprefix("head.") if name.startswith("head.") else None


def _layumi_head_name(name: str, weights: Mapping[str, Tensor], bare: Mapping[str, str]) -> str | None:
    found = _LAYUMI_HEAD.match(name)
    if found is None:
        return None
    stripe, group, number, what = found.groups()
    block = f"blocks.{stripe}" if stripe else "block"
    if group == "classifier":
        return f"{block}.classifier.{what}"
    # The linear layer is at position 0 and its BN at 1; without a linear layer the BN moves to 0.
    first = bare.get(f"classifier{stripe}.add_block.0.weight")
    is_linear = number == "0" and first is not None and weights[first].ndim == 2
    return f"{block}.reduce.{what}" if is_linear else f"{block}.norm.{what}"


def _body_names(given: dict[str, Tensor], backbone: Backbone, arranged: Arranged) -> dict[str, Tensor]:
    """Rename by the rules that lead to the most names of the network; plain names win a draw."""
    wanted = backbone.body.state_dict()
    best = given
    for layout, candidate in _candidates(given, backbone, wanted):
        if _fitting(candidate, wanted) > _fitting(best, wanted):
            best = candidate
            arranged.layout = layout if arranged.layout not in ("layumi", "passerby") else arranged.layout
    return best


def _candidates(
    given: dict[str, Tensor], backbone: Backbone, wanted: Mapping[str, Tensor]
) -> Iterable[tuple[str, dict[str, Tensor]]]:
    if _fitting(given, wanted) == len(wanted):
        return
    yield "torchvision before 0.2", {_OLD_DENSE.sub(r"\1\2.", name): tensor for name, tensor in given.items()}
    if _IN_TORCHVISION_ORDER.match(backbone.name):
        yield "torchvision", _by_order(given, wanted)
    yield "the authors' own", _by_timm(given, backbone.body)


def _fitting(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> int:
    return sum(name in wanted and tensor.shape == wanted[name].shape for name, tensor in given.items())


def _by_order(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's `features` under the names of another writing of the same network: same tensors, same order, other names."""
    theirs = [tensor for name, tensor in given.items() if name.startswith("features.") and not _is_counter(name)]
    ours = [name for name in wanted if not _is_counter(name)]
    if len(theirs) != len(ours):
        return {}
    pairs = list(zip(ours, theirs, strict=True))
    if any(_flat(wanted[name]) != _flat(tensor) for name, tensor in pairs):
        return {}
    return {name: tensor if tensor.shape == wanted[name].shape else tensor.view_as(wanted[name]) for name, tensor in pairs}


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _flat(tensor: Tensor) -> tuple[int, ...]:
    return tuple(size for size in tensor.shape if size != 1)


def _by_timm(given: dict[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """timm's own conversion for this family: names of the original release, position tables resized to another image size."""
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return {}
    try:
        return dict(convert(dict(given), body))
    except (KeyError, AttributeError, IndexError, ValueError, RuntimeError, TypeError, AssertionError):
        return {}  # a file of another network; the share that matches says so below
