"""`passerby adapt`: a trained model and unlabelled images of cameras in, a model that knows these cameras out."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from passerby.errors import DataError, UsageError, listing

if TYPE_CHECKING:
    from contextlib import ExitStack

    from passerby.artefact import Artefact
    from passerby.embedder import Embedder
    from passerby.embedder.adaptation import Adaptation
    from passerby.embedder.camera_statistics import Estimation
    from passerby.models.norms.statistics import CameraStatistics

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Fit a trained model to new cameras, from unlabelled images of each and without training.

    Give one camera with --camera and --images, or many with --manifest, or the cameras of a data set with --data, or those of a
    gallery with --gallery. The statistics of every camera are written into a new artefact, --out, beside those that MODEL has.
    The table says how many images suffice: the drift between two halves of the images should be small against the shift from the
    training, and the gain is the share of that shift that the first 1, 2, 5, ... batches already make up.

    It works on a model of `passerby train camera-bn`, and less well on any model with batch norm. Afterwards:
    passerby embed NEW --camera NAME --images DIR ..., or Embedder(images, camera="NAME"), and for a gallery
    passerby gallery re-embed GALLERY --model NEW.
    """

    model: Annotated[Path, tyro.conf.Positional]
    """artefact folder, as training writes it; house is the model that comes with passerby"""
    out: Path
    """folder of the new artefact"""
    camera: str = ""
    """name of the camera that --images shows"""
    images: tuple[Path, ...] = field(default=())
    """image files, and folders that are searched for images"""
    manifest: Path | None = None
    """CSV file with the columns camera and images (a file or a folder, relative to the CSV file); a camera may have several
    lines"""
    dataset: str = ""
    """adapt to the cameras of this data set (default: what lies in --data); their names are as in galleries, DOMAIN/NUMBER, for
    instance market1501/1"""
    data: Path | None = None
    """folder that holds the data set"""
    gallery: str = ""
    """adapt to the cameras of this gallery, by the crops that it keeps: a file that passerby index made, or
    milvus://host:port/collection. Statistics of all its cameras together are made too: for cameras with fewer than --min-images
    crops, and for pictures from elsewhere that are searched for"""
    subset: Literal["test", "query", "gallery", "train"] = "test"
    """which images of the data set; test: query and gallery together"""
    camera_agnostic: bool = False
    """also make statistics of all these images together, for images of unknown cameras (embed --camera-agnostic); with
    --gallery they are always made"""
    replace: bool = False
    """replace the statistics of a camera that MODEL has already"""
    estimator: Literal["cumulative", "pooled"] = "cumulative"
    """cumulative: mean of the batches' statistics (published); pooled: of all images together"""
    batches: int = 50
    """batches a camera, at most"""
    batch_size: int = 64
    """images a batch"""
    flip: bool = True
    """let the mirror images count too"""
    min_images: int = 16
    """a camera with fewer is refused; one of a gallery gets the statistics of all together"""
    seed: int = 0
    """of the draw, where there are more images than the batches hold"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    workers: int | None = None
    """threads that decode (default: one a core, at most 16)"""
    json: Path | None = None
    """write the table to this file too"""


def run(options: Options) -> None:
    """Estimate the statistics of every named camera and write the new artefact."""
    from contextlib import ExitStack
    from dataclasses import replace

    from passerby.artefact import load, named_model, read_artefact, read_cameras, save_artefact
    from passerby.cli.stored import is_shipped
    from passerby.embedder.camera_statistics import TRAINED_PLAIN, Estimation, camera_wise
    from passerby.embedder.network import WHOLE_SET
    from passerby.metrics.calibration_store import handed_on
    from passerby.models.norms.statistics import CameraStatistics

    how = Estimation(
        options.estimator, options.batches, options.batch_size, options.flip, options.min_images, options.seed
    )  # fmt: skip
    if is_shipped(options.out):
        raise UsageError(f"--out {options.out} is part of the installed package, which stays as it is: name another folder.")
    facts, _ = read_artefact(options.model)
    older, thresholds = read_cameras(options.model), handed_on(named_model(options.model))
    with ExitStack() as until:
        images = _images(options, until)
        whole = options.camera_agnostic or bool(options.gallery)
        _refuse_known([*images, *([WHOLE_SET] if whole else [])], older, options)
        embedder = camera_wise(load(options.model, device=options.device, workers=options.workers))
        embedder = embedder.with_cameras(None)
        few = [name for name, own in images.items() if options.gallery and len(own) < how.min_images]
        made = _estimated(embedder, images, few, how, whole=whole)
    kept = {} if older is None else {name: older.of_camera(name) for name in older.cameras if name not in made}
    statistics = CameraStatistics.of(kept | {name: each.statistics for name, each in made.items()})
    rows = {camera["name"]: camera for camera in facts.cameras} | {name: _row(name, each, how) for name, each in made.items()}
    for name in few:
        rows[name] = {**rows[name], "images": len(images[name]), "stands_in": WHOLE_SET}
    notes = facts.notes
    if facts.model.get("norm", "batch") == "batch":
        notes = tuple(dict.fromkeys([*notes, TRAINED_PLAIN]))
    written = replace(facts, cameras=tuple(rows[name] for name in statistics.cameras), notes=notes)
    save_artefact(options.out, embedder.model, written, statistics=statistics, further=thresholds)
    _tell({name: each for name, each in made.items() if name not in few}, written, options)
    if options.json is not None:
        from passerby.files import write_json

        write_json(options.json, {"model": str(options.model), "out": str(options.out), "cameras": [rows[name] for name in made]})


def _estimated(
    embedder: Embedder, images: Mapping[str, Sequence[Any]], few: Sequence[str], how: Estimation, *, whole: bool
) -> dict[str, Adaptation]:
    """Of each named camera; with `whole` of all together too, which stand in for cameras with too `few` images."""
    from passerby.embedder.adaptation import adapt_to_camera
    from passerby.embedder.network import WHOLE_SET

    made = {name: adapt_to_camera(embedder, name, own, how) for name, own in images.items() if name and name not in few}
    if whole:
        alone = next(iter(made.values())) if len(made) == len(images) == 1 else None
        made[WHOLE_SET] = alone or adapt_to_camera(embedder, WHOLE_SET, _together(images), how)
        made |= dict.fromkeys(few, made[WHOLE_SET])
    return made


def _row(name: str, each: Adaptation, how: Estimation) -> dict[str, Any]:
    """What the artefact keeps of one camera, beside its statistics."""
    gain = [{"batches": batches, "images": images, "share": round(share, 4)} for batches, images, share in each.gain]
    return {
        "name": name, "images": each.images, "shift": each.shift, "between_halves": each.between_halves, "gain": gain,
        "how": asdict(how),
    }  # fmt: skip


def _refuse_known(names: Sequence[str], older: CameraStatistics | None, options: Options) -> None:
    known = [camera for camera in names if older is not None and camera in older.cameras]
    if known and not options.replace:
        raise UsageError(
            f"{options.model} has statistics of camera {listing(known)} already: give --replace, or another name if it is "
            "another camera."
        )


def _images(options: Options, until: ExitStack) -> Mapping[str, Sequence[Any]]:
    """Camera -> its images; "" for images of no named camera. A gallery stays open until `until` closes it."""
    ways = {
        "--images": bool(options.images), "--manifest": options.manifest is not None,
        "--data": bool(options.dataset) or options.data is not None, "--gallery": bool(options.gallery),
    }  # fmt: skip
    given = [way for way, used in ways.items() if used]
    if len(given) != 1:
        raise UsageError(
            f"{listing(given) or 'nothing'} says whose images they are: give --camera NAME --images DIR for one camera, "
            "--manifest FILE for many, --data DIR for those of a data set, or --gallery FILE for those of a gallery."
        )
    if options.camera and not options.images:
        raise UsageError(f"--camera {options.camera} goes with --images; {given[0]} names its cameras itself.")
    if options.images and not options.camera and not options.camera_agnostic:
        raise UsageError("--images without --camera NAME: name the camera, or give --camera-agnostic for images of unknown ones.")
    if options.gallery:
        return _of_gallery(options.gallery, options.min_images, until)
    if options.manifest is not None:
        return _of_manifest(options.manifest)
    if options.images:
        return {options.camera: sorted({path for given in options.images for path in _found(given)})}
    return _of_data(options)


def _together(images: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    """Every image once."""
    from passerby.gallery.thumbnails import Thumbnails

    kept = [own for own in images.values() if isinstance(own, Thumbnails)]
    if kept:
        return Thumbnails(kept[0].gallery, [id for own in kept for id in own.ids])
    return sorted({path for own in images.values() for path in own})


def _of_gallery(where: str, least: int, until: ExitStack) -> Mapping[str, Sequence[Any]]:
    from passerby.gallery import Gallery
    from passerby.gallery.thumbnails import thumbnails_by_camera

    found = thumbnails_by_camera(until.enter_context(Gallery.open(where, read_only=True)))
    crops = sum(map(len, found.values()))
    if crops < least:
        raise DataError(
            f"{where} holds {crops} crops, statistics of its cameras need {least} or more: passerby index FILM brings more."
        )
    return found


def _found(given: Path) -> list[Path]:
    from passerby.datasets.walking import IMAGE_SUFFIXES, images_below

    if not given.exists():
        raise DataError(f"{given} does not exist.")
    found = images_below(given) if given.is_dir() else [given]
    if not found:
        raise DataError(f"{given} holds no image: looked for are {listing(sorted(IMAGE_SUFFIXES), 20)}.")
    return found


def _of_manifest(path: Path) -> dict[str, list[Path]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. A manifest is CSV with the columns camera and images.")
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        missing = [name for name in ("camera", "images") if name not in (table.fieldnames or ())]
        if missing:
            raise DataError(f"{path} lacks the column {listing(missing)}: a manifest is CSV with the columns camera and images.")
        found: dict[str, set[Path]] = {}
        for number, row in enumerate(table, start=2):
            if not row["camera"] or not row["images"]:
                raise DataError(f"{path}, line {number}: camera is {row['camera']!r}, images {row['images']!r}; both are needed.")
            found.setdefault(row["camera"], set()).update(_found(path.parent / row["images"]))
    if not found:
        raise DataError(f"{path} names no camera: give one line or more below the header camera,images.")
    _refuse_shared(found)
    return {camera: sorted(paths) for camera, paths in sorted(found.items())}


def _refuse_shared(found: dict[str, set[Path]]) -> None:
    """One picture is of one camera."""
    owner: dict[Path, str] = {}
    for camera, paths in found.items():
        for path in paths:
            if owner.setdefault(path.resolve(), camera) != camera:
                raise DataError(
                    f"{path} is listed for camera {owner[path.resolve()]} and for camera {camera}: it can be of one only."
                )


def _of_data(options: Options) -> dict[str, list[Path]]:
    from passerby import datasets
    from passerby.datasets.registry import data_folder
    from passerby.embedder.camera_statistics import images_by_camera

    name = options.dataset or datasets.detect(data_folder(options.data))
    data = datasets.read(name, options.data)
    splits = {"test": (data.query, data.gallery), "query": (data.query,), "gallery": (data.gallery,), "train": (data.train,)}
    found = images_by_camera(*splits[options.subset])
    if not found:
        raise DataError(f"{data.name} has no {options.subset} images here. It has: {listing(data.splits()) or 'nothing'}.")
    return found


def _thresholds_in_words(facts: Artefact, options: Options) -> str:
    """Whose thresholds the new artefact has: those of MODEL were of other vectors."""
    from passerby.metrics.calibration_store import find_calibration

    found = find_calibration(options.out)
    if found is None:
        return f"thresholds: none, its vectors are new ones: passerby calibrate {options.out} --data DIR, people of these cameras"
    where = "; ".join(note for note in found.notes if note not in facts.notes)
    return f"thresholds: same from {found.threshold:.4f} on, as found for {found.num_people} people elsewhere: {where}"


def _tell(made: dict[str, Adaptation], facts: Artefact, options: Options) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.embedder.adaptation import CURVE

    counts = sorted({batches for each in made.values() for batches, _, _ in each.gain} | {CURVE[0]})
    table = Table(
        "camera", "images", "shift", "between halves", *(f"{count}" for count in counts),
        title="camera statistics; on the right the share of the shift after so many batches",
    )  # fmt: skip
    for name, each in made.items():
        shares = {batches: f"{share:.0%}" for batches, _, share in each.gain}
        halves = "" if each.between_halves is None else f"{each.between_halves:.3f}"
        table.add_row(name, str(each.images), f"{each.shift:.3f}", halves, *(shares.get(count, "") for count in counts))
    console = Console()
    console.print(table)
    console.print("published on Market-1501: mAP 76.3 with 1 batch of 64 images, 77.3 with 10", highlight=False)
    for name, each in made.items():
        if each.between_halves is not None and each.between_halves > each.shift / 2:
            console.print(
                f"note: camera {name}: the halves differ half as much as the camera from the training; more images would help"
            )
    stand_ins = [row for row in facts.cameras if row.get("stands_in")]
    told = [f"camera {row['name']}: {row['images']} crops, statistics of all together stand in" for row in stand_ins]
    for note in (*told, *facts.notes):
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    console.print(_thresholds_in_words(facts, options), highlight=False, soft_wrap=True)
    console.print(f"artefact: {options.out} ({len(facts.cameras)} cameras)", soft_wrap=True, highlight=False)
    if options.gallery:
        told = f"now: passerby gallery re-embed {options.gallery} --model {options.out}"
        console.print(told, soft_wrap=True, highlight=False)
