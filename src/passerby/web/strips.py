"""When and where the hits of a search are: one strip a camera over a common axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from passerby.gallery import Hit, Sighting, clock

__all__ = ["Mark", "Strip", "Strips", "strips"]

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000)
_EDGE = 3.0  # percent that stay free at both ends


@dataclass(frozen=True)
class Mark:
    """One crop on the axis. `place` counts hits from 1, 0 is the query itself; `percent` is where it stands."""

    id: int
    place: int
    percent: float
    time: float
    word: str | None


@dataclass(frozen=True)
class Strip:
    """One camera, its marks by time."""

    camera: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Strips:
    """All cameras; `ticks` are (percent, label) of the axis, `untimed` counts hits without a time."""

    cameras: tuple[Strip, ...]
    ticks: tuple[tuple[float, str], ...]
    day: str
    untimed: int


def strips(hits: Sequence[Hit], rows: Sequence[Sighting]) -> Strips | None:
    """Lay hits, and the stored crops that were searched with, on an axis; None where none of them has a time."""
    timed = [(0, row, None) for row in rows] + [(place, hit.sighting, hit.word) for place, hit in enumerate(hits, 1)]
    untimed = sum(hit.sighting.time is None for hit in hits)
    placed = [(place, row, word, row.time) for place, row, word in timed if row.time is not None]
    if not placed:
        return None
    first, last = min(time for *_, time in placed), max(time for *_, time in placed)
    span = max(last - first, 1.0)

    def percent(time: float) -> float:
        return round(_EDGE + (100 - 2 * _EDGE) * (time - first) / span, 2)

    cameras: dict[str, list[Mark]] = {}
    for place, row, word, time in placed:
        cameras.setdefault(row.camera, []).append(Mark(row.id, place, percent(time), time, word))
    ordered = [Strip(name, tuple(sorted(marks, key=lambda mark: (mark.time, mark.place)))) for name, marks in cameras.items()]
    ordered.sort(key=lambda strip: strip.marks[0].time)
    step = next((step for step in _STEPS_S if span / step <= 5), span / 5)
    ticks = []
    at = -(-first // step) * step
    while at <= last and len(ticks) < 8:
        ticks.append((percent(at), _tick(at, step)))
        at += step
    return Strips(tuple(ordered), tuple(ticks), clock(first)[:10], untimed)


def _tick(time: float, step: float) -> str:
    text = clock(time)
    return text[:10] if step >= 86400 else text[11:16] if step >= 60 else text[11:]
