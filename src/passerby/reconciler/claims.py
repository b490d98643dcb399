"""A claim: numbers as a paper prints them, and what lies within their rounding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from passerby.errors import UsageError
from passerby.reconciler.profiles import Numbers

__all__ = ["CLAIMED", "Claim"]

_STANDARD_ERRORS = 3 * 2**0.5  # the claim was drawn too, about as often
CLAIMED = {"map": "mAP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10"}


@dataclass(frozen=True)
class Claim:
    """Numbers in percent, as text, because "81.1" says less than "81.10". At least one.

    Attributes:
        map: mean average precision.
        rank1: Rank-1.
        rank5: Rank-5.
        rank10: Rank-10.

    Raises:
        UsageError: no number, something that is no number, one outside 0 to 100, or a fraction.

    Example:
        >>> Claim(map="81.1").distance(Numbers(map=0.8108, rank1=0, rank5=0, rank10=0))
        0.0
    """

    map: str = ""
    rank1: str = ""
    rank5: str = ""
    rank10: str = ""

    def __post_init__(self) -> None:
        if not self.given:
            raise UsageError("no claim: give at least one number in percent, for instance --claim 81.1 for mAP.")
        for name, text in self.given.items():
            if not re.fullmatch(r"\d+(\.\d+)?", text):
                raise UsageError(f'claim {CLAIMED[name]} "{text}" is no number: write percent with a point, for instance 81.1.')
            value = float(text)
            if value > 100:
                raise UsageError(f"claim {CLAIMED[name]} {text}: a score is a percentage, 0 to 100.")
            if value <= 1 and "." in text:
                raise UsageError(f"claim {CLAIMED[name]} {text} looks like a fraction: write percent, {100 * value:g}.")

    @property
    def given(self) -> dict[str, str]:
        """The numbers that are claimed, by name."""
        return {name: getattr(self, name) for name in CLAIMED if getattr(self, name)}

    def distance(self, numbers: Numbers, slack: Mapping[str, float] = {}) -> float:
        """Percentage points from the farthest claimed number to the nearest value that would be printed as claimed; 0 fits.

        A number that rests on random draws may be three standard errors away, those of the claim's own draws included.
        Numbers that may be off by `slack` percentage points, by name, give the least distance that the right ones can have.
        """
        apart = []
        spread = dict(zip(CLAIMED, numbers.spread, strict=True))
        for name, text in self.given.items():
            decimals = len(text.partition(".")[2])
            reach = 0.5 * 10**-decimals + 1e-6 + 100 * _STANDARD_ERRORS * spread[name] + slack.get(name, 0)
            apart.append(max(abs(100 * getattr(numbers, name) - float(text)) - reach, 0.0))
        return max(apart)

    def centre_distance(self, numbers: Numbers) -> float:
        """Percentage points from the farthest claimed number to the claim as written."""
        return max(abs(100 * getattr(numbers, name) - float(text)) for name, text in self.given.items())

    def in_words(self) -> str:
        """For a heading."""
        return ", ".join(f"{CLAIMED[name]} {text} %" for name, text in self.given.items())
