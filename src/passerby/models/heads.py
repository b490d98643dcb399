"""Heads: feature maps in, `Outputs` out. A head owns the pooling, the neck and the classifier."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from passerby.models.outputs import Outputs
from passerby.models.pooling import Pooling

__all__ = ["BNNeckHead", "Block", "BlockHead"]

_NORM_STD = 0.02


class Block(nn.Module):
    """Linear, BN, optional activation, dropout, classifier: the baseline's block, alone or once a PCB stripe.

    Weights start as published: linear Kaiming normal (fan out) and bias 0, BN weight N(1, 0.02) and bias 0, classifier
    N(0, `classifier_std`) and bias 0.

    Args:
        in_dim: length of the feature.
        linear_dim: length of the embedding; 0 or less leaves the linear layer out, and BN acts on the feature.
        num_classes: training classes; 0 makes no classifier.
        dropout: probability of zeroing a number before the classifier.
        leaky_relu: LeakyReLU 0.1 after BN.
        classifier_std: of the classifier's start weights.
        bias: of the linear layer; BN makes it idle in training.
        relu: ReLU after BN (torchreid's block).
    """

    def __init__(
        self,
        in_dim: int,
        linear_dim: int,
        num_classes: int,
        *,
        dropout: float = 0.5,
        leaky_relu: bool = False,
        classifier_std: float = 0.001,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.embedding_dim = linear_dim if linear_dim > 0 else in_dim
        self.reduce: nn.Module = nn.Linear(in_dim, linear_dim, bias=bias) if linear_dim > 0 else nn.Identity()
        self.norm = nn.BatchNorm1d(self.embedding_dim)
        self.activation = nn.ReLU() if relu else nn.LeakyReLU(0.1) if leaky_relu else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.embedding_dim, num_classes) if num_classes else None
        if isinstance(self.reduce, nn.Linear):
            nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")
            if bias:
                nn.init.zeros_(self.reduce.bias)
        nn.init.normal_(self.norm.weight, 1.0, _NORM_STD)
        nn.init.zeros_(self.norm.bias)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=classifier_std)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """(B, in_dim) -> the embedding (B, D) before dropout, after dropout, and the logits, empty without classifier."""
        before = self.activation(self.norm(self.reduce(feature)))
        after = self.dropout(before)
        return before, after, () if self.classifier is None else (self.classifier(after),)


class BlockHead(nn.Module):
    """Pooling and one `Block`. The embedding is the block's vector; in training pair losses see it after dropout, as published.

    Args:
        channels: of the maps, in all.
        num_classes: training classes; 0 makes no classifier.
        pool: see `Pooling`.
        linear_dim, dropout, leaky_relu, relu, classifier_std: see `Block`.
        metric_before_dropout: in training too, the embedding is taken before dropout.

    Attributes:
        feature_dim: length of the pooled vector.
        embedding_dim: length of the embedding.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        pool: str = "avg",
        linear_dim: int = 512,
        dropout: float = 0.5,
        leaky_relu: bool = False,
        classifier_std: float = 0.001,
        metric_before_dropout: bool = False,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.pool = Pooling(pool)
        self.feature_dim = self.pool.width(channels)
        self.block = Block(
            self.feature_dim, linear_dim, num_classes, dropout=dropout, leaky_relu=leaky_relu, classifier_std=classifier_std,
            relu=relu,
        )  # fmt: skip
        self.embedding_dim = self.block.embedding_dim
        self.metric_before_dropout = metric_before_dropout

    def forward(self, *maps: Tensor) -> Outputs:
        """(B, C, H, W) maps -> `Outputs`."""
        feature = self.pool(*maps)
        before, after, logits = self.block(feature)
        return Outputs(feature, before if self.metric_before_dropout else after, logits)

    def normalise(self, embedding: Tensor) -> Tensor:
        """(B, D) -> unit rows."""
        return F.normalize(embedding)

    def drop_classifier(self) -> None:
        """Take out what only training needs."""
        self.block.classifier = None


class BNNeckHead(nn.Module):
    """Pooling, a BN whose bias stays 0, and a classifier without bias.

    Pair losses want the feature before the neck (distances there are not squeezed), the classifier wants it after (Luo et al.,
    Bag of Tricks, CVPRW 2019): in training ``embedding`` is the feature, in evaluation the neck's output. The weight of the neck
    starts as N(1, 0.02), that of the classifier as N(0, `classifier_std`).

    Args:
        channels: of the maps, in all.
        num_classes: training classes; 0 makes no classifier.
        pool: see `Pooling`.
        dropout: probability of zeroing a number before the classifier (published: 0).
        classifier_std: of the classifier's start weights.
        search_before_neck: search with the feature too.

    Attributes:
        feature_dim: length of the pooled vector.
        embedding_dim: the same.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        pool: str = "avg",
        dropout: float = 0.0,
        classifier_std: float = 0.001,
        search_before_neck: bool = False,
    ) -> None:
        super().__init__()
        self.pool = Pooling(pool)
        self.feature_dim = self.embedding_dim = self.pool.width(channels)
        self.norm = nn.BatchNorm1d(self.feature_dim)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.feature_dim, num_classes, bias=False) if num_classes else None
        self.search_before_neck = search_before_neck
        nn.init.normal_(self.norm.weight, 1.0, _NORM_STD)
        nn.init.zeros_(self.norm.bias)
        self.norm.bias.requires_grad_(False)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=classifier_std)

    def forward(self, *maps: Tensor) -> Outputs:
        """(B, C, H, W) maps -> `Outputs`."""
        feature = self.pool(*maps)
        neck = self.norm(feature)
        logits = () if self.classifier is None else (self.classifier(self.dropout(neck)),)
        return Outputs(feature, feature if self.training or self.search_before_neck else neck, logits)

    def normalise(self, embedding: Tensor) -> Tensor:
        """(B, D) -> unit rows."""
        return F.normalize(embedding)

    def drop_classifier(self) -> None:
        """Take out what only training needs."""
        self.classifier = None
