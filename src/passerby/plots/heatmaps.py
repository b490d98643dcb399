"""Where a network looks: its activations whatever the person, and what makes two crops alike."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.datasets import read_image
from passerby.embedder import Embedder
from passerby.errors import UsageError
from passerby.models.norms.camera import blended
from passerby.plots.style import FAINT, check_format, head_and_foot, look, save_figure
from passerby.transforms import EvalTransform, normalise

__all__ = ["SimilarityMaps", "activation_maps", "plot_activations", "plot_similarity", "similarity_maps"]

_HEAT = "inferno"  # lightness grows with the value
_MOST_PREFIX_TOKENS = 8


@dataclass(frozen=True)
class SimilarityMaps:
    """What makes two crops alike.

    Attributes:
        similarity: cosine of their vectors.
        maps: (2, H, W) from 0 to 1, one a crop, at the size of the network's input.
    """

    similarity: float
    maps: np.ndarray


def activation_maps(embedder: Embedder, images: Sequence[str | os.PathLike[str]]) -> np.ndarray:
    """How strongly the last map of the backbone answers at each place, summed over its channels.

    Args:
        embedder: of a network with a backbone that gives maps.
        images: files.

    Returns:
        (N, H, W) float32 from 0 to 1 in each image, at the size of the network's input.

    Raises:
        UsageError: a network of points, or one whose map has no places.
        ImageError: an image cannot be decoded.

    Source:
        Zagoruyko and Komodakis, Paying more attention to attention, ICLR 2017: the sum of squares over channels.
    """
    with torch.inference_mode():
        maps, _ = _maps_and_vectors(embedder, images)
        return _stretched(maps.square().sum(dim=1), embedder)


def similarity_maps(embedder: Embedder, first: str | os.PathLike[str], second: str | os.PathLike[str]) -> SimilarityMaps:
    """Which places of two crops raise the cosine of their vectors.

    The lengths of both vectors are held fixed: where they follow, what raises the cosine at one place lowers it by as much at
    others, and a map shows little but that balance. The vectors are those of the crops as they are, without mirrored images.

    Args:
        embedder: of a network with a backbone that gives maps.
        first: one file.
        second: another.

    Raises:
        UsageError, ImageError: see `activation_maps`.

    Source:
        Selvaraju et al., Grad-CAM, ICCV 2017, with the similarity in the place of a class score.
    """
    with torch.enable_grad():
        maps, vectors = _maps_and_vectors(embedder, [first, second])
        lengths = vectors.detach().norm(dim=1).clamp_min(1e-12)
        similarity = (vectors[0] * vectors[1]).sum() / lengths.prod()
        (slopes,) = torch.autograd.grad(similarity, maps)
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    found = (weights * maps.detach()).sum(dim=1).relu()
    return SimilarityMaps(float(similarity.detach()), _stretched(found, embedder))


def plot_activations(
    embedder: Embedder, images: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, title: str = "", dpi: int = 130
) -> np.ndarray:
    """Draw crops, and over each where the network answers most.

    Args:
        embedder: of a network with a backbone that gives maps.
        images: files, at most 24.
        out: PNG, PDF, SVG or JPG to write.
        title: heading; default: the network.
        dpi: dots an inch.

    Returns:
        What `activation_maps` gives.

    Raises:
        UsageError: no image or too many, or see `activation_maps`.
        ImageError: an image cannot be decoded.
    """
    check_format(out, dpi)
    if not 1 <= len(images) <= 24:
        raise UsageError(f"{len(images)} images: give 1 to 24.")
    maps = activation_maps(embedder, images)
    heading = title or f"where {_network(embedder)} answers"
    how = "brightness: sum of squares over the channels of the last map, stretched to 0 to 1 in each image; whoever is shown"
    _draw([Path(image) for image in images], maps, [Path(image).name for image in images], heading, how, out, dpi)
    return maps


def plot_similarity(
    embedder: Embedder,
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    title: str = "",
    dpi: int = 130,
) -> SimilarityMaps:
    """Draw two crops, and over each what makes them alike for the network.

    Args:
        embedder: of a network with a backbone that gives maps.
        first: one file.
        second: another.
        out: PNG, PDF, SVG or JPG to write.
        title: heading; default: the network and the similarity.
        dpi: dots an inch.

    Raises:
        UsageError, ImageError: see `similarity_maps`.
    """
    check_format(out, dpi)
    found = similarity_maps(embedder, first, second)
    heading = title or f"what makes two crops alike for {_network(embedder)}: similarity {found.similarity:.2f}"
    how = "brightness: Grad-CAM of the cosine of both vectors at the last map; dark places do not raise it"
    _draw([Path(first), Path(second)], found.maps, [Path(first).name, Path(second).name], heading, how, out, dpi)
    return found


def _maps_and_vectors(embedder: Embedder, images: Sequence[str | os.PathLike[str]]) -> tuple[Tensor, Tensor]:
    """(N, C, h, w) maps of the backbone and (N, D) vectors of one pass."""
    model: Any = embedder.model
    if not hasattr(model, "backbone") or not hasattr(embedder.preprocess, "size"):
        raise UsageError("heatmaps need a network of pictures with a backbone; this one has none (a network of points?).")
    if getattr(model, "middle", False):
        raise UsageError("this network pools two stages (middle); heatmaps are drawn of networks with one last map.")
    transform, unused = EvalTransform(embedder.preprocess), np.random.default_rng(0)
    pixels = torch.stack([transform(read_image(image), unused) for image in images]).to(embedder.device)
    held: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Tensor) -> Tensor:
        # slopes are asked for at this map only: it becomes the leaf, whether the weights are frozen or not
        held.append(output.detach().requires_grad_() if torch.is_grad_enabled() else output)
        return held[0]

    model.eval()
    hook = model.backbone.register_forward_hook(keep)
    try:
        with blended():  # running statistics serve a look inside, whatever cameras the search would need
            outputs = model(normalise(pixels, embedder.preprocess))
    finally:
        hook.remove()
    vectors = getattr(outputs, embedder.rule.kind).float().flatten(1)
    return _as_map(held[0], embedder.preprocess.size), vectors


def _as_map(found: Tensor, size: tuple[int, int]) -> Tensor:
    """A map as it is; tokens (N, C, T, 1) laid out in the proportions of the input, without class and register tokens."""
    if found.shape[3] > 1:
        return found
    for prefix in range(_MOST_PREFIX_TOKENS):
        count = found.shape[2] - prefix
        width = round(math.sqrt(max(count, 0) * size[1] / size[0]))
        if width > 1 and count % width == 0 and (count // width) * size[1] == width * size[0]:
            return found[:, :, prefix:, 0].unflatten(2, (count // width, width))
    raise UsageError(f"the last map of this network has shape {tuple(found.shape[1:])}: it has no places that could be drawn.")


def _stretched(maps: Tensor, embedder: Embedder) -> np.ndarray:
    """(N, h, w) to (N, H, W) from 0 to 1; a map without differences is 0."""
    large = F.interpolate(maps[:, None].float(), embedder.preprocess.size, mode="bilinear", align_corners=False)[:, 0]
    low, high = large.amin(dim=(1, 2), keepdim=True), large.amax(dim=(1, 2), keepdim=True)
    return ((large - low) / (high - low).clamp_min(1e-12)).clamp(0, 1).cpu().numpy()


def _network(embedder: Embedder) -> str:
    return " ".join(str(embedder.facts[key]) for key in ("recipe", "backbone") if embedder.facts.get(key)) or "this network"


def _draw(
    images: list[Path], maps: np.ndarray, names: list[str], heading: str, how: str, out: str | os.PathLike[str], dpi: int
) -> None:
    """Pairs of a crop and the crop under its heat, several pairs a row."""
    from matplotlib.figure import Figure

    columns = min(len(images), 6)
    rows = -(-len(images) // columns)
    height, width = maps.shape[1:]
    with look():
        size = (max(1.5 * columns, 4.2), rows * (0.66 * height / width + 0.24) + 0.75)
        figure = Figure(figsize=size, layout="constrained")
        places = figure.subplots(rows, 2 * columns, squeeze=False)
        for axes in places.ravel():
            axes.axis("off")
        for number, (path, heat, name) in enumerate(zip(images, maps, names, strict=True)):
            plain, covered = places[number // columns, 2 * (number % columns) : 2 * (number % columns) + 2]
            picture = np.asarray(read_image(path).resize((width, height)))
            plain.imshow(picture)
            plain.set_title(_short(name), fontsize=6, fontweight="normal", color=FAINT)
            covered.imshow(picture.mean(axis=2), cmap="Greys_r", vmin=0, vmax=255)
            covered.imshow(heat, cmap=_HEAT, vmin=0, vmax=1, alpha=0.25 + 0.5 * heat)
        head_and_foot(figure, heading, how)
        save_figure(figure, out, dpi=dpi)


def _short(name: str) -> str:
    return name if len(name) <= 22 else "…" + name[-21:]
