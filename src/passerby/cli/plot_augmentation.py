"""`passerby plot augmentation`: what training does to pictures before the network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from passerby.cli.plot_heatmap import given_images
from passerby.errors import UsageError, listing

if TYPE_CHECKING:
    from passerby.transforms import TrainTransforms

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw pictures as they are tested, and beside each as training may show it: erased, mirrored, shifted, recoloured.

    With --run the augmentation is that of a run; without it, that of the flags below.
    """

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """image files, a row each, at most 12; of a folder four are taken, spread evenly"""
    run: Path | None = None
    """run folder whose augmentation to show; the flags below then have no say and are refused"""
    out: Path = Path("augmentation.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    draws: int = 8
    """columns of augmented pictures"""
    height: int = 256
    """px of the network's input"""
    width: int = 128
    """px of the network's input"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding on each side before the random crop"""
    pad_mode: Literal["zeros", "edge"] = "zeros"
    """what the padding holds"""
    color_jitter: float = 0.0
    """largest change of brightness, contrast and saturation, 0 to 1"""
    random_erasing: float = 0.5
    """probability of erasing a rectangle"""
    erasing_plus: float = 0.0
    """probability of a rectangle and of going on to a further one, up to five"""
    grayscale_patch: float = 0.0
    """probability of turning a rectangle grey"""
    auto_augment: Literal["off", "randaugment", "reid"] = "off"
    """torchvision's RandAugment, or the baseline's own list of pairs"""
    seed: int = 0
    """of the draws"""
    title: str = ""
    """heading (default: whose augmentation it is)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write the settings in words to this file too"""


_OF_FLAGS = (
    "height", "width", "flip", "pad_px", "pad_mode", "color_jitter", "random_erasing", "erasing_plus", "grayscale_patch",
    "auto_augment",
)  # fmt: skip


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.files import write_json
    from passerby.plots import plot_augmentation
    from passerby.plots.augmentation import settings_in_words
    from passerby.plots.style import check_format

    check_format(options.out, options.dpi)
    images = given_images(options.images, 4)
    transform, whose = _of_run(options) if options.run is not None else (_of_flags(options), "augmentation of training")
    plot_augmentation(
        transform, images, options.out, draws=options.draws, seed=options.seed, title=options.title or whose,
        dpi=options.dpi,
    )  # fmt: skip
    words = settings_in_words(transform)
    print(f"{options.out}: {words}")
    if options.json is not None:
        write_json(options.json, {"picture": str(options.out), "settings": words})


def _of_flags(options: Options) -> TrainTransforms:
    from passerby.transforms import Preprocess, TrainTransforms

    strength = options.color_jitter
    return TrainTransforms(
        Preprocess(size=(options.height, options.width)),
        flip=options.flip,
        pad_px=options.pad_px,
        pad_mode=options.pad_mode,
        color_jitter=(strength, strength, strength, 0.0),
        random_erasing=options.random_erasing,
        erasing_plus=options.erasing_plus,
        grayscale_patch=options.grayscale_patch,
        auto_augment=options.auto_augment,
    )


def _of_run(options: Options) -> tuple[TrainTransforms, str]:
    from passerby.artefact import read_description
    from passerby.configs import merged
    from passerby.recipes import recipe
    from passerby.transforms import TrainTransforms

    assert options.run is not None
    changed = [name for name in _OF_FLAGS if getattr(options, name) != getattr(Options, name)]
    if changed:
        flags = listing(f"--{name.replace('_', '-')}" for name in changed)
        raise UsageError(f"{flags}: with --run the augmentation is the run's. Leave out one or the other.")
    facts = read_description(options.run / "artefact")
    module = recipe(facts.recipe)
    transform = module.augmentation(merged(module.Config(), facts.config, str(options.run)))
    if not isinstance(transform, TrainTransforms):
        raise UsageError(f"{options.run} is a run on clouds of points: its augmentation changes no pictures.")
    return transform, f"augmentation of {options.run.resolve().name} ({facts.recipe})"
