"""The way of an export: trace, write aside, load again, compare, and only then move the file to its place."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from passerby.artefact import CAMERAS_FILE, Artefact, load, read_description
from passerby.embedder import CloudEmbedder, Embedder, embedder_for
from passerby.embedder.network import WHOLE_SET
from passerby.errors import UsageError, listing
from passerby.export.forms import check_form, facts_of, write_form
from passerby.export.gate import FAR, Budget, Comparison, compare_forms
from passerby.export.graphs import graph_of, with_statistics
from passerby.export.latency import Speed, speeds, torch_pass
from passerby.export.probe import Probe, embedded
from passerby.files import write_json
from passerby.models.exported import as_row, open_exported
from passerby.models.exported_files import SUFFIXES, ExportFacts, is_exported
from passerby.models.norms.camera import fed
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import CameraStatistics

__all__ = ["ExportOptions", "Exported", "export", "report"]

_CALIBRATION_BATCH = 16
_POINTS = 1024  # of the clouds that speeds are measured with


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how far it may drift.

    Attributes:
        to: ``onnx``, ``openvino`` or ``torchscript``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        inputs: ``normalised``, or ``pixels`` with normalisation inside; a network of points takes points.
        cameras: of a network with camera statistics: ``inputs`` (one file that takes them) or ``each`` (one file a camera).
        budget: how far the result may be from torch.
        calibration: images that calibrate int8.
        exact_layers: for int8: so many of the first layers stay in fp32.
        latency: measure the speed too.

    Raises:
        UsageError: fewer calibration images than one, or first layers that stay where nothing is rounded to 8 bits.
    """

    to: Literal["onnx", "openvino", "torchscript"] = "onnx"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    inputs: Literal["normalised", "pixels"] = "normalised"
    cameras: Literal["inputs", "each"] = "inputs"
    budget: Budget = field(default_factory=lambda: Budget.usual("fp32"))
    calibration: int = 256
    exact_layers: int = 0
    latency: bool = True

    def __post_init__(self) -> None:
        if self.calibration < 1:
            raise UsageError(f"calibration is {self.calibration} images: at least one is needed, and some hundreds are better.")
        if self.exact_layers < 0 or (self.exact_layers and self.precision != "int8"):
            raise UsageError(
                f"exact_layers is {self.exact_layers} with precision {self.precision}: 0 or more layers stay in fp32, and only "
                "int8 rounds the others."
            )


@dataclass(frozen=True)
class Exported:
    """One file that was written.

    Attributes:
        path: of the file.
        bytes: its size, with that of the ``.bin`` of OpenVINO.
        comparison: with torch.
        speeds: of torch and of the file; empty where they were not measured.
        camera: whose statistics are inside, or empty.
    """

    path: Path
    bytes: int
    comparison: Comparison
    speeds: tuple[Speed, ...] = ()
    camera: str = ""


@dataclass(frozen=True)
class _Job:
    """One file that is to be written, and the network that it must equal."""

    path: Path
    embedder: Embedder
    cameras: tuple[str, ...] = ()  # that the inputs know
    camera: str = ""  # that is inside


def export(model: Path, probe: Probe, options: ExportOptions, out: Path | None = None) -> list[Exported]:
    """Export an artefact; nothing is written unless every file is within the budget.

    Args:
        model: artefact folder.
        probe: images to compare on, and to calibrate int8 with.
        options: see there.
        out: a file, or a folder; None writes into the artefact.

    Returns:
        What was written, one entry a file.

    Raises:
        ArtefactError: the exported network drifts beyond the budget; or see `load`.
        UsageError: options that do not fit each other or the network.
        MissingDependencyError: a library is not installed.
    """
    facts = read_description(model)
    target = _checked_target(model, out, facts, options)
    embedder = load(model, device="cpu", without_statistics=False)
    jobs = _jobs(embedder, target, options)
    made = []
    with _folder(target.parent), tempfile.TemporaryDirectory(prefix=".passerby-export-", dir=target.parent) as aside:
        if embedder.cameras is not None and options.cameras == "inputs":
            shutil.copyfile(model / CAMERAS_FILE, Path(aside) / CAMERAS_FILE)
        for job in jobs:
            made.append(_made(job, facts, probe, options, Path(aside)))
        for file in sorted(Path(aside).iterdir(), key=is_exported):  # what an exported file needs is there before it
            file.replace(target.parent / file.name)
    for each in made:
        write_json(each.path.with_name(each.path.name + ".json"), report(each, options))
    return made


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it again where nothing came into it."""
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()


def _checked_target(model: Path, out: Path | None, facts: Artefact, options: ExportOptions) -> Path:
    """The file to write, where there is one file; its name is the pattern where there are several."""
    if is_exported(model):
        raise UsageError(f"{model} is an exported file: give the artefact folder that it was made from.")
    points = not hasattr(facts.preprocess, "mean")
    check_form(options.to, options.precision, "points" if points else options.inputs)
    if points and options.inputs != "normalised":
        raise UsageError(f"inputs is {options.inputs}, but this is a network of points: leave it out.")
    if options.cameras != "inputs" and not facts.cameras:
        raise UsageError(f"cameras is {options.cameras}, but {model} has no camera statistics: leave it out.")
    suffix = SUFFIXES[options.to]
    if out is not None and is_exported(out):
        if out.suffix != suffix:
            raise UsageError(f"--out {out} does not go with {options.to}, whose files end in {suffix}.")
        target = out
    else:
        precision = "" if options.precision == "fp32" else f".{options.precision}"
        target = (out or model) / f"model{precision}{suffix}"
    if target.parent.exists() and not target.parent.is_dir():
        raise UsageError(f"--out {target.parent} is a file: give a folder, or a file that ends in {suffix}.")
    there = target.parent / CAMERAS_FILE
    needed = facts.cameras and options.cameras == "inputs"
    if needed and there.is_file() and there.read_bytes() != (model / CAMERAS_FILE).read_bytes():
        raise UsageError(f"{there} holds the statistics of another model: give another folder with --out.")
    return target


def _jobs(embedder: Embedder, target: Path, options: ExportOptions) -> list[_Job]:
    statistics = embedder.cameras
    if statistics is None:
        if any(norm.camera_trained for norm in camera_norms(embedder.model).values()):
            raise UsageError(
                "this network was trained by camera and has no camera statistics yet, without which it is not used: make them "
                "first with passerby adapt MODEL --camera NAME --images DIR --out ADAPTED, and export ADAPTED."
            )
        return [_Job(target, embedder)]
    if options.cameras == "inputs":
        return [_Job(target, embedder, cameras=statistics.cameras)]
    jobs = []
    for name in statistics.cameras:
        plain = with_statistics(embedder.model, statistics.of_camera(name)).to(memory_format=torch.channels_last)  # pyright: ignore
        plain.embedding_dim, plain.feature_dim = embedder.model.embedding_dim, embedder.model.feature_dim
        path = target.with_name(f"{target.stem}.{_file_name(name)}{target.suffix}")
        jobs.append(_Job(path, _like(embedder, plain), camera=name))
    doubles = [job.camera for job in jobs if sum(other.path == job.path for other in jobs) > 1]
    if doubles:
        raise UsageError(f"the cameras {listing(doubles)} would get files of one name: export with cameras inputs.")
    return jobs


def _like(embedder: Embedder, model: torch.nn.Module) -> Embedder:
    return embedder_for(embedder.preprocess)(
        model, embedder.preprocess, embedder.rule, device="cpu", batch_size=embedder.batch_size, workers=embedder.workers,
        facts=embedder.facts,
    )  # fmt: skip


def _file_name(camera: str) -> str:
    """A camera's name as part of a file's.

    >>> _file_name("market1501/3")
    'market1501-3'
    """
    if camera == WHOLE_SET:
        return "any-camera"
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in camera)


def _made(job: _Job, facts: Artefact, probe: Probe, options: ExportOptions, aside: Path) -> Exported:
    """Write one file aside and hold it against torch."""
    embedder = job.embedder
    inputs = "points" if isinstance(embedder, CloudEmbedder) else options.inputs
    graph = graph_of(embedder.model, embedder.preprocess, embedder.rule.kind, inputs, by_input=bool(job.cameras))
    told = facts_of(
        embedder, graph, facts, to=options.to, precision=options.precision, inputs=inputs, camera=job.camera
    )  # fmt: skip
    path = aside / job.path.name
    calibration = list(_calibration(job, probe, options, inputs)) if options.precision == "int8" else []
    write_form(path, graph, told, embedder.preprocess, calibration, options.exact_layers)
    loaded = load(path, batch_size=embedder.batch_size, workers=embedder.workers)
    sets = [embedded(each, probe, job.cameras) for each in (embedder, loaded)]
    comparison = compare_forms(probe.name, sets[0], sets[1])
    comparison.check(options.budget, job.path.name)
    measured = _speeds(embedder, path, told) if options.latency else ()
    size = sum(file.stat().st_size for file in {path, path.with_suffix(".bin")} if file.is_file())
    return Exported(job.path, size, comparison, tuple(measured), job.camera)


def _calibration(job: _Job, probe: Probe, options: ExportOptions, inputs: str) -> Iterator[list[np.ndarray]]:
    """Batches as the graph will see them, from evenly spaced images."""
    embedder, split = job.embedder, probe.calibration
    step = max(1, len(split) // options.calibration)
    paths = [record.path for record in split[::step]][: options.calibration]
    batches = (paths[start : start + _CALIBRATION_BATCH] for start in range(0, len(paths), _CALIBRATION_BATCH))
    for number, scales in enumerate(embedder.decoded(batches)):
        x = scales[0]
        if inputs == "pixels":
            x = _as_pixels(x, embedder)
        batch = [np.ascontiguousarray(x.numpy())]
        if job.cameras and embedder.cameras is not None:
            batch.append(_rows_of(embedder.cameras, number, list(camera_norms(embedder.model))))
        yield batch


def _as_pixels(x: torch.Tensor, embedder: Embedder) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (embedder.preprocess.mean, embedder.preprocess.std))
    return ((x * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _rows_of(statistics: CameraStatistics, number: int, layers: Sequence[str]) -> np.ndarray:
    return as_row(statistics, number % len(statistics.cameras), list(layers))[None]


def _speeds(embedder: Embedder, path: Path, told: ExportFacts) -> list[Speed]:
    """Torch as it is usually called, torch as passerby calls it, and the file."""
    network = embedder.model.eval()
    statistics = embedder.cameras

    def context(batch: int) -> Any:
        return nullcontext() if statistics is None else fed(statistics, torch.zeros(batch, dtype=torch.int64))

    def drawn(batch: int) -> torch.Tensor:
        if told.inputs == "points":
            return torch.rand(batch, _POINTS, 6) - 0.5
        return torch.randn(batch, 3, *embedder.preprocess.size)

    def pixels(batch: int) -> torch.Tensor:
        return torch.randint(0, 256, (batch, *embedder.preprocess.size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)

    forms = {"torch": torch_pass(_contiguous(network), drawn, context)}
    if told.inputs != "points":
        last = torch.channels_last
        forms["torch, channels last"] = torch_pass(network, lambda batch: drawn(batch).contiguous(memory_format=last), context)
    exported = open_exported(path, told)
    forms[f"{told.to} {told.precision}"] = torch_pass(exported, pixels if told.inputs == "pixels" else drawn, context)
    return speeds(forms)


def _contiguous(network: torch.nn.Module) -> torch.nn.Module:
    """A copy in the layout that torch gives a network."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]


def report(made: Exported, options: ExportOptions) -> dict[str, Any]:
    """What stands beside an exported file: how near it is to torch, what was allowed, how fast it is."""
    return {
        "file": made.path.name, "to": options.to, "precision": options.precision, "inputs": options.inputs,
        "exact_layers": options.exact_layers,
        "camera": made.camera, "bytes": made.bytes, "comparison": made.comparison.to_dict(), "budget": asdict(options.budget),
        "far": FAR, "speeds": [asdict(speed) for speed in made.speeds], "threads": torch.get_num_threads(),
    }  # fmt: skip
