from pathlib import Path

import numpy as np
import pytest

from passerby.errors import DataError, UsageError
from passerby.video import Detection, OnnxDetector, open_detector, open_film

REAL = Path(__file__).parents[3] / "shared" / "data"


def write_detector(path, rows, height=64, width=96):
    """A detector of YOLOv8's layout that sees the same whatever it is shown, plus a hundredth of the picture's mean."""
    onnx = pytest.importorskip("onnx", reason="onnx writes the models of this test")
    from onnx import helper, numpy_helper

    values = np.zeros((1, 6, 40), np.float32)
    values[0, :, : len(rows)] = np.array(rows, np.float32).T
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("ReduceMean", ["means"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "hundredth"], ["little"]),
        helper.make_node("Add", ["seen", "little"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", 1, [1, 3, height, width])],
        [helper.make_tensor_value_info("output0", 1, [1, 6, 40])],
        [numpy_helper.from_array(values, "seen"), numpy_helper.from_array(np.float32(0.01), "hundredth")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def test_boxes_come_back_into_the_picture(tmp_path):
    # Two boxes of one person, one of another, one thing. The picture of 192 x 192 takes 64 x 64 in the middle of 96 x 64.
    rows = [[36, 20, 10, 20, 0.9, 0], [37, 20, 10, 20, 0.7, 0], [66, 44, 8, 30, 0.6, 0.1], [50, 30, 9, 9, 0.2, 0.9]]
    path = write_detector(tmp_path / "yolo.onnx", rows)
    detector = OnnxDetector(path, Detection(confidence=0.5))
    boxes = detector(np.zeros((192, 192, 3), np.uint8))
    assert boxes.confidences.tolist() == pytest.approx([0.9, 0.6], abs=0.002)
    assert boxes.corners[0].tolist() == pytest.approx([45, 30, 75, 90], abs=0.02)
    assert boxes.corners[1].tolist() == pytest.approx([138, 87, 162, 177], abs=0.02)
    assert len(OnnxDetector(path, Detection(confidence=0.5, overlap=0.9))(np.zeros((192, 192, 3), np.uint8))) == 3
    assert len(OnnxDetector(path, Detection(confidence=0.65))(np.zeros((192, 192, 3), np.uint8))) == 1
    assert detector.name.startswith("yolo ") and detector.name != OnnxDetector(path, Detection(confidence=0.65)).name


def test_a_file_that_is_no_detector(tmp_path):
    with pytest.raises(DataError, match=r'detector ".*none.onnx" cannot be read: No such file'):
        open_detector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(DataError, match=r'text.onnx" is no ONNX model that can be run: '):
        open_detector(tmp_path / "text.onnx")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"confidence": 0}, "confidence of the detection is 0: it is above 0 and up to 1"),
        ({"overlap": 1.5}, "overlap of the detection is 1.5"),
        ({"sides_px": (640, 32)}, "sides_px of the detection is 640, 32: one or more from 64 to 4096 pixels"),
        ({"sides_px": ()}, "sides_px of the detection is : one or more"),
        ({"threads": 0}, "threads of the detection is 0: 1 is the least"),
    ],
)
def test_wrong_values_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Detection(**wrong)


@pytest.mark.parametrize("size", [(37, 90), (200, 64), (64, 64)])
def test_the_included_detector_takes_any_size_and_sees_nobody_in_nothing(size):
    detector = open_detector(None, Detection(confidence=0.4, sides_px=(96, 64)))
    assert len(detector(np.full((*size, 3), 128, np.uint8))) == 0


def test_the_licence_notice_of_the_included_detector_is_there():
    from importlib.resources import files

    notice = (files("passerby.video") / "nanodet.NOTICE").read_text()
    assert "Apache License" in notice and "nanodet.onnx" in notice and "Changes" in notice


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "vtest.avi").is_file(), reason="needs ../shared/data/vtest.avi")
def test_people_of_a_real_film_are_found():
    frame = next(iter(open_film(REAL / "vtest.avi").frames()))
    sure = open_detector(None, Detection(confidence=0.4))(frame.pixels())
    assert 3 <= len(sure) <= 6
    heights = sure.corners[:, 3] - sure.corners[:, 1]
    assert (heights > 1.5 * (sure.corners[:, 2] - sure.corners[:, 0])).mean() > 0.8  # people stand
