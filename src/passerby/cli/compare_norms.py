"""`passerby compare norms`: which norm in training, which at test, at home and in a new place, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.recipes.camera_bn import Config
    from passerby.records import ReidData, Split

__all__ = ["main"]

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
class RunOptions:
    """What is compared where."""

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


def main(arguments: Sequence[str]) -> int:
    """Run `passerby compare norms` with the words that follow it."""
    import tyro

    from passerby.cli.parsing import check_report, parse
    from passerby.recipes.camera_bn import Config

    both = make_dataclass(
        "Options",
        [("run", Annotated[RunOptions, tyro.conf.arg(name="")]), ("options", Annotated[Config, tyro.conf.arg(name="")])],
        frozen=True,
    )
    both.__doc__ = (
        "Train with plain batch norm, with instance norms (IBN) and by camera, and test each at home and in a new place.\n\n"
        "The table has the rows of tables 6 and 9 of the paper on camera-based batch norm: BN / BN, IBN / IBN, BN / AdaBN "
        "(statistics of the whole test set), BN / CBN (of each camera), CBN / CBN, and BN with camera statistics in the first "
        "layers only, more and more of them. All are trained by `passerby train camera-bn` with the options below."
    )
    try:
        chosen: Any = parse(both, "passerby compare norms", arguments)
    except SystemExit:  # the help was asked for and is printed
        return 0
    check_report(chosen.run.json)
    _compare(chosen.run, chosen.options)
    return 0


def _compare(run: RunOptions, config: Config) -> None:
    from passerby import datasets
    from passerby.artefact import load
    from passerby.recipes.camera_bn import estimation, train

    if config.norm != "camera" or config.then:
        raise UsageError("--norm and --then: this table sets the norms itself and trains on --source only; leave them out.")
    folders = {"home": run.source, "away": run.target}
    places = {place: datasets.read(datasets.detect(folder), folder) for place, folder in folders.items()}
    for data in places.values():
        datasets.check_evaluable(data)
    how = estimation(config)
    rows: dict[str, dict[str, Any]] = {}
    trained: dict[str, Path] = {}
    for name, options in _arms(run, config).items():
        own = replace(places["home"], query=places["home"].query[:0], gallery=places["home"].gallery[:0])
        trained[name] = run.out / name / "artefact"
        if not (trained[name] / "passerby.json").is_file():
            train(options, own, run.out / name, resume=True, device=run.device, workers=run.workers)
    for name, path in trained.items():
        embedder = load(path, device=run.device, batch_size=config.batch_size)
        for place, data in places.items():
            for row, scores in _tests(name, embedder, data, how):
                rows.setdefault(row, {})[place] = scores
    _tell(rows, run, config)


def _arms(run: RunOptions, config: Config) -> dict[str, Config]:
    """What is trained, by name of the folder."""
    plain = replace(config, norm="batch", statistics_batches=type(config)().statistics_batches)
    arms = {"bn": plain, "cbn": config}
    ibn = run.ibn_backbone or IBN.get(config.backbone, "")
    return arms | ({"ibn": replace(plain, backbone=ibn, weights=run.ibn_weights)} if ibn else {})


def _tests(arm: str, embedder: Embedder, data: ReidData, how: Any) -> list[tuple[str, dict[str, float]]]:
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


def _tell(rows: Mapping[str, Mapping[str, Any]], run: RunOptions, config: Config) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.files import write_json

    table = Table(
        "norm in training / at test", "home", "away", "published: Duke", "Duke to Market",
        title=f"Rank-1 / mAP %, trained on {run.source.name}, away is {run.target.name}",
    )  # fmt: skip
    for row in sorted(rows, key=_order):
        found = [f"{100 * rows[row][place]['rank1']:.1f} / {100 * rows[row][place]['map']:.1f}" for place in ("home", "away")]
        table.add_row(row, *found, *PUBLISHED.get(row, ("", "")))
    console = Console()
    console.print(table)
    if "IBN / IBN" not in rows:
        console.print(f"no row IBN / IBN: {config.backbone} has no counterpart with instance norms; name one with --ibn-backbone")
    console.print(
        "statistics at test come from the unlabelled images of each split; mAP by the rank rule, every query with a match"
    )
    if run.json is not None:
        write_json(run.json, {"source": str(run.source), "target": str(run.target), "rows": rows})
