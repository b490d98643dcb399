"""Augmentation: each step by hand, and the promise that an image depends on its generator only."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.errors import UsageError
from passerby.transforms import EvalTransform, Preprocess, TrainTransforms

PREPROCESS = Preprocess(size=(24, 12))
PLAIN = TrainTransforms(PREPROCESS, flip=0.0, pad_px=0)
EVERYTHING = TrainTransforms(
    PREPROCESS, pad_px=3, color_jitter=(0.2, 0.2, 0.2, 0.1), random_erasing=0.5, erasing_plus=0.3, grayscale_patch=0.3
)


def make_picture(size=(12, 24), seed=0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(1, 256, (size[1], size[0], 3), dtype=np.uint8))


def pixels_of(transform, picture, seed=0) -> np.ndarray:
    image = transform(picture, np.random.default_rng(seed))
    assert (image.shape, image.dtype) == ((3, *PREPROCESS.size), torch.uint8)
    return image.permute(1, 2, 0).numpy()


def test_with_everything_off_training_sees_what_evaluation_sees():
    picture = make_picture((30, 70))
    assert torch.equal(PLAIN(picture, np.random.default_rng(0)), EvalTransform(PREPROCESS)(picture))


def test_flip():
    picture = make_picture()
    assert np.array_equal(pixels_of(replace(PLAIN, flip=1.0), picture), np.asarray(picture)[:, ::-1])
    mirrored = [np.array_equal(pixels_of(replace(PLAIN, flip=0.5), picture, s), np.asarray(picture)[:, ::-1]) for s in range(300)]
    assert 110 < sum(mirrored) < 190


HOW = {"zeros": {}, "grey": {"constant_values": 127}, "edge": {"mode": "edge"}}


def windows(picture, pad, mode, flip):
    """(bytes of a window of the padded picture) -> its place."""
    whole = np.asarray(picture)
    padded = np.pad(whole, ((pad, pad), (pad, pad), (0, 0)), **HOW[mode])
    height, width = whole.shape[:2]
    places = itertools.product(range(2 * pad + 1), repeat=2)
    cut = (((top, left), padded[top : top + height, left : left + width]) for top, left in places)
    return {np.ascontiguousarray(w[:, ::-1] if flip else w).tobytes(): place for place, w in cut}


@pytest.mark.parametrize("mode", ["zeros", "grey", "edge"])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_pad_and_crop_gives_every_window_of_the_padded_picture(mode, flip):
    """Against the padded picture itself; padding 2 has 25 windows, all of which occur."""
    picture = make_picture()
    known = windows(picture, 2, mode, flip)
    transform = replace(PLAIN, flip=flip, pad_px=2, pad_mode=mode)
    found = {known[pixels_of(transform, picture, seed).tobytes()] for seed in range(250)}
    assert len(found) == 25


@pytest.mark.parametrize("mode", ["zeros", "edge"])
def test_padding_by_nearly_the_whole_input(mode):
    """With 11 of 12 columns padded, the outermost windows show one column of the picture; every place is one of the 23 x 23."""
    picture = make_picture()
    known = windows(picture, 11, mode, flip=False)
    transform = replace(PLAIN, pad_px=11, pad_mode=mode)
    places = np.array([known[pixels_of(transform, picture, seed).tobytes()] for seed in range(200)])
    assert places.min(axis=0).tolist() == [0, 0] and places.max(axis=0).tolist() == [22, 22]


def test_an_erased_rectangle_takes_the_area_that_is_asked_for():
    picture = make_picture((33, 70))
    for most in (0.05, 0.4):
        transform = replace(PLAIN, random_erasing=1.0, erased_area=most)
        shares = [(pixels_of(transform, picture, n) == PREPROCESS.mean_colour).all(axis=2).mean() for n in range(200)]
        assert 0.8 * most < max(shares) < 1.3 * most  # sides are rounded to pixels


def test_erased_and_grey_parts():
    picture = make_picture()
    erased = pixels_of(replace(PLAIN, random_erasing=1.0), picture)
    assert 0.01 < (erased == PREPROCESS.mean_colour).all(axis=2).mean() < 0.45
    several = [pixels_of(replace(PLAIN, erasing_plus=1.0), picture, seed) for seed in range(5)]
    assert all((pixels == PREPROCESS.mean_colour).all(axis=2).any() for pixels in several)
    grey = pixels_of(replace(PLAIN, grayscale_patch=1.0), picture)
    changed = (grey != np.asarray(picture)).any(axis=2)
    assert changed.any()
    assert np.ptp(grey[changed], axis=1).max() == 0


def test_colours_change_within_their_bounds():
    """Brightness alone scales all pixels by one factor from 0.9 to 1.1."""
    flat = Image.new("RGB", (12, 24), (100, 150, 200))
    factors = []
    for seed in range(60):
        pixels = pixels_of(replace(PLAIN, color_jitter=(0.1, 0.0, 0.0, 0.0)), flat, seed)
        assert (pixels == pixels[0, 0]).all()
        factors.append(pixels[0, 0, 2] / 200)
    assert 0.895 < min(factors) < 0.93
    assert 1.07 < max(factors) < 1.105


@pytest.mark.parametrize(
    "transform",
    [EVERYTHING, replace(EVERYTHING, auto_augment="randaugment"), replace(EVERYTHING, auto_augment="reid", pad_mode="edge")],
    ids=["off", "randaugment", "reid"],
)
def test_an_image_depends_on_its_generator_only(transform):
    """The same seed gives the same image whatever was drawn in between, here and in a copy that went through a pipe."""
    picture = make_picture((33, 70))
    first = [pixels_of(transform, picture, seed).tobytes() for seed in range(12)]
    torch.rand(7)
    np.random.rand(3)
    copy = pickle.loads(pickle.dumps(transform))
    assert [pixels_of(copy, picture, seed).tobytes() for seed in reversed(range(12))] == first[::-1]
    assert len(set(first)) > 8


@pytest.mark.parametrize("auto_augment", ["off", "randaugment", "reid"])
def test_no_global_generator_is_moved(auto_augment):
    """Dropout draws from torch's generator in the same process, when there are no workers."""
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    pixels_of(replace(EVERYTHING, auto_augment=auto_augment), make_picture())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]


def test_the_picture_itself_is_not_changed():
    picture = make_picture()
    before = picture.tobytes()
    for seed in range(10):
        pixels_of(replace(EVERYTHING, erasing_plus=1.0), picture, seed)
    assert picture.tobytes() == before


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"flip": 1.5}, "flip is 1.5: it is a probability, from 0 to 1."),
        ({"random_erasing": -0.1}, "random_erasing is -0.1: it is a probability, from 0 to 1."),
        ({"erasing_plus": 2}, "erasing_plus is 2: it is a probability, from 0 to 1."),
        ({"grayscale_patch": float("nan")}, "grayscale_patch is nan: it is a probability, from 0 to 1."),
        ({"pad_px": -1}, "pad_px is -1: give 0 or more, and less than the sides of the input, (24, 12)."),
        ({"pad_px": 12}, "pad_px is 12: give 0 or more, and less than the sides of the input, (24, 12)."),
        ({"pad_mode": "zero"}, 'no pad_mode "zero". Did you mean "zeros"? Allowed: zeros, grey, edge.'),
        ({"erased_area": 0.02}, "erased_area is 0.02: a share of the image, above 0.02 and at most 1."),
        ({"erased_area": 1.1}, "erased_area is 1.1: a share of the image, above 0.02 and at most 1."),
        ({"auto_augment": "randaug"}, 'no auto_augment "randaug". Did you mean "randaugment"? Allowed: off, randaugment, reid.'),
        (
            {"color_jitter": (0.1, 0.1, 0.1, 0.6)},
            "color_jitter is (0.1, 0.1, 0.1, 0.6): give the largest change of brightness, contrast and saturation (0 to 1) "
            "and of hue (0 to 0.5).",
        ),
        ({"color_jitter": (0.1,)}, "color_jitter is (0.1,): give the largest change of brightness"),
    ],
)
def test_what_is_refused(changes, text):
    with pytest.raises(UsageError) as error:
        replace(PLAIN, **changes)
    assert str(error.value).startswith(text)
