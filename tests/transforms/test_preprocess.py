"""The input of a network: resizing as Pillow does it, normalising, and its life as JSON."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from passerby.errors import UsageError
from passerby.transforms import EvalTransform, Preprocess, normalise, resize


def make_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noise = generator.integers(-12, 13, (height, width, 3))
    return Image.fromarray((np.asarray(coarse).astype(int) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(64, 128), (128, 256), (37, 211), (500, 900), (3, 2), (128, 64)])
def test_resizing_is_pillows_to_one_grey_level(size, interpolation):
    picture, preprocess = make_picture(*size), Preprocess(interpolation=interpolation)
    expected = picture.resize((128, 256), getattr(Image.Resampling, interpolation.upper()))
    difference = np.abs(resize(picture, preprocess).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = make_picture(128, 256)
    pixels = resize(picture, Preprocess())
    assert np.array_equal(pixels, np.asarray(picture))
    pixels[:] = 0  # the picture is the caller's
    assert np.asarray(picture).any()


def test_evaluation_only_resizes():
    picture = make_picture(60, 130)
    image = EvalTransform(Preprocess(size=(128, 64)))(picture)
    assert (image.shape, image.dtype) == ((3, 128, 64), torch.uint8)
    assert np.array_equal(image.permute(1, 2, 0).numpy(), resize(picture, Preprocess(size=(128, 64))))


def test_normalising_by_hand():
    preprocess = Preprocess(size=(1, 2), mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    batch = torch.tensor([[0, 255], [255, 51], [255, 0]], dtype=torch.uint8).view(1, 3, 1, 2)
    expected = torch.tensor([[0.0, 1.0], [1.0, -0.6], [0.0, -4.0]]).view(1, 3, 1, 2)
    torch.testing.assert_close(normalise(batch, preprocess), expected)
    torch.testing.assert_close(normalise(batch / 255, preprocess), expected)


@given(
    shape=st.tuples(st.integers(0, 3), st.just(3), st.integers(1, 7), st.integers(1, 7)),
    last=st.booleans(),
    kind=st.sampled_from([torch.uint8, torch.float32, torch.float64]),
)
def test_normalising_any_layout_is_the_textbook_formula(shape, last, kind):
    batch = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if kind != torch.uint8:
        batch = batch.to(kind) / 255
    if last:
        batch = batch.contiguous(memory_format=torch.channels_last)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (Preprocess().mean, Preprocess().std))
    pixels = batch.double() / (255 if kind == torch.uint8 else 1)
    found = normalise(batch, Preprocess())
    assert found.dtype == (torch.float32 if kind == torch.uint8 else kind)
    assert found.is_contiguous(memory_format=torch.channels_last) or len(batch) == 0
    torch.testing.assert_close(found.double(), (pixels - mean) / std, rtol=1e-5, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch():
    batch = torch.randint(0, 256, (5, 3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = normalise(batch, Preprocess())
    assert all(torch.equal(normalise(batch[i : i + 1], Preprocess())[0], whole[i]) for i in range(5))


def test_normalising_under_inference_mode_does_not_spoil_later_training():
    preprocess = Preprocess(std=(0.3, 0.31, 0.32))  # not used elsewhere, so that nothing is remembered yet
    with torch.inference_mode():
        normalise(torch.zeros(1, 3, 4, 4), preprocess)
    pixels = torch.zeros(1, 3, 4, 4, requires_grad=True)
    normalise(pixels, preprocess).sum().backward()
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad[0, :, 0, 0], 1 / torch.tensor(preprocess.std))


def test_the_mean_colour_is_zero_after_normalisation():
    colour = torch.tensor(Preprocess().mean_colour, dtype=torch.uint8).view(1, 3, 1, 1)
    assert Preprocess().mean_colour == (124, 116, 104)
    assert normalise(colour, Preprocess()).abs().max() < 0.5 / 255 / 0.224


def test_it_survives_json():
    preprocess = Preprocess(size=(384, 192), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), interpolation="bilinear")
    again = Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict())))
    assert again == preprocess
    assert hash(again) == hash(preprocess)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Preprocess(size=(0, 128)), "input size is (0, 128): give (height, width) in px, whole numbers of 1 or more."),
        (lambda: Preprocess(size=(256.0, 128)), "input size is (256.0, 128): give (height, width) in px"),  # type: ignore[arg-type]
        (lambda: Preprocess(size=(256,)), "input size is (256,): give (height, width) in px"),  # type: ignore[arg-type]
        (
            lambda: Preprocess(mean=(123.7, 116.3, 103.5)),
            "mean is (123.7, 116.3, 103.5): give red, green and blue as fractions of 255, for instance (0.485, 0.456, 0.406).",
        ),
        (
            lambda: Preprocess(std=(0.2, 0.0, 0.2)),
            "std is (0.2, 0.0, 0.2): give red, green and blue as fractions of 255, for instance (0.229, 0.224, 0.225).",
        ),
        (
            lambda: Preprocess(interpolation="bicubi"),
            'no interpolation "bicubi". Did you mean "bicubic"? Allowed: bicubic, bilinear.',
        ),
        (
            lambda: Preprocess.from_dict({"sizes": [1, 2]}),
            'preprocessing has no "sizes". Did you mean "size"? Allowed: size, mean, std, interpolation.',
        ),
        (
            lambda: normalise(torch.zeros(3, 4, 4), Preprocess()),
            "a batch of shape (3, 4, 4) cannot be normalised: give (B, 3, H, W).",
        ),
        (
            lambda: normalise(torch.zeros(1, 3, 4, 4, dtype=torch.int64), Preprocess()),
            "a batch of type torch.int64 cannot be normalised: give uint8 from 0 to 255, or float from 0 to 1.",
        ),
    ],
)
def test_what_is_refused(make, text):
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value).startswith(text)
