"""Where 8 bits are too few: in the normalisation of pixels, in activations whose channels are very unequal, in first layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["LEAST", "before_the_network", "first_layers", "too_coarse"]

LEAST = 10.0
"""Least ratio, 10 dB, of a channel's variance to that of the rounding; nine of ten living channels must have more."""

_WEIGHTED = ("Conv", "Gemm", "MatMul")
_BEHIND = ("Relu", "Clip")  # what a convolution hands on is rounded behind these
_IMAGES = 8


def before_the_network(model: Any) -> list[str]:
    """Names of the nodes before the first layer: they only normalise pixels, and rounding there costs colours."""
    names = []
    for node in model.graph.node:
        if node.op_type in _WEIGHTED:
            break
        names.append(node.name)
    return names


def first_layers(model: Any, count: int) -> list[str]:
    """Names of the nodes of the first layers and of the activation functions behind them.

    What is rounded there is wrong in everything behind it. In a MobileNetV2 trained on rendered people the first six convolutions
    make nine tenths of what int8 costs in mAP, while no activation of theirs has channels unequal enough for `too_coarse`.

    Args:
        model: ONNX, its norms folded, nodes in their order.
        count: convolutions and products that stay in fp32.
    """
    names: list[str] = []
    outputs: set[str] = set()
    for node in model.graph.node:
        if node.op_type in _WEIGHTED and count > 0:
            count -= 1
        elif not (count > 0 or (node.op_type in _BEHIND and node.input[0] in outputs)):
            continue
        names.append(node.name)
        outputs.update(node.output)
    return names


def too_coarse(model: Any, calibration: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    """Names of the nodes that make or read an activation which one scale for all channels would drown.

    One scale serves all channels of an activation. Where a few are large, the rounding is as large as what the others say; behind
    the stem of a MobileNetV2 that is so, and it alone cost two and a half points of mAP on the rendered street.

    Args:
        model: ONNX, its norms folded.
        calibration: inputs by name; one image of each is looked at.
    """
    import onnx
    import onnxruntime

    nodes = {output: node for node in model.graph.node for output in node.output}
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    watched = [name for name, node in nodes.items() if node.op_type in ("Conv", "Add", *_BEHIND)]
    watched = [name for name in watched if not _is_handed_on(name, nodes, readers)]
    if not watched or not calibration:
        return []
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in watched)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Any = session.run(watched, _few(calibration))
    names: list[str] = []
    for name, values in zip(watched, found, strict=True):
        if values.ndim == 4 and _ratio(values) < LEAST:
            maker = nodes[name]
            names += [node.name for node in (maker, nodes.get(maker.input[0]), *readers.get(name, [])) if node is not None]
    return list(dict.fromkeys(names))


def _is_handed_on(name: str, nodes: Mapping[str, Any], readers: Mapping[str, Sequence[Any]]) -> bool:
    """Whether only an activation function reads it: the rounding is behind that."""
    found = readers.get(name, [])
    return nodes[name].op_type not in _BEHIND and bool(found) and all(node.op_type in _BEHIND for node in found)


def _few(calibration: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The first image of several batches; statistics of cameras, one row a batch, as in the first of them."""
    first = calibration[0]
    chosen = calibration[:: max(1, len(calibration) // _IMAGES)][:_IMAGES]
    return {
        name: values if len(values) == 1 else np.concatenate([batch[name][:1] for batch in chosen])
        for name, values in first.items()
    }


def _ratio(values: np.ndarray) -> float:
    """Variance of a channel / variance of rounding to 255 steps, the lowest tenth of the channels that live; (B, C, H, W)."""
    span = max(float(values.max()), 0.0) - min(float(values.min()), 0.0)
    if span == 0:
        return np.inf
    variances = values.var(axis=(0, 2, 3), dtype=np.float64)
    living = variances[variances > 1e-12]
    return float(np.quantile(living, 0.1) / ((span / 255) ** 2 / 12)) if len(living) else np.inf
