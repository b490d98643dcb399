from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import UsageError
from passerby.plots import plot_augmentation
from passerby.plots.augmentation import settings_in_words
from passerby.transforms import Preprocess, TrainTransforms

SIZE = Preprocess(size=(32, 16))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.zeros((32, 16, 3), dtype=np.uint8)
    pixels[:, :8] = 255  # the left half is white: a mirrored picture shows
    Image.fromarray(pixels).save(tmp_path / "half.png")
    return tmp_path / "half.png"


def test_the_first_column_is_the_picture_and_the_others_are_what_training_shows(image: Path, tmp_path: Path):
    always = TrainTransforms(SIZE, flip=1.0, pad_px=0)
    found = plot_augmentation(always, [image], tmp_path / "out.png", draws=3)
    assert found.shape == (1, 4, 32, 16, 3)
    assert (found[0, 0, :, :8] == 255).all() and (found[0, 1:, :, 8:] == 255).all() and (found[0, 1:, :, :8] == 0).all()


def test_every_erased_picture_shows_a_rectangle_of_the_mean_colour(image: Path, tmp_path: Path):
    erasing = TrainTransforms(SIZE, flip=0, pad_px=0, random_erasing=1.0)
    found = plot_augmentation(erasing, [image, image], tmp_path / "out.svg", draws=5, title="erasing of a half")
    mean = np.array(SIZE.mean_colour)
    erased = (found[:, 1:] == mean).all(axis=-1)
    shares = erased.mean(axis=(2, 3))
    assert not (found[:, 0] == mean).all(axis=-1).any() and (shares > 0.01).all() and (shares < 0.45).all()
    for one in erased.reshape(-1, 32, 16):
        y, x = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
        assert one[y[0] : y[-1] + 1, x[0] : x[-1] + 1].all()  # one rectangle
    drawn = (tmp_path / "out.svg").read_text()
    assert "erasing of a half" in drawn and "random erasing 1.0" in drawn and "half.png" in drawn


def test_the_same_seed_draws_the_same(image: Path, tmp_path: Path):
    some = TrainTransforms(SIZE, random_erasing=0.5, pad_px=4)
    first, second, other = (plot_augmentation(some, [image], tmp_path / "o.png", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_settings_in_words():
    assert settings_in_words(TrainTransforms(SIZE, flip=0, pad_px=0)) == "32x16 px, bicubic"
    said = settings_in_words(TrainTransforms(SIZE, color_jitter=(0.1, 0.1, 0.1, 0), auto_augment="reid"))
    assert said == "32x16 px, bicubic; flip 0.5; pad px 10; color jitter 0.1, 0.1, 0.1, 0; auto augment reid"


@pytest.mark.parametrize(
    ("images", "draws", "seed", "text"),
    [(0, 8, 0, "0 images and 8 draws"), (1, 0, 0, "1 images and 0 draws"), (1, 1, -1, "seed is -1: give 0 or more")],
)
def test_wrong_numbers(image: Path, tmp_path: Path, images: int, draws: int, seed: int, text: str):
    with pytest.raises(UsageError, match=text):
        plot_augmentation(TrainTransforms(SIZE), [image] * images, tmp_path / "x.png", draws=draws, seed=seed)
