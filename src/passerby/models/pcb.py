"""PCB: the map is cut into horizontal stripes, and every stripe has a classifier of its own.

Source: Sun et al., Beyond Part Models: Person Retrieval with Refined Part Pooling, ECCV 2018, without the refined pooling, in the
form of the published baseline: six stripes of a 24x12 map, reduced to 256 numbers each by weights that are not shared.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from passerby.models.heads import Block
from passerby.models.outputs import Outputs

__all__ = ["PCBHead"]


class PCBHead(nn.Module):
    """Average pooling to `parts` x 1, dropout, and one `Block` a stripe; ``logits`` has one entry a stripe.

    What is searched is the pooled map itself, before dropout and before the reduction: C x `parts` numbers, channel by channel.
    `normalise` scales every stripe to length 1 / sqrt(parts); it belongs behind the sum over mirrored images.

    Args:
        channels: C of the map.
        num_classes: training classes; 0 makes no blocks.
        parts: stripes.
        linear_dim, leaky_relu, classifier_std: of every `Block`.
        dropout: on the pooled map, and again in every block.

    Attributes:
        feature_dim: C * parts.
        embedding_dim: the same.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        parts: int = 6,
        linear_dim: int = 256,
        dropout: float = 0.5,
        leaky_relu: bool = False,
        classifier_std: float = 0.001,
    ) -> None:
        super().__init__()
        self.parts = parts
        self.feature_dim = self.embedding_dim = channels * parts
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(channels, linear_dim, num_classes, dropout=dropout, leaky_relu=leaky_relu, classifier_std=classifier_std)
            for _ in range(parts if num_classes else 0)
        )

    def forward(self, x: Tensor) -> Outputs:
        """(B, C, H, W) -> `Outputs` with (B, C * parts) feature and embedding."""
        stripes = F.adaptive_avg_pool2d(x, (self.parts, 1)).squeeze(3)  # (B, C, parts)
        feature = stripes.flatten(1)
        seen = self.dropout(stripes)
        logits = tuple(block(seen[:, :, part])[2][0] for part, block in enumerate(self.blocks))
        return Outputs(feature, feature, logits)

    def normalise(self, embedding: Tensor) -> Tensor:
        """(B, C * parts) -> the same, every stripe of length 1 / sqrt(parts), so that rows are unit vectors."""
        stripes = embedding.unflatten(1, (-1, self.parts))
        return (F.normalize(stripes, dim=1) / math.sqrt(self.parts)).flatten(1)

    def drop_classifier(self) -> None:
        """Take out what only training needs: all blocks."""
        self.blocks = nn.ModuleList()
