import numpy as np
import pytest
from PIL import Image, ImageFilter

from passerby.video import Boxes
from passerby.video.quality import judge, sharpness, visibility


def noise(size=(128, 64)):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_blur_lowers_sharpness():
    crop = Image.fromarray(noise())
    sharp, soft = np.asarray(crop), np.asarray(crop.filter(ImageFilter.GaussianBlur(2)))
    assert 0 < sharpness(soft) < 0.5 < sharpness(sharp) < 1
    assert sharpness(np.full((50, 20, 3), 80, np.uint8)) == 0


def test_who_stands_behind_is_hidden():
    # The second stands lower, so nearer, and covers the right half of the first; the third stands apart.
    boxes = Boxes.of([[100, 100, 120, 150], [110, 90, 140, 160], [300, 100, 320, 150]], [1, 1, 1])
    assert visibility(boxes, (640, 480)).tolist() == pytest.approx([0.5, 1.0, 1.0])


def test_the_edge_of_the_picture_cuts():
    boxes = Boxes.of([[0, 100, 20, 150], [620, 430, 640, 480], [50, 50, 70, 90]], [1, 1, 1])
    assert visibility(boxes, (640, 480)).tolist() == pytest.approx([0.6, 0.36, 1.0])
    assert len(visibility(Boxes(), (640, 480))) == 0


def test_quality_rises_with_each_of_its_parts():
    crop = noise()
    best = judge(crop, 1.0, 0.9)
    assert best.size == 1 and best.confidence == 0.9 and 0 < best.value < 1
    assert best.value > judge(crop, 0.6, 0.9).value
    assert best.value > judge(crop, 1.0, 0.5).value
    assert best.value > judge(crop[::2, ::2], 1.0, 0.9).value
    assert judge(crop[:64, :32], 1.0, 0.9).size == pytest.approx(0.5)
    assert judge(crop, 0.5, 1).value == pytest.approx(0.5 * sharpness(crop) ** (1 / 3))
