"""`passerby gallery re-embed`: a gallery moves to another model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Embed all crops of a gallery with another model and change all vectors in one step; everything else stays.

    Thresholds of the old model go; those of the new one are taken where it was calibrated.
    """

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    model: Path | None = None
    """artefact folder of the new model (default: the model that comes with passerby)"""
    images: Literal["thumbnails", "sources"] = "thumbnails"
    """embed the crops that the gallery keeps, or the image files that they were taken from"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the model; vectors of different precisions do not mix"""
    batch_size: int = 64
    """crops a forward pass"""


def run(options: Options) -> None:
    """Embed and change."""
    from passerby import artefact
    from passerby.cli.galleries import tell_stand_ins
    from passerby.export import fastest
    from passerby.export.thresholds import find_thresholds
    from passerby.gallery import Gallery, Thresholds

    model = artefact.named_model(options.model)
    with Gallery.open(options.gallery) as gallery:
        plain = artefact.load(model, device=options.device, precision=options.precision, batch_size=options.batch_size)
        embedder = fastest(plain, model).for_any_camera()
        count = gallery.re_embed(embedder, images=options.images)
        stored = find_thresholds(model)
        if stored is not None:
            gallery.set_thresholds(Thresholds.of(stored))
        tell_stand_ins(embedder, gallery.cameras())
        print(f"{options.gallery}: {count:,} crops, now of {gallery.model.name} ({gallery.model.dim} dimensions)")
