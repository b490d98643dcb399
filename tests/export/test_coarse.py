"""What stays in fp32 beside int8."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exports need the extra export")
pytest.importorskip("onnxruntime", reason="exports need the extra export")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from passerby.export.coarse import before_the_network, first_layers, too_coarse  # noqa: E402


def network(gains: list[float]) -> onnx.ModelProto:
    """Mul, a 1x1 convolution that gives each channel a gain, Relu, a convolution, Relu."""
    weights = [
        numpy_helper.from_array(np.diag(gains).astype(np.float32)[:, :, None, None], "first"),
        numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :, None, None], "second"),
        numpy_helper.from_array(np.float32(1.0), "one"),
    ]
    nodes = [
        helper.make_node("Mul", ["x", "one"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "first"], ["a"], "conv1"),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("Conv", ["b", "second"], ["c"], "conv2"),
        helper.make_node("Relu", ["c"], ["y"], "relu2"),
    ]
    shape = ["batch", 3, 4, 4]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def batches() -> list[dict[str, np.ndarray]]:
    drawn = np.random.default_rng(0)
    return [{"x": drawn.standard_normal((2, 3, 4, 4)).astype(np.float32)} for _ in range(3)]


def test_what_stands_before_the_first_layer_only_normalises():
    assert before_the_network(network([1, 1, 1])) == ["scale"]


def test_equal_channels_stand_the_rounding():
    assert too_coarse(network([1.0, 1.0, 1.0]), batches()) == []
    assert too_coarse(network([1.0, 1.0, 1.0]), []) == []


def test_one_loud_channel_drowns_the_others():
    """A gain of 1,000 beside two of 1: a step of 1,000 x 3 / 255 is larger than what the others say."""
    kept = too_coarse(network([1000.0, 1.0, 1.0]), batches())
    assert kept == ["relu1", "conv1", "conv2", "relu2"]
    assert too_coarse(network([1000.0, 0.0, 0.0]), batches()) == []  # silent channels say nothing that could be drowned


@pytest.mark.parametrize(
    ("count", "kept"), [(0, []), (1, ["scale", "conv1", "relu1"]), (2, ["scale", "conv1", "relu1", "conv2", "relu2"])]
)
def test_the_first_layers_are_convolutions_with_what_stands_behind_them(count: int, kept: list[str]):
    assert first_layers(network([1, 1, 1]), count) == kept
