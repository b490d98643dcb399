"""Names of weights: whose layout a file has, and what its tensors are called here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from passerby.models.backbones import Backbone
from passerby.models.mobilenet import MobileNetV2, names_of_mobilenet

__all__ = ["Arranged", "arrange", "is_counter"]

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


Named: TypeAlias = "dict[str, tuple[str, Tensor]]"
"""Name here -> name in the file, and the tensor."""


@dataclass(frozen=True)
class Arranged:
    """Tensors of a file under the names of this package.

    Attributes:
        layout: whose names the file has.
        body: by name in `Backbone.body`; names that it has not are in here too.
        head: by name in `ReidModel.head`, likewise.
    """

    layout: str
    body: Named
    head: Named


def arrange(weights: Mapping[str, Tensor], backbone: Backbone) -> Arranged:
    """Recognise the layout of a file by its names and give every tensor its name here.

    Args:
        weights: as in the file.
        backbone: what they are meant for.
    """
    bare = {_bare(name): (name, tensor) for name, tensor in weights.items()}
    ours = any(_OWN_BODY.search(name) for name in weights)
    layumi = any(_LAYUMI_HEAD.match(name) for name in bare)
    given: Named = {}
    head: Named = {}
    for name, entry in bare.items():
        of_head = _own_head_name(name) if ours else _layumi_head_name(name, bare)
        if of_head is None:
            given[name] = entry
        else:
            head[of_head] = entry
    layout, body = _body_names(given, backbone)
    return Arranged("passerby" if ours else "layumi" if layumi else layout, body, head)


def _bare(name: str) -> str:
    while True:
        prefix = next((prefix for prefix in _WRAPPING if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name[len(prefix) :]


def _family(backbone: Backbone) -> str:
    if backbone.name.startswith("osnet") or isinstance(backbone.body, MobileNetV2):
        return "torchreid"
    if backbone.name == "mobilenet_v2":
        return "torchvision"
    return "timm and torchvision" if backbone.stage_features or backbone.name.startswith("densenet") else "timm"


def _own_head_name(name: str) -> str | None:
    return name.removeprefix("head.") if name.startswith("head.") else None


def _layumi_head_name(name: str, bare: Named) -> str | None:
    found = _LAYUMI_HEAD.match(name)
    if found is None:
        return None
    stripe, group, number, what = found.groups()
    block = f"blocks.{stripe}" if stripe else "block"
    if group == "classifier":
        return f"{block}.classifier.{what}"
    # The linear layer is at position 0 and its BN at 1; without a linear layer the BN moves to 0.
    first = bare.get(f"classifier{stripe}.add_block.0.weight")
    is_linear = number == "0" and first is not None and first[1].ndim == 2
    return f"{block}.reduce.{what}" if is_linear else f"{block}.norm.{what}"


def _body_names(given: Named, backbone: Backbone) -> tuple[str, Named]:
    """Rename by the rule that leads to the most tensors of the network; plain names win a draw."""
    wanted = backbone.body.state_dict()
    best = (_family(backbone), given)
    for candidate in _candidates(given, backbone, wanted):
        if _fitting(candidate[1], wanted) > _fitting(best[1], wanted):
            best = candidate
    return best


def _candidates(given: Named, backbone: Backbone, wanted: Mapping[str, Tensor]) -> Iterator[tuple[str, Named]]:
    if _fitting(given, wanted) == len(wanted):
        return
    yield "torchvision before 0.2", {_OLD_DENSE.sub(r"\1\2.", name): entry for name, entry in given.items()}
    if isinstance(backbone.body, MobileNetV2):
        of_torchvision = any(name.startswith("features.") for name in given)
        yield "torchvision" if of_torchvision else "torchreid", names_of_mobilenet(given, wanted)
    if _IN_TORCHVISION_ORDER.match(backbone.name):
        yield "torchvision", _by_order(given, wanted)
    yield "the authors' own", _by_timm(given, backbone.body)


def _fitting(given: Named, wanted: Mapping[str, Tensor]) -> int:
    return sum(name in wanted and tensor.shape == wanted[name].shape for name, (_, tensor) in given.items())


def _by_order(given: Named, wanted: Mapping[str, Tensor]) -> Named:
    """torchvision's `features` under the names of another writing of the same network: same tensors, same order, other names."""
    theirs = [entry for name, entry in given.items() if name.startswith("features.") and not is_counter(name)]
    ours = {name: tensor for name, tensor in wanted.items() if not is_counter(name)}
    pairs = list(zip(ours.items(), theirs, strict=False))
    if len(theirs) != len(ours) or any(_flat(own) != _flat(tensor) for (_, own), (_, tensor) in pairs):
        return {}
    return {name: (source, tensor.view(own.shape)) for (name, own), (source, tensor) in pairs}


def is_counter(name: str) -> bool:
    """Whether a tensor only counts batches; old files lack these, and with a fixed momentum no result depends on them."""
    return name.endswith("num_batches_tracked")


def _flat(tensor: Tensor) -> tuple[int, ...]:
    return tuple(size for size in tensor.shape if size != 1)


def _by_timm(given: Named, body: nn.Module) -> Named:
    """timm's own conversion for this family: names of the original release, position tables resized to another image size."""
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return {}
    try:
        converted = convert({name: tensor for name, (_, tensor) in given.items()}, body)
    except (KeyError, AttributeError, IndexError, ValueError, RuntimeError, TypeError, AssertionError):
        return {}  # a file of another network; the caller finds that too little of it fits
    sources = {id(tensor): source for source, tensor in given.values()}
    found: Named = {}
    for name, tensor in converted.items():
        kept = given[name][0] if name in given else name  # a resized tensor is a new one under its old name
        found[name] = (sources.get(id(tensor), kept), tensor)
    return found
