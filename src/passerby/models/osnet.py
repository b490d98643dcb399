"""OSNet: residual blocks whose four streams see 3, 5, 7 and 9 pixels and are mixed by one shared gate a channel.

Source: Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019; OSNet-AIN: Zhou et al., Learning
Generalisable Omni-Scale Representations for Person Re-Identification, TPAMI 2021. Modules carry the names of torchreid's
state dicts, so that its checkpoints load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["OSNet", "OSNetAIN", "osnet", "osnet_ain"]

_BOTTLENECK = 4  # width of a block / width of its streams
_STREAMS = 4
_GATE_REDUCTION = 16
_CHANNELS = (64, 256, 384, 512)  # at width 1: stem, and the three stages


class ConvNorm(nn.Module):
    """Convolution without bias, batch or instance normalisation, and ReLU unless `relu` is false."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = norm(out_channels) if norm is not None else nn.Identity()  # torchreid's name also where it is an instance norm
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.relu(self.bn(self.conv(x)))


class LightConv3x3(nn.Module):
    """Pointwise, then depthwise convolution: the 3x3 unit that streams are made of (Lite 3x3 in the paper)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class ChannelGate(nn.Module):
    """The unified aggregation gate: one weight a channel from the map's own mean. Its weights are shared by all streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, each channel scaled into [0, 1]."""
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(squeezed))))


class OSBlock(nn.Module):
    """One omni-scale residual block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        mid = out_channels // _BOTTLENECK
        self.conv1 = ConvNorm(in_channels, mid)
        self.conv2a = LightConv3x3(mid, mid)
        self.conv2b = _stream(mid, 2)
        self.conv2c = _stream(mid, 3)
        self.conv2d = _stream(mid, 4)
        self.gate = ChannelGate(mid)
        self.conv3 = ConvNorm(mid, out_channels, relu=False)
        self.downsample = _shortcut(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        squeezed = self.conv1(x)
        streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        mixed = _mixed(self.gate, streams, squeezed)
        return torch.relu(self.conv3(mixed) + self.downsample(x))


class LightConvStream(nn.Module):
    """A stream of OSNet-AIN: `depth` light convolutions under the name ``layers``."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = _stream(channels, depth)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.layers(x)


class AINBlock(nn.Module):
    """A block of OSNet-AIN; with `instance_norm` its residual branch ends in an instance norm, before the sum."""

    def __init__(self, in_channels: int, out_channels: int, *, instance_norm: bool) -> None:
        super().__init__()
        mid = out_channels // _BOTTLENECK
        self.conv1 = ConvNorm(in_channels, mid)
        self.conv2 = nn.ModuleList(LightConvStream(mid, depth) for depth in range(1, _STREAMS + 1))
        self.gate = ChannelGate(mid)
        self.conv3 = ConvNorm(mid, out_channels, norm=None if instance_norm else nn.BatchNorm2d, relu=False)
        self.downsample = _shortcut(in_channels, out_channels)
        self.IN = _instance_norm(out_channels) if instance_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        mixed = _mixed(self.gate, self.conv2, self.conv1(x))
        return torch.relu(self.IN(self.conv3(mixed)) + self.downsample(x))


class OSNet(nn.Module):
    """OSNet without its embedding layer and classifier.

    Args:
        channels: of the stem and the three stages.

    Attributes:
        num_features: C of the map.
    """

    def __init__(self, channels: Sequence[int] = _CHANNELS) -> None:
        super().__init__()
        stem, first, second, third = channels
        self.conv1 = ConvNorm(3, stem, 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = nn.Sequential(OSBlock(stem, first), OSBlock(first, first), _halving(first))
        self.conv3 = nn.Sequential(OSBlock(first, second), OSBlock(second, second), _halving(second))
        self.conv4 = nn.Sequential(OSBlock(second, third), OSBlock(third, third))
        self.conv5 = ConvNorm(third, third)
        self.num_features = third
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/16, W/16)."""
        x = self.maxpool(self.conv1(x))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))


class OSNetAIN(nn.Module):
    """OSNet with instance norms where the paper's search placed them: the stem and four of the six blocks.

    Args:
        channels: of the stem and the three stages.

    Attributes:
        num_features: C of the map.
    """

    def __init__(self, channels: Sequence[int] = _CHANNELS) -> None:
        super().__init__()
        stem, first, second, third = channels
        self.conv1 = ConvNorm(3, stem, 7, 2, norm=_instance_norm)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = _ain_stage(stem, first, (True, True))
        self.pool2 = _halving(first)
        self.conv3 = _ain_stage(first, second, (False, True))
        self.pool3 = _halving(second)
        self.conv4 = _ain_stage(second, third, (True, False))
        self.conv5 = ConvNorm(third, third)
        self.num_features = third
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/16, W/16)."""
        x = self.maxpool(self.conv1(x))
        x = self.pool3(self.conv3(self.pool2(self.conv2(x))))
        return self.conv5(self.conv4(x))


def osnet(width: float) -> OSNet:
    """OSNet of a width factor (1, 0.75, 0.5 or 0.25 in the paper)."""
    return OSNet([int(channels * width) for channels in _CHANNELS])


def osnet_ain() -> OSNetAIN:
    """OSNet-AIN x1.0."""
    return OSNetAIN()


def _stream(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(LightConv3x3(channels, channels) for _ in range(depth)))


def _mixed(gate: nn.Module, streams: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> Tensor:
    mixed = gate(streams[0](x))
    for stream in list(streams)[1:]:
        mixed = mixed + gate(stream(x))
    return mixed


def _shortcut(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity() if in_channels == out_channels else ConvNorm(in_channels, out_channels, relu=False)


def _halving(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvNorm(channels, channels), nn.AvgPool2d(2, 2))


def _ain_stage(in_channels: int, out_channels: int, instance_norms: tuple[bool, bool]) -> nn.Sequential:
    first, second = instance_norms
    return nn.Sequential(
        AINBlock(in_channels, out_channels, instance_norm=first), AINBlock(out_channels, out_channels, instance_norm=second)
    )


def _instance_norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
