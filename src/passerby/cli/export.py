"""`passerby export`: a trained model in, an ONNX, OpenVINO or TorchScript file out that is proven to be the same network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from passerby.export import Exported

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Export a trained model, for other programs and for speed.

    The file takes batches of any size and says itself how it is used, so passerby embed FILE, evaluate and load take it like an
    artefact. Before it is written its vectors, its mAP and its threshold are compared with those of the network in torch, on
    rendered people or on --probe; beyond the budget nothing is written. A FILE.json beside it keeps what was found.

    int8 is the quickest form. Its vectors are near those of the artefact, not equal to them: embed query and gallery alike.
    """

    model: Annotated[Path, tyro.conf.Positional]
    """artefact folder, as training writes it"""
    to: Literal["onnx", "openvino", "torchscript"] = "onnx"
    """kind of file: .onnx, .xml with .bin, or .torchscript"""
    out: Path | None = None
    """file, or folder to write model.onnx (model.int8.onnx, ...) into (default: the artefact's folder, where passerby embed
    finds the fp32 form by itself)"""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """fp16 halves the file; int8 (onnx and openvino) is calibrated with images"""
    inputs: Literal["normalised", "pixels"] = "normalised"
    """what the file takes: (B, 3, H, W) float32, normalised; or pixels: (B, H, W, 3) uint8 at the network's size, normalised
    inside"""
    cameras: Literal["inputs", "each"] = "inputs"
    """of a model that passerby adapt made: one file with the statistics of cameras as a second input, or one file a camera"""
    probe: Path | None = None
    """data set, or folder of images, to compare on (default: 30 people are rendered, for int8 80 and
    42 to calibrate with)"""
    probe_dataset: str = ""
    """name of the data set in --probe (default: it is recognised)"""
    calibration: int = 256
    """images that calibrate int8, of the probe's training part where it has one"""
    exact_layers: int = 0
    """int8: so many of the first layers stay in fp32, where mAP drifts too far. What is rounded there is wrong in everything
    behind; six of a MobileNetV2 cost about a tenth of the speed"""
    max_difference: float | None = None
    """greatest difference of a number in two unit vectors of one image (default: 0.0001 for fp32, 0.02 for fp16, any for int8)"""
    max_map_drift: float | None = None
    """of mAP, as a fraction (default: 0.002; int8 0.01)"""
    max_far_drift: float | None = None
    """of the false-accept rate at the threshold that has 0.01 in torch, as a fraction (default: fp32 0.0005, fp16 0.002, int8
    0.005)"""
    latency: bool = True
    """measure the speed beside torch's, on this machine"""
    json: Path | None = None
    """write what was found to this file too"""


def run(options: Options) -> None:
    """Export, compare and tell."""
    from passerby.artefact import named_model, read_description
    from passerby.cli.stored import is_shipped
    from passerby.errors import UsageError
    from passerby.export import Budget, ExportOptions, export
    from passerby.export.forms import check_form
    from passerby.export.probe import probe_set
    from passerby.machine import available_cores
    from passerby.points import CloudPreprocess

    budget = Budget.usual(
        options.precision, difference=options.max_difference, map_drift=options.max_map_drift, far_drift=options.max_far_drift
    )
    how = ExportOptions(
        options.to,
        options.precision,
        options.inputs,
        options.cameras,
        budget,
        options.calibration,
        options.exact_layers,
        options.latency,
    )
    model = named_model(options.model)
    if options.out is None and is_shipped(model):
        raise UsageError(f"{model} is part of the installed package, which stays as it is: name a file or a folder with --out.")
    points = isinstance(read_description(model).preprocess, CloudPreprocess)
    check_form(how.to, how.precision, "points" if points else how.inputs)
    with probe_set(
        options.probe, options.probe_dataset, points=points, many=options.precision == "int8", workers=available_cores()
    ) as probe:
        made = export(model, probe, how, options.out)
    _tell(made)
    if options.json is not None:
        from passerby.export.writing import report
        from passerby.files import write_json

        write_json(options.json, {"model": str(options.model), "files": [report(each, how) for each in made]})


def _tell(made: list[Exported]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    first = made[0].comparison
    table = Table(
        "file", "MB", "difference", "cosine", "mAP", "threshold", "false accepts",
        title=f"beside torch, on {first.probe}", caption="torch -> file; false accepts at torch's threshold for 1 %",
    )  # fmt: skip
    for each in made:
        found = each.comparison
        table.add_row(
            each.path.name, f"{each.bytes / 1e6:.1f}", f"{found.difference:.1e}", f"{found.cosine:.5f}",
            _pair(found.map_torch, found.map_exported, 100), _pair(found.threshold, found.threshold_exported, 1),
            "-" if found.far_exported is None else f"{found.far_exported:.2%}",
        )  # fmt: skip
    console.print(table)
    measured = [speed for each in made[:1] for speed in each.speeds]
    if measured:
        import torch

        speeds = Table("form", "batch", "ms", "images/s", title=f"on this machine, {torch.get_num_threads()} threads")
        for speed in measured:
            speeds.add_row(speed.form, str(speed.batch), f"{speed.milliseconds:.1f}", f"{speed.images_per_s:.0f}")
        console.print(speeds)
    for each in made:
        console.print(f"written: {each.path}", highlight=False, soft_wrap=True)


def _pair(one: float | None, other: float | None, factor: float) -> str:
    return "-" if one is None or other is None else f"{factor * one:.3f} -> {factor * other:.3f}"
