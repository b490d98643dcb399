"""What comes out of a detector, and how it becomes boxes of people: one class a layout, recognised by names, shapes and types.

All decode into pixels of the network's own input; the detector brings them back to the picture. COCO's class 0 is a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from passerby.datasets.walking import shown
from passerby.errors import DataError
from passerby.video.boxes import Boxes

__all__ = ["LAYOUTS", "Fitted", "OutputLayout", "find_layout"]

PERSON = 0
_PERSON_OF_91 = 1  # DETR and RF-DETR count COCO's classes as its files do, from 1
_DETR_SIDE = 640  # where a network of DETR's kind takes any size
LAYOUTS = (
    "NanoDet (six outputs: scores and distances at strides 8, 16, 32)",
    "YOLOv8 to v12 (1, 4 + classes, N)",
    "YOLOv5, v7 (1, N, 5 + classes)",
    "YOLOX (1, N, 5 + classes) with N cells",
    "YOLO without duplicates (1, N, 6)",
    "DETR, RF-DETR (boxes (1, N, 4) and logits (1, N, classes))",
    "RT-DETR (images and orig_target_sizes in; labels, boxes, scores out)",
)
"""Layouts that are known, for people."""


@dataclass(frozen=True)
class Fitted:
    """How a picture lies in the network's input.

    Attributes:
        whole: (columns, rows) of the input.
        inner: (columns, rows) that the picture takes.
        scale: input pixels a picture pixel, for x and y.
        centred: the picture lies in the middle; else at the top left.
    """

    whole: tuple[int, int]
    inner: tuple[int, int]
    scale: tuple[float, float]
    centred: bool = False

    @property
    def offset(self) -> tuple[int, int]:
        """Where the picture begins in the input, x and y."""
        if not self.centred:
            return 0, 0
        return (self.whole[0] - self.inner[0]) // 2, (self.whole[1] - self.inner[1]) // 2


@dataclass(frozen=True)
class OutputLayout:
    """One layout; the base of all.

    Attributes:
        input: name of the picture's input.
        size: (rows, columns) of the input; None: any multiple of 32.
        half: the input is half precision.
        unique: there is one box a person already.
        stretch: pictures fill the input, whatever their proportions.
        centred: pictures lie in the middle of the input; else at the top left.
    """

    input: str
    size: tuple[int, int] | None
    half: bool = False
    unique: bool = False
    stretch: bool = False
    centred: bool = False

    def feed(self, laid: np.ndarray, fitted: Fitted) -> dict[str, np.ndarray]:
        """The inputs of one (rows, columns, 3) uint8 RGB picture: 0 to 1, as most are trained."""
        del fitted
        return {self.input: self._scaled(laid, 0.0, 255.0)}

    def _scaled(self, laid: np.ndarray, mean: ArrayLike, deviation: ArrayLike, *, reverse: bool = False) -> np.ndarray:
        """(1, 3, rows, columns): by mean and deviation of each channel; `reverse` makes blue, green, red of it first."""
        planes = laid.transpose(2, 0, 1)[::-1] if reverse else laid.transpose(2, 0, 1)
        values = planes.astype(np.float32, order="C")
        values -= np.asarray(mean, np.float32).reshape(-1, 1, 1)
        values /= np.asarray(deviation, np.float32).reshape(-1, 1, 1)
        return values[None].astype(np.float16 if self.half else np.float32, copy=False)

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """The people, in pixels of the network's input."""
        raise NotImplementedError


class NanoDet(OutputLayout):
    """Scores by class and, for each side of a box, weights of 0 to 10 strides, at three strides."""

    def feed(self, laid: np.ndarray, fitted: Fitted) -> dict[str, np.ndarray]:
        """Blue, green, red; by the mean and deviation of its training."""
        del fitted
        return {self.input: self._scaled(laid, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), reverse=True)}

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`. Only cells with some confidence are computed."""
        corners, confidences = [], []
        for stride, scores, sides in zip((8, 16, 32), outputs[:3], outputs[3:], strict=True):
            sure = scores[0, :, PERSON]
            rows = np.flatnonzero(sure >= 0.02)
            weights = sides[0, rows].reshape(len(rows), 4, sides.shape[2] // 4).astype(np.float64)
            weights = np.exp(weights - weights.max(axis=2, keepdims=True))
            reach = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(weights.shape[2]) * stride
            columns = -(-fitted.whole[0] // stride)
            centres = np.column_stack([rows % columns, rows // columns]) * stride + stride / 2
            corners.append(np.hstack([centres - reach[:, :2], centres + reach[:, 2:]]))
            confidences.append(sure[rows])
        return Boxes.of(np.concatenate(corners), np.concatenate(confidences))


class YoloTransposed(OutputLayout):
    """(1, 4 + classes, N): centre, width, height, then a confidence a class."""

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        del fitted
        rows = np.asarray(outputs[0][0], np.float32).T
        return _people(_corners(rows[:, :4]), rows[:, 4:])


class YoloObjectness(OutputLayout):
    """(1, N, 5 + classes): centre, width, height, confidence of any object, then one a class; to be multiplied."""

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        del fitted
        rows = np.asarray(outputs[0][0], np.float32)
        return _people(_corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])


class YoloX(YoloObjectness):
    """As `YoloObjectness`, with centres and sizes in grid units: (offset + cell) x stride, exp(size) x stride.

    Its pictures are blue, green, red from 0 to 255.
    """

    def feed(self, laid: np.ndarray, fitted: Fitted) -> dict[str, np.ndarray]:
        """See `OutputLayout`."""
        del fitted
        return {self.input: self._scaled(laid, 0.0, 1.0, reverse=True)}

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        rows = np.array(outputs[0], np.float32)
        if (rows[0, :, 2:4] > 0).all() and rows[0, :, :4].max() > 32:  # decoded already, in pixels
            return super().decode([rows], fitted)
        cells, strides = _grid(fitted.whole)
        rows[0, :, :2] = (rows[0, :, :2] + cells) * strides
        rows[0, :, 2:4] = np.exp(rows[0, :, 2:4].clip(max=20)) * strides
        return super().decode([rows], fitted)


class YoloFinished(OutputLayout):
    """(1, N, 6): left, top, right, bottom, confidence, class; duplicates are gone already."""

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        del fitted
        rows = np.asarray(outputs[0][0], np.float32)
        rows = rows[rows[:, 5].round() == PERSON]
        return Boxes.of(rows[:, :4], rows[:, 4])


@dataclass(frozen=True)
class Detr(OutputLayout):
    """Boxes (1, N, 4) as shares of the picture, and logits or scores (1, N, classes)."""

    boxes: int = 0
    scores: int = 1
    imagenet: bool = False

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        corners = _corners(np.asarray(outputs[self.boxes][0], np.float32)) * np.tile(fitted.whole, 2)
        scores = np.asarray(outputs[self.scores][0], np.float32)
        classes = scores.shape[1]
        if scores.min() < 0 or scores.max() > 1:  # logits: of DETR over the classes and "nothing", of the others one by one
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            each = 1 / (1 + np.exp(-scores.clip(-30, 30)))
            scores = powers / powers.sum(axis=1, keepdims=True) if classes == 92 else each
        person = _PERSON_OF_91 if classes in (91, 92) else PERSON
        return _people(corners, scores[:, :91], person)

    def feed(self, laid: np.ndarray, fitted: Fitted) -> dict[str, np.ndarray]:
        """By ImageNet's mean and deviation, as DETR and RF-DETR are trained; 0 to 1 for the others."""
        if not self.imagenet:
            return super().feed(laid, fitted)
        mean, deviation = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
        return {self.input: self._scaled(laid, mean, deviation)}


@dataclass(frozen=True)
class RtDetr(OutputLayout):
    """`images` and `orig_target_sizes` in; `labels`, `boxes` in pixels and `scores` out."""

    sizes: str = "orig_target_sizes"
    labels: int = 0
    boxes: int = 1
    scores: int = 2

    def feed(self, laid: np.ndarray, fitted: Fitted) -> dict[str, np.ndarray]:
        """The picture and the size that boxes are wanted for: the input's own."""
        return {**super().feed(laid, fitted), self.sizes: np.array([fitted.whole], np.int64)}

    def decode(self, outputs: Sequence[np.ndarray], fitted: Fitted) -> Boxes:
        """See `OutputLayout`."""
        del fitted
        people = np.asarray(outputs[self.labels][0]) == PERSON
        return Boxes.of(np.asarray(outputs[self.boxes][0])[people], np.asarray(outputs[self.scores][0])[people])


def _people(corners: np.ndarray, scores: np.ndarray, person: int = PERSON) -> Boxes:
    """Boxes whose surest class is a person."""
    best = scores.argmax(axis=1) == person
    return Boxes.of(corners[best], scores[best, person])


def _corners(centred: np.ndarray) -> np.ndarray:
    """(N, 4) centre x, centre y, width, height as corners."""
    return np.hstack([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2])


def _grid(whole: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cells (N, 2) and strides (N, 1) of a pyramid of strides 8, 16, 32."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        columns, rows = whole[0] // stride, whole[1] // stride
        y, x = np.mgrid[:rows, :columns]
        cells.append(np.column_stack([x.ravel(), y.ravel()]))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def find_layout(path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> OutputLayout:
    """The layout of a detector, from the inputs and outputs that ONNX Runtime tells (name, shape, type).

    Raises:
        DataError: none that is known.
    """
    pictures = [given for given in inputs if len(given.shape) == 4 and given.shape[1] == 3]
    if len(pictures) != 1:
        raise _unknown(path, inputs, outputs, "a detector has one picture (1, 3, height, width) as its input")
    name, rest = pictures[0].name, [given.name for given in inputs if given is not pictures[0]]
    sides = pictures[0].shape[2:]
    size = (int(sides[0]), int(sides[1])) if all(isinstance(side, int) and side > 0 for side in sides) else None
    half = "float16" in pictures[0].type
    layout = _by_names(name, rest, size, half, [made.name for made in outputs])
    if layout is None and not rest:
        layout = _by_shapes(name, size, half, [list(made.shape) for made in outputs])
    if layout is None:
        raise _unknown(path, inputs, outputs, "its outputs are of no known layout")
    return layout


def _by_names(name: str, rest: list[str], size: tuple[int, int] | None, half: bool, made: list[str]) -> OutputLayout | None:
    if not rest and made == [f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in (8, 16, 32)]:
        return NanoDet(name, size, half)
    if len(rest) == 1 and sorted(made) == ["boxes", "labels", "scores"]:
        side = size or (_DETR_SIDE, _DETR_SIDE)
        places = {kind: made.index(kind) for kind in made}
        return RtDetr(
            name, side, half, unique=True, stretch=True, sizes=rest[0], labels=places["labels"], boxes=places["boxes"],
            scores=places["scores"],
        )  # fmt: skip
    return None


def _by_shapes(name: str, size: tuple[int, int] | None, half: bool, shapes: list[list[Any]]) -> OutputLayout | None:
    if any(len(shape) != 3 for shape in shapes):
        return None
    widths = [shape[2] for shape in shapes]
    if len(shapes) == 2 and 4 in widths and all(isinstance(width, int) for width in widths):
        boxes = widths.index(4)
        whole = size or (_DETR_SIDE, _DETR_SIDE)
        imagenet = widths[1 - boxes] in (91, 92)
        return Detr(name, whole, half, unique=True, stretch=True, boxes=boxes, scores=1 - boxes, imagenet=imagenet)
    if len(shapes) != 1:
        return None
    rows, columns = shapes[0][1:]
    if size is not None and rows == _cells(size) and isinstance(columns, int) and columns > 5:
        return YoloX(name, size, half)
    if columns == 6:
        return YoloFinished(name, size, half, unique=True, centred=True)
    if isinstance(rows, int) and rows > 4 and (not isinstance(columns, int) or rows < columns):
        return YoloTransposed(name, size, half, centred=True)
    if isinstance(columns, int) and columns > 5:
        return YoloObjectness(name, size, half, centred=True)
    return None


def _cells(size: tuple[int, int]) -> int:
    """Cells of a pyramid of strides 8, 16 and 32."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in (8, 16, 32))


def _unknown(path: Path, inputs: Sequence[Any], outputs: Sequence[Any], why: str) -> DataError:
    def told(values: Sequence[Any]) -> str:
        return ", ".join(f"{value.name} {tuple(value.shape)}" for value in values[:8])

    return DataError(
        f'detector "{shown(path)}": {why}; it takes {told(inputs)} and gives {told(outputs)}. '
        f"Known layouts: {'; '.join(LAYOUTS)}."
    )
