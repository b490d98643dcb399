"""Films in: people are found, followed and cut out, and the best crops of each track go into a gallery."""

from passerby.video.boxes import Boxes
from passerby.video.crops import Cropping
from passerby.video.detector import Detection, Detector, OnnxDetector, open_detector
from passerby.video.frames import Film, Frame, open_film
from passerby.video.given import GivenBoxes, read_boxes
from passerby.video.indexing import FilmReport, Indexing, index_film
from passerby.video.tracking import Tracking

__all__ = [
    "Boxes",
    "Cropping",
    "Detection",
    "Detector",
    "Film",
    "FilmReport",
    "Frame",
    "GivenBoxes",
    "Indexing",
    "OnnxDetector",
    "Tracking",
    "index_film",
    "open_detector",
    "open_film",
    "read_boxes",
]
