"""Pictures: ranked galleries and training curves, in one visual language."""

from passerby.plots.curves import plot_curves
from passerby.plots.ranking import RankedQuery, choose_queries, rank_query
from passerby.plots.sheet import plot_ranking

__all__ = ["RankedQuery", "choose_queries", "plot_curves", "plot_ranking", "rank_query"]
