"""`passerby import`: weights of another project in, an artefact out, with an account of every tensor."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.importing import Imported

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Bring in weights of another project as an artefact.

    Known are torchreid, fast-reid, layumi's baseline, reid-strong-baseline, TransReID (plain ViT and jigsaw, without side
    information), camera-based batch norm, MetaBIN, and backbones of timm and torchvision. The file is recognised by its names and
    read without running anything in it. Every tensor of the network must come from it, and every tensor of the file must have a
    place or a reason; otherwise nothing is written. Size, colours and filter of the input become those of the project. Its
    settings file (opts.yaml, config.yaml) is read where it lies beside the weights.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """weights: .pth, .pt, .tar or .safetensors"""
    out: Path
    """folder of the artefact"""
    layout: Literal[
        "auto", "layumi", "torchreid", "fast-reid", "strong-baseline", "transreid", "camera-bn", "metabin", "backbone"
    ] = "auto"
    """whose names the file has"""
    backbone: str = ""
    """name of the backbone, of passerby or timm (default: told by names and shapes)"""
    size: str = ""
    """height x width of the input in px, for instance 384x128 (default: the project's, 256x128 of most)"""
    last_stride: Literal["auto", "1", "2"] = "auto"
    """of the backbone; weights do not show it (auto: the project's)"""
    settings: Path | None = None
    """the project's own settings (default: opts.yaml, config.yaml or config.yml beside the file)"""
    licence: str = "unknown"
    """under which the weights stand; kept in the artefact"""
    keys: bool = False
    """list every tensor, not only what was dropped"""
    json: Path | None = None
    """write the account of every tensor to this file"""


def run(options: Options) -> None:
    """Import, and tell what became of the tensors."""
    from passerby.importing import ImportOptions, import_weights

    how = ImportOptions(
        layout="" if options.layout == "auto" else options.layout,
        backbone=options.backbone,
        image_size=_size(options.size),
        last_stride=None if options.last_stride == "auto" else int(options.last_stride),
        settings=options.settings,
        licence=options.licence,
    )
    made = import_weights(options.file, options.out, how)
    _tell(made, options)
    if options.json is not None:
        from passerby.files import write_json

        write_json(options.json, {**made.to_dict(), "out": str(options.out), "artefact": made.facts.short_id})


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UsageError(f'--size {text}: give height x width in px, for instance "256x128".')
    return int(height), int(width)


def _tell(made: Imported, options: Options) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    config, preprocess = made.config, made.facts.preprocess
    console.print(
        f"{made.file.name}: {made.layout} names, {config.backbone}, head {config.head}, vectors of {made.facts.embedding_dim}"
    )
    told = preprocess.to_dict()
    colours = f"mean {_listed(told['mean'])}, std {_listed(told['std'])}"
    height, width = config.image_size
    console.print(f"input: {height}x{width} px, {told['interpolation']}, {colours}; last stride {config.last_stride}")
    if made.settings:
        console.print(f"settings: {made.settings}")
    console.print(
        f"{len(made.matched)} tensors matched, {len(made.dropped)} dropped, {len(made.made)} that the file need not have"
    )
    if options.keys:
        for name, place in made.matched.items():
            console.print(f"  {name} -> {place}")
    reasons = Counter(made.dropped.values())
    for why, count in reasons.items():
        names = [name for name, reason in made.dropped.items() if reason == why]
        shown = names if options.keys else names[:3]
        console.print(f"  dropped, {why}: {', '.join(shown)}" + (f" and {count - len(shown)} more" if count > len(shown) else ""))
    for name, why in made.made.items() if options.keys else ():
        console.print(f"  made, {why}: {name}")
    for note in made.facts.notes:
        console.print(f"note: {note}")
    if config.norm == "camera":
        console.print(
            f"next: passerby adapt {options.out} --camera NAME --images DIR --out ADAPTED  (statistics of your cameras)"
        )
    console.print(f"artefact: {options.out}")


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
