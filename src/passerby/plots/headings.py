"""What a picture was measured on, in words, from what embeddings know of themselves."""

from __future__ import annotations

from collections.abc import Iterable

from passerby.embeddings import Embeddings
from passerby.metrics import RetrievalScores

__all__ = ["counts", "measured_on", "notes_of"]


def measured_on(*sets: Embeddings) -> str:
    """``baseline mobilenet_v2 on street``, as far as all `sets` agree; empty where nothing is known."""

    def agreed(key: str) -> str:
        values = {str(part.meta.get(key, "")) for part in sets}
        return values.pop() if len(values) == 1 else ""

    model = " ".join(word for word in (agreed("recipe"), agreed("backbone")) if word)
    return " on ".join(part for part in (model, agreed("data")) if part)


def counts(scores: RetrievalScores) -> str:
    """How many queries and gallery images stand behind a number."""
    return f"{scores.num_valid} of {scores.num_queries} queries have a match; {scores.num_gallery} gallery images"


def notes_of(sets: Iterable[Embeddings]) -> tuple[str, ...]:
    """The notes of all sets, each once."""
    return tuple(dict.fromkeys(note for part in sets for note in part.notes))
