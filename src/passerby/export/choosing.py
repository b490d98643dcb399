"""The quickest form of a network whose vectors can stand beside those of any other of its faithful forms."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from passerby.artefact import read_description
from passerby.embedder import CloudEmbedder, Embedder
from passerby.errors import PasserbyError
from passerby.export.forms import facts_of, onnx_bytes
from passerby.export.graphs import graph_of
from passerby.models.exported import ExportedNetwork, runner
from passerby.models.exported_files import read_export
from passerby.models.norms.replacing import camera_norms

__all__ = ["FAITHFUL", "WORTH", "fastest"]

FAITHFUL = 1e-4
"""Greatest difference of a number in two unit vectors of one image for which two forms are the same network."""

WORTH = 500
"""From so many images on, turning a network into ONNX takes less time than it saves."""

_SAMPLE = 16


def fastest(embedder: Embedder, model: Path, images: Sequence[Any] | None = None) -> Embedder:
    """The same network in ONNX Runtime, where that is quicker and equal; otherwise the embedder itself.

    An export in fp32 that lies in the artefact's folder is taken; else, for `WORTH` images and more, one is made in memory. Both
    are compared with torch on some of the images first (`FAITHFUL`). Never taken is fp16 or int8: their vectors are others, so
    whoever wants them names the file.

    Args:
        embedder: as `artefact.load` gives it; on a CPU, in fp32, without camera statistics, else it stays.
        model: the artefact's folder.
        images: that will be embedded; None: very many, that are not known yet.
    """
    plain = embedder.device.type == "cpu" and embedder.precision == "fp32" and not isinstance(embedder.model, ExportedNetwork)
    if not plain or isinstance(embedder, CloudEmbedder) or camera_norms(embedder.model):
        return embedder
    if embedder.rule.compound or importlib.util.find_spec("onnxruntime") is None:
        return embedder
    try:
        network = _stored(embedder, model) or (_converted(embedder, model) if images is None or len(images) >= WORTH else None)
        if network is None:
            return embedder
        other = Embedder(
            network, embedder.preprocess, embedder.rule, device="cpu", batch_size=embedder.batch_size, workers=embedder.workers,
            facts={**embedder.facts, "exported": "onnx fp32"},
        )  # fmt: skip
        sample = _drawn() if images is None else list(images)[:: max(1, len(images) // _SAMPLE)][:_SAMPLE]
        return other if _same(embedder(sample), other(sample)) else embedder
    except PasserbyError:  # a network that ONNX cannot hold, or scales that it does not take: torch can
        return embedder


def _drawn() -> list[np.ndarray]:
    """Pictures of soft random patches."""
    drawn = np.random.default_rng(0)
    return [np.kron(drawn.integers(0, 256, (8, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(_SAMPLE)]


def _stored(embedder: Embedder, model: Path) -> ExportedNetwork | None:
    """The export in the artefact's folder, if it was made from these weights."""
    path = model / "model.onnx"
    if not path.is_file():
        return None
    facts = read_export(path)
    fits = facts.precision == "fp32" and facts.kind == embedder.rule.kind and not facts.layers and not facts.camera
    if not fits or facts.artefact.get("weights_sha256") != read_description(model).weights_sha256:
        return None
    return ExportedNetwork(facts, runner("onnx", path))


def _converted(embedder: Embedder, model: Path) -> ExportedNetwork | None:
    if importlib.util.find_spec("onnx") is None:
        return None
    graph = graph_of(embedder.model, embedder.preprocess, embedder.rule.kind, "pixels")
    facts = facts_of(embedder, graph, read_description(model), to="onnx", precision="fp32", inputs="pixels")
    return ExportedNetwork(facts, runner("onnx", onnx_bytes(graph, facts, embedder.preprocess)))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    scale = max(float(np.linalg.norm(one, axis=1).max()), 1e-12)  # 1 where the rule makes unit vectors
    return bool(np.isfinite(other).all()) and float(np.abs(one - other).max()) / scale <= FAITHFUL
