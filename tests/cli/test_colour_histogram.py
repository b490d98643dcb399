from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli.colour_histogram import colour_histogram, embed_histograms, grey_world
from passerby.records import Record, Split


def test_a_histogram_by_hand():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[1, :, 2] = 255
    found = colour_histogram(pixels, stripes=2, bins=(1, 1, 2))
    assert found == pytest.approx(np.sqrt([0.5, 0, 0, 0.5]))


def test_it_is_a_unit_vector():
    pixels = np.random.default_rng(0).integers(0, 256, (31, 17, 3)).astype(np.uint8)
    assert np.linalg.norm(colour_histogram(pixels)) == pytest.approx(1)


def test_grey_world_undoes_a_cast():
    plain = np.random.default_rng(0).integers(60, 120, (20, 10, 3))
    cast = plain * np.array([1.5, 1.0, 0.5])
    difference = np.asarray(grey_world(plain), int) - np.asarray(grey_world(cast), int)
    assert np.abs(difference).max() <= 1


def test_one_colour_has_no_deviation_to_divide_by():
    assert np.ptp(np.asarray(grey_world(np.full((4, 4, 3), 77)))) == 0


def test_columns_stay_with_their_image(tmp_path: Path):
    records = []
    for pid, colour in ((4, (255, 0, 0)), (7, (0, 0, 255))):
        pixels = np.zeros((20, 10, 3), np.uint8)
        pixels[5:15] = colour
        Image.fromarray(pixels).save(tmp_path / f"{pid}.png")
        records.append(Record(tmp_path / f"{pid}.png", pid, pid % 2, "colours"))
    found = embed_histograms(Split(tuple(records)))
    assert found.pids.tolist() == [4, 7] and found.camids.tolist() == [0, 1]
    assert found.vectors[0] @ found.vectors[1] < 0.99
