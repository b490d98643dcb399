"""What re-ID does to a ResNet: a last stage of stride 1, IBN-a norms, the attention USAM. All works on timm's, in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import UsageError

__all__ = ["IBN", "STEMS", "USAM", "add_ibn_a", "add_usam", "keep_last_resolution", "use_stem"]

STEMS = {
    "usual": "ReLU, then 3x3 max pooling with a border of one pixel",
    "linear": "no ReLU: reid-strong-baseline and what came from it",
    "ceil": "3x3 max pooling without a border, the last window cut: fast-reid",
}
"""What stands between the first norm of a ResNet and its first stage."""


class IBN(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the rest.

    Source: Pan et al., Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net, ECCV 2018. The names ``IN``
    and ``BN`` are those of its published state dicts.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widths = (channels // 2, channels - channels // 2)
        self.IN = nn.InstanceNorm2d(self.widths[0], affine=True)
        self.BN = nn.BatchNorm2d(self.widths[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        appearance, rest = x.split(self.widths, dim=1)
        return torch.cat([self.IN(appearance), self.BN(rest)], dim=1)


class USAM(nn.Module):
    """Parameter-light spatial attention: a pixel counts more where it differs from its neighbours.

    With s the sum over channels, ``att = LeakyReLU0.1(BN(9 s - box3x3(s)))``, zero on the border of the map, where the box
    reaches into the padding; ``x + att * x`` goes on. The only parameters are those of the one-channel BN.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        total = x.sum(1, keepdim=True)
        box = 9 * F.avg_pool2d(total, 3, stride=1, padding=1)
        attention = F.leaky_relu(self.bn(9 * total - box), 0.1)
        attention = F.pad(attention[..., 1:-1, 1:-1], (1, 1, 1, 1))
        return x + attention * x


def add_ibn_a(body: Any) -> nn.Module:
    """Make a timm ResNet an IBN-a: the first norm of every block of the first three stages becomes an `IBN`."""
    for stage in (body.layer1, body.layer2, body.layer3):
        for block in stage:
            block.bn1 = IBN(block.bn1.num_features)
    return body


def add_usam(body: Any) -> nn.Module:
    """Put a `USAM` after the stem's ReLU and one after the first stage of a timm ResNet.

    Both are appended to modules that are already there, so the names of all other weights stay.
    """
    body.act1 = nn.Sequential(body.act1, USAM())
    body.layer1.append(USAM())
    return body


def keep_last_resolution(body: Any, name: str) -> nn.Module:
    """Give the last stage of a timm ResNet stride 1, without dilation: no weight changes its meaning or its name.

    Raises:
        UsageError: the stage shrinks by something else than its convolutions and its shortcut's average pooling.
    """
    first = body.layer4[0]
    shortcut = first.downsample
    filters = [module for module in first.modules() if "BlurPool" in type(module).__name__]
    if filters or not isinstance(getattr(first, "aa", None), nn.Identity):
        raise UsageError(f"{name} shrinks by a filter of its own, so it has no last stride 1. Take last_stride 2, or resnet50.")
    for module in first.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
    if isinstance(shortcut, nn.Sequential) and isinstance(shortcut[0], nn.AvgPool2d):
        shortcut[0] = nn.Identity()
    return body


def use_stem(backbone: Any, stem: str) -> None:
    """Give a ResNet another stem, in place: no weight changes its name.

    Args:
        backbone: a `Backbone`.
        stem: a key of `STEMS`.

    Raises:
        UsageError: not a ResNet with the plain stem.
    """
    body = backbone.body
    if type(getattr(body, "act1", None)) is not nn.ReLU or not isinstance(getattr(body, "maxpool", None), nn.MaxPool2d):
        raise UsageError(f"{backbone.name} has no plain ResNet stem, so stem {stem} cannot be: leave it at usual.")
    if stem == "linear":
        body.act1 = nn.Identity()
    elif stem == "ceil":
        body.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
