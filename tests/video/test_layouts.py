"""Each layout: a person and another thing are put into outputs as the layout has them, and the person comes out."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from passerby.errors import DataError
from passerby.video.layouts import Fitted, find_layout

PERSON = np.array([100.0, 200.0, 40.0, 120.0])  # centre x and y, width, height
CORNERS = [80, 140, 120, 260]
THING = np.array([300.0, 300.0, 50.0, 50.0])
FITTED = Fitted((640, 640), (640, 640), (1, 1))


def port(name, *shape, kind="tensor(float)"):
    return SimpleNamespace(name=name, shape=list(shape), type=kind)


def found(inputs, outputs, values, fitted=FITTED):
    layout = find_layout(Path("any.onnx"), inputs, outputs)
    boxes = layout.decode(values, fitted)
    return layout, boxes[boxes.confidences > 0.3]


def scores(classes, *rows):
    """(len(rows), classes): in each row one class has a confidence."""
    made = np.full((len(rows), classes), 0.01, np.float32)
    for row, (kind, confidence) in enumerate(rows):
        made[row, kind] = confidence
    return made


def is_person(boxes, confidence=0.8):
    assert len(boxes) == 1
    assert boxes.corners[0].tolist() == pytest.approx(CORNERS, abs=1e-3) and boxes.confidences[0] == pytest.approx(confidence)


IMAGES = [port("images", 1, 3, 640, 640)]


def test_yolo_v8():
    rows = np.hstack([np.stack([THING, PERSON, PERSON]), scores(80, (16, 0.9), (0, 0.8), (2, 0.9))])
    layout, boxes = found(IMAGES, [port("output0", 1, 84, 8400)], [rows.T[None].astype(np.float32)])
    is_person(boxes)
    assert type(layout).__name__ == "YoloTransposed" and layout.size == (640, 640) and layout.centred and not layout.unique


def test_yolo_of_one_class_and_free_size():
    rows = np.hstack([np.stack([PERSON]), [[0.8]]])
    inputs, outputs = [port("images", "batch", 3, "height", "width")], [port("output0", "batch", 5, "anchors")]
    layout, boxes = found(inputs, outputs, [rows.T[None]])
    is_person(boxes)
    assert layout.size is None


def test_yolo_v5_multiplies_objectness():
    rows = np.hstack([np.stack([PERSON, THING]), [[0.9], [0.9]], scores(80, (0, 8 / 9), (5, 0.9))])
    layout, boxes = found(IMAGES, [port("output0", 1, 25200, 85)], [rows[None]])
    is_person(boxes)
    assert type(layout).__name__ == "YoloObjectness"


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_in_grid_units_or_in_pixels(decoded):
    rows = np.zeros((8400, 85), np.float32)
    rows[:, 2:4] = 1 if decoded else 0
    cell = 25 * 80 + 12  # row 25, column 12 at stride 8: 96 to 104, 200 to 208
    rows[cell, :4] = PERSON if decoded else [0.5, 0.0, np.log(5), np.log(15)]
    rows[cell, 4:6] = 1, 0.8
    layout, boxes = found(IMAGES, [port("output", 1, 8400, 85)], [rows[None]])
    is_person(boxes)
    assert type(layout).__name__ == "YoloX" and not layout.centred
    white = layout.feed(np.dstack([np.full((4, 4), v, np.uint8) for v in (1, 2, 255)]), FITTED)["images"]
    assert white.shape == (1, 3, 4, 4) and white[0, :, 0, 0].tolist() == [255, 2, 1]


def test_yolo_without_duplicates():
    rows = np.array([[*CORNERS, 0.8, 0], [0, 0, 9, 9, 0.9, 1]], np.float32)
    layout, boxes = found(IMAGES, [port("output0", 1, 300, 6)], [rows[None]])
    is_person(boxes)
    assert layout.unique


@pytest.mark.parametrize("classes", [80, 91, 92])
def test_detr_counts_from_one_where_coco_does(classes):
    person = 0 if classes == 80 else 1
    logits = np.full((2, classes), -9.0, np.float32)
    logits[0, person], logits[1, 20] = np.log(4), 3
    if classes == 92:  # of DETR the sum over all classes is one
        logits[0, 91] = 0
    centred = np.stack([PERSON, THING])[None] / 640
    outputs = [port("logits", 1, 300, classes), port("pred_boxes", 1, 300, 4)]
    layout, boxes = found(IMAGES, outputs, [logits[None], centred])
    is_person(boxes, 0.8 if classes != 92 else pytest.approx(0.8, abs=0.01))
    assert layout.stretch and layout.unique and layout.imagenet == (classes > 80)
    black = layout.feed(np.zeros((4, 4, 3), np.uint8), FITTED)["images"][0, 0, 0, 0]
    assert black == (0 if classes == 80 else pytest.approx(-0.485 / 0.229))


def test_rt_detr_is_asked_for_boxes_in_pixels():
    inputs = [port("images", "N", 3, 640, 640), port("orig_target_sizes", "N", 2, kind="tensor(int64)")]
    outputs = [port("labels", 1, 300), port("boxes", 1, 300, 4), port("scores", 1, 300)]
    values = [np.array([[0, 7]]), np.array([[CORNERS, CORNERS]], np.float32), np.array([[0.8, 0.9]], np.float32)]
    layout, boxes = found(inputs, outputs, values)
    is_person(boxes)
    fed = layout.feed(np.zeros((640, 640, 3), np.uint8), FITTED)
    assert fed["orig_target_sizes"].tolist() == [[640, 640]]


def test_nanodet():
    names = [f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in (8, 16, 32)]
    cells = {8: 6400, 16: 1600, 32: 400}
    values = [np.full((1, cells[s], 80), 0.01, np.float32) for s in cells] + [
        np.zeros((1, cells[s], 44), np.float32) for s in cells
    ]
    cell = 12 * 40 + 6  # stride 16: centre 104, 200
    values[1][0, cell, 0] = 0.8
    for side, reach in enumerate([24, 60, 16, 60]):  # left, top, right, bottom of the centre, between two of the 11 weights
        low, part = divmod(reach / 16, 1)
        weights = np.full(11, -50.0)
        weights[int(low)] = np.log(1 - part)
        if part:
            weights[int(low) + 1] = np.log(part)
        values[4][0, cell, 11 * side : 11 * side + 11] = weights
    inputs = [port("input", 1, 3, "height", "width")]
    layout, boxes = found(inputs, [port(name, None, None, None) for name in names], values)
    is_person(boxes)
    assert layout.size is None
    nobody = layout.decode([np.zeros_like(value) for value in values], FITTED)
    assert len(nobody) == 0


def test_half_precision_is_fed_as_such():
    layout = find_layout(Path("any.onnx"), [port("images", 1, 3, 640, 640, kind="tensor(float16)")], [port("out", 1, 84, 8400)])
    fed = layout.feed(np.full((64, 64, 3), 255, np.uint8), FITTED)["images"]
    assert fed.dtype == np.float16 and fed.max() == 1


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ([port("tokens", 1, 128)], [port("out", 1, 84, 8400)], "has one picture .1, 3, height, width. as its input"),
        (IMAGES, [port("features", 1, 512)], "outputs are of no known layout"),
        (IMAGES, [port("a", 1, 3, 80, 80, 85), port("b", 1, 3, 40, 40, 85)], "outputs are of no known layout"),
        ([*IMAGES, port("other", 1)], [port("out", 1, 84, 8400)], "outputs are of no known layout"),
    ],
)
def test_another_layout_is_refused_with_the_list_of_known_ones(inputs, outputs, said):
    with pytest.raises(DataError, match=said) as caught:
        find_layout(Path("odd.onnx"), inputs, outputs)
    text = str(caught.value)
    assert 'detector "odd.onnx"' in text and "\n" not in text
    assert all(name in text for name in ("NanoDet", "YOLOv8", "YOLOv5", "YOLOX", "RT-DETR"))
