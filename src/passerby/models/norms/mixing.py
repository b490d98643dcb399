"""Norms between batch and instance norm by name: every plain batch norm of a backbone is replaced by them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from passerby.errors import UsageError, listing, nearest
from passerby.models.mobilenet import MobileNetV2
from passerby.models.norms.batch_instance import BatchInstanceNorm2d, GateInit, InstanceNorm2d

__all__ = ["MIXING_NORMS", "HalfInstanceNorm2d", "mix_norms"]

_DUAL_INSTANCE = tuple(f"conv{number}." for number in range(1, 7))
"""Where DualNorm has instance norms: the first six of the nine parts of the paper's MobileNetV2."""


class HalfInstanceNorm2d(nn.Module):
    """Batch norm on the first half of the channels (the larger one), instance norm on the rest.

    Args:
        channels: C.
        eps: added to variances.
        momentum: of the running statistics.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.widths = (channels - channels // 2, channels // 2)
        self.batch = nn.BatchNorm2d(self.widths[0], eps, momentum)
        self.instance = InstanceNorm2d(self.widths[1], eps, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        first, rest = x.split(self.widths, dim=1)
        return torch.cat([self.batch(first), self.instance(rest)], dim=1)


_Make = Callable[[nn.BatchNorm2d, GateInit, "torch.Generator | None"], nn.Module]


def _instance(norm: nn.BatchNorm2d, init: GateInit, generator: torch.Generator | None) -> nn.Module:
    return InstanceNorm2d(norm.num_features, norm.eps, affine=True)


def _half(norm: nn.BatchNorm2d, init: GateInit, generator: torch.Generator | None) -> nn.Module:
    new = HalfInstanceNorm2d(norm.num_features, norm.eps, _momentum(norm))
    _copy(norm, new.batch)
    return new


def _gated(norm: nn.BatchNorm2d, init: GateInit, generator: torch.Generator | None, *, form: str) -> nn.Module:
    new = BatchInstanceNorm2d(
        norm.num_features, form=form, init=init, eps=norm.eps, momentum=_momentum(norm), generator=generator  # pyright: ignore
    )  # fmt: skip
    _copy(norm, new.batch)
    if form == "shared":
        with torch.no_grad():
            new.weight.copy_(norm.weight)
            new.bias.copy_(norm.bias)
    return new


MIXING_NORMS: dict[str, _Make] = {
    "instance": _instance,
    "half": _half,
    "dualnorm": _instance,
    "bin": partial(_gated, form="separate"),
    "bin-shared": partial(_gated, form="shared"),
}
"""Name -> what makes, from a batch norm, what takes its place."""


def mix_norms(
    backbone: nn.Module, norm: str, *, gate_init: GateInit = "one", generator: torch.Generator | None = None
) -> nn.Module:
    """Replace the batch norms of a backbone, in place. Call it after loading start weights and before making optimizers.

    The batch norm inside the new one takes over affine pair and running statistics; instance norms start with weight 1 and bias
    0, as published.

    Args:
        backbone: a `Backbone`, or any network whose batch norms are plain ones.
        norm: a key of `MIXING_NORMS`: ``instance``; ``half`` (the larger half of the channels batch norm); ``dualnorm`` (instance
            norms in the first six parts of mobilenet_v2_x1_0 or x1_4); ``bin`` and ``bin-shared``, see `BatchInstanceNorm2d`.
        gate_init: see `GateInit`; matters for the last two.
        generator: of random gates.

    Raises:
        UsageError: an unknown norm, a network without batch norms, or norms of another kind among them.
    """
    if norm not in MIXING_NORMS:
        raise UsageError(f'no norm "{norm}". {nearest(norm, MIXING_NORMS)}')
    body: nn.Module = getattr(backbone, "body", backbone)
    name = getattr(backbone, "name", type(body).__name__)
    found = {path: layer for path, layer in body.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)}
    kinds = sorted({type(layer).__name__ for layer in found.values() if type(layer) is not nn.BatchNorm2d})
    if not found or kinds:
        reason = f"holds {listing(kinds)}" if kinds else "has none"
        raise UsageError(
            f'norm "{norm}" takes the place of plain batch norms; {name} {reason}. Take a ResNet or mobilenet_v2_x1_0.'
        )
    if norm == "dualnorm" and not isinstance(body, MobileNetV2):
        raise UsageError(f"dualnorm is defined for mobilenet_v2_x1_0 and mobilenet_v2_x1_4, the backbone is {name}. Try half.")
    for path in found:
        if norm == "dualnorm" and not path.startswith(_DUAL_INSTANCE):
            continue
        old = found[path]
        assert type(old) is nn.BatchNorm2d
        new = MIXING_NORMS[norm](old, gate_init, generator).to(old.weight.device)
        body.set_submodule(path, new.train(old.training))
    return backbone


def _momentum(norm: nn.BatchNorm2d) -> float:
    return 0.1 if norm.momentum is None else norm.momentum


@torch.no_grad()
def _copy(old: nn.BatchNorm2d, new: nn.BatchNorm2d) -> None:
    """The leading channels of a batch norm into a narrower or equal one; an affine pair only where the new one has it."""
    pairs = [(old.running_mean, new.running_mean), (old.running_var, new.running_var)]
    if new.affine:
        pairs += [(old.weight, new.weight), (old.bias, new.bias)]
    for theirs, own in pairs:
        assert theirs is not None and own is not None
        own.copy_(theirs[: len(own)])
