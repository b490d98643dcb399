"""Pictures: ranked galleries, training curves, domains and gates, in one visual language."""

from passerby.plots.cameras import plot_camera_pairs
from passerby.plots.curves import plot_curves
from passerby.plots.domains import plot_distances, plot_tsne
from passerby.plots.gates import plot_gates
from passerby.plots.ranking import RankedQuery, choose_queries, rank_query
from passerby.plots.retrieval import plot_cmc, plot_roc
from passerby.plots.sheet import plot_ranking

__all__ = [
    "RankedQuery",
    "choose_queries",
    "plot_camera_pairs",
    "plot_cmc",
    "plot_curves",
    "plot_distances",
    "plot_gates",
    "plot_ranking",
    "plot_roc",
    "plot_tsne",
    "rank_query",
]
