"""The network that comes with the package finds the points of a body, without TensorFlow and without torch."""

import sys

import numpy as np
import pytest

from passerby.errors import MissingDependencyError
from passerby.lifting.blazepose import LANDMARKS, BlazePose, mirrored, network_file


def at(name: str) -> int:
    return LANDMARKS.index(name)


def test_somebody_who_faces_the_camera(network, people: dict[str, np.ndarray]):
    found = network(people["front"])
    assert found.presence > 0.9 and found.points.shape == (33, 2) and found.world.shape == (33, 3)
    assert found.mask.shape == people["front"].shape[:2] and 0.1 < (found.mask > 0.5).mean() < 0.6
    rows = [found.points[at(name), 1] for name in ("nose", "shoulder.L", "hip.L", "knee.L", "ankle.L")]
    assert rows == sorted(rows)
    assert found.points[at("shoulder.L"), 0] > found.points[at("shoulder.R"), 0]  # his left is on our right
    assert found.world[at("nose"), 2] < found.world[[at("ear.L"), at("ear.R")], 2].mean()  # the nose is nearer to us
    assert np.ptp(found.world[:, 1]) == pytest.approx(1.6, abs=0.3)


def test_landmarks_lie_in_the_mask(network, people: dict[str, np.ndarray]):
    found = network(people["side"])
    trunk = found.points[[at("shoulder.L"), at("shoulder.R"), at("hip.L"), at("hip.R")]].astype(int)
    assert all(found.mask[row, column] > 0.5 for column, row in trunk)


def test_a_picture_of_nothing(network):
    assert network(np.full((128, 64, 3), 120, np.uint8)).presence < 0.2


def test_the_window_is_taken_back(network, people: dict[str, np.ndarray]):
    """Air around the crop changes the pixels' numbers only, if the network looks at the same square."""
    image = people["front"]
    wide = np.pad(image, ((40, 0), (30, 0), (0, 0)), mode="edge")
    side = 1.25 * len(image)
    left, top = (image.shape[1] - side) / 2, (len(image) - side) / 2
    plain, moved = network(image), network(wide, (left + 30, top + 40, side))
    np.testing.assert_allclose(moved.points - plain.points, np.tile([30, 40], (33, 1)), atol=0.5)
    np.testing.assert_allclose(moved.mask[40:, 30:], plain.mask, atol=0.05)


def test_what_is_mirrored_twice_is_as_it_was(network, people: dict[str, np.ndarray]):
    found = network(people["side"])
    other, again = mirrored(found), mirrored(mirrored(found))
    for name in ("points", "seen", "world", "mask"):
        np.testing.assert_allclose(getattr(again, name), getattr(found, name), atol=1e-9)
    width = people["side"].shape[1]
    assert other.points[at("hip.L"), 0] == pytest.approx(width - found.points[at("hip.R"), 0])
    assert other.points[at("nose"), 1] == found.points[at("nose"), 1]
    assert other.world[at("knee.R"), 0] == -found.world[at("knee.L"), 0] and other.seen[at("ear.L")] == found.seen[at("ear.R")]
    np.testing.assert_array_equal(other.mask, found.mask[:, ::-1])


def test_a_crop_and_its_mirror_image_are_seen_alike_both_ways(network, people: dict[str, np.ndarray]):
    image = people["front"]
    found, other = network.both_ways(image), mirrored(network.both_ways(np.ascontiguousarray(image[:, ::-1])))
    once, mirror = network(image), mirrored(network(np.ascontiguousarray(image[:, ::-1])))
    np.testing.assert_allclose(found.points, (once.points + mirror.points) / 2, atol=1e-9)
    np.testing.assert_allclose(found.mask, (once.mask + mirror.mask) / 2, atol=1e-6)
    for name in ("points", "seen", "world", "mask"):
        np.testing.assert_allclose(getattr(other, name), getattr(found, name), atol=1e-5)
    assert other.presence == pytest.approx(found.presence, abs=1e-6)


def test_the_file_names_its_licence():
    assert b"Apache-2.0" in network_file().read_bytes()


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "passerby\[lift\]", or give another lifter\.'):
        BlazePose()
