"""What training does to pictures before the network sees them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from passerby.datasets import read_image
from passerby.errors import UsageError
from passerby.plots.style import FAINT, check_format, head_and_foot, look, save_figure
from passerby.transforms import EvalTransform, TrainTransforms

__all__ = ["plot_augmentation", "settings_in_words"]


def plot_augmentation(
    transform: TrainTransforms,
    images: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    draws: int = 8,
    seed: int = 0,
    title: str = "",
    dpi: int = 130,
) -> np.ndarray:
    """Draw each picture as it is tested, and beside it as training may show it.

    Args:
        transform: the augmentation.
        images: files, a row each, at most 12.
        out: PNG, PDF, SVG or JPG to write.
        draws: columns of augmented pictures.
        seed: of the draws.
        title: heading.
        dpi: dots an inch.

    Returns:
        (N, 1 + draws, H, W, 3) uint8, what was drawn.

    Raises:
        UsageError: numbers out of range, or a suffix that cannot be written.
        ImageError: an image cannot be decoded.
    """
    check_format(out, dpi)
    if not 1 <= len(images) <= 12 or not 1 <= draws <= 24:
        raise UsageError(f"{len(images)} images and {draws} draws: give 1 to 12 images and 1 to 24 draws.")
    if seed < 0:
        raise UsageError(f"seed is {seed}: give 0 or more.")
    plain, random = EvalTransform(transform.preprocess), np.random.default_rng(seed)
    rows = []
    for path in images:
        image = read_image(path)
        shown = [plain(image, random), *(transform(image, random) for _ in range(draws))]
        rows.append(np.stack([tensor.permute(1, 2, 0).numpy() for tensor in shown]))
    found = np.stack(rows)
    _draw(found, [Path(path).name for path in images], title or "augmentation", settings_in_words(transform), out, dpi)
    return found


def settings_in_words(transform: TrainTransforms) -> str:
    """What is switched on, with its probability or size."""
    preprocess = transform.preprocess
    said = [f"{preprocess.size[0]}x{preprocess.size[1]} px, {preprocess.interpolation}"]
    for field in fields(transform):
        value = getattr(transform, field.name)
        if field.name in ("preprocess", "pad_mode", "erased_area") or value in (0, 0.0, "off") or value == (0.0, 0.0, 0.0, 0.0):
            continue
        shown = ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else value
        said.append(f"{field.name.replace('_', ' ')} {shown}")
    return "; ".join(said)


def _draw(found: np.ndarray, names: list[str], heading: str, how: str, out: str | os.PathLike[str], dpi: int) -> None:
    from matplotlib.figure import Figure

    rows, columns, height, width = found.shape[:4]
    with look():
        figure = Figure(figsize=(0.62 * columns + 0.4, rows * (0.62 * height / width + 0.12) + 0.9), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False)
        for (row, column), axes in np.ndenumerate(places):
            axes.imshow(found[row, column])
            axes.axis("off")
            if row == 0:
                axes.set_title(
                    "tested as" if column == 0 else str(column), fontsize=7.5, fontweight="normal", color=FAINT, loc="center"
                )
        head_and_foot(figure, heading, f"{how}. Rows: {', '.join(names)}")
        save_figure(figure, out, dpi=dpi)
