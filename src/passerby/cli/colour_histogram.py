"""What colour alone finds: the yardstick that a trained network must beat."""

from __future__ import annotations

import numpy as np
from PIL import Image

from passerby.datasets import read_image
from passerby.embeddings import Embeddings
from passerby.records import Split

__all__ = ["colour_histogram", "embed_histograms", "grey_world"]


def colour_histogram(pixels: np.ndarray, stripes: int = 6, bins: tuple[int, int, int] = (8, 4, 4)) -> np.ndarray:
    """Hue, saturation and value counted in horizontal stripes, as person re-identification did it before networks.

    Args:
        pixels: (H, W, 3) uint8 HSV.
        stripes: how many parts from head to foot.
        bins: of hue, saturation and value.

    Returns:
        (stripes * bins,) float32 of unit length: the square roots of the shares, so that a dot product is the Bhattacharyya
        coefficient.
    """
    found = []
    for part in np.array_split(pixels.astype(np.int64), stripes):
        hue, saturation, value = (part[..., c].ravel() * bins[c] // 256 for c in range(3))
        cell = (hue * bins[1] + saturation) * bins[2] + value
        found.append(np.bincount(cell, minlength=int(np.prod(bins))) / max(len(cell), 1))
    return np.sqrt(np.concatenate(found) / stripes).astype(np.float32)


def grey_world(pixels: np.ndarray) -> Image.Image:
    """Take a camera's colour cast and exposure out: every channel gets the same mean and deviation."""
    values = pixels.astype(np.float32)
    spread = np.maximum(values.std(axis=(0, 1)), 1.0)
    return Image.fromarray(np.clip((values - values.mean(axis=(0, 1))) / spread * 50 + 120, 0, 255).astype(np.uint8))


def embed_histograms(split: Split, *, balanced: bool = True) -> Embeddings:
    """One colour histogram an image.

    Args:
        split: the images.
        balanced: take the camera's cast out by grey-world correction, and look at the middle only: less of what stands around.
            Otherwise the whole image as filmed, which is stronger where one camera took all.
    """
    vectors = []
    for record in split:
        image = read_image(record.path)
        hsv = (grey_world(np.asarray(image)) if balanced else image).convert("HSV")
        side = image.width // 5 if balanced else 0
        vectors.append(colour_histogram(np.asarray(hsv)[:, side : image.width - side]))
    names = [str(record.path) for record in split]
    return Embeddings(np.stack(vectors), split.pids, split.camids, names, {"recipe": "colour histogram"})
