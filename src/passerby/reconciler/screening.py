"""Rankings tried by rough products first: those nowhere near the claim need no exact ones.

What rough products do to numbers is seen on the ranking of the same features by single queries, which is made both ways. A
ranking is put off where each of its settings has a rough number farther from the claim than several times the largest difference
that was seen there. What is named, and printed, always comes from exact products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from passerby.embeddings import QueryGallery
from passerby.errors import UsageError, nearest
from passerby.reconciler.claims import Claim
from passerby.reconciler.findings import Candidate
from passerby.reconciler.products import Rounded, rounding_pays

__all__ = ["SCREENINGS", "Screen", "Screening"]

Screening = Literal["auto", "always", "never"]
SCREENINGS = ("auto", "always", "never")
_WORTH_SCREENING = 4_000_000  # cells of the similarity matrix
_TIMES, _POINTS = 5, 0.1  # of the largest difference that was seen, and percentage points beyond that


@dataclass
class Screen:
    """Keeps what was put off, until it is known whether something else gives the claim.

    Attributes:
        claim: what is looked for.
        features: stored features by name.
        when: "auto" where it pays, "always" or "never".
    """

    claim: Claim
    features: Mapping[str, QueryGallery]
    when: Screening
    _slack: dict[str, dict[str, float]] = field(default_factory=dict)
    _rounded: dict[str, Rounded] = field(default_factory=dict)
    _put_off: list[tuple[float, Callable[[], list[Candidate]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.when not in SCREENINGS:
            raise UsageError(f'no screening "{self.when}". {nearest(str(self.when), SCREENINGS)}')

    @cached_property
    def on(self) -> bool:
        """Whether rough products are used; measured where that is to be found out."""
        sets = self.features[""]
        large = len(sets.query) * len(sets.gallery) >= _WORTH_SCREENING
        return self.when == "always" or (self.when == "auto" and large and rounding_pays(sets.gallery.dim))

    def rounded(self, name: str) -> Rounded:
        """The gallery of some features, rounded; those of one name are kept at a time."""
        if name not in self._rounded:
            self._rounded = {name: Rounded.of(self.features[name].gallery.vectors)}
        return self._rounded[name]

    def knows(self, name: str) -> bool:
        """Whether `learn` was called for these features."""
        return name in self._slack

    def learn(self, name: str, rough: Sequence[Candidate], exact: Sequence[Candidate]) -> None:
        """See how far rough numbers of some features are from exact ones of the same settings."""
        known = {found.setting: found.numbers for found in exact}
        both = [(found.numbers, known[found.setting]) for found in rough if found.setting in known]  # rough ones may have ties
        self._slack[name] = {
            number: _TIMES * max(100 * abs(getattr(one, number) - getattr(other, number)) for one, other in both) + _POINTS
            for number in self.claim.given
        }

    def puts_off(self, name: str, rough: Sequence[Candidate], exactly: Callable[[], list[Candidate]]) -> bool:
        """Whether a ranking is nowhere near the claim; then `exactly` is kept, which scores it."""
        bound = min((self.claim.distance(found.numbers, self._slack[name]) for found in rough), default=0.0)
        if bound > 0:
            self._put_off.append((bound, exactly))
        return bound > 0

    def among_nearest(self, found: list[Candidate], count: int) -> Iterator[list[Candidate]]:
        """Score what may be among the `count` nearest; `found` is what was, and is looked at anew each time."""
        for bound, exactly in sorted(self._put_off, key=lambda one: one[0]):
            distances = sorted(candidate.distance for candidate in found)
            if len(distances) >= count and distances[count - 1] < bound:
                return
            yield exactly()
