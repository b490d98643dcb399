import numpy as np
import pytest

from passerby.street.paint import noise
from passerby.street.textures import FULL_SCALE, TEXTURES, make_texture


@pytest.mark.parametrize("name", TEXTURES)
def test_every_texture_holds_reflectances_and_a_whole_pyramid(name):
    texture = make_texture(name, 3)
    assert texture.texels.dtype == np.uint16 and texture.texels.shape[1] == (7 if texture.whole else 4)
    assert texture.texels[:, 3].max() == FULL_SCALE
    assert 0.01 < texture.texels[:, :3].mean() / FULL_SCALE < 0.8
    sizes = texture.levels[:, 1] * texture.levels[:, 2]
    assert sizes.sum() == len(texture.texels)
    assert (texture.levels[1:, 0] == np.cumsum(sizes)[:-1]).all()


def test_a_coarser_level_is_the_mean_of_the_finer_one():
    texture = make_texture("asphalt", 0)
    (_, h, w), (start, h2, w2) = texture.levels[:2]
    fine = texture.texels[: h * w].reshape(h2, 2, w2, 2, 4).mean((1, 3))
    assert np.allclose(fine, texture.texels[start : start + h2 * w2].reshape(h2, w2, 4), atol=1.1)


def test_seeds_give_different_pictures_of_one_kind_and_the_same_again():
    make_texture.cache_clear()
    first = make_texture("bricks", 1).texels.copy()
    make_texture.cache_clear()
    assert np.array_equal(first, make_texture("bricks", 1).texels)
    assert first.shape != make_texture("bricks", 2).texels.shape or not np.array_equal(first, make_texture("bricks", 2).texels)


def test_noise_tiles_without_a_seam():
    field = noise(np.random.RandomState(0), 64, 64, 1.6)
    inside = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 2 * inside
    assert field.mean() == pytest.approx(0, abs=1e-5) and field.std() == pytest.approx(1, abs=1e-5)
