"""Street-v1: a frozen data set of rendered people, so that results of different methods and years can stand in one table.

Per town a training and a test population that share nobody, query and gallery fixed, the lists pinned by their SHA-256. What is
pinned never changes under this name: a better generator gets a new version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from passerby.errors import DataError, UsageError, nearest
from passerby.files import write_json
from passerby.street.folder import Order, list_hash, manifest_lines, read_header, read_manifest
from passerby.street.output import Rendered, preview, render_sets
from passerby.street.plan import make_plan
from passerby.street.towns import TOWNS

__all__ = ["SIZES", "STREET_V1", "Size", "benchmark_order", "check_benchmark", "frozen", "pixel_hash", "render_benchmark"]

STREET_V1 = "street-v1"


@dataclass(frozen=True)
class Size:
    """How much of every town a size holds: people to train on, people to test on, crops of each."""

    train_ids: int
    test_ids: int
    views: int
    seed: int


SIZES: dict[str, Size] = {"S": Size(6, 6, 6, 1), "M": Size(140, 140, 12, 1)}


@lru_cache(maxsize=1)
def frozen() -> dict[str, Any]:
    """What is pinned: `lists`, size -> town -> SHA-256 of the manifest; `pixels`, renderer -> town -> that of size S's pixels."""
    return json.loads(Path(__file__).with_name("street_v1.json").read_text(encoding="utf-8"))


def benchmark_order(size: str, town: str) -> Order:
    """What one town of the benchmark consists of.

    Raises:
        UsageError: unknown size or town.
    """
    if size not in SIZES:
        raise UsageError(f'no Street-v1 size "{size}". {nearest(size, SIZES)}')
    if town not in TOWNS:
        raise UsageError(f'no town "{town}". {nearest(town, TOWNS)}')
    chosen = SIZES[size]
    return Order(town, chosen.train_ids, chosen.test_ids, chosen.views, chosen.seed)


def render_benchmark(
    size: str, out: Path, *, towns: tuple[str, ...] = (), renderer: str = "auto", workers: int = 1, sheets: bool = False
) -> list[Rendered]:
    """Render Street-v1, one folder a town, with `street-v1.json` beside them.

    Args:
        size: "S" or "M".
        out: folder; finished towns in it are kept.
        towns: which; empty: all six.
        renderer, workers: see `output.render_set`.
        sheets: also write a preview sheet a town.

    Raises:
        UsageError: unknown size or town.
        DataError: a list differs from the frozen one, or see `folder.open_folder`.
    """
    orders = [benchmark_order(size, town) for town in (towns or tuple(TOWNS))]
    for order in orders:
        _same_list(size, order)
    done = render_sets([(order, out / order.town) for order in orders], renderer=renderer, workers=workers)
    for made in done if sheets else ():
        preview(made.folder, read_manifest(made.folder))
    write_json(out / f"{STREET_V1}.json", {"benchmark": STREET_V1, "size": size, "lists": frozen()["lists"][size]})
    return done


def _same_list(size: str, order: Order) -> None:
    plan = make_plan(order.town, order.train_ids, order.test_ids, order.views, order.seed)
    found, pinned = list_hash(manifest_lines(plan)), frozen()["lists"][size][order.town]
    if found != pinned:
        raise DataError(
            f"the list of {order.town} is {found[:12]}, Street-v1 {size} is frozen at {pinned[:12]}: this version is "
            "not the one that Street-v1 was made with. Results would not be comparable; install the release that matches."
        )


def check_benchmark(folder: Path) -> tuple[str, str]:
    """Say which part of Street-v1 a rendered folder is.

    Returns:
        (size, town).

    Raises:
        DataError: it is none, or images are missing.
    """
    content = read_header(folder)
    for size, lists in frozen()["lists"].items():
        if lists.get(content["town"]) == content["list_sha256"]:
            crops = read_manifest(folder)
            missing = [crop.name for crop in crops if not (folder / crop.folder / crop.name).is_file()]
            if missing:
                raise DataError(f'"{folder}" is Street-v1 {size} but lacks {len(missing)} of {len(crops)} images. Render again.')
            return size, content["town"]
    raise DataError(f'"{folder}" is not a part of Street-v1: its list {content["list_sha256"][:12]} is none of the frozen ones.')


def pixel_hash(folder: Path) -> str:
    """SHA-256 of all decoded pixels of a rendered folder, in the order of its list."""
    digest = hashlib.sha256()
    for crop in read_manifest(folder):
        with Image.open(folder / crop.folder / crop.name) as image:
            digest.update(np.asarray(image).tobytes())
    return digest.hexdigest()
