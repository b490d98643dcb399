"""Typed configurations: a frozen dataclass, filled from YAML and from flags, later over earlier, every key checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from passerby.errors import UsageError, nearest
from passerby.files import write_text

__all__ = ["check_in_use", "check_ranges", "merged", "plain", "read_yaml", "write_yaml"]

C = TypeVar("C")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UsageError: the file is absent, is no YAML, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"config {path}: {error.strerror}. Give a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"config {path} is no YAML: {reason}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"config {path} holds a {type(content).__name__}; it must be a mapping of option: value.")
    return content


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML in its own order, whole or not at all."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def merged(config: C, values: Mapping[str, Any], where: str) -> C:
    """`config` with `values` over it.

    Args:
        config: a frozen dataclass.
        values: option -> value, as YAML gives them.
        where: what the values come from; it begins the error.

    Raises:
        UsageError: an unknown option (the nearest one is named) or a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    hints = get_type_hints(type(config))
    known = [f.name for f in fields(config)]  # type: ignore[arg-type]
    checked = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise UsageError(f'{where}: no option "{key}". {nearest(name, known)}')
        if isinstance(value, bool) and hints[name] is not bool:  # pydantic would take true for 1
            raise UsageError(f"{where}: {key} is {value}; it is no switch.")
        try:
            checked[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise UsageError(f"{where}: {key} is {value!r}; {reason}.") from None
    return replace(config, **checked)  # type: ignore[type-var]


def plain(config: Any) -> dict[str, Any]:
    """A dataclass as JSON-able values: tuples as lists, paths as strings."""

    def simple(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, (tuple, list)):
            return [simple(item) for item in value]
        if isinstance(value, Mapping):
            return {str(key): simple(item) for key, item in value.items()}
        return value

    return simple(asdict(config))


def check_ranges(config: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse numbers that an option cannot have; None passes.

    Args:
        config: a dataclass.
        ranges: option -> (least allowed, below this).

    Raises:
        UsageError: a number out of its range, or not finite.
    """
    for name, (least, below) in ranges.items():
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and least <= value < below):
            allowed = f"{least:g} or more" + ("" if below == math.inf else f", and below {below:g}")
            raise UsageError(f"{name} is {value}: allowed is {allowed}.")


def check_in_use(config: C, only_with: Mapping[str, tuple[str, Callable[[C], bool]]]) -> None:
    """Refuse an option that was changed and would do nothing.

    Args:
        config: a dataclass with defaults.
        only_with: option -> (what it acts with, in words; whether the configuration has that).

    Raises:
        UsageError: an option differs from its default and does not act.
    """
    defaults = {field.name: field.default for field in fields(config)}  # type: ignore[arg-type]
    for name, (needed, condition) in only_with.items():
        if getattr(config, name) != defaults[name] and not condition(config):
            raise UsageError(f"{name} is {getattr(config, name)}, but it acts only with {needed}. Leave it out, or add that.")
