"""What the reconciler finds."""

from __future__ import annotations

from dataclasses import dataclass

from passerby.reconciler.claims import Claim
from passerby.reconciler.profiles import Numbers
from passerby.reconciler.switches import Setting

__all__ = ["Candidate", "Explanation"]


@dataclass(frozen=True)
class Candidate:
    """One set of switches and what it gives.

    Attributes:
        setting: all choices.
        switches: (axis, choice at the start, choice here), as `switches.words` puts in words.
        numbers: fractions.
        distance: percentage points from the claim, 0 where it is printed as claimed.
    """

    setting: Setting
    switches: tuple[tuple[str, str, str], ...]
    numbers: Numbers
    distance: float


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        claim: what was claimed.
        start: the numbers under the convention that the search starts from.
        candidates: the smallest sets of switches that give the claim, most plausible first; where there is none, the nearest. A
            set with random draws counts as one larger than it is.
        exact: whether they give the claim.
        tried: how many settings were scored.
        notes: what was not tried, and why.
    """

    claim: Claim
    start: Candidate
    candidates: tuple[Candidate, ...]
    exact: bool
    tried: int
    notes: tuple[str, ...]
