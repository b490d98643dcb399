"""Images to vectors: one trained network with everything that must be done to an image before and to a vector after it."""

from passerby.embedder.clouds import CloudEmbedder, CloudLike, embedder_for
from passerby.embedder.network import Embedder, bf16_is_fast
from passerby.embedder.pictures import ImageLike
from passerby.embedder.rule import EmbeddingRule
from passerby.embedder.splits import Numbering, embed

__all__ = [
    "CloudEmbedder",
    "CloudLike",
    "Embedder",
    "EmbeddingRule",
    "ImageLike",
    "Numbering",
    "bf16_is_fast",
    "embed",
    "embedder_for",
]
