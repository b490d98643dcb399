"""`passerby compare norms`: which norm in training, which at test, at home and in a new place, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from passerby.errors import UsageError
from passerby.recipes.camera_bn import Config, estimation, train

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.embedder.camera_statistics import Estimation
    from passerby.records import ReidData, Split

__all__ = ["Options", "run"]

IBN = {
    "resnet50": "resnet50_ibn_a", "resnet101": "resnet101_ibn_a", "osnet_x1_0": "osnet_ain_x1_0", "osnet": "osnet_ain_x1_0",
}  # fmt: skip
"""Backbone -> the same with instance norm in it."""

PUBLISHED = {
    "BN / BN": ("81.5 / 66.6", "53.2 / 25.1"),
    "IBN / IBN": ("77.6 / 57.0", "61.7 / 29.5"),
    "BN / AdaBN": ("81.2 / 66.2", "55.8 / 28.1"),
    "BN / CBN": ("80.2 / 63.7", "69.5 / 40.6"),
    "CBN / CBN": ("82.5 / 67.3", "72.7 / 43.0"),
}
"""Table 6 of Zhuang et al., ECCV 2020: Rank-1 / mAP in percent on DukeMTMC-reID, and from there to Market-1501."""
PROGRESSIVE = "BN, camera statistics in "


@dataclass(frozen=True)
class Options:
    """Train with plain batch norm, with instance norms (IBN) and by camera, and test each at home and in a new place.

    The table has the rows of tables 6 and 9 of the paper on camera-based batch norm: BN / BN, IBN / IBN, BN / AdaBN (statistics
    of the whole test set), BN / CBN (of each camera), CBN / CBN, and BN with camera statistics in the first layers only, more
    and more of them. All are trained by `passerby train camera-bn`, whose options follow.
    """

    source: Path
    """folder of the data set to train on"""
    target: Path
    """folder of the data set of another place, which nothing is trained on"""
    out: Path
    """folder of the runs; what is finished in it is not made again, but going on needs the same options"""
    ibn_backbone: str = ""
    """backbone with instance norms in it, for the row IBN / IBN (default: that of --backbone where there is one, else no row)"""
    ibn_weights: str = "auto"
    """its start weights"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    workers: int = 2
    """processes that decode training images"""
    json: Path | None = None
    """write the table to this file too"""
    recipe: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def run(options: Options) -> None:
    """Train what is not trained yet, test everything, and print the table."""
    from passerby import datasets
    from passerby.artefact import load

    config = options.recipe
    if config.norm != "camera" or config.then:
        raise UsageError("--norm and --then: this table sets the norms itself and trains on --source only; leave them out.")
    folders = {"home": options.source, "away": options.target}
    places = {place: datasets.read(datasets.detect(folder), folder) for place, folder in folders.items()}
    for data in places.values():
        datasets.check_evaluable(data)
    nothing = places["home"].query[:0]
    own = replace(places["home"], query=nothing, gallery=nothing)  # the table is measured behind all trainings
    rows: dict[str, dict[str, Any]] = {}
    for name, chosen in _arms(options).items():
        artefact = options.out / name / "artefact"
        if not (artefact / "passerby.json").is_file():
            train(chosen, own, options.out / name, resume=True, device=options.device, workers=options.workers)
        embedder = load(artefact, device=options.device, batch_size=config.batch_size)
        for place, data in places.items():
            for row, scores in _tests(name, embedder, data, estimation(config)):
                rows.setdefault(row, {})[place] = scores
    _tell(rows, options)


def _arms(options: Options) -> dict[str, Config]:
    """What is trained, by name of the folder."""
    config = options.recipe
    plain = replace(config, norm="batch", statistics_batches=Config().statistics_batches)
    ibn = options.ibn_backbone or IBN.get(config.backbone, "")
    further = {"ibn": replace(plain, backbone=ibn, weights=options.ibn_weights)} if ibn else {}
    return {"bn": plain, "cbn": config} | further


def _tests(arm: str, embedder: Embedder, data: ReidData, how: Estimation | None) -> list[tuple[str, dict[str, float]]]:
    """The rows of one trained network."""
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import with_data_statistics
    from passerby.embedder.progressive import cuts, with_first_layers
    from passerby.metrics import evaluate

    splits: Mapping[str, Split] = {"query": data.query, "gallery": data.gallery}
    numbering = Numbering.of(*splits.values())

    def scored(ready: Mapping[str, Embedder]) -> dict[str, float]:
        query, gallery = (embed(ready[name], split, numbering=numbering) for name, split in splits.items())
        found = evaluate(query, gallery)
        return {"rank1": found.rank(1), "map": found.map}

    def by(source: str) -> dict[str, float]:
        return scored(with_data_statistics(embedder, splits, source, how))

    if arm == "ibn":
        return [("IBN / IBN", scored(dict.fromkeys(splits, embedder)))]
    if arm == "cbn":
        return [("CBN / CBN", by("own"))]
    found = [("BN / BN", scored(dict.fromkeys(splits, embedder))), ("BN / AdaBN", by("whole-set")), ("BN / CBN", by("own"))]
    where = {name: count for name, count in cuts(embedder).items() if name not in ("none", "all, the neck too")}
    parts = with_first_layers(embedder, splits, list(where.values()), how)
    return found + [(PROGRESSIVE + name, scored(ready)) for name, ready in zip(where, parts, strict=True)]


def _order(row: str) -> tuple[int, str]:
    names = list(PUBLISHED)
    return (names.index(row), "") if row in names else (len(names), "0" if "first" in row else row)


def _tell(rows: Mapping[str, Mapping[str, Any]], options: Options) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.files import write_json

    table = Table(
        "norm in training / at test", "home", "away", "published: Duke", "Duke to Market",
        title=f"Rank-1 / mAP %, trained on {options.source.name}, away is {options.target.name}",
    )  # fmt: skip
    for row in sorted(rows, key=_order):
        found = [f"{100 * rows[row][place]['rank1']:.1f} / {100 * rows[row][place]['map']:.1f}" for place in ("home", "away")]
        table.add_row(row, *found, *PUBLISHED.get(row, ("", "")))
    console = Console()
    console.print(table)
    if "IBN / IBN" not in rows:
        console.print(
            f"no row IBN / IBN: {options.recipe.backbone} has no counterpart with instance norms; name one with --ibn-backbone"
        )
    console.print(
        "statistics at test come from the unlabelled images of each split; mAP by the rank rule, every query with a match"
    )
    if options.json is not None:
        write_json(options.json, {"source": str(options.source), "target": str(options.target), "rows": rows})
