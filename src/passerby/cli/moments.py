"""Points in time on the command line."""

from __future__ import annotations

from datetime import datetime, timezone

from passerby.errors import UsageError

__all__ = ["moment"]


def moment(text: str, flag: str) -> float:
    """Seconds since 1970 UTC of an ISO 8601 date and time; one that names no offset is UTC, so that it is the same everywhere.

    Args:
        text: ``2026-11-21``, ``2026-11-21T09:00:00``, ``2026-11-21 09:00+02:00`` ...
        flag: what an error calls it.

    Raises:
        UsageError: it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(
            f'{flag} is "{text}": a time is written like 2026-11-21T09:00:00 or 2026-11-21T09:00:00+02:00.'
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
