"""The metric losses by name, and the sum of those that a recipe asks for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from passerby.errors import UsageError, nearest
from passerby.losses.circle import circle
from passerby.losses.instance import instance, instance_id
from passerby.losses.pairwise import contrastive, lifted
from passerby.losses.proxy import ArcFace, CosFace, SphereFace
from passerby.losses.triplet import triplet, triplet_hard

__all__ = ["LOSSES", "LossKind", "LossTerm", "MetricLosses", "make_losses"]


@dataclass(frozen=True)
class LossKind:
    """What a recipe must know of a loss before it uses it.

    Attributes:
        make: the function (embeddings, labels) -> scalar; or the Module that is one, made from the number of classes and the
            embedding dimension, where `class_weights` is true. Its keyword-only arguments are the loss's options.
        needs_pairs: it learns from images of one person in one batch, which a plain shuffle seldom gives.
        divided_by_batch: the published weight is 1/B, so that it shrinks as the batch grows.
        class_weights: it owns parameters, which an optimizer must get.
    """

    make: Callable[..., Any]
    needs_pairs: bool
    divided_by_batch: bool
    class_weights: bool = False


LOSSES: dict[str, LossKind] = {
    "circle": LossKind(circle, needs_pairs=True, divided_by_batch=True),
    "triplet": LossKind(triplet, needs_pairs=True, divided_by_batch=False),
    "triplet-hard": LossKind(triplet_hard, needs_pairs=True, divided_by_batch=False),
    "contrastive": LossKind(contrastive, needs_pairs=True, divided_by_batch=False),
    "lifted": LossKind(lifted, needs_pairs=True, divided_by_batch=False),
    "instance": LossKind(instance, needs_pairs=False, divided_by_batch=True),
    "instance-id": LossKind(instance_id, needs_pairs=True, divided_by_batch=True),
    "arcface": LossKind(ArcFace, needs_pairs=False, divided_by_batch=True, class_weights=True),
    "cosface": LossKind(CosFace, needs_pairs=False, divided_by_batch=True, class_weights=True),
    "sphere": LossKind(SphereFace, needs_pairs=False, divided_by_batch=True, class_weights=True),
}


@dataclass(frozen=True)
class LossTerm:
    """One metric loss beside the cross-entropy.

    Attributes:
        name: a key of `LOSSES`.
        weight: its factor in the sum.
        options: keyword arguments of the loss, for instance ``{"margin": 0.4}``.
        divided_by_batch: also divide by B; None does what was published for this loss.

    Raises:
        UsageError: an unknown name or option, or a weight that is not above 0.

    >>> LossTerm.parse("circle:0.5")
    LossTerm(name='circle', weight=0.5, options={}, divided_by_batch=None)
    """

    name: str
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    divided_by_batch: bool | None = None

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise UsageError(f'no loss "{self.name}". {nearest(self.name, LOSSES)}')
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise UsageError(
                f"the weight of {self.name} is {self.weight}: it must be above 0. Leave the loss out to switch it off."
            )
        allowed = [
            name
            for name, parameter in inspect.signature(self.kind.make).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        for option in self.options:
            if option not in allowed:
                raise UsageError(f'{self.name} has no option "{option}". {nearest(option, allowed)}')

    @classmethod
    def parse(cls, text: str) -> LossTerm:
        """Read ``NAME`` or ``NAME:WEIGHT``.

        Raises:
            UsageError: an unknown name, or a weight that is no number above 0.
        """
        name, colon, weight = text.partition(":")
        try:
            return cls(name, float(weight) if colon else 1.0)
        except ValueError:
            raise UsageError(f'the weight of {name} is "{weight}", which is no number. Write it as {name}:0.5.') from None

    @property
    def kind(self) -> LossKind:
        """What the loss needs."""
        return LOSSES[self.name]

    @property
    def needs_pairs(self) -> bool:
        """Whether batches should hold several images of each person."""
        return self.kind.needs_pairs


class MetricLosses(nn.Module):
    """Weighted metric losses on one batch of embeddings; made by `make_losses`.

    Its parameters are the class weights of ArcFace, CosFace and SphereFace: give `parameters()` to an optimizer. With several
    processes pass the gathered batch, so that pairs and B span all of it.
    """

    def __init__(self, terms: Sequence[LossTerm], functions: Sequence[Callable[[Tensor, Tensor], Tensor]]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.class_weights = nn.ModuleDict({t.name: f for t, f in zip(terms, functions, strict=True) if isinstance(f, nn.Module)})
        self._functions = {t.name: f for t, f in zip(terms, functions, strict=True) if not isinstance(f, nn.Module)}

    @property
    def needs_pairs(self) -> bool:
        """Whether any term needs several images of each person in a batch."""
        return any(term.needs_pairs for term in self.terms)

    def forward(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Every term by name, weighted, ready to be summed.

        Args:
            embeddings: (B, D).
            labels: (B,) int64 training classes.

        Returns:
            Scalars, in the order of the terms.
        """
        return {term.name: self._weight(term, len(labels)) * self._one(term, embeddings, labels) for term in self.terms}

    def _one(self, term: LossTerm, embeddings: Tensor, labels: Tensor) -> Tensor:
        chosen = self._functions[term.name] if term.name in self._functions else self.class_weights[term.name]
        return chosen(embeddings, labels)

    @staticmethod
    def _weight(term: LossTerm, batch: int) -> float:
        divided = term.kind.divided_by_batch if term.divided_by_batch is None else term.divided_by_batch
        return term.weight / batch if divided else term.weight


def make_losses(terms: Iterable[LossTerm | str], *, num_classes: int, embedding_dim: int) -> MetricLosses:
    """The metric losses of a recipe.

    Args:
        terms: each a `LossTerm`, or ``NAME`` or ``NAME:WEIGHT``; none is allowed.
        num_classes: training identities.
        embedding_dim: D of the embeddings.

    Raises:
        UsageError: an unknown loss, one named twice, or a weight or option out of range.
    """
    chosen = [LossTerm.parse(term) if isinstance(term, str) else term for term in terms]
    names = [term.name for term in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is named twice among the losses; give it once, with the weight that you mean.")
    return MetricLosses(chosen, [_made(term, num_classes, embedding_dim) for term in chosen])


def _made(term: LossTerm, num_classes: int, embedding_dim: int) -> Callable[[Tensor, Tensor], Tensor]:
    if term.kind.class_weights:
        return term.kind.make(num_classes, embedding_dim, **term.options)
    return partial(term.kind.make, **term.options)
