"""passerby finds the same person across cameras.

    import passerby

    data = passerby.make_drawn("people")                     # or passerby.read_data("market1501", "/data/market")
    embedder = passerby.load("runs/market/artefact")
    query, gallery = passerby.embed(embedder, data.query), passerby.embed(embedder, data.gallery)
    print(passerby.evaluate(query, gallery).summary())

Names are imported when they are first used, so that `import passerby` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.artefact import Artefact, load
    from passerby.batches import Batch
    from passerby.datasets import check as check_data
    from passerby.datasets import read as read_data
    from passerby.datasets.drawn import make_drawn
    from passerby.embedder import Embedder, EmbeddingRule, embed
    from passerby.embeddings import Embeddings, QueryGallery
    from passerby.errors import DataError, PasserbyError, UsageError
    from passerby.metrics import Convention, RetrievalScores, bootstrap, evaluate
    from passerby.models.outputs import Outputs
    from passerby.plots import plot_curves, plot_ranking
    from passerby.records import Record, ReidData, Split, Trial
    from passerby.training import fit
    from passerby.transforms import Preprocess

__all__ = [
    "Artefact",
    "Batch",
    "Convention",
    "DataError",
    "Embedder",
    "EmbeddingRule",
    "Embeddings",
    "Outputs",
    "PasserbyError",
    "Preprocess",
    "QueryGallery",
    "Record",
    "ReidData",
    "RetrievalScores",
    "Split",
    "Trial",
    "UsageError",
    "bootstrap",
    "check_data",
    "embed",
    "evaluate",
    "fit",
    "load",
    "make_drawn",
    "plot_curves",
    "plot_ranking",
    "read_data",
]

_ROOMS = {
    "artefact": ("Artefact", "load"),
    "batches": ("Batch",),
    "datasets.drawn": ("make_drawn",),
    "embedder": ("Embedder", "EmbeddingRule", "embed"),
    "embeddings": ("Embeddings", "QueryGallery"),
    "errors": ("DataError", "PasserbyError", "UsageError"),
    "metrics": ("Convention", "RetrievalScores", "bootstrap", "evaluate"),
    "models.outputs": ("Outputs",),
    "plots": ("plot_curves", "plot_ranking"),
    "records": ("Record", "ReidData", "Split", "Trial"),
    "training": ("fit",),
    "transforms": ("Preprocess",),
}
_PLACE = {name: (room, name) for room, names in _ROOMS.items() for name in names}
_PLACE |= {"read_data": ("datasets", "read"), "check_data": ("datasets", "check")}


def __getattr__(name: str) -> Any:
    if name not in _PLACE:
        raise AttributeError(f"module 'passerby' has no attribute '{name}'")
    room, inside = _PLACE[name]
    found = getattr(importlib.import_module(f"passerby.{room}"), inside)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
