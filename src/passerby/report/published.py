"""Which published row stands beside a run, and what the run does otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from passerby.configs import merged, plain
from passerby.datasets import resolve
from passerby.errors import PasserbyError, UsageError
from passerby.recipes import Preset, load_preset, preset_names, recipe

__all__ = ["Beside", "published_beside"]

_WITHOUT_EFFECT = {"seed", "evaluate_every", "save_every_steps", "keep_every", "workers", "target_data"}


@dataclass(frozen=True)
class Beside:
    """A published row.

    Attributes:
        preset: whose figures they are.
        differs: the options that the run has otherwise: name, here, there.
        trained_alike: whether the run trained on the row's data set.
        tested_alike: whether the run was tested on the data set that the row's figures are of.
    """

    preset: Preset
    differs: tuple[tuple[str, str, str], ...]
    trained_alike: bool
    tested_alike: bool


def published_beside(
    recipe_name: str, config: Mapping[str, Any], trained_on: str, tested_on: str, preset: str = ""
) -> Beside | None:
    """The row to show: the one that is asked for, else the one of the same recipe and data set with the fewest other options.

    Args:
        recipe_name: of the run.
        config: all options of the run.
        trained_on: data sets of its training, with + between them.
        tested_on: data set of its query and gallery.
        preset: name of a preset; default: the nearest.

    Returns:
        None where nothing is published for training this recipe on that data.

    Raises:
        UsageError: no such preset, one of another recipe, or one without published figures.
    """
    if preset:
        chosen = load_preset(preset)
        if chosen.recipe != recipe_name or chosen.published is None:
            what = f"belongs to {chosen.recipe}" if chosen.recipe != recipe_name else "has no published figures"
            raise UsageError(f'preset "{preset}" {what}; this run is of {recipe_name}. Leave out --preset to take the nearest.')
        return _beside(chosen, config, trained_on, tested_on)
    rows = [load_preset(name) for name in preset_names(recipe_name)]
    found = [_beside(row, config, trained_on, tested_on) for row in rows if row.published is not None]
    alike = [row for row in found if row.trained_alike]
    return min(alike, key=lambda row: (len(row.differs), row.preset.name), default=None)


def _beside(preset: Preset, config: Mapping[str, Any], trained_on: str, tested_on: str) -> Beside:
    theirs = plain(merged(recipe(preset.recipe).Config(), preset.options, f"preset {preset.name}"))
    differs = tuple(
        (name, _said(config[name]), _said(value))
        for name, value in theirs.items()
        if name in config and name not in _WITHOUT_EFFECT and config[name] != value
    )
    target = str(preset.options.get("target", "") or preset.dataset)
    return Beside(preset, differs, _parts(trained_on) == _parts(preset.dataset), _parts(tested_on) == _parts(target))


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no", None: "default"}.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def _parts(names: str) -> frozenset[str]:
    return frozenset(_canonical(name.strip()) for name in names.split("+"))


def _canonical(name: str) -> str:
    try:
        return resolve(name)
    except PasserbyError:  # a part of a data set, a folder: only itself
        return name
