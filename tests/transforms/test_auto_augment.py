"""The baseline's list of pairs: what each level means, and how often each operation comes."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from passerby.transforms import PAIRS, augment_by_pair, auto_augment


def make_picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(20, 200, (40, 20, 3), dtype=np.uint8))


def test_the_list_is_the_published_one():
    names = Counter(" + ".join(f"{name}{'' if level is None else level} {p:g}" for name, level, p in pair) for pair in PAIRS)
    assert names == {
        "equalize 0.8 + equalize 0.6": 2,
        "posterize7 0.6 + posterize6 0.6": 1,
        "posterize5 0.8 + equalize 1": 1,
        "equalize 0.6 + posterize6 0.4": 1,
        "equalize 0 + equalize 0.8": 1,
        "color4 0.6 + contrast8 1": 2,
        "shear_x5 0.6 + equalize 1": 1,
        "color0 0.4 + equalize 0.6": 1,
        "solarize5 0.6 + autocontrast 0.6": 1,
    }


@pytest.mark.parametrize(
    ("name", "level", "sign", "expected"),
    [
        ("equalize", 0, 1, ImageOps.equalize),
        ("autocontrast", 0, 1, ImageOps.autocontrast),
        ("posterize", 0, 1, lambda image: image),
        ("posterize", 5, 1, lambda image: ImageOps.posterize(image, 6)),
        ("posterize", 6, -1, lambda image: ImageOps.posterize(image, 5)),
        ("posterize", 7, 1, lambda image: ImageOps.posterize(image, 5)),
        ("posterize", 9, 1, lambda image: ImageOps.posterize(image, 4)),
        ("solarize", 0, 1, lambda image: image),
        ("solarize", 5, 1, lambda image: ImageOps.solarize(image, 114)),
        ("solarize", 9, 1, ImageOps.invert),
        ("color", 4, 1, lambda image: ImageEnhance.Color(image).enhance(1.4)),
        ("color", 4, -1, lambda image: ImageEnhance.Color(image).enhance(0.6)),
        ("color", 0, 1, lambda image: image),
        ("contrast", 8, -1, lambda image: ImageEnhance.Contrast(image).enhance(1 - 0.8)),
        ("shear_x", 0, 1, lambda image: image),
    ],
)
def test_what_a_level_means(name, level, sign, expected):
    found = auto_augment._OPERATIONS[name](make_picture(), level, sign)
    assert np.array_equal(np.asarray(found), np.asarray(expected(make_picture())))


@pytest.mark.parametrize("sign", [1, -1])
def test_shearing_moves_the_top_and_the_bottom_apart(sign):
    """A black column in the middle: level 9 moves the top row by 0.3 of half the height, 6 px, and the bottom row back."""
    pixels = np.full((40, 20, 3), 255, dtype=np.uint8)
    pixels[:, 9:11] = 0
    found = np.asarray(auto_augment._OPERATIONS["shear_x"](Image.fromarray(pixels), 9, sign))
    top, middle, bottom = (int(np.argmin(found[row, :, 0])) for row in (0, 20, 39))
    assert abs(middle - 9) <= 1
    assert abs((top - middle) - sign * 6) <= 1
    assert abs((bottom - middle) + sign * 6) <= 1


def test_pairs_come_with_equal_chances_and_operations_with_their_own(monkeypatch):
    """Over the 11 pairs the probabilities of each operation sum to what is counted."""
    calls = Counter()
    for name in auto_augment._OPERATIONS:
        monkeypatch.setitem(
            auto_augment._OPERATIONS, name, lambda image, level, sign, name=name: calls.update([(name, sign)]) or image
        )
    generator, rounds = np.random.default_rng(0), 6000
    for _ in range(rounds):
        augment_by_pair(make_picture(), generator)
    for name in auto_augment._OPERATIONS:
        expected = sum(p for pair in PAIRS for other, _, p in pair if other == name) / len(PAIRS) * rounds
        found = calls[name, 1] + calls[name, -1]
        assert abs(found - expected) < 5 * expected**0.5
        assert abs(calls[name, 1] - calls[name, -1]) < 5 * found**0.5


def test_the_same_generator_makes_the_same_picture():
    pictures = [np.asarray(augment_by_pair(make_picture(), np.random.default_rng(seed))).tobytes() for seed in [*range(20)] * 2]
    assert pictures[:20] == pictures[20:]
    assert len(set(pictures)) > 5
