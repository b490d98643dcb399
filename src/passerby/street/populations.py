"""Named populations to train on: many towns, everybody for training, nobody of Street-v1 among them."""

from __future__ import annotations

from pathlib import Path

from passerby.errors import UsageError, nearest
from passerby.street.folder import Order
from passerby.street.output import Rendered, render_sets

__all__ = ["HELD_OUT", "POPULATIONS", "population", "render_population"]

HELD_OUT = ("harbour", "winter")
"""Towns that no population has, so that a model that was trained on one can be tested in places it never saw."""
_KNOWN = ("arcade", "campus", "market", "station")


def _house(known: int, random: int, towns: int, views: int) -> tuple[Order, ...]:
    names = dict.fromkeys(_KNOWN, known) | {f"random-{number}": random for number in range(1, towns + 1)}
    return tuple(Order(name, people, 0, views, seed=2) for name, people in names.items())


POPULATIONS: dict[str, tuple[Order, ...]] = {
    "house": _house(250, 200, 12, 6),
    "house-large": _house(1_000, 500, 24, 8),
}
"""name -> what is rendered: ``house`` 3,400 people, 20,400 crops; ``house-large`` 16,000 people, 128,000 crops."""


def population(name: str) -> tuple[Order, ...]:
    """The towns of a population.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in POPULATIONS:
        raise UsageError(f'no population "{name}". {nearest(name, POPULATIONS)}')
    return POPULATIONS[name]


def render_population(name: str, out: Path, *, renderer: str = "auto", workers: int = 1) -> list[Rendered]:
    """Render a population, one folder a town; a run that was killed goes on where it stopped.

    Args:
        name: a key of `POPULATIONS`.
        out: folder; finished towns in it are kept.
        renderer, workers: see `output.render_set`.

    Raises:
        UsageError: no such population.
        DataError: see `folder.open_folder`.
    """
    return render_sets([(order, out / order.town) for order in population(name)], renderer=renderer, workers=workers)
