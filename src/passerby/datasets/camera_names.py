"""Cameras in the names of images: `_cN` or `camN` (`0002_c1s1_...`, `7_c012.png`, `cam3_0001.jpg`), or MSMT17's third number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["cameras_in_names"]

_RULES = (
    re.compile(r"(?:.*?[_-])?cam(?:era)?[_-]?(\d{1,18})(?!\d)|.*?[_-]c(\d{1,18})(?!\d)", re.IGNORECASE),
    re.compile(r"\d{4}_\d{3}_(\d{2})_\d+[a-z]+_"),
)


def cameras_in_names(paths: Sequence[Path], *further: re.Pattern[str]) -> dict[Path, int]:
    """Path -> camid by the first rule that fits any name, without the images whose names it does not fit.

    The number in the name counts from 1, or from 0 where some image has camera 0.

    Args:
        paths: images; only their own names are looked at.
        further: rules to try last, matched from the start of the name without suffix, each with one group.
    """
    for rule in (*_RULES, *further):
        named = {path: int(next(filter(None, match.groups()))) for path in paths if (match := rule.match(path.stem))}
        if named:
            first = 1 if min(named.values()) > 0 else 0
            return {path: number - first for path, number in named.items()}
    return {}
