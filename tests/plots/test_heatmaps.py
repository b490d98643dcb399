from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from passerby.embedder import Embedder
from passerby.errors import UsageError
from passerby.models.outputs import Outputs
from passerby.plots import plot_activations, plot_similarity
from passerby.plots.heatmaps import _as_map, activation_maps, similarity_maps
from passerby.transforms import Preprocess

BLOCKS = Preprocess(size=(32, 16), mean=(0, 0, 0), std=(1, 1, 1))


class Blocks(nn.Module):
    """The map is the picture in blocks of 8 px, the vector its mean over all blocks: every answer can be worked out."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.embedding_dim, self.input_size = nn.AvgPool2d(8), 3, (32, 16)

    def forward(self, x: Tensor) -> Outputs:
        vector = self.backbone(x).mean(dim=(2, 3))
        return Outputs(vector, vector)


@pytest.fixture
def embedder() -> Embedder:
    return Embedder(Blocks(), BLOCKS, facts={"recipe": "blocks"})


def picture(path: Path, **blocks: tuple[int, int, int]) -> Path:
    """Black, but for blocks named yx."""
    pixels = np.zeros((32, 16, 3), dtype=np.uint8)
    for place, colour in blocks.items():
        y, x = int(place[1]), int(place[2])
        pixels[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = colour
    Image.fromarray(pixels).save(path)
    return path


def test_the_brightest_place_is_where_the_map_is_largest(embedder: Embedder, tmp_path: Path):
    image = picture(tmp_path / "a.png", b31=(255, 255, 255), b00=(120, 0, 0))
    (found,) = plot_activations(embedder, [image], tmp_path / "heat.png")
    assert found.shape == (32, 16) and found.max() == 1 and found.min() == 0
    assert np.unravel_index(found.argmax(), found.shape)[0] >= 26 and found[28, 12] > 0.9
    assert found[4, 4] == pytest.approx((120 / 255) ** 2 / 3, abs=0.05)  # one channel of three, squared
    assert (tmp_path / "heat.png").stat().st_size > 1000


def test_only_what_both_crops_have_makes_them_alike(embedder: Embedder, tmp_path: Path):
    red_on_top = picture(tmp_path / "a.png", b00=(255, 0, 0), b30=(0, 255, 0))
    red_below = picture(tmp_path / "b.png", b31=(255, 0, 0), b01=(0, 0, 255))
    found = plot_similarity(embedder, red_on_top, red_below, tmp_path / "alike.png")
    assert found.similarity == pytest.approx(0.5)  # (1, 1, 0) and (1, 0, 1) of equal lengths
    assert found.maps[0][2, 2] == 1 and found.maps[0][28, 2] == 0
    assert found.maps[1][30, 14] == 1 and found.maps[1][2, 14] == 0


def test_crops_with_nothing_in_common_stay_dark(embedder: Embedder, tmp_path: Path):
    red, green = picture(tmp_path / "a.png", b00=(255, 0, 0)), picture(tmp_path / "b.png", b00=(0, 255, 0))
    found = similarity_maps(embedder, red, green)
    assert found.similarity == 0 and found.maps.max() == 0


def test_looking_leaves_no_trace(embedder: Embedder, tmp_path: Path):
    image = picture(tmp_path / "a.png", b00=(9, 9, 9))
    before = embedder([str(image)])
    activation_maps(embedder, [image])
    assert not embedder.model.backbone._forward_hooks
    assert np.array_equal(embedder([str(image)]), before)


def test_tokens_are_laid_out_without_class_tokens():
    tokens = torch.arange(2 * 9.0).reshape(1, 2, 9, 1)
    assert _as_map(tokens, (64, 32))[0, 0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    with pytest.raises(UsageError, match=r"shape \(2, 3, 1\): it has no places"):
        _as_map(torch.zeros(1, 2, 3, 1), (64, 32))


def test_networks_without_a_map_and_wrong_numbers_are_refused(embedder: Embedder, tmp_path: Path):
    image = picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="0 images: give 1 to 24"):
        plot_activations(embedder, [], tmp_path / "x.png")
    embedder.model.middle = True  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="pools two stages"):
        activation_maps(embedder, [image])
    del embedder.model.backbone
    with pytest.raises(UsageError, match="need a network of pictures with a backbone"):
        activation_maps(embedder, [image])
