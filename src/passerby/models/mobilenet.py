"""MobileNetV2 in the layout of torchreid, DualNorm and MetaBIN: nine parts, and an expansion in the first block too.

Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018. It differs from torchvision's network
of the same name in one place: the first block has a 1x1 convolution although its expansion is 1, so there are 53 norms, not 52.
The weight names are torchreid's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["MobileNetV2", "mobilenet_v2", "names_of_mobilenet"]

_BLOCKS = (
    (2, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (4, 6, 32, 3, 2),
    (5, 6, 64, 4, 2),
    (6, 6, 96, 3, 1),
    (7, 6, 160, 3, 2),
    (8, 6, 320, 1, 1),
)
"""(part, expansion, channels at width 1, blocks, stride of the first block)."""


class ConvBlock(nn.Module):
    """Convolution without bias, BN, ReLU6."""

    def __init__(self, inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """(B, `inside`, H, W) -> (B, `outside`, H / stride, W / stride)."""
        return F.relu6(self.bn(self.conv(x)))


class InvertedResidual(nn.Module):
    """Expand, filter each channel for itself, project; no activation after the projection."""

    def __init__(self, inside: int, outside: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.residual = stride == 1 and inside == outside
        self.conv1 = ConvBlock(inside, middle, 1)
        self.dwconv2 = ConvBlock(middle, middle, 3, stride=stride, groups=middle)
        self.conv3 = nn.Sequential(nn.Conv2d(middle, outside, 1, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """(B, `inside`, H, W) -> (B, `outside`, H / stride, W / stride)."""
        found = self.conv3(self.dwconv2(self.conv1(x)))
        return x + found if self.residual else found


class MobileNetV2(nn.Module):
    """Images to a map, 1/32 of their size; with ``keep_last_resolution`` 1/16.

    Args:
        width: factor of all channels; the last part has 1280 of them at least.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = int(32 * width)
        self.conv1 = ConvBlock(3, channels, 3, stride=2)
        for part, expansion, base, blocks, stride in _BLOCKS:
            outside = int(base * width)
            each = [
                InvertedResidual(outside if n else channels, outside, expansion=expansion, stride=1 if n else stride)
                for n in range(blocks)
            ]
            setattr(self, f"conv{part}", nn.Sequential(*each))
            channels = outside
        self.conv9 = ConvBlock(channels, int(1280 * width) if width > 1 else 1280, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H / 32, W / 32)."""
        for part in self.children():
            x = part(x)
        return x

    def keep_last_resolution(self) -> None:
        """Give the last strided part stride 1: no weight changes its meaning."""
        self.get_submodule("conv7.0.dwconv2.conv").stride = (1, 1)  # pyright: ignore


def mobilenet_v2(width: float) -> MobileNetV2:
    """MobileNetV2 of this width."""
    return MobileNetV2(width)


Named = dict[str, tuple[str, Tensor]]


def names_of_mobilenet(given: Mapping[str, tuple[str, Tensor]], wanted: Mapping[str, Tensor]) -> Named:
    """A file's tensors under the names of `MobileNetV2`.

    Understood are torchreid's names, those with ``layerK`` in place of ``convK`` (DualNorm, MetaBIN), and torchvision's, whose
    network lacks the first block's expansion: an expansion is made that changes nothing (see `_no_expansion`).

    Args:
        given: name in the file -> (its full name there, tensor).
        wanted: the network's own tensors.

    Returns:
        Name here -> (name in the file, tensor); empty where the file is none of these.
    """
    if any(name.startswith("features.") for name in given):
        return _of_torchvision(given, wanted)
    renamed = {}
    for name, entry in given.items():
        new = re.sub(r"^layer(\d)\b", r"conv\1", name)
        new = re.sub(r"^(conv[2-8]\.\d+\.)conv3\.(weight)$", r"\1conv3.0.\2", new)
        new = re.sub(r"^(conv[2-8]\.\d+\.)bn\.", r"\1conv3.1.", new)
        renamed[new] = entry
    return renamed


def _of_torchvision(given: Mapping[str, tuple[str, Tensor]], wanted: Mapping[str, Tensor]) -> Named:
    theirs = [entry for name, entry in given.items() if name.startswith("features.") and "num_batches" not in name]
    first = [name for name in wanted if name.startswith("conv2.0.conv1.") and "num_batches" not in name]
    ours = [name for name in wanted if "num_batches" not in name and name not in first]
    if len(ours) != len(theirs) or any(wanted[name].shape != entry[1].shape for name, entry in zip(ours, theirs, strict=True)):
        return {}
    found = dict(zip(ours, theirs, strict=True))
    made = _no_expansion(found["conv1.bn.weight"][1], found["conv1.bn.bias"][1])
    return found | {f"conv2.0.conv1.{name}": (found["conv1.conv.weight"][0], tensor) for name, tensor in made.items()}


def _no_expansion(weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """A 1x1 convolution, BN and ReLU6 that hand on what comes out of the stem.

    In evaluation that is exact whatever running statistics are written into the BN, as long as its affine pair undoes them. They
    are chosen such that in training, on the statistics of a batch, it nearly holds too: the stem's BN gives about N(bias,
    weight^2) for each channel, so its ReLU6 has the mean and variance of that normal distribution cut at 0 and 6.
    """
    mean, var = _moments_of_relu6(bias.double(), weight.double().abs().clamp(min=1e-6))
    var = var.clamp(min=1e-6)
    eye = torch.eye(len(weight))[:, :, None, None]
    found = {
        "conv.weight": eye,
        "bn.weight": (var + 1e-5).sqrt(),
        "bn.bias": mean,
        "bn.running_mean": mean,
        "bn.running_var": var,
    }
    return {name: tensor.to(weight.dtype) for name, tensor in found.items()}


def _moments_of_relu6(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of min(max(z, 0), 6) for z ~ N(mean, std^2): (C,) each."""
    low, high = -mean / std, (6 - mean) / std
    inside = torch.special.ndtr(high) - torch.special.ndtr(low)
    above = torch.special.ndtr(-high)
    density_low, density_high = (torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi) for z in (low, high))
    first = mean * inside + std * (density_low - density_high)
    low_term, high_term = low * density_low, high * density_high
    second = (mean.square() + std.square()) * inside + 2 * mean * std * (density_low - density_high)
    second = second + std.square() * (low_term - high_term)
    expected = first + 6 * above
    return expected, second + 36 * above - expected.square()
