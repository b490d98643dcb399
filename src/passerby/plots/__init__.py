"""Pictures of data, batches, training, search and networks, in one visual language."""

from passerby.plots.augmentation import plot_augmentation
from passerby.plots.batches import plot_batches
from passerby.plots.cameras import plot_camera_pairs
from passerby.plots.curves import plot_curves
from passerby.plots.data_sheet import plot_data
from passerby.plots.domains import plot_distances, plot_tsne
from passerby.plots.gates import plot_gates
from passerby.plots.heatmaps import plot_activations, plot_similarity
from passerby.plots.ranking import RankedQuery, choose_queries, rank_query
from passerby.plots.retrieval import plot_cmc, plot_roc
from passerby.plots.sheet import plot_ranking
from passerby.plots.turntable import plot_turntable

__all__ = [
    "RankedQuery",
    "choose_queries",
    "plot_activations",
    "plot_augmentation",
    "plot_batches",
    "plot_camera_pairs",
    "plot_cmc",
    "plot_curves",
    "plot_data",
    "plot_distances",
    "plot_gates",
    "plot_ranking",
    "plot_roc",
    "plot_similarity",
    "plot_tsne",
    "plot_turntable",
    "rank_query",
]
