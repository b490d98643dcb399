"""Re-ranking: distances corrected by who else is near, for sets of any size; sparse Jaccard distances for clustering."""

from passerby.rerank.expansion import augment_database, expand_queries
from passerby.rerank.graph import GRAPH, Graph
from passerby.rerank.k_reciprocal import K_RECIPROCAL, KReciprocal, jaccard_distances
from passerby.rerank.plans import Plan
from passerby.rerank.scoring import evaluate_reranked, fitness, predict, rerank_blocks, rerank_top_k
from passerby.rerank.together import Method, rerank_together

__all__ = [
    "GRAPH",
    "K_RECIPROCAL",
    "Graph",
    "KReciprocal",
    "Method",
    "Plan",
    "augment_database",
    "evaluate_reranked",
    "expand_queries",
    "fitness",
    "jaccard_distances",
    "predict",
    "rerank_blocks",
    "rerank_together",
    "rerank_top_k",
]
