"""From feature maps to one vector an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.errors import UsageError, nearest

__all__ = ["POOLS", "Pooling"]

POOLS: dict[str, int] = {"avg": 1, "max": 1, "avg+max": 2, "gem": 1, "token": 1}
"""Kind of pooling -> numbers that it makes of one channel."""

_GEM_EPS = 1e-6


class Pooling(nn.Module):
    """Global pooling; the vectors of several maps stand one behind the other.

    Args:
        kind: ``avg``, ``max``, ``avg+max`` (both, one behind the other), or ``gem``: the generalised mean
            ``mean(x^p)^(1/p)`` of the positive part, with one learnt p that starts at 3 (Radenovic et al., TPAMI 2019, eq. 3);
            or ``token``: the first of a transformer's tokens, which is its class token.

    Raises:
        UsageError: another kind.
    """

    def __init__(self, kind: str = "avg") -> None:
        super().__init__()
        if kind not in POOLS:
            raise UsageError(f'no pooling "{kind}". {nearest(kind, POOLS)}')
        self.kind = kind
        if kind == "gem":
            self.p = nn.Parameter(torch.tensor(3.0))

    def width(self, channels: int) -> int:
        """Length of the vector of maps with `channels` channels in all."""
        return POOLS[self.kind] * channels

    def forward(self, *maps: Tensor) -> Tensor:
        """Any number of (B, C, H, W) maps -> (B, `width` of the sum of their C)."""
        return torch.cat([self._pool(each) for each in maps], dim=1)

    def _pool(self, x: Tensor) -> Tensor:
        if self.kind == "avg":
            return x.mean((2, 3))
        if self.kind == "token":
            return x[:, :, 0, 0]
        if self.kind == "max":
            return x.amax((2, 3))
        if self.kind == "avg+max":
            return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        positive = x.float().clamp(min=_GEM_EPS)  # cubes of half-precision features overflow
        return positive.pow(self.p).mean((2, 3)).pow(1 / self.p).to(x.dtype)
