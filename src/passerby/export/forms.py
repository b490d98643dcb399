"""One graph as a file: ONNX, OpenVINO or TorchScript, in fp32, fp16 or int8, with its own description inside."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from passerby.artefact import Artefact, to_dict
from passerby.embedder import Embedder
from passerby.errors import MissingDependencyError, UsageError
from passerby.export.coarse import before_the_network, first_layers, too_coarse
from passerby.export.graphs import Graph, example, names_of, need_onnx, onnx_of, quietly, torchscript_of
from passerby.models.exported_files import KEY, ExportFacts

__all__ = ["PRECISIONS", "check_form", "facts_of", "onnx_bytes", "write_form"]

PRECISIONS = {"onnx": ("fp32", "fp16", "int8"), "openvino": ("fp32", "fp16", "int8"), "torchscript": ("fp32", "fp16")}
"""Kind of file -> what it can hold."""


def check_form(to: str, precision: str, inputs: str) -> None:
    """Refuse what cannot be made, and what is not installed, before any work.

    Raises:
        UsageError: a precision that this kind of file does not hold.
        MissingDependencyError: a library that is needed is not installed.
    """
    if precision not in PRECISIONS[to]:
        raise UsageError(f"{to} files hold {' or '.join(PRECISIONS[to])} here, not {precision}: take --to onnx or --to openvino.")
    if inputs == "points" and precision != "fp32":
        raise UsageError(f"networks of points are exported in fp32, not {precision}: their neighbours hang on small distances.")
    if to != "torchscript":
        need_onnx()
    if to == "openvino":
        try:
            import openvino  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError("openvino is not installed: pip install 'passerby[openvino]'") from error


def facts_of(
    embedder: Embedder, graph: Graph, artefact: Artefact, *, to: str, precision: str, inputs: str, camera: str = ""
) -> ExportFacts:
    """What a file with this graph will say of itself.

    Args:
        embedder: of the network in torch.
        graph: made of that network.
        artefact: its description.
        to, precision, inputs, camera: see `ExportFacts`.
    """
    model: Any = embedder.model
    stripes = getattr(getattr(model, "head", None), "parts", 0)
    parts = stripes or getattr(model, "parts", 1)
    searched = embedder.rule.kind == "embedding"
    return ExportFacts(
        to=to, precision=precision, inputs=inputs, kind=embedder.rule.kind, dim=embedder.dim, parts=parts if searched else 1,
        interleaved=bool(stripes) and searched, layers=graph.layers, camera=camera, artefact=to_dict(artefact),
    )  # fmt: skip


def write_form(
    path: Path,
    graph: Graph,
    facts: ExportFacts,
    preprocess: Any,
    calibration: Sequence[Sequence[np.ndarray]] = (),
    exact_layers: int = 0,
) -> None:
    """Write a graph into a file (of OpenVINO two: the ``.bin`` lies beside it).

    Args:
        path: to write; its ending is that of `facts.to`.
        graph: what is written.
        facts: what the file will say of itself.
        preprocess: of the network's input.
        calibration: for int8: batches of the graph's inputs as its user will give them.
        exact_layers: for int8: so many of the first layers stay in fp32.

    Raises:
        UsageError: the network does something that the form cannot hold.
    """
    given = example(graph, preprocess, facts.inputs)
    if facts.to == "torchscript":
        import torch

        module = torchscript_of(graph, given, half=facts.precision == "fp16")
        with quietly():
            torch.jit.save(module, str(path), _extra_files={f"{KEY}.json": facts.to_json()})
        return
    content = onnx_bytes(graph, facts, preprocess, calibration, exact_layers)
    if facts.to == "onnx":
        path.write_bytes(content)
        return
    import openvino

    model = openvino.Core().read_model(content)
    model.set_rt_info(facts.to_json(), KEY)
    openvino.save_model(model, str(path), compress_to_fp16=facts.precision == "fp16")


def onnx_bytes(
    graph: Graph, facts: ExportFacts, preprocess: Any, calibration: Sequence[Sequence[np.ndarray]] = (), exact_layers: int = 0
) -> bytes:
    """The graph as the content of an ONNX file; see `write_form`. fp16 for OpenVINO stays fp32 here: it rounds itself."""
    onnx = need_onnx()
    content = onnx_of(graph, facts.inputs, example(graph, preprocess, facts.inputs))
    if facts.precision == "int8":
        content = _quantised(content, list(names_of(facts.inputs, by_input=graph.by_input)[0]), calibration, exact_layers)
    model = onnx.load_from_string(content)
    if facts.precision == "fp16" and facts.to == "onnx":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(model, keep_io_types=True)
    onnx.helper.set_model_props(model, {KEY: replace(facts, to="onnx").to_json()})
    return model.SerializeToString()


def _quantised(content: bytes, names: list[str], calibration: Sequence[Sequence[np.ndarray]], exact_layers: int) -> bytes:
    """Static quantisation: int8 weights a channel, uint8 activations by what the calibration shows; `coarse` names exceptions."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            batch = next(self.batches, None)
            return None if batch is None else dict(zip(names, batch, strict=True))

    with tempfile.TemporaryDirectory(prefix="passerby-int8-") as folder, _silent_logging():
        plain, ready, made = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "made"))
        plain.write_bytes(content)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        model = onnx.load(str(ready), load_external_data=False)
        shown = [dict(zip(names, batch, strict=True)) for batch in calibration]
        kept = dict.fromkeys([*before_the_network(model), *first_layers(model, exact_layers), *too_coarse(model, shown)])
        quantize_static(
            str(ready), str(made), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=list(kept),
        )  # fmt: skip
        return made.read_bytes()


@contextmanager
def _silent_logging() -> Iterator[None]:
    """ONNX Runtime's tools speak through the root logger, of vectors that have no channels to scale."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
