"""Drawn films: bright rectangles walk over a grey ground, and a detector of one line of arithmetic finds them."""

from pathlib import Path

import av
import numpy as np

from passerby.video import Boxes

SIZE = (160, 96)
COLOURS = ((250, 40, 40), (40, 250, 40), (60, 60, 250))
TALL, BROAD = 48, 20


def picture(walkers: dict[int, tuple[int, int]]) -> np.ndarray:
    """(H, W, 3): colour number -> left, top of its rectangle; each has a darker lower half."""
    canvas = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    for colour, (left, top) in walkers.items():
        canvas[top : top + TALL, left : left + BROAD] = COLOURS[colour]
        canvas[top + TALL // 2 : top + TALL, left : left + BROAD] //= 2
    return canvas


def crossing(number: int) -> dict[int, tuple[int, int]]:
    """Frame 5 to 30: red to the right; 12 to 50: green to the left; 45 to 59: blue."""
    walkers = {}
    if 5 <= number <= 30:
        walkers[0] = (4 + 3 * (number - 5), 4)
    if 12 <= number <= 50:
        walkers[1] = (130 - 3 * (number - 12), 40)
    if 45 <= number <= 59:
        walkers[2] = (60 + 2 * (number - 45), 10)
    return walkers


def write_film(path: Path, frames: int = 60, fps: int = 10, walkers=crossing) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv444p"
        stream.options = {"crf": "10", "g": "12"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(walkers(number)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class ColourDetector:
    """Finds the rectangles; `looks` counts how often it was asked."""

    name = "colours"

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, pixels: np.ndarray) -> Boxes:
        self.looks += 1
        corners = []
        strong = pixels.astype(int).max(axis=2) - pixels.astype(int).min(axis=2) > 60
        for channel in range(3):
            rows, columns = np.nonzero(strong & (pixels.argmax(axis=2) == channel))
            if len(rows) > 100:
                corners.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        return Boxes.of(np.array(corners, np.float32).reshape(-1, 4), np.full(len(corners), 0.9))


class MeanEmbedder:
    """(N, 3): the mean colour of each crop; `crops` counts them."""

    cameras = None
    batch_size = 4

    def __init__(self) -> None:
        self.crops = 0

    def __call__(self, pictures, camera=None) -> np.ndarray:
        self.crops += len(pictures)
        return np.array([np.asarray(each).reshape(-1, 3).mean(axis=0) for each in pictures], np.float32)
