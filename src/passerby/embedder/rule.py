"""How outputs of a network become the vector of an image."""

from __future__ import annotations

from dataclasses import dataclass

from passerby.errors import UsageError, nearest

__all__ = ["EmbeddingRule"]


@dataclass(frozen=True)
class EmbeddingRule:
    """How outputs of the network become the vector of an image.

    Attributes:
        kind: ``embedding`` (behind the neck, what the recipe trained for search) or ``feature`` (before it).
        flip: add the output of the mirrored image.
        scales: add the outputs at these scales; each is the square of the factor on height and width, so 1.1 is 268 x 134
            from 256 x 128.
        compound: the published multi-scale test, in which each scale resizes the tensor of the scale before it. False resizes the
            picture itself for every scale.
        normalise: make rows unit vectors (by the model's own rule where it has one: PCB scales every stripe). False leaves
            the sums.

    Raises:
        UsageError: an unknown kind, no scale, or a scale that is not positive.
    """

    kind: str = "embedding"
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    compound: bool = False
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("embedding", "feature"):
            raise UsageError(f'no vector "{self.kind}" in a model\'s outputs. {nearest(self.kind, ("embedding", "feature"))}')
        if not self.scales or any(not 0 < scale < 100 for scale in self.scales):
            raise UsageError(f"scales are {list(self.scales)}: give one or more numbers above 0, for instance 1 1.1.")
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
