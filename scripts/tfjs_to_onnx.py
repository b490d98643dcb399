"""Convert a TensorFlow.js graph model (model.json and its weight shards) to ONNX.

It made the networks that passerby ships. It needs `onnx` and NumPy, and nothing of TensorFlow:

    python scripts/tfjs_to_onnx.py nanodet.json src/passerby/video/nanodet.onnx --free-size --outputs Identity Identity_1 ...

TensorFlow keeps pictures as (B,H,W,C), ONNX convolutions want (B,C,H,W). Transpositions are therefore carried along with each
tensor and written down only where an operator needs the real order, so that hardly any remain. Only the operators that these
networks use are known; another one is named in the error.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
NCHW = (0, 3, 1, 2)
NHWC = (0, 2, 3, 1)
ACTIVATIONS = {"Relu", "Relu6", "Sigmoid", "Elu", "LeakyRelu", "Prelu"}


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. What the graph means is `held` transposed by `perm`; `shape` is that of the meant tensor."""

    held: str
    shape: tuple[int, ...]
    perm: tuple[int, ...]
    constant: np.ndarray | None = None


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The graph's JSON and its weights by name; half-precision weights stay so."""
    model = json.loads(path.read_text())
    weights: dict[str, np.ndarray] = {}
    for group in model["weightsManifest"]:
        content = b"".join((path.parent / shard).read_bytes() for shard in group["paths"])
        offset = 0
        for entry in group["weights"]:
            coded = entry.get("quantization", {}).get("dtype", entry["dtype"])
            kind = {"bool": "uint8"}.get(coded, coded)
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(content, kind, count, offset).reshape(entry["shape"])
            offset += values.nbytes
            if coded in ("uint8", "uint16") and "quantization" in entry:
                values = (values * entry["quantization"]["scale"] + entry["quantization"]["min"]).astype(entry["dtype"])
            weights[entry["name"]] = values
    return model, weights


class Conversion:
    """One graph on its way from TensorFlow to ONNX."""

    def __init__(self, model: dict[str, Any], weights: dict[str, np.ndarray], *, free_size: bool) -> None:
        self.nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
        self.weights, self.free_size = weights, free_size
        self.values: dict[tuple[str, int], Value] = {}
        self.made: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []

    # --- building blocks

    def emit(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Write one ONNX node; the names of its outputs."""
        names = [f"t{len(self.made)}_{position}" for position in range(outputs)]
        self.made.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def store(self, values: np.ndarray) -> str:
        """Put numbers into the file. Half-precision ones are widened when the network is loaded: half the file, equal numbers."""
        name = f"c{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return self.emit("Cast", [name], to=TensorProto.FLOAT)[0] if values.dtype == np.float16 else name

    def ordered(self, value: Value, perm: tuple[int, ...]) -> str:
        """The name of the tensor that is `value` transposed by `perm`, written out."""
        if value.constant is not None:
            return self.store(value.constant.transpose(perm))
        wanted = tuple(value.perm[axis] for axis in perm)
        if wanted == tuple(range(len(wanted))):
            return value.held
        return self.emit("Transpose", [value.held], perm=wanted)[0]

    def plain(self, value: Value) -> str:
        """The name of the tensor as the graph means it."""
        return self.ordered(value, tuple(range(len(value.shape))))

    @staticmethod
    def whole(name: str, shape: Sequence[int]) -> Value:
        return Value(name, tuple(int(side) for side in shape), tuple(range(len(shape))))

    @staticmethod
    def from_nchw(name: str, shape: Sequence[int]) -> Value:
        """A (B,C,H,W) tensor that stands for one of `shape` (B,H,W,C)."""
        return Value(name, tuple(int(side) for side in shape), NHWC)

    # --- the walk

    def value(self, reference: str) -> Value:
        name, _, port = reference.partition(":")
        key = (name, int(port or 0))
        if key not in self.values:
            self.convert(name)
        return self.values[key]

    def convert(self, name: str) -> None:
        node = self.nodes[name]
        given = [self.value(reference) for reference in node.get("input", []) if not reference.startswith("^")]
        maker = getattr(self, f"op_{node['op'].lstrip('_').lower()}", None)
        if maker is None:
            raise SystemExit(f"operator {node['op']} ({name}) is not known to this script: add op_{node['op'].lower()}.")
        made = maker(node, given)
        for port, value in enumerate(made if isinstance(made, list) else [made]):
            self.values[name, port] = value

    # --- operators

    def op_placeholder(self, node: dict[str, Any], given: list[Value]) -> Value:
        del given
        given_shape = node["attr"]["shape"]
        sides = [int(side["size"]) for side in given_shape.get("shape", given_shape)["dim"]]
        shape = [max(side, 1) for side in sides]  # -1: the batch
        shown: list[Any] = ["batch", *shape[1:]] if not self.free_size else list(shape)
        if self.free_size:
            rows = 2 if shape[1] == 3 else 1  # of (B,C,H,W) or (B,H,W,C)
            shown[rows : rows + 2] = ["height", "width"]
        self.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, shown))
        return self.whole("input", shape)

    def op_const(self, node: dict[str, Any], given: list[Value]) -> Value:
        del given
        constant = self.weights[node["name"]]
        return Value("", constant.shape, tuple(range(constant.ndim)), constant)

    def op_identity(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        return given[0]

    def op_transpose(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        value, perm = given[0], tuple(int(axis) for axis in _numbers(given[1]))
        shape = tuple(value.shape[axis] for axis in perm)
        if value.constant is not None:
            return Value("", shape, tuple(range(len(perm))), value.constant.transpose(perm))
        return Value(value.held, shape, tuple(value.perm[axis] for axis in perm))

    def op_sparsetodense(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        places, shape, values, default = (_numbers(value) for value in given)
        dense = np.full(shape, default, dtype=values.dtype)
        if places.size:
            dense[tuple(places.reshape(-1, dense.ndim).T)] = values
        return Value("", dense.shape, tuple(range(dense.ndim)), dense)

    def op_add(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        if all(value.constant is not None for value in given):
            total = _numbers(given[0]) + _numbers(given[1])
            return Value("", total.shape, tuple(range(total.ndim)), total)
        return self.elementwise("Add", given)

    op_addv2 = op_add
    op_biasadd = op_add

    def elementwise(self, kind: str, given: list[Value]) -> Value:
        """An operator of two tensors that acts number by number; a constant is brought into the order of the other one."""
        first = next(value for value in given if value.constant is None)
        shape = np.broadcast_shapes(*(value.shape for value in given))
        rank = len(shape)
        if len(first.shape) != rank:
            return self.whole(self.emit(kind, [self.plain(value) for value in given])[0], shape)
        back = tuple(int(axis) for axis in np.argsort(first.perm))  # of the meant tensor, to the order in which `first` is held
        names = []
        for value in given:
            if value.constant is not None:
                constant = value.constant.reshape((1,) * (rank - value.constant.ndim) + value.constant.shape)
                names.append(self.store(constant.transpose(back)))
            elif len(value.shape) == rank:
                names.append(self.ordered(value, back))
            else:
                return self.whole(self.emit(kind, [self.plain(each) for each in given])[0], shape)
        return Value(self.emit(kind, names)[0], tuple(shape), first.perm)

    def activate(self, kind: str, value: Value, slope: float = 0.2, weights: Value | None = None) -> Value:
        held = value.held
        if kind == "Relu6":
            made = self.emit("Clip", [held, self.store(np.float32(0)), self.store(np.float32(6))])
        elif kind == "LeakyRelu":
            made = self.emit("LeakyRelu", [held], alpha=slope)
        elif kind == "Prelu":
            assert weights is not None and weights.constant is not None
            back = tuple(int(axis) for axis in np.argsort(value.perm))
            full = weights.constant.reshape((1,) * (len(value.shape) - weights.constant.ndim) + weights.constant.shape)
            made = self.emit("PRelu", [held, self.store(full.transpose(back))])
        elif kind in ACTIVATIONS:
            made = self.emit(kind, [held])
        else:
            raise SystemExit(f"the activation {kind} is not known to this script: add it to `activate`.")
        return Value(made[0], value.shape, value.perm)

    def op_relu(self, node: dict[str, Any], given: list[Value]) -> Value:
        return self.activate(node["op"], given[0])

    op_relu6 = op_relu
    op_sigmoid = op_relu

    def op_leakyrelu(self, node: dict[str, Any], given: list[Value]) -> Value:
        return self.activate("LeakyRelu", given[0], float(node["attr"]["alpha"]["f"]))

    def op_conv2d(self, node: dict[str, Any], given: list[Value]) -> Value:
        return self.convolution(node, given, depthwise=False)

    op_fusedconv2d = op_conv2d

    def op_depthwiseconv2dnative(self, node: dict[str, Any], given: list[Value]) -> Value:
        return self.convolution(node, given, depthwise=True)

    op_fuseddepthwiseconv2dnative = op_depthwiseconv2dnative

    def convolution(self, node: dict[str, Any], given: list[Value], *, depthwise: bool) -> Value:
        picture, kernel = given[0], given[1].constant
        assert kernel is not None and _text(node, "data_format", "NHWC") == "NHWC"
        high, wide = kernel.shape[:2]
        strides, dilations = _sides(node, "strides"), _sides(node, "dilations")
        pads, (rows, columns) = self.padding(node, picture.shape, (high, wide), strides, dilations)
        if depthwise:
            weights = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, high, wide)
            groups = kernel.shape[2]
        else:
            weights = kernel.transpose(3, 2, 0, 1)
            groups = picture.shape[3] // kernel.shape[2]
        fused = [base64.b64decode(word).decode() for word in node["attr"].get("fused_ops", {"list": {}})["list"].get("s", [])]
        rest = given[2:]
        inputs = [self.ordered(picture, NCHW), self.store(weights)]
        if fused[:1] == ["BiasAdd"]:
            assert rest[0].constant is not None
            inputs.append(self.store(rest[0].constant))
            fused, rest = fused[1:], rest[1:]
        made = self.emit(
            "Conv", inputs, kernel_shape=[high, wide], strides=strides, dilations=dilations, pads=pads, group=groups
        )  # fmt: skip
        value = self.from_nchw(made[0], (picture.shape[0], rows, columns, weights.shape[0]))
        for kind in fused:
            slope = float(node["attr"].get("leakyrelu_alpha", {"f": 0.2})["f"])
            value = self.activate(kind, value, slope, rest.pop(0) if kind == "Prelu" else None)
        return value

    def padding(
        self, node: dict[str, Any], shape: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """The pads of a window (top, left, bottom, right) and the size of what comes out."""
        before, after, sides = [0, 0], [0, 0], []
        rule = _text(node, "padding")
        for axis in (0, 1):
            size, reach = shape[axis + 1], (kernel[axis] - 1) * dilations[axis] + 1
            if rule == "SAME":
                total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
                before[axis], after[axis] = total // 2, total - total // 2
            elif rule == "EXPLICIT":
                every = [int(number) for number in node["attr"]["explicit_paddings"]["list"]["i"]]
                before[axis], after[axis] = every[2 * (axis + 1)], every[2 * (axis + 1) + 1]
            sides.append((size + before[axis] + after[axis] - reach) // strides[axis] + 1)
        return [*before, *after], sides

    def op_maxpool(self, node: dict[str, Any], given: list[Value]) -> Value:
        kernel, strides = _sides(node, "ksize"), _sides(node, "strides")
        pads, (rows, columns) = self.padding(node, given[0].shape, kernel, strides, (1, 1))
        made = self.emit("MaxPool", [self.ordered(given[0], NCHW)], kernel_shape=kernel, strides=strides, pads=pads)
        return self.from_nchw(made[0], (given[0].shape[0], rows, columns, given[0].shape[3]))

    def op_pad(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        value, ends = given[0], _numbers(given[1])
        if not ends.any():
            return value
        back = np.argsort(value.perm)
        pads = np.concatenate([ends[back, 0], ends[back, 1]]).astype(np.int64)
        filled = np.float32(_numbers(given[2])) if len(given) > 2 else np.float32(0)
        made = self.emit("Pad", [value.held, self.store(pads), self.store(filled)])
        return Value(made[0], tuple(int(a + b) for a, b in zip(value.shape, ends.sum(axis=1), strict=True)), value.perm)

    op_padv2 = op_pad

    def op_concatv2(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        *parts, last = given
        rank = len(parts[0].shape)
        axis = int(_numbers(last)) % rank
        perm = parts[0].perm
        back = tuple(int(place) for place in np.argsort(perm))
        made = self.emit("Concat", [self.ordered(part, back) for part in parts], axis=perm[axis])
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        return Value(made[0], tuple(shape), perm)

    def op_splitv(self, node: dict[str, Any], given: list[Value]) -> list[Value]:
        del node
        value, sizes, axis = given[0], _numbers(given[1]).astype(np.int64), int(_numbers(given[2])) % len(given[0].shape)
        made = self.emit("Split", [value.held, self.store(sizes)], outputs=len(sizes), axis=value.perm[axis])
        shapes = [(*value.shape[:axis], int(size), *value.shape[axis + 1 :]) for size in sizes]
        return [Value(name, shape, value.perm) for name, shape in zip(made, shapes, strict=True)]

    def op_reshape(self, node: dict[str, Any], given: list[Value]) -> Value:
        del node
        value, target = given[0], [int(side) for side in _numbers(given[1])]
        known = -int(np.prod(target)) if -1 in target else 1
        shape = [int(np.prod(value.shape)) // known if side == -1 else side for side in target]
        # The first side is the batch; where the size of pictures is free, what keeps its length is kept by position.
        asked = [0 if place == 0 or (self.free_size and side == value.shape[place]) else side
                 for place, side in enumerate(shape) if place < len(value.shape)]  # fmt: skip
        asked += shape[len(asked) :]
        if self.free_size:
            asked = [-1 if side not in (0, -1) else side for side in asked]
        if asked.count(-1) > 1:
            raise SystemExit(f"reshaping {value.shape} to {shape} is not possible for free sizes.")
        return self.whole(self.emit("Reshape", [self.plain(value), self.store(np.array(asked, np.int64))])[0], shape)

    def op_resizebilinear(self, node: dict[str, Any], given: list[Value]) -> Value:
        value, (rows, columns) = given[0], (int(side) for side in _numbers(given[1]))
        batch, high, wide, channels = value.shape
        half, aligned = (bool(node["attr"].get(name, {}).get("b")) for name in ("half_pixel_centers", "align_corners"))
        rule = "half_pixel" if half else "align_corners" if aligned else "asymmetric"
        scales = self.store(np.array([1, 1, rows / high, columns / wide], np.float32))
        inputs = [self.ordered(value, NCHW), "", scales]
        made = self.emit("Resize", inputs, mode="linear", coordinate_transformation_mode=rule)
        return self.from_nchw(made[0], (batch, rows, columns, channels))


def _numbers(value: Value) -> np.ndarray:
    if value.constant is None:
        raise SystemExit("a shape, an axis or a padding is computed inside the graph; only constants are known to this script.")
    return value.constant


def _text(node: dict[str, Any], name: str, otherwise: str = "") -> str:
    return base64.b64decode(node["attr"][name]["s"]).decode() if name in node["attr"] else otherwise


def _sides(node: dict[str, Any], name: str) -> list[int]:
    """Rows and columns of a (B,H,W,C) attribute."""
    numbers = node["attr"].get(name, {}).get("list", {}).get("i", [1, 1, 1, 1])
    return [int(number) for number in numbers[1:3]]


def convert(path: Path, *, free_size: bool, outputs: Sequence[str], names: Sequence[str], notice: str) -> onnx.ModelProto:
    """The ONNX model of a TensorFlow.js graph model.

    Args:
        path: `model.json`.
        free_size: let height and width of the input be anything that the network's strides divide, instead of the batch.
        outputs: the graph's names of what is wanted, in the order in which it comes out; none: all that the model names.
        names: what to call them.
        notice: goes into the file's documentation string.
    """
    model, weights = read_model(path)
    wanted = list(outputs) or [entry["name"].partition(":")[0] for entry in model["signature"]["outputs"].values()]
    conversion = Conversion(model, weights, free_size=free_size)
    results = [conversion.value(name) for name in wanted]
    called = list(names) or wanted
    shown = []
    for result, name in zip(results, called, strict=True):
        conversion.made.append(helper.make_node("Identity", [conversion.plain(result)], [name]))
        shown.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * len(result.shape)))
    graph = helper.make_graph(
        conversion.made, path.stem, conversion.inputs, shown, list(conversion.initializers.values()), doc_string=notice
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tfjs_to_onnx.py")
    made.ir_version = 8
    onnx.checker.check_model(made, full_check=True)
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model.json; its weights lie beside it")
    parser.add_argument("out", type=Path, help="the .onnx file")
    parser.add_argument("--free-size", action="store_true", help="any height and width, one picture at a time")
    parser.add_argument("--outputs", nargs="*", default=[], help="the graph's names of what comes out (default: all)")
    parser.add_argument("--names", nargs="*", default=[], help="what to call them instead")
    parser.add_argument("--notice", default="", help="a licence notice that is kept inside the file")
    chosen = parser.parse_args()
    made = convert(
        chosen.model, free_size=chosen.free_size, outputs=chosen.outputs, names=chosen.names, notice=chosen.notice
    )  # fmt: skip
    chosen.out.write_bytes(made.SerializeToString())
    print(f"{chosen.out}: {chosen.out.stat().st_size:,} bytes, {len(made.graph.node)} nodes")


if __name__ == "__main__":
    main()
