"""Rows of tracks, put together."""

from __future__ import annotations

from collections.abc import Iterable

from passerby.gallery.rows import Track

__all__ = ["made_tracks"]


def made_tracks(rows: Iterable[tuple[str, str, int, float | None, float | None]]) -> list[Track]:
    """Tracks by start, then camera and name; tracks without a time last.

    Args:
        rows: (camera, track, id, time, quality).
    """
    held: dict[tuple[str, str], list[tuple[str, str, int, float | None, float | None]]] = {}
    for row in rows:
        held.setdefault((row[0], row[1]), []).append(row)
    found = []
    for (camera, name), own in held.items():
        own.sort(key=lambda row: (row[3] is None, row[3] or 0.0, row[2]))
        times = [row[3] for row in own if row[3] is not None]
        best = max(own, key=lambda row: -1.0 if row[4] is None else row[4])
        ids = tuple(row[2] for row in own)
        found.append(Track(camera, name, min(times, default=None), max(times, default=None), ids, best[2]))
    return sorted(found, key=lambda track: (track.start is None, track.start or 0.0, track.camera, track.name))
