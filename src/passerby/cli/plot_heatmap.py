"""`passerby plot heatmap`: where a network looks, or what makes two crops alike for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from passerby.errors import DataError, UsageError, listing

__all__ = ["Options", "given_images", "run"]


@dataclass(frozen=True)
class Options:
    """Draw crops with the places where the network answers most, whoever is shown; or, of two crops, what makes them alike."""

    model: Annotated[Path, tyro.conf.Positional]
    """artefact folder, as training writes it"""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """image files, up to 24, or two with --kind similarity; of a folder six are taken, spread evenly"""
    kind: Literal["activations", "similarity"] = "activations"
    """activations: sum of squares over the channels of the last map; similarity: Grad-CAM of the cosine of two crops"""
    out: Path = Path("heatmap.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    title: str = ""
    """heading (default: what is drawn of which network)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write where the maps are brightest, and the similarity, to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    import numpy as np

    from passerby.artefact import load
    from passerby.files import write_json
    from passerby.plots import plot_activations, plot_similarity
    from passerby.plots.style import check_format

    check_format(options.out, options.dpi)
    images = given_images(options.images, 6)
    if options.kind == "similarity" and len(images) != 2:
        raise UsageError(f"--kind similarity is of two crops, {len(images)} were given.")
    embedder = load(options.model, device=options.device, without_statistics=True)
    found: dict[str, object] = {}
    if options.kind == "similarity":
        alike = plot_similarity(embedder, images[0], images[1], options.out, title=options.title, dpi=options.dpi)
        maps, found["similarity"] = alike.maps, round(alike.similarity, 6)
        print(f"{options.out}: similarity {alike.similarity:.4f}, without mirrored images")
    else:
        maps = plot_activations(embedder, images, options.out, title=options.title, dpi=options.dpi)
        print(f"{options.out}: {len(maps)} image{'s' if len(maps) > 1 else ''}")
    if options.json is not None:
        places = [[int(place) for place in np.unravel_index(heat.argmax(), heat.shape)] for heat in maps]
        found["brightest_px"] = {str(path): place for path, place in zip(images, places, strict=True)}
        write_json(options.json, {"picture": str(options.out), **found})


def given_images(paths: tuple[Path, ...], of_folder: int) -> list[Path]:
    """The files as they are given, and of each folder so many images, spread evenly.

    Raises:
        DataError: a path that is not there, or a folder without images.
    """
    from passerby.datasets.walking import images_below

    missing = [path for path in paths if not path.exists()]
    if missing:
        raise DataError(f"{listing(missing)}: no such file or folder. Give images.")
    found: list[Path] = []
    for path in paths:
        below = images_below(path) if path.is_dir() else [path]
        if not below:
            raise DataError(f"{path} holds no image. Give images, or a folder of them.")
        count = min(of_folder, len(below))
        found += [below[place * len(below) // count] for place in range(count)]
    return found
