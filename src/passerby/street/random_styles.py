"""Towns beyond the six: every number names one, put together from the six towns' parts and filmed by stranger cameras.

What a model must not learn is six towns by heart. A random town takes its streets, its clothes and its cameras from different
ones, and its light and its cameras' colours from wider spans than any of the six has. Street-v1 has none of them: training on
any number of random towns and testing on one of the six meets places that were never seen.
"""

from __future__ import annotations

import re
from dataclasses import replace

from numpy.random import RandomState

from passerby.errors import UsageError, nearest
from passerby.street.seeds import stream
from passerby.street.styles import TOWNS, Span, TownStyle

__all__ = ["style_of"]

_NAME = re.compile(r"random-([1-9][0-9]{0,5})")
_FILMED = ("height_m", "person_px", "frames", "blur_px", "noise", "quality", "jitter", "truncation")
Colour = tuple[float, float, float]


def style_of(name: str) -> TownStyle:
    """The style of a town.

    Args:
        name: a key of `TOWNS`, or ``random-N`` with N from 1 to 999,999.

    Raises:
        UsageError: there is no such town.
    """
    if name in TOWNS:
        return TOWNS[name]
    if _NAME.fullmatch(name):
        return _random_style(name)
    raise UsageError(f'no town "{name}". {nearest(name, TOWNS)} Or random-1, random-2, ...: towns put together by chance.')


def _random_style(name: str) -> TownStyle:
    r = stream("random town", name)
    names = sorted(TOWNS)
    built, worn, filmed = (TOWNS[names[index]] for index in r.randint(0, len(names), 3))
    level = r.uniform(0.8, 1.2)
    return replace(
        built,
        title=f"put together by chance: streets as in {_name(built)}, clothes as in {_name(worn)}, cameras as in {_name(filmed)}",
        wardrobe=worn.wardrobe,
        cameras=int(r.randint(3, 9)),
        places=int(r.randint(2, 5)),
        crowd=round(float(r.uniform(1.5, 5.0)), 2),
        sun_azimuth_deg=round(float(r.uniform(0, 360)), 1),
        sun_elevation_deg=round(float(built.sun_elevation_deg if built.ceiling else r.uniform(18, 62)), 1),
        sun=_lit(r, built.sun, level),
        sky=_lit(r, built.sky, level),
        ground=_lit(r, built.ground, level),
        sun_share=round(float(r.uniform(0.2, 1.0)), 2),
        exposure=(0.75, 1.4),
        cast=0.08,
        tint=_lit(r, (1.0, 1.0, 1.0), 1.0, 0.08),
        gamma=(0.82, 1.22),
        contrast=(0.8, 1.2),
        lift=(0.0, 0.08),
        saturation=_about(r, (0.5, 1.05)),
        sharpen=(0.0, 0.7),
        **{field: getattr(filmed, field) for field in _FILMED},
    )


def _name(style: TownStyle) -> str:
    return next(name for name, known in TOWNS.items() if known is style)


def _lit(r: RandomState, colour: Colour, level: float, spread: float = 0.06) -> Colour:
    red, green, blue = (round(float(part * level * r.uniform(1 - spread, 1 + spread)), 4) for part in colour)
    return red, green, blue


def _about(r: RandomState, span: Span) -> Span:
    """A span of half the width somewhere inside."""
    half = (span[1] - span[0]) / 2
    low = round(float(span[0] + r.uniform(0, half)), 3)
    return low, round(low + half, 3)
