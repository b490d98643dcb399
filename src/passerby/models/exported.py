"""Exported networks: they run in ONNX Runtime, OpenVINO or TorchScript, and are called like any other network here."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import ArtefactError, MissingDependencyError, UsageError
from passerby.models.exported_files import ExportFacts, read_export
from passerby.models.norms.camera import CameraBatchNorm, fed_statistics
from passerby.models.norms.statistics import CameraStatistics
from passerby.models.outputs import Outputs

__all__ = ["ExportedNetwork", "Runner", "as_row", "open_exported", "runner"]

Runner = Callable[[list[np.ndarray]], np.ndarray]
"""The arrays of all inputs -> (B, D) float32."""


class ExportedNetwork(nn.Module):
    """A network that torch does not compute. It has no weights to train and works on the CPU.

    Args:
        facts: how it is used.
        run: what computes it.

    Attributes:
        embedding_dim, feature_dim: D of the vector that comes out.
        precision: what it computes in.
        takes_pixels: its input is uint8; normalisation is inside.
        kind: which of `Outputs` it gives; the other one is empty.
    """

    def __init__(self, facts: ExportFacts, run: Runner) -> None:
        super().__init__()
        self.facts, self._run = facts, run
        self.embedding_dim = self.feature_dim = facts.dim
        self.precision, self.kind = facts.precision, facts.kind
        self.takes_pixels = facts.inputs == "pixels"
        self.norms = nn.ModuleList(_place(layer, channels) for layer, channels in facts.layers.items())
        self._table: tuple[CameraStatistics, np.ndarray] | None = None

    def forward(self, x: Tensor) -> Outputs:
        """One pass.

        Args:
            x: what `ExportFacts.inputs` says; pixels come as (B, 3, H, W) uint8 all the same.

        Raises:
            UsageError: another size than it was exported for; or the statistics of cameras are an input, and none are given.
        """
        size = tuple(self.facts.artefact.get("preprocess", {}).get("size", ()))
        if x.ndim == 4 and size and tuple(x.shape[2:]) != size:
            raise UsageError(
                f"this exported network takes {size[0]}x{size[1]} px, {x.shape[2]}x{x.shape[3]} arrived: scale 1 only, or the "
                "artefact itself."
            )
        x = x.permute(0, 2, 3, 1) if self.takes_pixels else x
        inputs = [np.ascontiguousarray(x.numpy())]
        if self.facts.layers:
            inputs.append(self._statistics())
        vectors = torch.from_numpy(self._run(inputs))
        empty = vectors.new_zeros(len(vectors), 0)
        return Outputs(vectors, empty) if self.kind == "feature" else Outputs(empty, vectors)

    def normalise_embedding(self, embedding: Tensor) -> Tensor:
        """Make rows unit vectors as the network did before it was exported. It comes after sums over mirrored images.

        Args:
            embedding: (B, D).
        """
        parts = self.facts.parts
        if self.facts.interleaved:
            return (F.normalize(embedding.unflatten(1, (-1, parts)), dim=1) / math.sqrt(parts)).flatten(1)
        return F.normalize(F.normalize(embedding.unflatten(1, (parts, -1)), dim=-1).flatten(1))

    def _statistics(self) -> np.ndarray:
        given = fed_statistics()
        if given is None:
            raise UsageError(
                "this exported network takes the statistics of a camera as an input, and none are given: name a camera that it "
                "has. Statistics are made from images with passerby adapt, before the export."
            )
        statistics, cameras = given
        if self._table is None or self._table[0] is not statistics:
            table = [as_row(statistics, row, list(self.facts.layers)) for row in range(len(statistics.cameras))]
            self._table = statistics, np.stack(table)
        rows = cameras.numpy()
        one = bool((rows == rows[:1]).all())  # one row for all images is computed faster than one for each
        return self._table[1][rows[:1] if one else rows]


def _place(layer: str, channels: int) -> CameraBatchNorm:
    """Stands for a norm of the graph, so that camera statistics can be checked against it."""
    norm = CameraBatchNorm(channels, affine=False, track_running_stats=False)
    norm.layer = layer
    return norm


def as_row(statistics: CameraStatistics, row: int, layers: list[str]) -> np.ndarray:
    """The statistics of one camera as the input of an exported network: (2 x sum of channels,) float32."""
    pairs = (values[row].cpu().float() for layer in layers for values in statistics.of_layer(layer))
    return torch.cat(list(pairs)).numpy()


def open_exported(path: Path, facts: ExportFacts | None = None, *, threads: int | None = None) -> ExportedNetwork:
    """Load an exported file.

    Args:
        path: ``.onnx``, ``.xml`` or ``.torchscript``.
        facts: what it says of itself; read from it where left out.
        threads: that compute; None: as many as torch.

    Raises:
        ArtefactError: see `read_export`, or a file that its library does not take.
        MissingDependencyError: the library that runs it is not installed.
    """
    facts = facts or read_export(path)
    return ExportedNetwork(facts, runner(facts.to, path, threads=threads))


def runner(to: str, source: Path | bytes, *, threads: int | None = None) -> Runner:
    """What computes an exported network.

    Args:
        to: ``onnx``, ``openvino`` or ``torchscript``.
        source: a file, or for ONNX its bytes.
        threads: that compute; None: as many as torch.

    Raises:
        ArtefactError: the file is damaged.
        MissingDependencyError: the library that runs it is not installed.
    """
    open_it = {"onnx": _onnx, "openvino": _openvino, "torchscript": _torchscript}[to]
    try:
        return open_it(source, threads or torch.get_num_threads())
    except ImportError as error:
        package, extra = ("openvino", "openvino") if to == "openvino" else ("onnxruntime", "export")
        raise MissingDependencyError(
            f"{package} is not installed, which runs {to} files: pip install 'passerby[{extra}]'"
        ) from error


def _onnx(source: Path | bytes, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Between two batches images are decoded by threads of their own, from which waiting threads would take the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ArtefactError(
            f"{_name(source)} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {_first(error)}."
        ) from error
    names = [each.name for each in session.get_inputs()]

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        try:
            found: Any = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        except Exception as error:
            raise ArtefactError(f"{_name(source)} fails in ONNX Runtime: {_first(error)}.") from error
        return np.asarray(found, np.float32)

    return run


def _openvino(source: Path | bytes, threads: int) -> Runner:
    import openvino

    core = openvino.Core()
    # Without the hint CPUs that can would compute in bfloat16, whatever the file holds.
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    try:
        compiled = core.compile_model(core.read_model(source), "CPU", how)
    except RuntimeError as error:
        raise ArtefactError(f"{_name(source)} cannot be loaded by OpenVINO {openvino.__version__}: {_first(error)}.") from error
    request = compiled.create_infer_request()

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        return np.array(request.infer(inputs, share_inputs=True)[0], np.float32)

    return run


def _torchscript(source: Path | bytes, threads: int) -> Runner:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole; files of it stay in use
        try:
            module = torch.jit.load(str(source), map_location="cpu")
        except RuntimeError as error:
            raise ArtefactError(f"{_name(source)} cannot be loaded as TorchScript: {_first(error)}.") from error

    @torch.inference_mode()
    def run(inputs: list[np.ndarray]) -> np.ndarray:
        return module(*(torch.from_numpy(each) for each in inputs)).numpy()

    return run


def _name(source: Path | bytes) -> str:
    return "the network" if isinstance(source, bytes) else str(source)


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
