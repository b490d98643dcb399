"""The re-ranking flags of `passerby evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.table import Table

from passerby.cli.evaluate_tables import NAMES
from passerby.embeddings import QueryGallery
from passerby.errors import UsageError
from passerby.metrics.conventions import Convention

if TYPE_CHECKING:
    from passerby.metrics import RetrievalScores
    from passerby.rerank import Method

__all__ = ["FLAGS", "before_and_after", "method_of", "print_before_and_after"]

FLAGS = ("k1", "k2", "weight", "power", "rerank_memory_mb")


class _Flags(Protocol):
    @property
    def rerank(self) -> str: ...
    @property
    def k1(self) -> int | None: ...
    @property
    def k2(self) -> int | None: ...
    @property
    def weight(self) -> float | None: ...
    @property
    def power(self) -> int | None: ...
    @property
    def rerank_memory_mb(self) -> float: ...
    @property
    def memory_mb(self) -> float: ...
    @property
    def seed(self) -> int: ...


def method_of(flags: _Flags, convention: Convention) -> Method:
    """What the flags ask for.

    Raises:
        UsageError: flags of another method, values out of range, or a distance that has no neighbours.
    """
    from passerby.rerank import Graph, KReciprocal

    given = {name: getattr(flags, name) for name in ("k1", "k2", "weight", "power") if getattr(flags, name) is not None}
    if flags.rerank == "graph":
        if "power" in given:
            raise UsageError("--power: graph re-ranking takes cosines alone; it goes with --rerank k-reciprocal.")
        if convention.distance != "cosine":
            raise UsageError(f"--rerank graph takes cosines, the convention says {convention.distance}: leave out --distance.")
        return Graph(**given)
    if convention.distance == "dot":
        raise UsageError("--rerank k-reciprocal with a dot product: neighbours need --distance cosine or euclidean.")
    return KReciprocal(**given, distance=convention.distance)


def before_and_after(
    sets: QueryGallery, convention: Convention, flags: _Flags, before: RetrievalScores, *, say: bool = True
) -> RetrievalScores:
    """Re-rank and score; what it will take is said first, and the change after."""
    from passerby.rerank import evaluate_reranked, predict

    method = method_of(flags, convention)
    if say:
        plan = predict(sets.query, sets.gallery, method, memory_mb=flags.rerank_memory_mb)
        Console().print(f"{method.in_words()}: {plan.in_words()}", highlight=False)
    more = sets.multi_query if convention.multi_query != "none" else None
    after = evaluate_reranked(
        sets.query, sets.gallery, convention, method, multi_query=more, max_rank=len(before.cmc),
        memory_mb=flags.rerank_memory_mb, seed=flags.seed, progress=True,
    )  # fmt: skip
    if say:
        print_before_and_after(before, after)
    return after


def print_before_and_after(before: RetrievalScores, after: RetrievalScores) -> None:
    """What re-ranking changed, in percent."""
    table = Table()
    for heading in ("", "before %", "after %", "change"):
        table.add_column(heading, justify="right" if heading else "left")
    now = after.summary()
    for name, value in before.summary().items():
        table.add_row(NAMES[name], f"{100 * value:.2f}", f"{100 * now[name]:.2f}", f"{100 * (now[name] - value):+.2f}")
    Console().print(table)
