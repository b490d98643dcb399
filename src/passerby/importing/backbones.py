"""Which network the tensors of a backbone belong to: by their names a few come into question, by their shapes one fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from passerby.errors import listing
from passerby.models.backbones import BACKBONES, build_backbone, resolve_backbone
from passerby.models.norms.mixing import MIXING_NORMS, mix_norms
from passerby.models.weight_layouts import arrange, is_counter

__all__ = ["candidates", "fitting", "misfit"]

_BLOCKS = {
    (2, 2, 2, 2): ("resnet18",),
    (3, 4, 6, 3): ("resnet50", "resnet34", "resnext50_32x4d", "resnet50_ibn_a", "wide_resnet50_2"),
    (3, 4, 23, 3): ("resnet101", "resnext101_32x8d", "resnet101_ibn_a", "wide_resnet101_2"),
    (3, 8, 36, 3): ("resnet152",),
}
_OSNETS = ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ain_x1_0")
_MOBILENETS = ("mobilenet_v2_x1_0", "mobilenet_v2_x1_4")
_WIDTHS = {192: "tiny", 384: "small", 768: "base", 1024: "large"}


def candidates(body: Mapping[str, Tensor], named: str = "") -> tuple[str, ...]:
    """Canonical names of the networks that come into question.

    Args:
        body: the backbone's tensors under their project's names.
        named: what the user says; then nothing else does.

    Raises:
        UsageError: the user names no backbone.
    """
    if named:
        return (resolve_backbone(named),)
    if "layer1.0.conv1.weight" in body:
        counts = tuple(_blocks(body, f"layer{stage}.") for stage in range(1, 5))
        return _BLOCKS.get(counts) or tuple(names[0] for names in _BLOCKS.values())  # pyright: ignore
    if "conv2.0.conv1.conv.weight" in body and "conv9.conv.weight" not in body:
        return _OSNETS
    if "conv9.conv.weight" in body or "layer9.conv.weight" in body:
        return _MOBILENETS
    patches = body.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4 and "cls_token" in body:
        width = _WIDTHS.get(len(patches))
        return () if width is None else (f"vit_{width}_patch{patches.shape[-1]}_224",)
    return tuple(dict.fromkeys(BACKBONES.values()))


def _blocks(body: Mapping[str, Tensor], stage: str) -> int:
    numbers = [int(match[1]) for name in body if (match := re.match(re.escape(stage) + r"(\d+)\.", name))]
    return 1 + max(numbers, default=-1)


def fitting(body: Mapping[str, Tensor], backbone: str, size: tuple[int, int], *, mixed: str = "batch") -> dict[str, str]:
    """Name in the project -> name in the network's body, if they are the same network in every tensor; else nothing.

    Args:
        body: the backbone's tensors under their project's names.
        backbone: canonical name.
        size: (H, W) that it is made for.
        mixed: a norm that takes the place of the batch norms, see `MIXING_NORMS`.
    """
    own, found, _ = _matched(body, backbone, size, mixed)
    extra = [name for name in body if name not in found and not is_counter(name)]
    return {} if extra or set(found.values()) != set(own) else found


def misfit(body: Mapping[str, Tensor], backbones: Sequence[str], size: tuple[int, int], *, mixed: str = "batch") -> str:
    """Why the tensors are none of these networks: what the nearest of them lacks, has besides, or has in another shape.

    Args:
        body, size, mixed: as for `fitting`.
        backbones: canonical names.
    """
    tried = {name: _matched(body, name, size, mixed) for name in backbones}
    nearest = max(tried, key=lambda name: (len(tried[name][1]), -len(tried[name][0])), default="")
    if not nearest or not tried[nearest][1]:
        return ""
    own, found, shaped = tried[nearest]
    parts = [f"{name} has the shape {theirs} where {ours} belongs" for name, (theirs, ours) in list(shaped.items())[:1]]
    if missing := sorted(set(own) - set(found.values()) - set(shaped)):
        parts.append(f"{listing(missing, 2)} {'is' if len(missing) == 1 else 'are'} missing")
    if extra := [name for name in body if name not in found and name not in shaped and not is_counter(name)]:
        parts.append(f"{listing(extra, 2)} {'has' if len(extra) == 1 else 'have'} no place")
    return f"the nearest is {nearest}, {len(found)} of whose {len(own)} tensors fit: {'; '.join(parts)}"


def _matched(
    body: Mapping[str, Tensor], backbone: str, size: tuple[int, int], mixed: str
) -> tuple[dict[str, tuple[int, ...]], dict[str, str], dict[str, tuple[tuple[int, ...], tuple[int, ...]]]]:
    """Shapes of the network; name in the project -> name in it where both fit; name -> both shapes where these differ."""
    with torch.device("meta"):
        made = build_backbone(backbone, image_size=size)
        if mixed in MIXING_NORMS:
            mix_norms(made, mixed)
    arranged = arrange(body, made).body
    own = {name: tuple(tensor.shape) for name, tensor in made.body.state_dict().items() if not is_counter(name)}
    found = {source: name for name, (source, tensor) in arranged.items() if tensor.shape == own.get(name)}
    shaped = {
        name: (tuple(tensor.shape), own[name])
        for name, (_, tensor) in arranged.items()
        if name in own and tensor.shape != own[name]
    }
    return own, found, shaped
