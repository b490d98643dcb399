"""`passerby embed`: a trained model and images in, vectors with their names out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from passerby.cli.trained_on import trained_on
from passerby.errors import DataError, UsageError, listing

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.embeddings import Embeddings
    from passerby.records import ReidData, Split

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Turn images into embeddings with a trained model.

    Of a data set (--dataset, --data), query.npz, gallery.npz and, where there is one, multi_query.npz are written into the
    folder --out. Of any images (--images), one file --out is written; nobody is known in it, so its pids are -1.
    """

    out: Path
    """with --dataset a folder; with --images a file .npz or .safetensors"""
    model: Annotated[Path | None, tyro.conf.Positional] = None
    """artefact folder, as training writes it, or a file that passerby export made of one (default: the house model, which comes
    with passerby)"""
    dataset: str = ""
    """data set to embed: market1501, msmt17, ... (default: what lies in --data)"""
    data: Path | None = None
    """folder that holds the data set (default: PASSERBY_DATA)"""
    trial: str = ""
    """which of a small data set's repeated splits, by its name or its number"""
    images: tuple[Path, ...] = field(default=())
    """image files, and folders that are searched for images (for a network of points: clouds), instead of a data set"""
    flip: Literal["auto", "yes", "no"] = "auto"
    """add the vector of the mirrored image (auto: as the model says)"""
    scales: tuple[float, ...] = ()
    """add the vectors at these scales; the factor on height and width is the square root, so 1.1 makes 268 x 134 of 256 x 128
    (default: as the model says)"""
    compound: Literal["auto", "yes", "no"] = "auto"
    """the published multi-scale test, in which each scale resizes what the scale before it has made (auto: as the model says)"""
    raw: bool = False
    """leave the sums as they are instead of making unit vectors"""
    camera: str = ""
    """with --images and a model that `passerby adapt` made: whose camera's images they are"""
    camera_agnostic: bool = False
    """with a model that `passerby adapt --camera-agnostic` made: images of unknown cameras use the statistics of the whole set"""
    camera_statistics: Literal["auto", "own", "pooled", "train", "whole-set", "none"] = "auto"
    """with --dataset or --data: statistics for camera-wise batch norm. auto: those of the model; own: of query images for the
    query, of gallery images for the gallery (published); pooled: of both together; train: of the training images; whole-set: of
    all images whatever their camera; none: a model trained by camera without any (costs 10 points and more)"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; bf16 is about twice as fast on CPUs that have it; its vectors are others, so embed query and gallery
    alike"""
    form: Literal["auto", "torch"] = "auto"
    """what computes. auto: on CPUs the fp32 export in the artefact's folder, or for 500 images and more one that is made in
    memory, if its vectors are those of torch within 0.0001; else torch. For int8 name the exported file"""
    batch_size: int = 64
    """images a forward pass"""
    workers: int | None = None
    """threads that decode; 0: none beside the main one (default: one a core, at most 16)"""
    json: Path | None = None
    """write what was done to this file too"""


def run(options: Options) -> None:
    """Embed what the options name."""
    if options.images and (options.dataset or options.data):
        raise UsageError("--images stands instead of --dataset and --data: give one or the other.")
    if options.images and options.camera_statistics not in ("auto", "none"):
        raise UsageError(
            f"--camera-statistics {options.camera_statistics} needs a data set; for --images run passerby adapt first."
        )
    if options.camera and not options.images:
        raise UsageError(f"--camera {options.camera} goes with --images; a data set names the camera of each image itself.")
    if options.images and options.trial:
        raise UsageError(f"--trial is {options.trial}, but it acts only with a data set. Leave it out, or --images.")
    from passerby.artefact import named_model

    model = named_model(options.model)
    jobs, paths = _images(options) if options.images else _data(options, model)
    embedder = _embedder(options, model, paths)
    files: dict[str, Any] = {}
    for path, embed_it in jobs:
        started = time.monotonic()
        found = embed_it(embedder)
        found.save(path)
        seconds = time.monotonic() - started
        files[str(path)] = {
            "rows": len(found), "dim": found.dim, "seconds": round(seconds, 3),
            "images_per_s": round(len(found) / max(seconds, 1e-9), 1), "notes": list(found.notes),
        }  # fmt: skip
    _tell(files, embedder)
    if options.json is not None:
        from passerby.files import write_json

        write_json(options.json, {"model": str(model), "artefact": embedder.facts.get("artefact"), "files": files})


def _embedder(options: Options, model: Path, paths: list[Path]) -> Embedder:
    from passerby.artefact import load, read_description
    from passerby.embedder import EmbeddingRule
    from passerby.training import keep_freed_memory

    keep_freed_memory()
    rule: EmbeddingRule = read_description(model).rule
    rule = replace(
        rule,
        flip=_chosen(options.flip, rule.flip),
        scales=options.scales or rule.scales,
        compound=_chosen(options.compound, rule.compound),
        normalise=rule.normalise and not options.raw,
    )
    if options.compound != "auto" and rule.scales == (1.0,):
        raise UsageError(
            f"--compound is {options.compound}, but it acts only with several scales. Leave it out, or add --scales."
        )
    embedder = load(
        model, device=options.device, precision=options.precision, rule=rule, batch_size=options.batch_size,
        workers=options.workers, camera_agnostic=options.camera_agnostic,
        without_statistics=options.camera_statistics == "none",
    )  # fmt: skip
    if options.form == "torch" or options.camera_statistics not in ("auto", "none"):
        return embedder
    from passerby.export import fastest

    return fastest(embedder, model, paths)


def _chosen(option: str, own: bool) -> bool:
    return own if option == "auto" else option == "yes"


def _data(options: Options, model: Path) -> tuple[list[tuple[Path, Any]], list[Path]]:
    from passerby import datasets
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import embedders_for

    if options.out.suffix in (".npz", ".safetensors", ".mat") or options.out.is_file():
        raise UsageError(f"--out {options.out}: the sets of a data set become several files; give a folder.")
    name = options.dataset or datasets.detect(datasets.data_folder(options.data))
    data = datasets.one_trial(datasets.read(name, options.data), options.trial)
    splits = _splits(data)
    numbering = Numbering.of(*splits.values())
    root = _common_folder(record.path for split in splits.values() for record in split)

    notes = [*data.notes, *trained_on(model, data)]

    ready: dict[str, Embedder] = {}

    def embedder_of(subset: str, loaded: Embedder) -> Embedder:
        if not ready:
            ready.update(embedders_for(loaded, splits, options.camera_statistics, train=data.train))
        return ready[subset]

    def job(subset: str) -> tuple[Path, Any]:
        meta = {"data": data.name, "subset": subset, "notes": notes} | ({"trial": options.trial} if options.trial else {})

        def embed_it(embedder: Embedder) -> Embeddings:
            embedder.facts["notes"] = datasets.without_trials(embedder.facts["notes"], data)  # the trial that it was trained on
            return embed(embedder_of(subset, embedder), splits[subset], root=root, numbering=numbering, meta=meta)

        return options.out / f"{subset}.npz", embed_it

    return [job(subset) for subset in splits], [record.path for split in splits.values() for record in split]


def _splits(data: ReidData) -> dict[str, Split]:
    found = {name: split for name, split in data.splits().items() if name in ("query", "gallery", "multi_query")}
    if not found:
        raise DataError(
            f"{data.name} has neither query nor gallery here: there is nothing to embed. Embed a folder with --images."
        )
    return found


def _common_folder(paths: Iterable[Path]) -> Path:
    import os

    folders = {path.parent for path in paths}
    return Path(os.path.commonpath(folders))


def _images(options: Options) -> tuple[list[tuple[Path, Any]], list[Path]]:
    from passerby.datasets.walking import IMAGE_SUFFIXES, files_below, images_below
    from passerby.embedder import embed
    from passerby.points import CLOUD_SUFFIXES
    from passerby.records import JUNK_PID, Record, Split

    if options.out.suffix not in (".npz", ".safetensors") or options.out.is_dir():
        raise UsageError(f"--out {options.out}: vectors of images go into one file, .npz or .safetensors.")
    paths: list[Path] = []
    for given in options.images:
        if not given.exists():
            raise DataError(f"{given} does not exist.")
        found = (images_below(given) or files_below(given, CLOUD_SUFFIXES)) if given.is_dir() else [given]
        if not found:
            raise DataError(f"{given} holds no image: looked for are {listing(sorted(IMAGE_SUFFIXES), 20)}.")
        paths += found
    split = Split(tuple(Record(path, JUNK_PID, 0, "images") for path in dict.fromkeys(paths)))
    root = _common_folder(paths)
    meta = {"data": str(root), "subset": "images"}

    def embed_it(embedder: Embedder) -> Embeddings:
        if embedder.cameras is not None and not (options.camera or options.camera_agnostic):
            raise UsageError(
                f"whose camera's images are these? This model has statistics of {listing(embedder.cameras.cameras, 12)}: give "
                "--camera NAME, or --camera-agnostic for those of the whole set."
            )
        return embed(embedder, split, root=root, meta=meta, camera=options.camera or None)

    return [(options.out, embed_it)], list(dict.fromkeys(paths))


def _tell(files: dict[str, Any], embedder: Embedder) -> None:
    from rich.console import Console
    from rich.table import Table

    rule = embedder.rule
    scales = ", ".join(f"{scale:g}" for scale in rule.scales)
    form = embedder.facts.get("exported", embedder.computes_in)
    how = f"{rule.kind}, flip {'added' if rule.flip else 'off'}, scales {scales}, {form}"
    table = Table("file", "images", "dimensions", "images/s", title=f"embeddings ({how})")
    for name, facts in files.items():
        table.add_row(name, str(facts["rows"]), str(facts["dim"]), str(facts["images_per_s"]))
    console = Console()
    console.print(table)
    for note in dict.fromkeys(note for facts in files.values() for note in facts["notes"]):
        console.print(f"note: {note}", highlight=False)
