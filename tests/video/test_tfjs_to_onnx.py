"""The converter of the shipped networks: small graphs of every operator, against the formulas in torch."""

import base64
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("onnx", reason="onnx writes the converted networks")
import onnxruntime

SCRIPT = Path(__file__).parents[2] / "scripts" / "tfjs_to_onnx.py"
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("tfjs_to_onnx", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["tfjs_to_onnx"] = module
    spec.loader.exec_module(module)
    return module


def text(word):
    return {"s": base64.b64encode(word.encode()).decode()}


def sides(*numbers):
    return {"list": {"i": [str(number) for number in (1, *numbers, 1)]}}


class Graph:
    """A TensorFlow.js model on the way to its two files."""

    def __init__(self, *shape):
        dims = [{"size": str(side)} for side in shape]
        self.nodes = [{"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": {"dim": dims}}}}]
        self.weights = []

    def constant(self, values, dtype=None):
        name = f"c{len(self.weights)}"
        self.weights.append((name, np.asarray(values, dtype)))
        self.nodes.append({"name": name, "op": "Const", "attr": {}})
        return name

    def node(self, op, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def write(self, folder, outputs):
        content, entries = b"", []
        for name, values in self.weights:
            entry = {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
            if values.dtype == np.float16:
                entry.update(dtype="float32", quantization={"dtype": "float16"})
            entries.append(entry)
            content += values.tobytes()
        (folder / "w.bin").write_bytes(content)
        model = {
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["w.bin"], "weights": entries}],
            "signature": {"outputs": {name: {"name": f"{name}:0"} for name in outputs}},
        }
        (folder / "model.json").write_text(json.dumps(model))
        return folder / "model.json"


def ran(script, graph, folder, outputs, x, **how):
    settings = {"free_size": False, "outputs": [], "names": [], "notice": ""} | how
    made = script.convert(graph.write(folder, outputs), **settings)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x}), made


def nchw(x):
    return torch.from_numpy(x).permute(0, 3, 1, 2)


def same(x, kernel, stride, value=0.0):
    """TensorFlow's SAME padding of a (B,C,H,W) tensor."""
    pads = []
    for size in x.shape[:1:-1]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def test_pictures_in_channels_last_with_fused_operators(script, tmp_path):
    graph, x = Graph(-1, 9, 8, 3), RANDOM.normal(size=(2, 9, 8, 3)).astype(np.float32)
    kernel, bias = RANDOM.normal(size=(3, 3, 3, 4)).astype(np.float16), RANDOM.normal(size=4).astype(np.float32)
    deep, slope = RANDOM.normal(size=(3, 3, 4, 1)).astype(np.float32), RANDOM.normal(size=(1, 1, 4)).astype(np.float32)
    strides = {"strides": sides(2, 2), "dilations": sides(1, 1), "padding": text("SAME")}
    fused = {"fused_ops": {"list": {"s": [text("BiasAdd")["s"], text("Relu6")["s"]]}}}
    one = graph.node("_FusedConv2D", "x", graph.constant(kernel), graph.constant(bias), **strides, **fused)
    prelu = {"fused_ops": {"list": {"s": [text("BiasAdd")["s"], text("Prelu")["s"]]}}}
    once = strides | {"strides": sides(1, 1)}
    two = graph.node(
        "FusedDepthwiseConv2dNative", one, graph.constant(deep), graph.constant(bias), graph.constant(slope), **once, **prelu
    )  # fmt: skip
    total = graph.node("AddV2", one, two)
    pooled = graph.node("MaxPool", total, ksize=sides(2, 2), strides=sides(2, 2), padding=text("SAME"))
    larger = graph.node("ResizeBilinear", pooled, graph.constant([6, 4], np.int32), half_pixel_centers={"b": True})
    flat = graph.node("Reshape", graph.node("Sigmoid", larger), graph.constant([-1, 96], np.int32))
    graph.node("Identity", flat)
    (found,), made = ran(script, graph, tmp_path, [graph.nodes[-1]["name"]], x)
    a = F.conv2d(same(nchw(x), 3, 2), torch.from_numpy(kernel.astype(np.float32)).permute(3, 2, 0, 1), torch.from_numpy(bias), 2)
    a = a.clamp(0, 6)
    b = F.conv2d(same(a, 3, 1), torch.from_numpy(deep).permute(2, 3, 0, 1), torch.from_numpy(bias), groups=4)
    b = torch.where(b > 0, b, b * torch.from_numpy(slope).reshape(1, 4, 1, 1))
    c = F.max_pool2d(same(a + b, 2, 2, -1e9), 2, 2)
    c = F.interpolate(c, (6, 4), mode="bilinear").sigmoid().permute(0, 2, 3, 1).reshape(2, 96)
    assert np.abs(found - c.numpy()).max() < 1e-5
    assert sum(node.op_type == "Transpose" for node in made.graph.node) == 2  # at the beginning and before the reshape


def test_pictures_in_channels_first_of_any_size(script, tmp_path):
    graph = Graph(1, 3, 8, 8)
    kernel = RANDOM.normal(size=(3, 3, 3, 4)).astype(np.float32)
    padded = graph.node("PadV2", "x", graph.constant([[0, 0], [0, 0], [1, 1], [1, 1]], np.int32), graph.constant(0.5, np.float32))
    turned = graph.node("Transpose", padded, graph.constant([0, 2, 3, 1], np.int32))
    valid = {"strides": sides(1, 1), "dilations": sides(1, 1), "padding": text("VALID")}
    conv = graph.node("Conv2D", turned, graph.constant(kernel), **valid)
    bias = graph.node("Add", conv, graph.constant(np.arange(4), np.float32))
    back = graph.node("Transpose", bias, graph.constant([0, 3, 1, 2], np.int32))
    leaky = graph.node("LeakyRelu", back, alpha={"f": 0.1})
    split = graph.node("SplitV", leaky, graph.constant([1, 3], np.int32), graph.constant(1, np.int32))
    joined = graph.node("ConcatV2", f"{split}:1", split, graph.constant(1, np.int32))
    places = graph.constant(np.zeros((0, 1)), np.int64)
    zeros = graph.node(
        "SparseToDense", places, graph.constant([3], np.int64), graph.constant([], np.int64), graph.constant(0, np.int64)
    )
    shape = graph.node("AddV2", graph.constant([1, 4, 64], np.int64), zeros)
    rows = graph.node("Transpose", graph.node("Reshape", joined, shape), graph.constant([0, 2, 1], np.int32))
    for high, wide in ((8, 8), (5, 11)):
        x = RANDOM.normal(size=(1, 3, high, wide)).astype(np.float32)
        (found,), _ = ran(script, graph, tmp_path, [rows], x, free_size=True, names=["rows"], notice="a notice")
        y = F.pad(torch.from_numpy(x), (1, 1, 1, 1), value=0.5)
        y = F.leaky_relu(F.conv2d(y, torch.from_numpy(kernel).permute(3, 2, 0, 1)) + torch.arange(4.0).reshape(1, 4, 1, 1), 0.1)
        y = torch.cat([y[:, 1:], y[:, :1]], dim=1).reshape(1, 4, high * wide).permute(0, 2, 1)
        assert found.shape == y.shape and np.abs(found - y.numpy()).max() < 1e-5


def test_an_operator_that_is_not_known_is_named(script, tmp_path):
    graph = Graph(1, 3, 8, 8)
    graph.node("Softplus", "x")
    with pytest.raises(SystemExit, match=r"operator Softplus .n1. is not known to this script: add op_softplus"):
        ran(script, graph, tmp_path, ["n1"], np.zeros((1, 3, 8, 8), np.float32))
