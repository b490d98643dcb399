"""Find people in pictures: the small detector that comes with passerby, or any other of the usual kinds, as an ONNX file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from passerby.datasets.walking import shown
from passerby.errors import DataError, MissingDependencyError, UsageError, listing
from passerby.video.boxes import Boxes
from passerby.video.layouts import Fitted, OutputLayout, find_layout

__all__ = ["INCLUDED", "Detection", "Detector", "OnnxDetector", "open_detector"]

INCLUDED = "nanodet.onnx"
"""The detector of this package: NanoDet, trained on COCO by its authors (Apache-2.0, see `nanodet.NOTICE`)."""
_STRIDE = 32


@dataclass(frozen=True)
class Detection:
    """How people are looked for.

    Attributes:
        confidence: least confidence of a box, 0 to 1. It is low because the tracker itself tells weak boxes from strong ones.
        overlap: of two boxes that share more than this (intersection over union) the weaker one is left out. It is high because
            people hide each other; `Boxes.doubtful` tells which of the boxes that stay may be of one person.
        sides_px: longer sides of the picture that the detector sees one after the other, for one that takes any size. A larger
            one finds smaller people and costs with the square; a smaller one beside it finds those who fill the picture. A
            detector of a fixed size sees its own.
        threads: of the network; None: one a core.

    Raises:
        UsageError: a value out of range.
    """

    confidence: float = 0.225
    overlap: float = 0.5
    sides_px: tuple[int, ...] = (640, 416)
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("confidence", "overlap"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} of the detection is {getattr(self, name)}: it is above 0 and up to 1.")
        if not self.sides_px or any(not 64 <= side <= 4096 for side in self.sides_px):
            raise UsageError(f"sides_px of the detection is {listing(self.sides_px)}: one or more from 64 to 4096 pixels.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads of the detection is {self.threads}: 1 is the least.")


class Detector(Protocol):
    """Whatever finds people.

    Attributes:
        name: says which, and how; indexing that was begun with another one is not gone on with.
    """

    name: str

    def __call__(self, picture: np.ndarray) -> Boxes:
        """The people in one (H, W, 3) uint8 RGB picture."""
        ...


class OnnxDetector:
    """A detector in an ONNX file, run by ONNX Runtime on the CPU.

    Args:
        path: the file.
        how: options.

    Raises:
        DataError: no ONNX file, or its inputs or outputs are of no layout that is known (the error lists them).
        MissingDependencyError: ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, how: Detection | None = None) -> None:
        self.how = how or Detection()
        content = _content(path)
        self._session = _session(path, content, self.how)
        self.layout: OutputLayout = find_layout(path, self._session.get_inputs(), self._session.get_outputs())
        digest = hashlib.sha256(content).hexdigest()[:12]
        sides = "+".join(map(str, self.how.sides_px if self.layout.size is None else self.layout.size))
        least = f"confidence {self.how.confidence:g}, overlap {self.how.overlap:g}"
        self.name = f"{path.stem} {digest} {sides} px, {least}"

    def __call__(self, picture: np.ndarray) -> Boxes:
        """The people in one picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
        """
        high, wide = picture.shape[:2]
        found = [self._look(picture, fitted) for fitted in self._fits(wide, high)]
        corners, confidences = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return self._thinned(Boxes.of(corners, confidences)).clipped((wide, high))

    def _look(self, picture: np.ndarray, fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
        """Corners in the picture, and confidences, of one pass."""
        found = self.layout.decode(self._session.run(None, self.layout.feed(_laid(picture, fitted), fitted)), fitted)
        found = found[found.confidences >= self.how.confidence]
        return (found.corners - np.tile(fitted.offset, 2)) / np.tile(fitted.scale, 2), found.confidences

    def _fits(self, wide: int, high: int) -> list[Fitted]:
        """How a picture goes into the network's input, once a pass: in its own proportions, the rest left empty."""
        if self.layout.size is None:
            return [self._fit(wide, high, side) for side in self.how.sides_px]
        rows, columns = self.layout.size
        if self.layout.stretch:
            return [Fitted((columns, rows), (columns, rows), (columns / wide, rows / high))]
        scale = min(columns / wide, rows / high)
        inner = (max(1, round(wide * scale)), max(1, round(high * scale)))
        return [Fitted((columns, rows), inner, (inner[0] / wide, inner[1] / high), self.layout.centred)]

    def _fit(self, wide: int, high: int, side: int) -> Fitted:
        scale = side / max(wide, high)
        inner = (max(1, round(wide * scale)), max(1, round(high * scale)))
        columns, rows = (-(-length // _STRIDE) * _STRIDE for length in inner)
        return Fitted((columns, rows), inner, (inner[0] / wide, inner[1] / high))

    def _thinned(self, boxes: Boxes) -> Boxes:
        """Without the weaker ones of boxes that show one person."""
        if self.layout.unique or len(boxes) < 2:
            return boxes
        from supervision import box_non_max_suppression

        rows = np.column_stack([boxes.corners, boxes.confidences]).astype(np.float32)
        return boxes[box_non_max_suppression(rows, self.how.overlap)]


def _laid(picture: np.ndarray, fitted: Fitted) -> np.ndarray:
    """(rows, columns, 3) uint8: the picture resized into the network's input, grey around it."""
    inner = picture
    if fitted.inner != (picture.shape[1], picture.shape[0]):
        inner = np.asarray(Image.fromarray(picture).resize(fitted.inner, Image.Resampling.BILINEAR))
    if fitted.inner == fitted.whole:
        return inner
    laid = np.full((fitted.whole[1], fitted.whole[0], 3), 114, np.uint8)
    left, top = (int(side) for side in fitted.offset)
    laid[top : top + fitted.inner[1], left : left + fitted.inner[0]] = inner
    return laid


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f'detector "{shown(path)}" cannot be read: {error.strerror}.') from error


def _session(path: Path, content: bytes, how: Detection) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError('Detecting people needs ONNX Runtime: pip install "passerby[video]"') from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if how.threads is not None:
        options.intra_op_num_threads = how.threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f'detector "{shown(path)}" is no ONNX model that can be run: {reason}') from error


def open_detector(path: Path | None = None, how: Detection | None = None) -> OnnxDetector:
    """A detector from an ONNX file; None: the one that comes with passerby.

    Raises:
        DataError: see `OnnxDetector`.
        MissingDependencyError: ONNX Runtime is not installed.

    Example::

        people = open_detector()(np.asarray(picture))   # Boxes
    """
    if path is not None:
        return OnnxDetector(path, how)
    with as_file(files("passerby.video") / INCLUDED) as included:
        return OnnxDetector(included, how)
