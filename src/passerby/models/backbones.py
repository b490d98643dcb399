"""Backbones by name: normalised images in, one feature map out.

Names are those of `BACKBONES`, or any model name of timm. Own are OSNet, the IBN-a ResNets, torchvision's MobileNetV2, which timm
lacks, and that of torchreid and MetaBIN (mobilenet_v2_x1_0, mobilenet_v2_x1_4); everything else is timm's network, its weights
under timm's names.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from passerby.errors import UsageError, listing
from passerby.models.bodies import import_timm, is_resnet, make_body

__all__ = ["BACKBONES", "Backbone", "build_backbone", "resolve_backbone"]

BACKBONES: dict[str, str] = {
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet50_ibn_a": "resnet50_ibn_a",
    "resnet50_ibn": "resnet50_ibn_a",
    "resnet101_ibn_a": "resnet101_ibn_a",
    "resnet101_ibn": "resnet101_ibn_a",
    "osnet_x1_0": "osnet_x1_0",
    "osnet": "osnet_x1_0",
    "osnet_x0_75": "osnet_x0_75",
    "osnet_x0_5": "osnet_x0_5",
    "osnet_x0_25": "osnet_x0_25",
    "osnet_ain_x1_0": "osnet_ain_x1_0",
    "osnet_ain": "osnet_ain_x1_0",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenetv2": "mobilenet_v2",
    "mobilenet_v2_x1_0": "mobilenet_v2_x1_0",
    "mobilenetv2_x1_0": "mobilenet_v2_x1_0",
    "mobilenet_v2_x1_4": "mobilenet_v2_x1_4",
    "mobilenetv2_x1_4": "mobilenet_v2_x1_4",
    "densenet121": "densenet121",
    "hrnet18": "hrnet_w18",
    "hrnet_w18": "hrnet_w18",
    "efficientnet_b4": "efficientnet_b4",
    "convnext": "convnext_base",
    "convnext_base": "convnext_base",
    "swin": "swin_base_patch4_window7_224",
    "swinv2": "swinv2_base_window8_256",
    "dinov3": "vit_base_patch16_dinov3",
    "nasnet": "nasnetalarge",
    "nasnetalarge": "nasnetalarge",
}
"""What users type -> canonical name: one of `bodies.OWN` or `bodies.IBN_A`, or a timm model. Further timm names need no entry."""

_MISFITS = (TypeError, ValueError, RuntimeError, AssertionError, NotImplementedError, IndexError)
"""What timm's networks raise when they are built or run at a size, or with an option, that they are not made for."""


@dataclass(frozen=True)
class _Geometry:
    """What a trial run without data tells about a body."""

    layout: str  # "NCHW", "NHWC", or "NLC" for tokens
    channels: int
    map_size: tuple[int, int]
    unused: tuple[str, ...]  # parameters that the map does not depend on


class Backbone(nn.Module):
    """A network whose output is a feature map. Make one with `build_backbone`.

    Attributes:
        name: canonical name.
        body: the network itself, with the weight names of its library or paper.
        num_features: C of the map.
        map_size: (h, w) of the map at `image_size`; (N, 1) for a transformer's N tokens.
        image_size: (H, W) that it was built for.
        is_grid: whether the map is a picture of the image; False for a sequence of tokens, class and register tokens included.
        stage_features: C of the two maps of `maps` where the body has them (ResNets), else empty.
    """

    def __init__(self, name: str, body: nn.Module, geometry: _Geometry, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.name, self.image_size = name, image_size
        self.body: Any = body
        self.num_features, self.map_size = geometry.channels, geometry.map_size
        self.is_grid = geometry.layout != "NLC"
        self._layout = geometry.layout
        self.stage_features: tuple[int, ...] = ()
        if is_resnet(body):
            self.stage_features = tuple(stage["num_chs"] for stage in self.body.feature_info[-2:])

    def forward(self, x: Tensor) -> Tensor:
        """Map of a batch.

        Args:
            x: (B, 3, H, W) normalised images.

        Returns:
            (B, C, h, w); tokens come as (B, C, N, 1), so that average pooling is the mean over all of them.
        """
        found = _run(self.body, x)
        if self._layout == "NLC":
            return found.transpose(1, 2).unsqueeze(-1)
        return found.permute(0, 3, 1, 2) if self._layout == "NHWC" else found

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the third and of the last stage of a ResNet (`stage_features` channels).

        Args:
            x: (B, 3, H, W) normalised images.
        """
        third, last = self.body.forward_intermediates(x, indices=[3, 4], intermediates_only=True)
        return third, last


def resolve_backbone(name: str) -> str:
    """The canonical name: an entry of `BACKBONES`, else a timm model name, with or without its pretraining tag.

    Raises:
        UsageError: neither.

    >>> resolve_backbone("hrnet18")
    'hrnet_w18'
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name in BACKBONES.values():
        return name
    timm = import_timm()
    if timm.is_model(name):
        return name
    close = difflib.get_close_matches(name, [*BACKBONES, *timm.list_models()], n=1, cutoff=0.5)
    hint = f'Did you mean "{close[0]}"? ' if close else ""
    raise UsageError(f'no backbone "{name}". {hint}Allowed: {listing(BACKBONES, 40)}, or any model name of timm.')


def build_backbone(
    name: str,
    *,
    last_stride: int = 2,
    image_size: tuple[int, int] = (256, 128),
    drop_path: float = 0.0,
    usam: bool = False,
) -> Backbone:
    """Make a backbone with fresh weights.

    Args:
        name: an entry of `BACKBONES`, or a timm model name.
        last_stride: 2, or 1 to double height and width of the map (ResNets, DenseNets, mobilenet_v2).
        image_size: (H, W) in px of what it will see; transformers are built for one size.
        drop_path: stochastic depth, at least 0 and below 1.
        usam: spatial attention after the stem and after the first stage (ResNets).

    Raises:
        UsageError: an unknown name, a value out of range, an option that this network has not, or a size that it cannot take.
    """
    canonical = resolve_backbone(name)
    if last_stride not in (1, 2):
        raise UsageError(f"last_stride is {last_stride}: it is 1 or 2.")
    if not 0 <= drop_path < 1:
        raise UsageError(f"drop_path is {drop_path}: it is a probability, at least 0 and below 1.")
    if len(image_size) != 2 or min(image_size) < 1:
        raise UsageError(f"image_size is {image_size}: give height and width in px.")
    size = (int(image_size[0]), int(image_size[1]))

    options = (canonical, size, last_stride, float(drop_path), bool(usam))
    geometry = _geometry(*options)
    body = make_body(*options)
    _drop_unused(body, geometry.unused)
    return Backbone(canonical, body, geometry, size)


def _run(body: Any, x: Tensor) -> Tensor:
    """timm's networks stop before pooling in `forward_features`; ours are nothing but features."""
    return body.forward_features(x) if hasattr(body, "forward_features") else body(x)


@lru_cache(maxsize=64)
def _geometry(name: str, size: tuple[int, int], last_stride: int, drop_path: float, usam: bool) -> _Geometry:
    """Build and run the network on the meta device, which computes shapes only: it takes no memory and draws no random number."""
    try:
        with torch.device("meta"), torch.enable_grad():
            body = make_body(name, size, last_stride, drop_path, usam).eval()
            found = _run(body, torch.empty(2, 3, *size))
            if not isinstance(found, Tensor) or found.ndim not in (3, 4):
                raise UsageError(f"{name} gives no feature map, so it cannot be a backbone. Try resnet50, osnet_x1_0 or swin.")
            found.sum().backward()
    except _MISFITS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(f"{name} cannot be a backbone for images of {size[0]}x{size[1]} px: {reason}.") from error
    unused = tuple(key for key, parameter in body.named_parameters() if parameter.grad is None)
    if found.ndim == 3:
        return _Geometry("NLC", found.shape[2], (found.shape[1], 1), unused)
    if getattr(body, "output_fmt", "NCHW") == "NHWC":
        return _Geometry("NHWC", found.shape[3], (found.shape[1], found.shape[2]), unused)
    return _Geometry("NCHW", found.shape[1], (found.shape[2], found.shape[3]), unused)


def _drop_unused(body: nn.Module, unused: tuple[str, ...]) -> None:
    """Take out what only timm's own classifier would use: such weights get no gradient, and several processes wait for it."""
    idle = set(unused)
    for child, module in list(body.named_children()):
        own = [f"{child}.{key}" for key, _ in module.named_parameters()]
        if own and idle.issuperset(own):
            setattr(body, child, nn.Identity())
    for key, parameter in body.named_parameters():
        if key in idle:
            parameter.requires_grad_(False)
