"""Random rectangles: their sizes, what they hold, how often they come."""

import math

import numpy as np
import pytest

from passerby.transforms import erase, erase_several, grey_patch

COLOUR = (124, 116, 104)
HEIGHT, WIDTH = 256, 128


class Script:
    """A generator that says what it is told to."""

    def __init__(self, *, chances=(), draws=(), places=()):
        self.chances, self.draws, self.places = list(chances), list(draws), list(places)
        self.ranges = []

    def random(self):
        return self.chances.pop(0)

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return self.draws.pop(0)

    def integers(self, high):
        self.ranges.append(high)
        return self.places.pop(0)


def make_pixels(height=HEIGHT, width=WIDTH):
    return np.random.default_rng(0).integers(0, 100, (height, width, 3), dtype=np.uint8)


def erased(pixels):
    """The rectangle that holds the colour: (top, left, height, width), which must be filled."""
    rows, columns = np.nonzero((pixels == COLOUR).all(axis=2))
    box = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == box[2] * box[3]
    return box


def test_erasing_by_hand():
    """A tenth of 256 x 128 with aspect 2: sqrt(6553.6) = 80.95 high and half of that, 40.48, wide."""
    script = Script(chances=[0.3], draws=[0.1, 2.0], places=[7, 11])
    pixels = make_pixels()
    erase(pixels, 0.5, COLOUR, script)  # type: ignore[arg-type]
    assert erased(pixels) == (7, 11, 81, 40)
    assert script.ranges == [(0.02, 0.4), (0.3, 1 / 0.3), HEIGHT - 81 + 1, WIDTH - 40 + 1]


def test_a_side_as_long_as_the_image_is_drawn_again():
    """0.4 of 256 x 128 at aspect 0.3 is 63 x 209: too wide. At aspect 0.8, 102 x 128 is exactly the width: still too wide."""
    assert round(math.sqrt(0.4 * HEIGHT * WIDTH / 0.8)) == WIDTH
    script = Script(chances=[0.0], draws=[0.4, 0.3, 0.4, 0.8, 0.02, 1.0], places=[0, 0])
    pixels = make_pixels()
    erase(pixels, 0.5, COLOUR, script)  # type: ignore[arg-type]
    assert erased(pixels) == (0, 0, 26, 26)


def test_after_a_hundred_vain_draws_nothing_is_erased():
    script = Script(chances=[0.0], draws=[0.4, 0.3] * 100)
    pixels = make_pixels()
    erase(pixels, 0.5, COLOUR, script)  # type: ignore[arg-type]
    assert np.array_equal(pixels, make_pixels())
    assert script.draws == []


@pytest.mark.parametrize(("chance", "happens"), [(0.5, True), (0.50001, False), (0.0, True)])
def test_a_draw_above_the_probability_skips(chance, happens):
    pixels = make_pixels()
    erase(pixels, 0.5, COLOUR, Script(chances=[chance], draws=[0.1, 1.0], places=[0, 0]))  # type: ignore[arg-type]
    assert np.array_equal(pixels, make_pixels()) != happens


def test_a_probability_of_zero_draws_nothing():
    nothing = Script()
    for change in (lambda p: erase(p, 0.0, COLOUR, nothing), lambda p: grey_patch(p, 0.0, nothing)):  # type: ignore[arg-type]
        pixels = make_pixels()
        change(pixels)
        assert np.array_equal(pixels, make_pixels())


def test_shares_and_aspects_fill_their_ranges():
    generator = np.random.default_rng(1)
    shares, aspects = [], []
    for _ in range(300):
        pixels = make_pixels()
        erase(pixels, 1.0, COLOUR, generator)
        _, _, h, w = erased(pixels)
        assert h < HEIGHT
        assert w < WIDTH
        shares.append(h * w / HEIGHT / WIDTH)
        aspects.append(h / w)
    assert 0.019 < min(shares) < 0.04
    assert 0.36 < max(shares) < 0.405
    assert 0.28 < min(aspects) < 0.4
    assert 2.9 < max(aspects) < 3.5
    assert np.mean(aspects) > 1.5  # log-uniform would give 1.25


def changed_part(before, after):
    """(height, width) of the rectangle in which pictures differ; (0, 0) where they are equal."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return (np.ptp(rows) + 1, np.ptp(columns) + 1) if len(rows) else (0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_an_image_one_pixel_wide_or_high_has_no_room_for_a_smaller_rectangle(shape):
    for seed in range(20):
        pixels = make_pixels(*shape)
        erase(pixels, 1.0, COLOUR, np.random.default_rng(seed))
        grey_patch(pixels, 1.0, np.random.default_rng(seed))
        assert np.array_equal(pixels, make_pixels(*shape))


@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (3, 9)])
def test_rectangles_of_tiny_images_are_smaller_than_them_in_both_directions(shape):
    sizes = set()
    for seed in range(60):
        pixels = make_pixels(*shape)
        erase(pixels, 1.0, COLOUR, np.random.default_rng(seed))
        _, _, height, width = erased(pixels)  # asserts that the rectangle is filled
        assert changed_part(make_pixels(*shape), pixels) == (height, width)
        assert 0 < height < shape[0] and 0 < width < shape[1]
        sizes.add((height, width))
        grey = make_pixels(*shape)
        grey_patch(grey, 1.0, np.random.default_rng(seed))
        where = (grey != make_pixels(*shape)).any(axis=2)
        assert np.ptp(grey[where], axis=1).max(initial=0) == 0
        assert changed_part(make_pixels(*shape), grey) == (height, width)  # the same draws, the same place
    assert len(sizes) > 3 or shape == (2, 2)


@pytest.mark.parametrize(("chances", "rectangles"), [([0.1] * 5, 5), ([0.9], 0), ([0.1, 0.1, 0.6], 2)])
def test_several_rectangles_go_on_with_the_probability_and_stop_at_five(chances, rectangles):
    script = Script(chances=chances, draws=[0.02, 1.0] * 5, places=[v for i in range(5) for v in (40 * i, 0)])
    pixels = make_pixels()
    erase_several(pixels, 0.5, COLOUR, script)  # type: ignore[arg-type]
    assert (pixels == COLOUR).all(axis=2).sum() == rectangles * 26 * 26
    assert script.chances == []


def test_a_grey_patch_by_hand():
    pixels = np.tile(np.array([200, 100, 50], dtype=np.uint8), (HEIGHT, WIDTH, 1))
    grey_patch(pixels, 0.2, Script(chances=[0.1], draws=[0.02, 1.0], places=[3, 5]))  # type: ignore[arg-type]
    grey = round(200 * 0.2989 + 100 * 0.587 + 50 * 0.114)
    assert (pixels[3:29, 5:31] == grey).all()
    assert (pixels == grey).all(axis=2).sum() == 26 * 26
