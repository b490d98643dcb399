"""Ways between cameras: how many seconds somebody needs from one to the other, and what is therefore impossible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from passerby.errors import UsageError

__all__ = ["ONE_MOMENT_S", "Transitions"]

ONE_MOMENT_S = 1.0
"""Two cameras with no known way between them cannot show one person within this time: it is two places at one time."""


@dataclass(frozen=True)
class Transitions:
    """The least seconds from one camera to another.

    Attributes:
        seconds: (camera, camera) -> least seconds. A pair counts for both directions unless the other one stands there too;
            0 says that the two views overlap.

    Raises:
        UsageError: a negative or infinite time.
    """

    seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (one, other), least in self.seconds.items():
            if not (math.isfinite(least) and least >= 0):
                raise UsageError(f"from camera {one} to {other} in {least} s: give the least seconds of the way, 0 or more.")

    def least_s(self, one: str, other: str) -> float | None:
        """Least seconds from `one` to `other`; None where nothing is known."""
        if one == other:
            return 0.0
        found = self.seconds.get((one, other))
        return self.seconds.get((other, one)) if found is None else found

    def impossible(self, camera: str, time: float, seen: Iterable[tuple[str, float]]) -> str | None:
        """Why somebody who was `seen` at (camera, time) cannot be at `camera` at `time`; None where nothing speaks against it.

        >>> Transitions({("lobby", "yard"): 40}).impossible("yard", 10.0, [("lobby", 0.0)])
        'at lobby 10 s before: the way takes 40 s'
        """
        for other, when in sorted(seen, key=lambda place: abs(place[1] - time)):
            gap = abs(time - when)
            least = self.least_s(other, camera) if when <= time else self.least_s(camera, other)
            if least is None:
                if gap < ONE_MOMENT_S:
                    return f"at {other} at the same time"
            elif gap < least:
                order = "before" if when <= time else "after"
                return f"at {other} {gap:.3g} s {order}: the way takes {least:.3g} s"
        return None

    def to_json(self) -> list[list[str | float]]:
        """JSON-able."""
        return [[one, other, least] for (one, other), least in sorted(self.seconds.items())]

    @classmethod
    def from_json(cls, stored: Iterable[Iterable[str | float]]) -> Transitions:
        """What `to_json` gave."""
        return cls({(str(one), str(other)): float(least) for one, other, least in stored})
