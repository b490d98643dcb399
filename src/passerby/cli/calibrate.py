"""`passerby calibrate`: labelled images in; the similarity from which on two images show one person, and its error rates, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from passerby.cli.parsing import check_report
from passerby.cli.stored import check_present, holds_both, is_model, is_shipped, named_inputs, read_sets
from passerby.embeddings import Embeddings, rounded_form
from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.files import write_json

if TYPE_CHECKING:
    from passerby.metrics.calibration import Calibration, Drift

__all__ = ["Options", "run"]

_OF_MODELS = ("dataset", "data", "split", "camera_statistics", "device", "batch_size", "workers")
_SHOWN_RATES = (0.1, 0.01, 0.001, 0.0001)


@dataclass(frozen=True)
class Options:
    """Find the similarity threshold for a false-accept rate, with intervals over people.

    INPUTS is an artefact folder or an exported file, which embeds people of --dataset and --data that it was not trained on and
    keeps the result for `passerby match` and search; or stored embeddings: one file with query and gallery, both files, one set,
    or a folder. Images of pid -1 (not labelled) and 0 are left out, so that a half-labelled set will do.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """artefact folder, or a file that passerby export made; or embeddings: a file, two files, or a folder"""
    far: float = 0.001
    """false-accept rate: share of pairs of different people that may be taken for one"""
    reject_frr: float = 0.01
    """share of pairs of one person that may be called different; between both thresholds the answer is "unsure" """
    pairs: Literal["cross-camera", "all"] = "cross-camera"
    """which pairs are meant; pairs from one camera are easier"""
    people_ahead: int | None = None
    """how many people will be met, for the interval of the false-accept rate (default: as many as here)"""
    other: tuple[Path, ...] = ()
    """embeddings of another town, by the same model: what the threshold does there"""
    store: Path | None = None
    """with embeddings: the artefact that made them, to keep the result in"""
    dataset: str = ""
    """with an artefact: the data set (default: what lies in --data)"""
    data: Path | None = None
    """with an artefact: folder that holds the data set (default: PASSERBY_DATA)"""
    split: Literal["test", "train", "val"] = "test"
    """with an artefact: whose images; test is query and gallery. People that the model was trained on make it look too good"""
    camera_statistics: Literal["auto", "own", "pooled", "train"] = "auto"
    """with an artefact: camera statistics. auto: those of the model, if it has some; own: of query images for the query, of
    gallery images for the gallery; pooled: of both together; train: of the training images. What is found with the last three is
    kept for the models that passerby adapt makes of this one"""
    device: str = "auto"
    """with an artefact: auto, cpu, cuda, cuda:1 ..."""
    batch_size: int = 64
    """with an artefact: images a forward pass"""
    workers: int | None = None
    """with an artefact: threads that decode; 0: none beside the main one"""
    bootstrap: int = 1000
    """draws of people for the 95 % intervals"""
    seed: int = 0
    """of the draws"""
    json: Path | None = None
    """write everything that was found to this file too"""


def run(options: Options) -> None:
    """Calibrate on what the options name."""
    from passerby.artefact import read_description
    from passerby.metrics.calibration import calibrate, drift
    from passerby.metrics.calibration_store import check_maker, to_dict

    check_report(options.json)
    if not options.inputs:
        raise UsageError("nothing to calibrate: give an artefact folder, or embeddings.")
    options = replace(options, inputs=named_inputs(options.inputs))
    for path in filter(None, (options.inputs[0], options.store)):
        if is_shipped(path):
            raise UsageError(
                f"{path} is part of the installed package, which stays as it is: copy its folder, and calibrate that."
            )
    check_present(options.inputs)
    is_artefact = is_model(options.inputs[0])
    _check_flags(options, is_artefact)
    artefact = options.inputs[0] if is_artefact else options.store
    there = _of_files(options.other) if options.other else None
    images = _of_model(options) if is_artefact else _of_files(options.inputs)
    made_by, statistics = str(images.meta.get("artefact", "")), images.meta.get("camera_statistics")
    if options.store is not None and is_model(options.store) and not options.store.is_dir():
        raise UsageError(f"--store {options.store} is an exported file: calibrate it itself, passerby calibrate FILE --data DIR.")
    if artefact is not None and (artefact.is_dir() or options.store is not None):
        check_maker(artefact, made_by, statistics=statistics)
    if options.store is not None and (form := rounded_form(images.meta)):
        raise UsageError(
            f"the vectors were made by {form}: their thresholds are not those of {options.store}. Calibrate the exported "
            "file itself: passerby calibrate FILE --data DIR."
        )
    if there is not None and bool(there.meta.get("camera_statistics")) != bool(statistics):
        raise EmbeddingsError(
            "of the other town and these images one was embedded with camera statistics and one without: thresholds of the one "
            "mean nothing for the other."
        )
    if there is not None and rounded_form(there.meta) != rounded_form(images.meta):
        raise EmbeddingsError(
            f"the other town was embedded by {rounded_form(there.meta) or 'the network itself'}, these images by "
            f"{rounded_form(images.meta) or 'the network itself'}: one form must make both."
        )
    if there is not None and there.dim != images.dim:
        raise EmbeddingsError(f"the other town has {there.dim} dimensions, these {images.dim}: one model must make both.")
    found = calibrate(
        images, options.far, reject_frr=options.reject_frr, pairs=options.pairs, people_ahead=options.people_ahead,
        samples=options.bootstrap, seed=options.seed,
    )  # fmt: skip
    _print(found)
    report: dict[str, Any] = {"calibration": to_dict(found)}
    if there is not None:
        moved = drift(found, there, samples=options.bootstrap, seed=options.seed)
        _print_drift(found, moved)
        report["drift"] = {**asdict(moved), "far_interval": list(moved.far_interval)}
    if artefact is not None:
        from passerby.export.thresholds import store_thresholds

        kept = store_thresholds(artefact, found, made_by, statistics=statistics)
        later = statistics and artefact.is_dir() and not read_description(artefact).cameras
        who = "passerby adapt hands it to the models that it makes of this one" if later else "passerby match uses it"
        Console().print(f"kept in {kept}: {who}", highlight=False, soft_wrap=True)
    if options.json is not None:
        write_json(options.json, report)


def _check_flags(options: Options, is_artefact: bool) -> None:
    from passerby.artefact import read_description

    model = options.inputs[0]
    given = [name for name in _OF_MODELS if getattr(options, name) != getattr(Options(()), name)]
    if not is_artefact and given:
        flags = listing(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"{flags}: only a model embeds a data set; {listing(options.inputs)} is no artefact folder or exported file."
        )
    if is_artefact and options.camera_statistics != "auto" and read_description(model).cameras:
        raise UsageError(
            f"{model} has statistics of its own cameras, which it is calibrated with: leave --camera-statistics out."
        )
    if is_artefact and (len(options.inputs) > 1 or options.store is not None):
        raise UsageError("an artefact folder stands alone and keeps its result itself: leave out further inputs and --store.")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}: give 0 or more.")


def _of_files(inputs: tuple[Path, ...]) -> Embeddings:
    from passerby.metrics.retrieval import check_one_model

    check_present(inputs)
    if len(inputs) == 1 and not holds_both(inputs[0]):
        return Embeddings.load(inputs[0])
    if len(inputs) > 2:
        raise UsageError(f"{len(inputs)} inputs: give one file or folder, or a query and a gallery file.")
    sets = read_sets(inputs)
    check_one_model(sets.query, sets.gallery)  # what the parts say differently, their union does not say
    return _joined([sets.query, sets.gallery])


def _joined(parts: Sequence[Embeddings]) -> Embeddings:
    """Query and gallery as one set, which still says that camera statistics made it where each part has its own."""
    together = Embeddings.concatenate(parts)
    said = [each for part in parts if (each := part.meta.get("camera_statistics"))]
    meta = {**({"camera_statistics": said[0]} if said else {}), **together.meta}
    return Embeddings(together.vectors, together.pids, together.camids, together.names, meta)


def _of_model(options: Options) -> Embeddings:
    from passerby import datasets
    from passerby.artefact import load
    from passerby.datasets.registry import data_folder
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import SOURCES, embedders_for

    name = options.dataset or datasets.detect(data_folder(options.data))
    data = datasets.read(name, options.data)
    test = {"query": data.query, "gallery": data.gallery}
    splits = test if options.split == "test" else {"gallery": data.train if options.split == "train" else data.val}
    splits = {name: split for name, split in splits.items() if len(split)} or splits
    embedder = load(options.inputs[0], device=options.device, batch_size=options.batch_size, workers=options.workers)
    embedders = embedders_for(embedder, splits, options.camera_statistics, train=data.train)
    notes = [*data.notes]
    known = set(_classes(options.inputs[0]))
    if options.camera_statistics in SOURCES:
        notes.append(f"with camera statistics of {SOURCES[options.camera_statistics]}")
    people = {(record.domain, record.pid) for split in splits.values() for record in split if record.pid > 0}
    if people & known:
        notes.append(f"{len(people & known)} of {len(people)} people were trained on: the threshold is too high for others")
    numbering = Numbering.of(*splits.values())
    if len(numbering.domains) > 1:
        notes.append(f"people of {len(numbering.domains)} places stand together: two of different places are easily told apart")
    meta = {"data": data.name, "notes": notes}
    return _joined([embed(embedders[name], split, numbering=numbering, meta=meta) for name, split in splits.items()])


def _classes(artefact: Path) -> tuple[tuple[str, int], ...]:
    from passerby.artefact import read_description

    return read_description(artefact).label_map


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _between(low: float, high: float) -> str:
    return f"{_percent(low)} to {_percent(high)}"


def _print(found: Calibration) -> None:
    console = Console()
    console.print(
        f"{found.num_people} people, {found.num_images} images, {found.num_genuine} pairs of one person, {found.num_impostor} of "
        f"two ({found.pairs})",
        highlight=False,
    )
    low, high = found.threshold_interval
    console.print(f"same person from similarity {found.threshold:.4f} on ({low:.4f} to {high:.4f})", highlight=False)
    console.print(
        f"  false accepts {_percent(found.far)} of pairs of different people; among {found.people_ahead} people not seen yet "
        f"{_between(*found.far_interval)}",
        highlight=False,
    )
    console.print(f"  false rejects {_percent(found.frr)} ({_between(*found.frr_interval)})", highlight=False)
    if found.reject_threshold < found.threshold:
        told = (
            f"{found.reject_threshold:.4f}, which {_percent(found.reject_frr)} of pairs of one person are; between both: unsure"
        )
        console.print(f"different people below {told}", highlight=False)
    else:
        console.print("different people below it", highlight=False)
    console.print(
        f"open set: of people on a list {_percent(found.identification)} of images are named rightly when {_percent(found.far)} "
        "of strangers' images are named at all",
        highlight=False,
    )
    _print_rates(console, found)
    _print_cameras(console, found)
    console.print(f"intervals: {100 * found.level:.0f} %, bootstrap over people with all their images", highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False)


def _print_rates(console: Console, found: Calibration) -> None:
    table = Table()
    for heading in ("false accepts", "similarity", "false rejects"):
        table.add_column(heading, justify="right")
    for rate in _SHOWN_RATES:
        if rate * found.num_impostor >= 10:
            place = next(k for k, value in enumerate(found.far_curve) if value <= rate)
            table.add_row(_percent(rate), f"{found.similarity[place]:.3f}", _percent(found.frr_curve[place]))
    console.print(table)


def _print_cameras(console: Console, found: Calibration) -> None:
    if not found.cameras:
        return
    console.print(f"by camera pair, for false accepts of {_percent(found.far)}", highlight=False)
    table = Table()
    for heading in ("cameras", "similarity", "false rejects", "pairs of one person"):
        table.add_column(heading, justify="right")
    for each in found.cameras:
        cameras = " - ".join(f"c{camid}" for camid in each.camids)
        table.add_row(cameras, f"{each.threshold:.3f}", _percent(each.frr), str(each.num_genuine))
    console.print(table)


def _print_drift(found: Calibration, there: Drift) -> None:
    verdict = "inside" if there.inside else "outside"
    Console().print(
        f"in the other town: false accepts {_percent(there.far)} ({_between(*there.far_interval)}), {verdict} what was stated; "
        f"false rejects {_percent(there.frr)}, here {_percent(found.frr)}; its own threshold would be {there.own_threshold:.4f}",
        highlight=False,
    )
