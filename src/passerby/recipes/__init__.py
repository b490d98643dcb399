"""Recipes: one file a method, read from top to bottom: docstring, `Config`, `build_model`, `make_step`, `train`.

A preset is a named set of a recipe's options with the figures that were published for it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from types import ModuleType
from typing import Any

import yaml

from passerby.errors import UsageError, nearest

__all__ = ["RECIPES", "Preset", "Published", "PublishedAccuracy", "about", "load_preset", "preset_names", "recipe"]

RECIPES: dict[str, str] = {
    "baseline": "passerby.recipes.baseline",
    "cail-mixup": "passerby.recipes.cail_mixup",
    "camera-bn": "passerby.recipes.camera_bn",
    "metabin": "passerby.recipes.metabin",
    "ognet": "passerby.recipes.ognet",
}


@dataclass(frozen=True)
class Published:
    """Figures that others published, with where they stand and the convention they were made with.

    Attributes:
        rank1: fraction.
        map: fraction, by the AP rule of `convention`.
        convention: a name of `metrics.CONVENTIONS`.
        source: who reports it.
        further: the same run's figures under other protocols.
    """

    rank1: float
    map: float
    convention: str
    source: str
    further: tuple[Mapping[str, Any], ...] = ()

    def in_words(self) -> str:
        """What stands below the figures."""
        return self.source


@dataclass(frozen=True)
class PublishedAccuracy:
    """Figures that others published of a classifier of objects.

    Attributes:
        accuracy: fraction of the test objects.
        class_accuracy: mean over the classes of the fraction of each.
        objects: test objects.
        classes: their classes.
        source: who reports it, and of which epoch.
    """

    accuracy: float
    class_accuracy: float
    objects: int
    classes: int
    source: str

    @property
    def val_error(self) -> float:
        """The first figure as a run logs it."""
        return 1 - self.accuracy

    @property
    def val_class_error(self) -> float:
        """The second figure as a run logs it."""
        return 1 - self.class_accuracy

    def in_words(self) -> str:
        """Both figures in percent, what they are of, and their source."""
        return (
            f"{self.accuracy:.2%} of {self.objects:,} objects right, {self.class_accuracy:.2%} in the mean over {self.classes} "
            f"classes ({self.source})"
        )


@dataclass(frozen=True)
class Preset:
    """One published row: what to set, on which data, and what came out there."""

    name: str
    title: str
    recipe: str
    dataset: str
    options: Mapping[str, Any]
    published: Published | None = None
    published_accuracy: PublishedAccuracy | None = None
    protocol: str = ""
    """of `passerby evaluate --protocol`, where the figures were made with one"""
    convention: str = ""
    """how its authors count, where there are no figures to say it"""
    note: str = ""

    @property
    def counted_by(self) -> str:
        """Name of the convention of its figures, or of its authors; empty: the usual one."""
        return self.convention if self.published is None else self.published.convention


def recipe(name: str) -> ModuleType:
    """The module of one recipe.

    Raises:
        UsageError: no recipe of that name.
    """
    if name not in RECIPES:
        raise UsageError(f'no recipe "{name}". {nearest(name, RECIPES)}')
    return import_module(RECIPES[name])


def about(name: str) -> str:
    """What a recipe is, in one line: the first of its module, which is not imported for it."""
    source = resources.files("passerby.recipes") / f"{RECIPES[name].rpartition('.')[2]}.py"
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def preset_names(recipe_name: str | None = None) -> list[str]:
    """The presets, sorted; only those of one recipe where it is named."""
    files = (resources.files("passerby.recipes") / "presets").iterdir()
    names = sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    return [name for name in names if recipe_name is None or load_preset(name).recipe == recipe_name]


def load_preset(name: str) -> Preset:
    """Read one preset of the package.

    Raises:
        UsageError: no preset of that name.
    """
    file = resources.files("passerby.recipes") / "presets" / f"{name}.yaml"
    if not file.is_file():
        raise UsageError(f'no preset "{name}". {nearest(name, preset_names())}')
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    published = content.pop("published", None)
    if published is not None:
        published = Published(**{**published, "further": tuple(published.get("further", ()))})
    accuracy = content.pop("published_accuracy", None)
    accuracy = PublishedAccuracy(**accuracy) if accuracy is not None else None
    return Preset(name=name, published=published, published_accuracy=accuracy, **content)
